//! `workspaces/computes` of type AmlCompute.

use super::{
    canonical, cluster,
    ctx::{Ctx, Lists},
    listing, physics, render, schema, settle, tables,
};
use crate::{
    front::{
        governance,
        http::Answer,
        refusal::{Outcome, Refusal},
        roles::{self, Rights},
    },
    resources::operations::{self, Urls},
    scope::{self, ML},
    state::{Compute, Meta, NodeState, OperationStatus, Provisioning, Verb},
};
use serde_json::{Value, json};

/// GET of a workspace's computes.
///
/// # Errors
/// A continuation token that isn't ours.
pub fn list(ctx: &Ctx<'_>) -> Outcome {
    let root = format!("{}/computes", scope::key(&ctx.route.id()));
    let lists = ctx.settings.options.lists;
    let keys = scope::under(&ctx.state.computes, &root).map(|(key, _)| key.clone());
    let gone = scope::under(&ctx.state.ghosts, &root).map(|(key, _)| key.clone());
    listing::page(ctx, keys.chain(gone).collect(), |key| match ctx.state.computes.get(key) {
        Some(c) => c.meta.listed(ctx.now.virt, || render::compute(c, lists)).map(|shown| sparse(shown, lists)),
        None => listing::ghost(ctx, key).map(|shown| sparse(shown, lists)),
    })
}

/// Take the live fields off an item that was rendered in full.
fn sparse(mut item: Value, lists: Lists) -> Value {
    if lists == Lists::Sparse
        && let Some(inner) = item["properties"]["properties"].as_object_mut()
    {
        for name in [
            "allocationState",
            "allocationStateTransitionTime",
            "errors",
            "currentNodeCount",
            "targetNodeCount",
            "nodeStateCounts",
        ] {
            inner.remove(name);
        }
    }
    item
}

fn not_found(ctx: &Ctx<'_>) -> Refusal {
    let id = ctx.route.id();
    let (workspace, name) = (scope::leaf(scope::up(&id, 2)).to_string(), scope::leaf(&id));
    Refusal::not_found("workspaces", &format!("{workspace}/computes/{name}"), &ctx.route.group)
}

fn find<'a>(ctx: &'a Ctx<'_>) -> Outcome<&'a Compute> {
    let found = ctx.state.computes.get(&scope::key(&ctx.route.id()));
    found.filter(|c| !c.meta.unborn(ctx.now.virt)).ok_or_else(|| not_found(ctx))
}

/// GET of one.
///
/// # Errors
/// 404.
pub fn get(ctx: &Ctx<'_>) -> Outcome {
    Ok(Answer::json(200, render::compute(find(ctx)?, Lists::Full)))
}

/// PUT: create, or update what is there.
///
/// # Errors
/// What the front door, a policy or the provider has against it.
pub fn put(ctx: &mut Ctx<'_>) -> Outcome {
    let id = ctx.route.id();
    let key = scope::key(&id);
    let mut body = ctx.body()?;
    check_type(&body)?;
    governance::apply_policies(&ctx.state.policies, &id, &format!("{ML}/workspaces/computes"), &mut body)?;
    schema::check(&mut body, &tables::COMPUTE, ctx.settings.options.unknown_fields)?;
    let location = check_location(ctx, &body)?;
    let canonical = accept(ctx, &body, &location)?;
    match ctx.state.computes.contains_key(&key) {
        true => replace(ctx, &key, canonical),
        false => create(ctx, &id, &location, canonical),
    }
}

fn check_type(body: &Value) -> Outcome<()> {
    match body["properties"]["computeType"].as_str() {
        Some(kind) if kind.eq_ignore_ascii_case("AmlCompute") => Ok(()),
        Some(kind) => Err(Refusal::provider(
            400,
            "InvalidComputeType",
            format!("azure-sim serves computes of type AmlCompute only, not '{kind}'."),
        )
        .at("properties.computeType")),
        None => Err(super::ctx::bad_content(
            "Required property 'computeType' not found in JSON. Path 'properties.computeType'",
        )),
    }
}

