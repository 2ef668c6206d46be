//! Managed networks of workspaces.

use super::{
    ctx::{Ctx, UnknownFields},
    schema, tables, workspaces,
};
use crate::{
    dice::guid_for,
    front::{
        http::Answer,
        refusal::{Outcome, Refusal},
    },
    resources::operations::{self, Urls},
    scope,
    state::{Network, State, Verb, Workspace},
};
use serde_json::{Value, json};

/// Whether a workspace's `properties` ask for a managed network.
pub fn is_on(properties: &Value) -> bool {
    properties["managedNetwork"]["isolationMode"].as_str().is_some_and(|mode| !mode.eq_ignore_ascii_case("Disabled"))
}

/// Check the managed network in a workspace's `properties`, and that it isn't switched off.
///
/// # Errors
/// 400.
pub fn check(old: Option<&Value>, new: &Value, unknown: UnknownFields) -> Outcome<()> {
    if old.is_some_and(is_on) && !is_on(new) {
        return Err(Refusal::provider(
            400,
            "ValidationError",
            "A managed network can't be disabled once it is enabled.",
        )
        .at("properties.managedNetwork.isolationMode"));
    }
    let rules = new["managedNetwork"]["outboundRules"].as_object();
    for (name, rule) in rules.into_iter().flatten() {
        let kind = rule["type"].as_str().unwrap_or_default().to_ascii_lowercase();
        let mut destination = rule["destination"].clone();
        let table = match kind.as_str() {
            "fqdn" => &schema::Kind::Text,
            "privateendpoint" => &tables::PRIVATE_ENDPOINT,
            _ => &tables::SERVICE_TAG,
        };
        if destination.is_null() {
            let text = format!("The outbound rule '{name}' has no destination.");
            return Err(Refusal::provider(400, "ValidationError", text).at("properties.managedNetwork.outboundRules"));
        }
        schema::check(&mut destination, table, unknown)?;
    }
    Ok(())
}

/// The managed network as the service writes it.
pub fn render(workspace: &Workspace) -> Value {
    let written = &workspace.body["properties"];
    if !is_on(written) {
        return json!({"isolationMode": "Disabled", "outboundRules": null, "status": null});
    }
    let active = workspace.network != Network::Inactive;
    let text = if active { "Active" } else { "Inactive" };
    let mut out = written["managedNetwork"].clone();
    out["networkId"] = json!(guid_for(&format!("network{}", workspace.workspace_id)));
    out["status"] = json!({"status": text, "sparkReady": workspace.network == Network::ActiveWithSpark});
    if let Some(rules) = out.get_mut("outboundRules").and_then(Value::as_object_mut) {
        for rule in rules.values_mut() {
            rule["status"] = json!(text);
            if rule["category"].is_null() {
                rule["category"] = json!("UserDefined");
            }
        }
    }
    out
}

/// The first compute in a workspace brings its managed network up, as does asking for it.
pub fn bring_up(state: &mut State, key: &str, wanted: Network) {
    let Some(workspace) = state.workspaces.get_mut(key).filter(|w| is_on(&w.body["properties"])) else { return };
    if workspace.network != Network::ActiveWithSpark {
        workspace.network = wanted;
    }
}

/// POST provisionManagedNetwork.
///
/// # Errors
/// 404, 400 for a body that isn't understood or a workspace without a managed network.
pub fn provision(ctx: &mut Ctx<'_>) -> Outcome {
    let mut body = if ctx.req.body.is_empty() { json!({}) } else { ctx.body()? };
    schema::check(&mut body, &tables::PROVISION_NETWORK, ctx.settings.options.unknown_fields)?;
    let workspace = workspaces::find(ctx)?;
    if !is_on(&workspace.body["properties"]) {
        let text = format!("The workspace '{}' has no managed network.", workspace.meta.name());
        return Err(Refusal::provider(400, "ValidationError", text));
    }
    workspaces::check_rest(workspace)?;
    let (id, uid, location) = (workspace.meta.id.clone(), workspace.meta.uid.clone(), workspace.meta.location.clone());
    let verb = Verb::ProvisionNetwork { spark: body["includeSpark"] == true };
    let guid = ctx.begin(verb, &id, &uid, &location, ctx.settings.world.timings.network.0);
    Ok(operations::announce(ctx, Answer::empty(202), &guid, "workspace", Urls::Both))
}

/// The key of the workspace that holds what has this key.
pub fn workspace_of(key: &str) -> &str {
    scope::up(key, 2)
}
