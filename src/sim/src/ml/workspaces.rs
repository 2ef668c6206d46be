//! `workspaces`.

use super::{ctx::Ctx, listing, networks, render, schema, settle, tables};
use crate::{
    dice::guid_for,
    front::{
        governance::{self, lookup},
        http::Answer,
        refusal::{Outcome, Refusal},
        roles::Rights,
    },
    resources::operations::{self, Urls},
    scope::{self, ML},
    state::{Meta, OperationStatus, Provisioning, State, Verb, Workspace},
};
use jiff::SignedDuration;
use serde_json::{Value, json};

/// How long a deleted workspace can be recovered, in hours.
const SOFT_DELETE_HOURS: i64 = 14 * 24;

/// Properties that a workspace keeps for life.
const FIXED: &[&str] = &[
    "kind",
    "properties.storageAccount",
    "properties.keyVault",
    "properties.hbiWorkspace",
    "properties.hubResourceId",
    "properties.encryption.status",
    "properties.encryption.keyVaultProperties.keyVaultArmId",
];

/// Resources beside a workspace: the property, and their type.
const PARTS: &[(&str, &str)] = &[
    ("storageAccount", "Microsoft.Storage/storageAccounts"),
    ("keyVault", "Microsoft.KeyVault/vaults"),
    ("applicationInsights", "Microsoft.Insights/components"),
    ("containerRegistry", "Microsoft.ContainerRegistry/registries"),
];

/// GET of the workspaces of a group or of the whole subscription.
///
/// # Errors
/// A continuation token that isn't ours.
pub fn list(ctx: &Ctx<'_>) -> Outcome {
    let root = scope::key(&ctx.route.id());
    let kind = ctx.req.param("kind");
    let action = format!("{ML}/workspaces/read");
    let of_kind =
        |item: &Value| kind.as_ref().is_none_or(|k| item["kind"].as_str().is_some_and(|i| i.eq_ignore_ascii_case(k)));
    let rights = Rights::of(ctx.state, ctx.caller);
    let keys = scope::under(&ctx.state.workspaces, &root).map(|(key, _)| key);
    let gone = scope::under(&ctx.state.ghosts, &root).map(|(key, _)| key).filter(|key| !key.contains("/computes/"));
    let visible = keys.chain(gone).filter(|key| rights.allow(&action, key)).cloned().collect();
    listing::page(ctx, visible, |key| {
        let shown = match ctx.state.workspaces.get(key) {
            Some(w) => w.meta.listed(ctx.now.virt, || render::workspace(w, ctx.state)),
            None => listing::ghost(ctx, key),
        };
        shown.filter(&of_kind)
    })
}

fn not_found(ctx: &Ctx<'_>) -> Refusal {
    Refusal::not_found("workspaces", scope::leaf(&ctx.route.id()), &ctx.route.group)
}

/// The workspace of the path.
///
/// # Errors
/// 404.
pub fn find<'a>(ctx: &'a Ctx<'_>) -> Outcome<&'a Workspace> {
    let found = ctx.state.workspaces.get(&scope::key(&ctx.route.id()));
    found.filter(|w| !w.meta.unborn(ctx.now.virt)).ok_or_else(|| not_found(ctx))
}

/// GET of one.
///
/// # Errors
/// 404.
pub fn get(ctx: &Ctx<'_>) -> Outcome {
    Ok(Answer::json(200, render::workspace(find(ctx)?, ctx.state)))
}

/// PUT: 202 with an empty body and both URLs.
///
/// # Errors
/// What is wrong with the body, a soft-deleted workspace of that name, another operation, or a policy.
pub fn put(ctx: &mut Ctx<'_>) -> Outcome {
    let id = ctx.route.id();
    let key = scope::key(&id);
    let mut body = ctx.body()?;
    governance::apply_policies(&ctx.state.policies, &id, &format!("{ML}/workspaces"), &mut body)?;
    schema::check(&mut body, &tables::WORKSPACE, ctx.settings.options.unknown_fields)?;
    let location = location(ctx, &body)?;
    let written = written(ctx, &body);
    check_settings(ctx, ctx.state.workspaces.get(&key), &written)?;
    if let Some(existing) = ctx.state.workspaces.get(&key) {
        check_rest(existing)?;
        check_fixed(existing, &written, &location)?;
    } else {
        check_name(scope::leaf(&id))?;
        check_buried(ctx, &key)?;
        check_parts(ctx, &written)?;
    }
    store(ctx, &id, &location, written)
}