/// The envelope's location must be there and be the workspace's.
fn check_location(ctx: &Ctx<'_>, body: &Value) -> Outcome<String> {
    let Some(given) = body["location"].as_str() else {
        return Err(Refusal::arm(400, "LocationRequired", "The location property is required for this definition."));
    };
    let home = workspace_region(ctx);
    if ctx.settings.region(given) == Some(home.as_str()) {
        return Ok(home);
    }
    let id = ctx.route.id();
    let name = scope::leaf(&id);
    if ctx.state.computes.contains_key(&scope::key(&id)) {
        return Err(Refusal::arm(
            409,
            "InvalidResourceLocation",
            format!(
                "The resource '{name}' already exists in location '{home}' in resource group '{}'. A resource with the \
                 same name cannot be created in location '{given}'. Please select a new resource name.",
                ctx.route.group
            ),
        ));
    }
    Err(Refusal::provider(
        400,
        "InvalidLocation",
        format!(
            "The location '{given}' of compute '{name}' is not that of its workspace, '{home}'. The region of the nodes \
             is properties.computeLocation."
        ),
    )
    .at("location"))
}

fn workspace_region(ctx: &Ctx<'_>) -> String {
    let workspace = ctx.route.workspace().map(|w| scope::key(&w)).unwrap_or_default();
    ctx.state.workspaces.get(&workspace).map(|w| w.meta.location.clone()).unwrap_or_default()
}

/// The body with defaults, once everything about it that doesn't depend on what exists has been checked.
fn accept(ctx: &mut Ctx<'_>, body: &Value, location: &str) -> Outcome<Value> {
    let mut canonical = canonical::cluster(body, location)?;
    let region = canonical["properties"]["computeLocation"].as_str().unwrap_or_default().to_string();
    if ctx.settings.region(&region).is_none() {
        return Err(Refusal::provider(
            400,
            "InvalidPropertyValue",
            format!(
                "The region '{region}' of property properties.computeLocation is not one of: {}.",
                ctx.settings.regions()
            ),
        )
        .at("properties.computeLocation"));
    }
    check_network(ctx, &canonical, &region, location)?;
    check_linked(ctx, &canonical)?;
    let sub = ctx.state.subscriptions.get(&ctx.route.sub.to_ascii_lowercase());
    let tenant = sub.map(|s| s.tenant.as_str()).unwrap_or_default();
    canonical["identity"] = render::identity(&canonical["identity"], tenant, &scope::key(&ctx.route.id()));
    Ok(canonical)
}

/// A managed network leaves no choice of subnet and region.
fn check_network(ctx: &Ctx<'_>, canonical: &Value, region: &str, home: &str) -> Outcome<()> {
    let workspace = ctx.route.workspace().map(|w| scope::key(&w)).unwrap_or_default();
    let mode =
        ctx.state.workspaces.get(&workspace).map(|w| w.body["properties"]["managedNetwork"]["isolationMode"].clone());
    if mode.as_ref().and_then(Value::as_str).is_none_or(|m| m.eq_ignore_ascii_case("Disabled")) {
        return Ok(());
    }
    let refuse = |field: &str, why: &str| Err(Refusal::provider(400, "BadRequest", why).at(field));
    if !canonical["properties"]["properties"]["subnet"].is_null() {
        return refuse(
            "properties.properties.subnet",
            "A custom subnet is not allowed in a workspace with a managed network.",
        );
    }
    if region != home {
        return refuse(
            "properties.computeLocation",
            "A compute in another region is not allowed in a workspace with a managed network.",
        );
    }
    Ok(())
}

