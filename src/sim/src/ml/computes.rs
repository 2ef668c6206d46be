//! `workspaces/computes`: clusters and instances.

use super::{
    canonical, checks, cluster,
    ctx::{Ctx, Lists},
    instance::{self, power},
    listing, physics, render, schema, settle, tables,
};
use crate::{
    clock::later,
    front::{
        governance,
        http::Answer,
        refusal::{Outcome, Refusal},
    },
    resources::operations::{self, Urls},
    scope::{self, ML},
    state::{
        Compute, ComputeKind, Creator, Event, Instance, InstanceState, LastOperation, Meta, NodeState, OperationStatus,
        Power, Progress, Provisioning, Trigger, Verb,
    },
};
use jiff::SignedDuration;
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
        let live = [
            "allocationState",
            "allocationStateTransitionTime",
            "errors",
            "currentNodeCount",
            "targetNodeCount",
            "nodeStateCounts",
        ];
        for name in live.iter().chain(instance::render::LIVE) {
            inner.remove(*name);
        }
    }
    item
}

fn not_found(ctx: &Ctx<'_>) -> Refusal {
    let id = ctx.route.id();
    let (workspace, name) = (scope::leaf(scope::up(&id, 2)).to_string(), scope::leaf(&id));
    Refusal::not_found("workspaces", &format!("{workspace}/computes/{name}"), &ctx.route.group)
}

/// The compute of the path.
///
/// # Errors
/// 404.
pub fn find<'a>(ctx: &'a Ctx<'_>) -> Outcome<&'a Compute> {
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
    let kind = check_type(&body)?;
    governance::apply_policies(&ctx.state.policies, &id, &format!("{ML}/workspaces/computes"), &mut body)?;
    let table = match kind {
        ComputeKind::Cluster => &tables::COMPUTE,
        ComputeKind::Instance => &instance::tables::COMPUTE,
    };
    schema::check(&mut body, table, ctx.settings.options.unknown_fields)?;
    let location = checks::check_location(ctx, &body)?;
    let canonical = checks::accept(ctx, kind, &body, &location)?;
    match ctx.state.computes.contains_key(&key) {
        true => replace(ctx, kind, &key, canonical),
        false => create(ctx, kind, &id, &location, canonical),
    }
}

fn check_type(body: &Value) -> Outcome<ComputeKind> {
    match body["properties"]["computeType"].as_str() {
        Some(kind) => ComputeKind::of(kind).ok_or_else(|| {
            Refusal::provider(
                400,
                "InvalidComputeType",
                format!("azure-sim serves computes of type AmlCompute and ComputeInstance, not '{kind}'."),
            )
            .at("properties.computeType")
        }),
        None => Err(super::ctx::bad_content(
            "Required property 'computeType' not found in JSON. Path 'properties.computeType'",
        )),
    }
}

fn create(ctx: &mut Ctx<'_>, kind: ComputeKind, id: &str, location: &str, mut body: Value) -> Outcome {
    let key = scope::key(id);
    checks::check_name(scope::leaf(id))?;
    let region = body["properties"]["computeLocation"].as_str().unwrap_or_default().to_string();
    checks::check_unique(ctx, kind, &region)?;
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
        let default = default_of(kind, &body, field);
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
    let operation = begin_creation(ctx, kind, &body, &meta);
    let mut compute = Compute {
        meta,
        state: Provisioning::Creating,
        errors: Value::Null,
        body,
        before: None,
        overrides: Value::Null,
        provisioned: false,
        fleet: physics::no_nodes(virt),
        instance: None,
        operation: Some(operation.clone()),
    };
    if kind == ComputeKind::Instance {
        compute.instance = Some(machine_of(ctx, &compute));
    }
    let shown = render::compute(&compute, Lists::Full);
    ctx.state.computes.insert(key, compute);
    Ok(operations::announce(ctx, Answer::json(201, shown), &operation, "compute", Urls::Status))
}

/// What a body would have at `field` had the client not sent it.
fn default_of(kind: ComputeKind, body: &Value, field: &str) -> Value {
    let bare = json!({"properties": {"properties": {
        "vmSize": body["properties"]["properties"]["vmSize"],
        "scaleSettings": {"maxNodeCount": body["properties"]["properties"]["scaleSettings"]["maxNodeCount"]},
    }}});
    let region = body["properties"]["computeLocation"].as_str().unwrap_or_default();
    let defaults = match kind {
        ComputeKind::Cluster => canonical::cluster(&bare, region),
        ComputeKind::Instance => instance::canonical::instance(&bare, region, ""),
    };
    let defaults = defaults.unwrap_or_default();
    governance::lookup(&defaults, field).cloned().unwrap_or(Value::Null)
}

fn replace(ctx: &mut Ctx<'_>, kind: ComputeKind, key: &str, mut body: Value) -> Outcome {
    let assumed = ctx.settings.options.assumed;
    let Some(compute) = ctx.state.computes.get(key) else { return Err(not_found(ctx)) };
    check_rest(compute)?;
    if compute.kind() != kind {
        let (name, was, wanted) = (compute.meta.name(), compute.kind().text(), kind.text());
        let text = format!("The compute '{name}' is of type {was}; it can't become one of type {wanted}.");
        return Err(Refusal::provider(400, "PropertyChangeNotAllowed", text).at("properties.computeType"));
    }
    canonical::check_fixed(kind, &compute.body, &body, compute.meta.name(), assumed)?;
    if let Some(field) = &ctx.hints.not_honoured {
        let kept = governance::lookup(&compute.body, field).cloned().unwrap_or(Value::Null);
        governance::place(&mut body, field, kept);
    }
    let operation = write(ctx, key, body, Provisioning::Creating, Verb::CreateCompute)?;
    let shown = get_now(ctx, key)?;
    Ok(operations::announce(ctx, Answer::json(201, shown), &operation, "compute", Urls::Status))
}

