//! Subscriptions and providers.

use crate::{
    front::{
        http::Answer,
        refusal::{Outcome, Refusal},
        roles::Rights,
        versions,
    },
    ml::ctx::Ctx,
    scope::ML,
    world::SubscriptionSpec,
};
use serde_json::{Value, json};

fn subscription(spec: &SubscriptionSpec) -> Value {
    json!({
        "id": format!("/subscriptions/{}", spec.id), "subscriptionId": spec.id, "tenantId": spec.tenant,
        "displayName": spec.name.as_deref().unwrap_or("Subscription"), "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off",
        },
        "authorizationSource": "RoleBased", "managedByTenants": [],
    })
}

/// GET of the subscriptions in which the caller has any role.
pub fn subscriptions(ctx: &Ctx<'_>) -> Answer {
    let seen = ctx.state.subscriptions.iter().filter(|(key, s)| {
        s.tenant.eq_ignore_ascii_case(&ctx.caller.tenant)
            && Rights::of(ctx.state, ctx.caller).reach(&format!("/subscriptions/{key}"))
    });
    let value: Vec<Value> = seen.map(|(_, s)| subscription(s)).collect();
    Answer::json(200, json!({"value": value, "count": {"type": "Total", "value": value.len()}}))
}

/// GET of one.
///
/// # Errors
/// 404 SubscriptionNotFound.
pub fn subscription_get(ctx: &Ctx<'_>) -> Outcome {
    let found = ctx.state.subscriptions.get(&ctx.route.sub.to_ascii_lowercase());
    found.map(|s| Answer::json(200, subscription(s))).ok_or_else(|| no_subscription(&ctx.route.sub))
}

/// SubscriptionNotFound.
pub fn no_subscription(sub: &str) -> Refusal {
    Refusal::arm(404, "SubscriptionNotFound", format!("The subscription '{sub}' could not be found."))
}

/// GET of a provider: its types with their api-versions and regions.
///
/// # Errors
/// 404 for a namespace that isn't served.
pub fn provider(ctx: &Ctx<'_>, namespace: &str) -> Outcome {
    let regions: Vec<String> =
        ctx.settings.world.regions.iter().map(|r| r.display_name.clone().unwrap_or_else(|| r.name.clone())).collect();
    let kind = |name: &str, versions: &[&str]| json!({"resourceType": name, "locations": regions, "apiVersions": versions, "capabilities": "None"});
    let (name, types) = if namespace.eq_ignore_ascii_case(ML) {
        let names = [
            "workspaces",
            "workspaces/computes",
            "workspaces/jobs",
            "locations",
            "locations/usages",
            "locations/vmSizes",
            "locations/quotas",
            "locations/updateQuotas",
            "locations/computeOperationsStatus",
            "locations/workspaceOperationsStatus",
            "operations",
        ];
        let of = |name: &&str| kind(name, &versions::machine_learning(&ctx.settings.world, name));
        (ML, names.iter().map(of).collect::<Vec<Value>>())
    } else if namespace.eq_ignore_ascii_case("Microsoft.Resources") {
        let names =
            ["subscriptions", "subscriptions/resourceGroups", "subscriptions/operationresults", "resourceGroups"];
        ("Microsoft.Resources", names.iter().map(|name| kind(name, versions::RESOURCES)).collect())
    } else {
        return Err(Refusal::arm(
            404,
            "InvalidResourceNamespace",
            format!("The resource namespace '{namespace}' is invalid."),
        ));
    };
    let mut body = json!({"namespace": name, "resourceTypes": types, "registrationPolicy": "RegistrationRequired"});
    if !ctx.route.sub.is_empty() {
        body["id"] = json!(format!("/subscriptions/{}/providers/{name}", ctx.route.sub));
        body["registrationState"] = json!("Registered");
    }
    Ok(Answer::json(200, body))
}