/// A subnet and user-assigned identities need rights where they are.
fn check_linked(ctx: &mut Ctx<'_>, canonical: &Value) -> Outcome<()> {
    let (action, id) = (ctx.route.action("PUT"), ctx.route.id());
    let rights = Rights::of(ctx.state, ctx.caller);
    let mut check = |linked: &str, other: &str| {
        let need = rights.need(linked, other);
        ctx.needs.push(need.clone());
        roles::require_linked(ctx.caller, (&action, &id), &need)
    };
    if let Some(subnet) = canonical["properties"]["properties"]["subnet"]["id"].as_str() {
        check("Microsoft.Network/virtualNetworks/subnets/join/action", subnet)?;
    }
    if let Some(users) = canonical["identity"]["userAssignedIdentities"].as_object() {
        for user in users.keys() {
            check("Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", user)?;
        }
    }
    Ok(())
}

fn create(ctx: &mut Ctx<'_>, id: &str, location: &str, mut body: Value) -> Outcome {
    let key = scope::key(id);
    check_name(scope::leaf(id))?;
    let region = body["properties"]["computeLocation"].as_str().unwrap_or_default().to_string();
    let sub = ctx.route.sub.to_ascii_lowercase();
    let limit = ctx.state.quotas.get(&format!("{sub}/{region}")).map_or(0, |q| q.computes);
    if cluster::computes_in(ctx.state, &sub, &region) >= limit {
        return Err(Refusal::provider(
            400,
            "ComputeQuotaReached",
            format!("The subscription has reached its limit of {limit} computes in region '{region}'."),
        ));
    }
    if let Some(size) = ctx.state.hidden.remove(&key) {
        // A detached cluster still holds the name: what comes back is that one, with its old size.
        body["properties"]["properties"]["vmSize"] = json!(size);
    }
    if let Some(field) = &ctx.hints.not_honoured {
        let default = default_of(&body, field);
        governance::place(&mut body, field, default);
    }
    let virt = ctx.now.virt;
    let meta = Meta {
        id: id.into(),
        uid: ctx.state.dice.guid(),
        location: location.into(),
        created_by: ctx.caller.client_id.clone(),
        created: virt,
        modified_by: ctx.caller.client_id.clone(),
        modified: virt,
        veil: ctx.settings.veil(None, virt),
    };
    let lasts = ctx.settings.world.timings.cluster_create.0;
    let operation = ctx.begin(Verb::CreateCompute, id, &meta.uid, location, lasts);
    let compute = Compute {
        meta,
        state: Provisioning::Creating,
        errors: Value::Null,
        body,
        before: None,
        overrides: Value::Null,
        provisioned: false,
        fleet: physics::no_nodes(virt),
        operation: Some(operation.clone()),
    };
    let shown = render::compute(&compute, Lists::Full);
    ctx.state.computes.insert(key, compute);
    Ok(operations::announce(ctx, Answer::json(201, shown), &operation, "compute", Urls::Status))
}

/// What a body would have at `field` had the client not sent it.
fn default_of(body: &Value, field: &str) -> Value {
    let bare = json!({"properties": {"properties": {
        "vmSize": body["properties"]["properties"]["vmSize"],
        "scaleSettings": {"maxNodeCount": body["properties"]["properties"]["scaleSettings"]["maxNodeCount"]},
    }}});
    let region = body["properties"]["computeLocation"].as_str().unwrap_or_default();
    let defaults = canonical::cluster(&bare, region).unwrap_or_default();
    governance::lookup(&defaults, field).cloned().unwrap_or(Value::Null)
}

fn replace(ctx: &mut Ctx<'_>, key: &str, mut body: Value) -> Outcome {
    let assumed = ctx.settings.options.assumed;
    let Some(compute) = ctx.state.computes.get(key) else { return Err(not_found(ctx)) };
    check_rest(compute)?;
    canonical::check_fixed(&compute.body, &body, compute.meta.name(), assumed)?;
    if let Some(field) = &ctx.hints.not_honoured {
        let kept = governance::lookup(&compute.body, field).cloned().unwrap_or(Value::Null);
        governance::place(&mut body, field, kept);
    }
    let operation = write(ctx, key, body, Provisioning::Creating, Verb::CreateCompute)?;
    let shown = get_now(ctx, key)?;
    Ok(operations::announce(ctx, Answer::json(201, shown), &operation, "compute", Urls::Status))
}