fn location(ctx: &Ctx<'_>, body: &Value) -> Outcome<String> {
    let given = body["location"].as_str().ok_or_else(|| {
        Refusal::arm(400, "LocationRequired", "The location property is required for this definition.")
    })?;
    ctx.settings.region(given).map(str::to_string).ok_or_else(|| {
        Refusal::arm(
            400,
            "LocationNotAvailableForResourceType",
            format!(
                "The provided location '{given}' is not available for resource type '{ML}/workspaces'. List of \
                 available regions for the resource type is '{}'.",
                ctx.settings.regions()
            ),
        )
    })
}

fn written(ctx: &Ctx<'_>, body: &Value) -> Value {
    let sub = ctx.state.subscriptions.get(&ctx.route.sub.to_ascii_lowercase());
    let tenant = sub.map(|s| s.tenant.as_str()).unwrap_or_default();
    let or = |value: &Value, default: Value| if value.is_null() { default } else { value.clone() };
    json!({
        "tags": body["tags"],
        "identity": render::identity(&body["identity"], tenant, &scope::key(&ctx.route.id())),
        "kind": or(&body["kind"], json!("Default")),
        "sku": or(&body["sku"], json!({"name": "Basic", "tier": "Basic"})),
        "properties": body["properties"],
    })
}

fn store(ctx: &mut Ctx<'_>, id: &str, location: &str, body: Value) -> Outcome {
    let (key, virt, writer) = (scope::key(id), ctx.now.virt, ctx.caller.client_id.clone());
    let existing = ctx.state.workspaces.get(&key);
    let uid = existing.map(|w| w.meta.uid.clone());
    let before = existing.and_then(|w| w.meta.listed(virt, || render::workspace(w, ctx.state)));
    let veil = ctx.settings.veil(before, virt);
    let uid = uid.unwrap_or_else(|| ctx.state.dice.guid());
    let lasts = ctx.settings.world.timings.workspace_create.0;
    let guid = ctx.begin(Verb::CreateWorkspace, id, &uid, location, lasts);
    if let Some(workspace) = ctx.state.workspaces.get_mut(&key) {
        workspace.body = body;
        workspace.state = Provisioning::Updating;
        workspace.operation = Some(guid.clone());
        workspace.meta.veil = veil;
        (workspace.meta.modified, workspace.meta.modified_by) = (virt, writer);
    } else {
        let meta = Meta {
            id: id.into(),
            uid,
            location: location.into(),
            created_by: writer.clone(),
            created: virt,
            modified_by: writer,
            modified: virt,
            veil,
        };
        let workspace_id = ctx.state.dice.guid();
        let state = Provisioning::Creating;
        let network = Default::default();
        let workspace = Workspace { meta, state, workspace_id, body, operation: Some(guid.clone()), network };
        ctx.state.workspaces.insert(key, workspace);
    }
    Ok(operations::announce(ctx, Answer::empty(202), &guid, "workspace", Urls::Both))
}

/// Nothing else may be under way.
///
/// # Errors
/// 409.
pub fn check_rest(workspace: &Workspace) -> Outcome<()> {
    if workspace.state.at_rest() {
        return Ok(());
    }
    Err(Refusal::arm(
        409,
        "Conflict",
        format!(
            "The workspace '{}' is in the provisioning state '{}': another operation on it is in progress.",
            workspace.meta.name(),
            workspace.state.text()
        ),
    ))
}

fn check_fixed(old: &Workspace, new: &Value, location: &str) -> Outcome<()> {
    if old.meta.location != location {
        return Err(Refusal::arm(
            409,
            "InvalidResourceLocation",
            format!(
                "The resource '{}' already exists in location '{}' in resource group '{}'. A resource with the same \
                 name cannot be created in location '{location}'. Please select a new resource name.",
                old.meta.name(),
                old.meta.location,
                scope::group(&old.meta.id)
            ),
        ));
    }
    let text = |body: &Value, path: &str| {
        lookup(body, path).map(|v| v.to_string().to_ascii_lowercase()).unwrap_or("null".into())
    };
    match FIXED.iter().find(|path| text(&old.body, path) != text(new, path)) {
        None => Ok(()),
        Some(path) => Err(Refusal::provider(
            400,
            "PropertyChangeNotAllowed",
            format!("Changing property '{path}' of workspace '{}' is not allowed.", old.meta.name()),
        )
        .at(*path)),
    }
}