/// Nothing else may be under way.
///
/// # Errors
/// 409.
pub fn check_rest(compute: &Compute) -> Outcome<()> {
    if compute.state.at_rest() && compute.operation.is_none() {
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
    let meta = compute.meta.clone();
    let before = settle::before_write(compute, ctx.now.virt);
    // A failed creation leaves no machine: a PUT over it creates it once more.
    let failed = compute.instance.as_ref().is_some_and(|i| i.state == InstanceState::CreateFailed);
    let machine = failed.then(|| machine_of(ctx, compute));
    let veil = before.map_or_else(|| meta.veil.clone(), |b| ctx.settings.veil(Some(b), ctx.now.virt));
    let operation = match machine {
        Some(_) => begin_creation(ctx, ComputeKind::Instance, &body, &meta),
        None => ctx.begin(verb, &meta.id, &meta.uid, &meta.location, ctx.settings.world.timings.cluster_update.0),
    };
    let (virt, writer) = (ctx.now.virt, ctx.caller.client_id.clone());
    if let Some(compute) = ctx.state.computes.get_mut(key) {
        compute.before = Some(std::mem::replace(&mut compute.body, body));
        compute.instance = machine.or(compute.instance.take());
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

/// Begin the operation of a creation, with the script that runs in it.
fn begin_creation(ctx: &mut Ctx<'_>, kind: ComputeKind, body: &Value, meta: &Meta) -> String {
    let (machine, setup) = match kind {
        ComputeKind::Cluster => (ctx.settings.world.timings.cluster_create.0, SignedDuration::ZERO),
        ComputeKind::Instance => power::creation(ctx.settings, body),
    };
    let operation = ctx.begin(Verb::CreateCompute, &meta.id, &meta.uid, &meta.location, machine + setup);
    if !setup.is_zero() {
        let event = Event::SetUp { compute: scope::key(&meta.id), operation: operation.clone() };
        ctx.state.agenda.add(later(ctx.now.virt, machine), event);
    }
    operation
}

/// The machine of an instance that is being created, and that there must be room for.
fn machine_of(ctx: &Ctx<'_>, compute: &Compute) -> Instance {
    let (at, caller) = (ctx.now.virt, ctx.caller);
    let doomed = cluster::no_room(ctx.settings, ctx.state, &scope::key(&compute.meta.id), &compute.shape());
    Instance {
        state: InstanceState::Creating,
        last: LastOperation { power: Power::Create, at, progress: Progress::InProgress, trigger: Trigger::User },
        errors: Value::Null,
        doomed: doomed.unwrap_or(Value::Null),
        creator: Creator {
            name: caller.name.clone().unwrap_or_else(|| caller.client_id.clone()),
            tenant: caller.tenant.clone(),
            object: caller.object(),
        },
        active_until: at,
        idle_round: 0,
        schedule_round: 0,
        resize_to: None,
    }
}

/// PATCH: scale settings and nothing else, so of clusters only.
///
/// # Errors
/// As for PUT.
pub fn patch(ctx: &mut Ctx<'_>) -> Outcome {
    let key = scope::key(&ctx.route.id());
    let mut patch = ctx.body()?;
    schema::check(&mut patch, &tables::COMPUTE_PATCH, ctx.settings.options.unknown_fields)?;
    let compute = find(ctx)?;
    if compute.kind() != ComputeKind::Cluster {
        return Err(no_action("update", compute));
    }
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
        if let Some(instance) = &mut compute.instance {
            let (power, at) = (Power::Delete, ctx.now.virt);
            instance.last = LastOperation { power, at, progress: Progress::InProgress, trigger: Trigger::User };
        }
    }
    physics::dissolve(ctx.settings, ctx.state, &key, ctx.now.virt);
    Ok(operations::announce(ctx, Answer::empty(202), &operation, "compute", Urls::Both))
}

/// POST of an action.
///
/// # Errors
/// 404, or that a compute of this type has no such action.
pub fn action(ctx: &mut Ctx<'_>, action: &str) -> Outcome {
    let compute = find(ctx)?;
    match (compute.kind(), action) {
        (ComputeKind::Instance, _) => instance::actions::act(ctx, action),
        (ComputeKind::Cluster, "listNodes") => Ok(Answer::json(200, nodes(compute))),
        (ComputeKind::Cluster, _) => Err(no_action(action, compute)),
    }
}

/// A compute of this type can't do that.
pub fn no_action(action: &str, compute: &Compute) -> Refusal {
    let (name, kind) = (compute.meta.name(), compute.kind().text());
    let text = format!("Operation '{action}' is not supported for compute '{name}' of type {kind}.");
    Refusal::provider(400, "BadRequest", text)
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
            NodeState::Unusable => "unusable",
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