fn check_rest(compute: &Compute) -> Outcome<()> {
    if compute.state.at_rest() {
        return Ok(());
    }
    Err(Refusal::arm(
        409,
        "Conflict",
        format!(
            "The compute '{}' is in the provisioning state '{}': another operation on it is in progress. Try again when \
             it has ended.",
            compute.meta.name(),
            compute.state.text()
        ),
    ))
}

/// Put a new body on an existing cluster and begin the operation.
fn write(ctx: &mut Ctx<'_>, key: &str, body: Value, state: Provisioning, verb: Verb) -> Outcome<String> {
    let Some(compute) = ctx.state.computes.get(key) else { return Err(not_found(ctx)) };
    let (id, uid, location) = (compute.meta.id.clone(), compute.meta.uid.clone(), compute.meta.location.clone());
    let before = settle::before_write(compute, ctx.now.virt);
    let veil = before.map_or_else(|| compute.meta.veil.clone(), |b| ctx.settings.veil(Some(b), ctx.now.virt));
    let operation = ctx.begin(verb, &id, &uid, &location, ctx.settings.world.timings.cluster_update.0);
    let (virt, writer) = (ctx.now.virt, ctx.caller.client_id.clone());
    if let Some(compute) = ctx.state.computes.get_mut(key) {
        compute.before = Some(std::mem::replace(&mut compute.body, body));
        compute.state = state;
        compute.errors = Value::Null;
        compute.meta.veil = veil;
        compute.meta.modified = virt;
        compute.meta.modified_by = writer;
        compute.operation = Some(operation.clone());
    }
    physics::look(ctx.settings, ctx.state, key, virt);
    Ok(operation)
}

fn get_now(ctx: &Ctx<'_>, key: &str) -> Outcome<Value> {
    ctx.state.computes.get(key).map(|c| render::compute(c, Lists::Full)).ok_or_else(|| not_found(ctx))
}

/// PATCH: scale settings and nothing else.
///
/// # Errors
/// As for PUT.
pub fn patch(ctx: &mut Ctx<'_>) -> Outcome {
    let key = scope::key(&ctx.route.id());
    let mut patch = ctx.body()?;
    schema::check(&mut patch, &tables::COMPUTE_PATCH, ctx.settings.options.unknown_fields)?;
    let compute = find(ctx)?;
    check_rest(compute)?;
    let settings = canonical::scale(&patch["properties"]["properties"]["scaleSettings"])?;
    let mut body = compute.body.clone();
    let old = body.clone();
    body["properties"]["properties"]["scaleSettings"] = settings;
    let id = ctx.route.id();
    governance::apply_policies(&ctx.state.policies, &id, &format!("{ML}/workspaces/computes"), &mut body)?;
    if let Some(field) = &ctx.hints.not_honoured {
        let kept = governance::lookup(&old, field).cloned().unwrap_or(Value::Null);
        governance::place(&mut body, field, kept);
    }
    let operation = write(ctx, &key, body, Provisioning::Updating, Verb::UpdateCompute)?;
    let shown = get_now(ctx, &key)?;
    Ok(operations::announce(ctx, Answer::json(200, shown), &operation, "compute", Urls::Both))
}