fn check_name(name: &str) -> Outcome<()> {
    let fits = (3..=33).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if fits {
        return Ok(());
    }
    Err(Refusal::provider(
        400,
        "ValidationError",
        format!("The workspace name '{name}' must match ^[a-zA-Z0-9][a-zA-Z0-9_-]{{2,32}}$."),
    ))
}

fn check_buried(ctx: &Ctx<'_>, key: &str) -> Outcome<()> {
    let kept = SignedDuration::from_hours(SOFT_DELETE_HOURS);
    match ctx.state.buried.get(key) {
        Some(at) if crate::clock::later(*at, kept) > ctx.now.virt => {
            Err(Refusal::provider(400, "BadRequest", "Soft-deleted workspace exists. Please purge or recover it."))
        }
        _ => Ok(()),
    }
}

fn is_kind(body: &Value, kind: &str) -> bool {
    body["kind"].as_str().is_some_and(|k| k.eq_ignore_ascii_case(kind))
}

/// A workspace of the usual kind and a hub need a storage account and a key vault; a project has its hub's.
fn check_parts(ctx: &Ctx<'_>, body: &Value) -> Outcome<()> {
    let has = |name: &str| body["properties"][name].is_string();
    if (is_kind(body, "Default") || is_kind(body, "Hub")) && !(has("storageAccount") && has("keyVault")) {
        return Err(Refusal::provider(400, "ValidationError", "Missing dependent resources in workspace json"));
    }
    if !is_kind(body, "Project") {
        return Ok(());
    }
    let hub = body["properties"]["hubResourceId"].as_str().unwrap_or_default();
    let found = ctx.state.workspaces.get(&scope::key(hub)).filter(|w| is_kind(&w.body, "Hub"));
    match found {
        Some(_) => Ok(()),
        None => {
            let text = format!("A workspace of kind Project needs a hub; '{hub}' is none.");
            Err(Refusal::provider(400, "ValidationError", text).at("properties.hubResourceId"))
        }
    }
}

/// What holds for settings of a workspace at any time.
fn check_settings(ctx: &Ctx<'_>, old: Option<&Workspace>, body: &Value) -> Outcome<()> {
    let properties = &body["properties"];
    let refuse = |field: &str, why: String| {
        Err(Refusal::provider(400, "ValidationError", why).at(format!("properties.{field}")))
    };
    for (name, kind) in PARTS {
        let wrong = |id: &&str| {
            let key = scope::key(id);
            let written = format!("/providers/{}/", kind.to_ascii_lowercase());
            !key.starts_with("/subscriptions/") || !key.contains(&written)
        };
        if let Some(id) = properties[*name].as_str().filter(wrong) {
            return refuse(name, format!("'{id}' is not the id of a resource of type {kind}."));
        }
    }
    let kind = body["identity"]["type"].as_str().unwrap_or_default();
    if kind.eq_ignore_ascii_case("UserAssigned") {
        let primary = properties["primaryUserAssignedIdentity"].as_str().unwrap_or_default();
        let mut users = body["identity"]["userAssignedIdentities"].as_object().into_iter().flat_map(|u| u.keys());
        if !users.any(|user| user.eq_ignore_ascii_case(primary)) {
            return refuse(
                "primaryUserAssignedIdentity",
                "A workspace with user-assigned identities only must name one of them as its primary one.".into(),
            );
        }
    }
    networks::check(old.map(|w| &w.body["properties"]), properties, ctx.settings.options.unknown_fields)
}

/// The projects of a hub; nothing for a workspace of another kind.
pub fn members(state: &State, hub: &Workspace) -> Option<Value> {
    if !is_kind(&hub.body, "Hub") {
        return None;
    }
    let key = scope::key(&hub.meta.id);
    let of_hub = |w: &&Workspace| {
        is_kind(&w.body, "Project")
            && w.body["properties"]["hubResourceId"].as_str().is_some_and(|h| scope::key(h) == key)
    };
    Some(json!(state.workspaces.values().filter(of_hub).map(|w| &w.meta.id).collect::<Vec<_>>()))
}

