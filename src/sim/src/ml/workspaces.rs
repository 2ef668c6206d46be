//! `workspaces`.

use super::{ctx::Ctx, listing, render, schema, settle, tables};
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
    state::{Meta, OperationStatus, Provisioning, Verb, Workspace},
};
use jiff::SignedDuration;
use serde_json::{Value, json};

/// How long a deleted workspace can be recovered, in hours.
const SOFT_DELETE_HOURS: i64 = 14 * 24;

/// Properties that a workspace keeps for life.
const FIXED: &[&str] = &["properties.storageAccount", "properties.keyVault", "properties.hbiWorkspace"];

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

fn find<'a>(ctx: &'a Ctx<'_>) -> Outcome<&'a Workspace> {
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
    if let Some(existing) = ctx.state.workspaces.get(&key) {
        check_rest(existing)?;
        check_fixed(existing, &written, &location)?;
    } else {
        check_name(scope::leaf(&id))?;
        check_buried(ctx, &key)?;
        check_parts(&written)?;
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
        let workspace = Workspace { meta, state, workspace_id, body, operation: Some(guid.clone()) };
        ctx.state.workspaces.insert(key, workspace);
    }
    Ok(operations::announce(ctx, Answer::empty(202), &guid, "workspace", Urls::Both))
}

fn check_rest(workspace: &Workspace) -> Outcome<()> {
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

/// A workspace of the usual kind needs its storage account and key vault.
fn check_parts(body: &Value) -> Outcome<()> {
    let usual = body["kind"].as_str().is_some_and(|k| k.eq_ignore_ascii_case("Default"));
    let has = |name: &str| body["properties"][name].is_string();
    if usual && !(has("storageAccount") && has("keyVault")) {
        return Err(Refusal::provider(400, "ValidationError", "Missing dependent resources in workspace json"));
    }
    Ok(())
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
/// None of its own.
pub fn delete(ctx: &mut Ctx<'_>) -> Outcome {
    let id = ctx.route.id();
    let key = scope::key(&id);
    let purge = ctx.req.param("forceToPurge").is_some_and(|p| p.eq_ignore_ascii_case("true"));
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