/// DELETE. Allowed at any time but during another delete, which it joins.
///
/// # Errors
/// 400 without `underlyingResourceAction`.
pub fn delete(ctx: &mut Ctx<'_>) -> Outcome {
    let id = ctx.route.id();
    let key = scope::key(&id);
    let action = ctx.req.param("underlyingResourceAction").unwrap_or_default();
    let verb = match action.to_ascii_lowercase().as_str() {
        "delete" => Verb::DeleteCompute,
        "detach" => Verb::DetachCompute,
        _ => {
            return Err(Refusal::provider(
                400,
                "BadRequest",
                "The query parameter 'underlyingResourceAction' is required and must be Delete or Detach.",
            )
            .at("underlyingResourceAction"));
        }
    };
    let Some(compute) = ctx.state.computes.get(&key) else { return Ok(Answer::empty(204)) };
    if let (Provisioning::Deleting, Some(running)) = (compute.state, compute.operation.clone()) {
        return Ok(operations::announce(ctx, Answer::empty(202), &running, "compute", Urls::Both));
    }
    let (uid, location, overtaken) =
        (compute.meta.uid.clone(), compute.meta.location.clone(), compute.operation.clone());
    let veil = settle::before_write(compute, ctx.now.virt).and_then(|b| ctx.settings.veil(Some(b), ctx.now.virt));
    if let Some(guid) = overtaken {
        settle::close(ctx.state, &guid, OperationStatus::Canceled, ctx.now.virt);
    }
    let operation = ctx.begin(verb, &id, &uid, &location, ctx.settings.world.timings.cluster_delete.0);
    if let Some(compute) = ctx.state.computes.get_mut(&key) {
        compute.state = Provisioning::Deleting;
        compute.operation = Some(operation.clone());
        compute.meta.veil = veil;
    }
    physics::dissolve(ctx.settings, ctx.state, &key, ctx.now.virt);
    Ok(operations::announce(ctx, Answer::empty(202), &operation, "compute", Urls::Both))
}

/// POST of an action.
///
/// # Errors
/// 404, or that a cluster has no such action.
pub fn action(ctx: &Ctx<'_>, action: &str) -> Outcome {
    let compute = find(ctx)?;
    if action == "listNodes" {
        return Ok(Answer::json(200, nodes(compute)));
    }
    Err(Refusal::provider(
        400,
        "BadRequest",
        format!("Operation '{action}' is not supported for compute '{}' of type AmlCompute.", compute.meta.name()),
    ))
}

fn nodes(compute: &Compute) -> Value {
    let public = compute.body["properties"]["properties"]["enableNodePublicIp"] == true;
    let shown = compute.fleet.nodes.iter().filter(|n| n.state != NodeState::Wanted).map(|node| {
        let state = match node.state {
            NodeState::Preparing | NodeState::Wanted => "preparing",
            NodeState::Idle => "idle",
            NodeState::Running => "running",
            NodeState::Leaving => "leaving",
            NodeState::Preempted => "preempted",
        };
        let (high, low) = (node.number / 250 % 250, node.number % 250 + 4);
        json!({
            "nodeId": format!("tvmps_{}_d", crate::dice::guid_for(&format!("{}{}", compute.meta.uid, node.number)).replace('-', "")),
            "privateIpAddress": format!("10.0.{high}.{low}"),
            "publicIpAddress": public.then(|| format!("203.0.113.{low}")),
            "port": 50000 + node.number,
            "nodeState": state,
            "runId": node.job.as_deref().map(scope::leaf),
        })
    });
    json!({"nodes": shown.collect::<Vec<_>>(), "nextLink": null})
}

/// The rule of the specification: a letter, then 2 to 23 letters, digits or hyphens, not ending in `-` and digits.
///
/// # Errors
/// 400 in the service's words.
fn check_name(name: &str) -> Outcome<()> {
    let tail = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let fits = (3..=24).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !(tail.len() < name.len() && tail.ends_with('-'));
    if fits {
        return Ok(());
    }
    Err(Refusal::provider(
        400,
        "ComputeNameNotAvailable",
        format!(
            "Compute name '{name}' is not available. Reason: Invalid. Message: A name for an Azure ML Compute Instance \
             must be between 3 and 24 characters in length and must use only numbers, letters and minus symbol (-), \
             must start with letters. Numbers cannot be the ending of the name if the previous character is a minus \
             symbol (-)."
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, ok) in [
            ("gpu", true),
            ("gpu-train", true),
            ("gpu-1a", true),
            ("gpu1", true),
            ("gpu-1", false),
            ("1gpu", false),
            ("gp", false),
            ("gpu_train", false),
            ("a23456789012345678901234", true),
            ("a234567890123456789012345", false),
            ("gpu-", true),
        ] {
            assert_eq!(check_name(name).is_ok(), ok, "{name}");
        }
    }
}