/// PATCH: tags, identity and some properties.
///
/// # Errors
/// 404, or as for PUT.
pub fn patch(ctx: &mut Ctx<'_>) -> Outcome {
    let id = ctx.route.id();
    let mut patch = ctx.body()?;
    schema::check(&mut patch, &tables::WORKSPACE_PATCH, ctx.settings.options.unknown_fields)?;
    let workspace = find(ctx)?;
    check_rest(workspace)?;
    let mut body = workspace.body.clone();
    render::merge(&mut body["properties"], &patch["properties"]);
    for name in ["tags", "sku"] {
        if !patch[name].is_null() {
            body[name] = patch[name].clone();
        }
    }
    if !patch["identity"].is_null() {
        body["identity"] = written(ctx, &patch)["identity"].clone();
    }
    governance::apply_policies(&ctx.state.policies, &id, &format!("{ML}/workspaces"), &mut body)?;
    check_settings(ctx, Some(workspace), &body)?;
    let before = workspace.meta.listed(ctx.now.virt, || render::workspace(workspace, ctx.state));
    let veil = before.and_then(|b| ctx.settings.veil(Some(b), ctx.now.virt));
    let (virt, writer) = (ctx.now.virt, ctx.caller.client_id.clone());
    if let Some(workspace) = ctx.state.workspaces.get_mut(&scope::key(&id)) {
        workspace.body = body;
        workspace.meta.veil = veil;
        (workspace.meta.modified, workspace.meta.modified_by) = (virt, writer);
    }
    get(ctx)
}

/// DELETE: soft where the workspace has a system-assigned identity, unless `forceToPurge=true`.
///
/// # Errors
/// 409 for a hub with projects.
pub fn delete(ctx: &mut Ctx<'_>) -> Outcome {
    let id = ctx.route.id();
    let key = scope::key(&id);
    let purge = ctx.req.param("forceToPurge").is_some_and(|p| p.eq_ignore_ascii_case("true"));
    let projects = ctx.state.workspaces.get(&key).and_then(|w| members(ctx.state, w));
    if let Some(first) = projects.as_ref().and_then(|p| p[0].as_str()) {
        let text = format!("The hub '{}' has projects, such as '{first}'. Delete them first.", scope::leaf(&id));
        return Err(Refusal::provider(409, "Conflict", text));
    }
    let Some(workspace) = ctx.state.workspaces.get_mut(&key) else {
        if purge {
            ctx.state.buried.remove(&key);
        }
        return Ok(Answer::empty(204));
    };
    let (uid, location) = (workspace.meta.uid.clone(), workspace.meta.location.clone());
    workspace.state = Provisioning::Deleting;
    let overtaken = workspace.operation.take();
    if let Some(guid) = overtaken {
        settle::close(ctx.state, &guid, OperationStatus::Canceled, ctx.now.virt);
    }
    let verb = if purge { Verb::PurgeWorkspace } else { Verb::DeleteWorkspace };
    let guid = ctx.begin(verb, &id, &uid, &location, ctx.settings.world.timings.workspace_delete.0);
    if let Some(workspace) = ctx.state.workspaces.get_mut(&key) {
        workspace.operation = Some(guid.clone());
    }
    Ok(operations::announce(ctx, Answer::empty(202), &guid, "workspace", Urls::Both))
}

/// POST listKeys.
///
/// # Errors
/// 404.
pub fn list_keys(ctx: &Ctx<'_>) -> Outcome {
    let workspace = find(ctx)?;
    let key = |what: &str| guid_for(&format!("{what}{}", workspace.workspace_id)).replace('-', "");
    Ok(Answer::json(
        200,
        json!({
            "userStorageKey": key("storage"),
            "userStorageResourceId": workspace.body["properties"]["storageAccount"],
            "userStorageArmId": workspace.body["properties"]["storageAccount"],
            "appInsightsInstrumentationKey": guid_for(&format!("insights{}", workspace.workspace_id)),
            "containerRegistryCredentials": null,
            "notebookAccessKeys": {"primaryAccessKey": key("primary"), "secondaryAccessKey": key("secondary")},
        }),
    ))
}
