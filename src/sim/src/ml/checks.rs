//! What is checked of a compute before anything happens.

use super::{canonical, ctx::Ctx, instance, render};
use crate::{
    front::{
        refusal::{Outcome, Refusal},
        roles::{self, Rights},
    },
    scope::{self, ML},
    state::{ComputeKind, State},
};
use serde_json::Value;

/// The envelope's location must be there and be the workspace's.
///
/// # Errors
/// 400, or 409 on a compute that exists.
pub fn check_location(ctx: &Ctx<'_>, body: &Value) -> Outcome<String> {
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
///
/// # Errors
/// 400 for what the service refuses, 403 where rights elsewhere are missing.
pub fn accept(ctx: &mut Ctx<'_>, kind: ComputeKind, body: &Value, location: &str) -> Outcome<Value> {
    let mut canonical = match kind {
        ComputeKind::Cluster => canonical::cluster(body, location)?,
        ComputeKind::Instance => instance::canonical::instance(body, location, &ctx.caller.object())?,
    };
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

/// An instance's name may exist once in a region; who creates one must be allowed to ask whether it does. A cluster may
/// not take an instance's name either.
///
/// # Errors
/// 400 for a name that is taken, 403 where the right is missing.
pub fn check_unique(ctx: &mut Ctx<'_>, kind: ComputeKind, region: &str) -> Outcome<()> {
    if kind == ComputeKind::Instance {
        let workspace = ctx.route.workspace().unwrap_or_default();
        let action = format!("{ML}/workspaces/checkComputeNameAvailability/action");
        let need = Rights::of(ctx.state, ctx.caller).need(&action, &workspace);
        ctx.needs.push(need.clone());
        roles::require(ctx.caller, &need)?;
    }
    let id = ctx.route.id();
    let name = scope::leaf(&id);
    if !taken(ctx.state, kind, &scope::key(&id), region) {
        return Ok(());
    }
    Err(Refusal::provider(
        400,
        "ComputeNameNotAvailable",
        format!(
            "Compute name '{name}' is not available. Reason: AlreadyExists. Message: The specified name {name} is \
             already in use and is therefore unavailable"
        ),
    ))
}

fn taken(state: &State, kind: ComputeKind, key: &str, region: &str) -> bool {
    state.computes.iter().any(|(other, compute)| {
        other != key
            && scope::leaf(other) == scope::leaf(key)
            && compute.body["properties"]["computeLocation"] == region
            && (kind == ComputeKind::Instance || compute.kind() == ComputeKind::Instance)
    })
}

/// The rule of the specification: a letter, then 2 to 23 letters, digits or hyphens, not ending in `-` and digits.
///
/// # Errors
/// 400 in the service's words.
pub fn check_name(name: &str) -> Outcome<()> {
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
