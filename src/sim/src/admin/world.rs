//! Changes behind the API's back: resources, quotas, principals, locks, policies.

use super::{Said, body};
use crate::{
    clock::Now,
    front::{http::Request, roles},
    ml::{cluster, instance, physics, render, settle},
    scope,
    sim::Sim,
    state::NodeState,
    world::{Federated, Lock, Policy, Principal, RegisteredCertificate, Role},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Read-only parts of a compute: a change to one of them stays until it is changed back.
const READ_ONLY: &[&str] = &["provisioningState", "provisioningErrors", "createdOn", "modifiedOn"];
const LIVE: &[&str] = &[
    "allocationState",
    "allocationStateTransitionTime",
    "errors",
    "currentNodeCount",
    "targetNodeCount",
    "nodeStateCounts",
];

fn is_live(name: &str) -> bool {
    LIVE.contains(&name) || instance::render::LIVE.contains(&name) || instance::render::READ_ONLY.contains(&name)
}

fn key_of(rest: &str) -> String {
    scope::key(rest)
}

/// Merge raw JSON into a resource as if somebody had changed it elsewhere: no rights, no operation, no checks.
pub fn change(sim: &mut Sim, rest: &str, req: &Request, now: Now) -> Said<Value> {
    let key = key_of(rest);
    let patch: Value = body(req)?;
    if let Some(compute) = sim.state.computes.get_mut(&key) {
        if let Some(tags) = patch.get("tags") {
            overlay(&mut compute.body["tags"], tags, Nulls::Remove);
        }
        if let Some(identity) = patch.get("identity") {
            overlay(&mut compute.body["identity"], identity, Nulls::Keep);
        }
        if let Some(location) = patch["location"].as_str() {
            compute.meta.location = location.into();
        }
        if let Some(settable) = patch.get("properties") {
            let mut settable = settable.clone();
            let overrides = split(&mut settable);
            overlay(&mut compute.body["properties"], &settable, Nulls::Keep);
            overlay(&mut compute.overrides, &overrides, Nulls::Keep);
        }
        compute.meta.modified = now.virt;
        // Schedules and the idle time may be other ones now.
        instance::power::keep_time(&mut sim.state, &key, now.virt);
        physics::look(&sim.settings, &mut sim.state, &key, now.virt);
        return Ok(sim.state.computes.get(&key).map_or(Value::Null, |c| render::compute(c, Default::default())));
    }
    if let Some(workspace) = sim.state.workspaces.get_mut(&key) {
        overlay(&mut workspace.body, &patch, Nulls::Keep);
        workspace.meta.modified = now.virt;
        let shown = workspace.clone();
        return Ok(render::workspace(&shown, &sim.state));
    }
    if let Some(group) = sim.state.groups.get_mut(&key) {
        overlay(&mut group.tags, &patch["tags"], Nulls::Remove);
        return Ok(render::group(group));
    }
    Err(format!("there is no compute, workspace or resource group {key}"))
}

/// Take the read-only fields out of a patch's `properties`; what was taken, as a patch of the whole resource.
fn split(properties: &mut Value) -> Value {
    let mut taken = json!({});
    if let Some(map) = properties.as_object_mut() {
        for name in READ_ONLY {
            if let Some(value) = map.remove(*name) {
                taken["properties"][*name] = value;
            }
        }
    }
    if let Some(map) = properties.get_mut("properties").and_then(Value::as_object_mut) {
        let names: Vec<String> = map.keys().filter(|name| is_live(name)).cloned().collect();
        for name in names {
            if let Some(value) = map.remove(&name) {
                taken["properties"]["properties"][name] = value;
            }
        }
    }
    taken
}

/// What a null in a patch does.
#[derive(Clone, Copy)]
enum Nulls {
    /// It takes the key away: tags.
    Remove,
    /// It is the value: fields of the schema.
    Keep,
}

/// Merge `patch` into `target`: objects by key, anything else replaced.
fn overlay(target: &mut Value, patch: &Value, nulls: Nulls) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        match (nulls, target.as_object_mut()) {
            (Nulls::Remove, Some(map)) if value.is_null() => {
                map.remove(name);
            }
            _ => overlay(&mut target[name.as_str()], value, nulls),
        }
    }
}

/// Take a resource away by hand, at once.
pub fn delete(sim: &mut Sim, rest: &str, now: Now) -> Said<Value> {
    let key = key_of(rest);
    if sim.state.computes.contains_key(&key) {
        settle::remove_compute(&sim.settings, &mut sim.state, &key, now.virt);
    } else if sim.state.workspaces.contains_key(&key) {
        settle::remove_workspace(&sim.settings, &mut sim.state, &key, false, now.virt);
    } else if sim.state.groups.contains_key(&key) {
        let inside: Vec<String> = scope::under(&sim.state.workspaces, &key).map(|(k, _)| k.clone()).collect();
        for workspace in inside {
            settle::remove_workspace(&sim.settings, &mut sim.state, &workspace, false, now.virt);
        }
        sim.state.groups.remove(&key);
        roles::forget_assignments(&mut sim.state, &key);
    } else {
        return Err(format!("there is no compute, workspace or resource group {key}"));
    }
    Ok(json!({"deleted": key}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Preempt {
    /// ARM id of a cluster; left out: all low-priority clusters.
    #[serde(default)]
    id: Option<String>,
    /// How many nodes of each.
    #[serde(default = "one")]
    count: usize,
}

fn one() -> usize {
    1
}

/// Lose nodes of low-priority clusters, running ones first.
pub fn preempt(sim: &mut Sim, req: &Request, now: Now) -> Said<Value> {
    let given: Preempt = body(req)?;
    let wanted = given.id.as_deref().map(scope::key);
    let clusters: Vec<String> = sim
        .state
        .computes
        .iter()
        .filter(|(key, c)| c.shape().low_priority && wanted.as_ref().is_none_or(|w| w == *key))
        .map(|(key, _)| key.clone())
        .collect();
    if clusters.is_empty() {
        return Err("there is no such low-priority cluster".into());
    }
    let mut lost = 0;
    for key in clusters {
        let Some(compute) = sim.state.computes.get(&key) else { continue };
        let of = |state: NodeState| compute.fleet.nodes.iter().filter(move |n| n.state == state).map(|n| n.number);
        let numbers: Vec<u64> = of(NodeState::Running)
            .chain(of(NodeState::Idle))
            .chain(of(NodeState::Preparing))
            .take(given.count)
            .collect();
        for number in numbers {
            physics::preempt(&sim.settings, &mut sim.state, &key, number, now.virt);
            lost += 1;
        }
        physics::look(&sim.settings, &mut sim.state, &key, now.virt);
    }
    Ok(json!({"preempted": lost}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Unusable {
    /// ARM id of a cluster.
    id: String,
    /// How many more of its nodes.
    #[serde(default = "one")]
    count: usize,
}

/// Make nodes of a cluster unusable, running ones first.
pub fn unusable(sim: &mut Sim, req: &Request, now: Now) -> Said<Value> {
    let given: Unusable = body(req)?;
    let key = scope::key(&given.id);
    let compute = sim.state.computes.get(&key).ok_or(format!("there is no cluster {key}"))?;
    let of = |state: NodeState| compute.fleet.nodes.iter().filter(move |n| n.state == state).map(|n| n.number);
    let all = of(NodeState::Running).chain(of(NodeState::Idle)).chain(of(NodeState::Preparing));
    let numbers: Vec<u64> = all.take(given.count).collect();
    for number in &numbers {
        physics::spoil(&sim.settings, &mut sim.state, &key, *number, now.virt);
    }
    physics::look(&sim.settings, &mut sim.state, &key, now.virt);
    Ok(json!({"unusable": numbers.len()}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SizeChange {
    region: String,
    size: String,
    /// The region gives no new machines of it, and doesn't list it.
    retired: bool,
}

/// Retire a size in a region, or bring it back. What has it keeps it.
pub fn size(sim: &mut Sim, req: &Request) -> Said<Value> {
    let change: SizeChange = body(req)?;
    if sim.settings.size(&change.region, &change.size).is_none() {
        return Err(format!("there is no size {} in region {}", change.size, change.region));
    }
    let key = cluster::size_key(&change.region, &change.size);
    match change.retired {
        true => sim.state.retired.insert(key),
        false => sim.state.retired.remove(&key),
    };
    Ok(json!({"retired": sim.state.retired}))
}

/// List, add, replace (by name) or drop policies or locks.
pub fn governance(sim: &mut Sim, what: &str, name: &str, req: &Request) -> Said<Value> {
    match (what, req.method.as_str()) {
        ("policies", "POST") => {
            let policy: Policy = body(req)?;
            sim.state.policies.retain(|p| p.name != policy.name);
            sim.state.policies.push(policy);
        }
        ("policies", "DELETE") => sim.state.policies.retain(|p| !name.is_empty() && p.name != name),
        ("locks", "POST") => {
            let lock: Lock = body(req)?;
            sim.state.locks.retain(|l| l.name != lock.name);
            sim.state.locks.push(lock);
        }
        ("locks", "DELETE") => sim.state.locks.retain(|l| !name.is_empty() && l.name != name),
        _ => {}
    }
    Ok(if what == "locks" { json!({"value": sim.state.locks}) } else { json!({"value": sim.state.policies}) })
}

/// List, add, replace (by name) or drop custom roles.
pub fn custom_roles(sim: &mut Sim, name: &str, req: &Request) -> Said<Value> {
    match req.method.as_str() {
        "POST" => roles::define(&mut sim.state, body(req)?)?,
        "DELETE" => roles::undefine(&mut sim.state, name)?,
        _ => {}
    }
    Ok(json!({"value": sim.state.roles.values().collect::<Vec<_>>()}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct QuotaChange {
    subscription: String,
    region: String,
    #[serde(default)]
    family: Option<String>,
    #[serde(default)]
    limit: Option<i64>,
    #[serde(default)]
    dedicated_cores: Option<i64>,
    #[serde(default)]
    low_priority_cores: Option<i64>,
    #[serde(default)]
    computes: Option<i64>,
}

/// Set quotas of a subscription in a region.
pub fn quota(sim: &mut Sim, req: &Request, now: Now) -> Said<Value> {
    let change: QuotaChange = body(req)?;
    let key = format!("{}/{}", change.subscription.to_ascii_lowercase(), change.region);
    let quota = sim.state.quotas.get_mut(&key).ok_or(format!("there is no subscription and region {key}"))?;
    if let Some(family) = &change.family {
        let limit = change.limit.ok_or("a family needs a limit")?;
        quota.families.insert(family.to_ascii_lowercase(), limit);
    }
    if let Some(n) = change.dedicated_cores {
        quota.dedicated = Some(n);
    }
    if let Some(n) = change.low_priority_cores {
        quota.low_priority = n;
    }
    if let Some(n) = change.computes {
        quota.computes = n;
    }
    let shown = json!(quota);
    let root = format!("/subscriptions/{}", change.subscription.to_ascii_lowercase());
    let clusters: Vec<String> = scope::under(&sim.state.computes, &root).map(|(k, _)| k.clone()).collect();
    for cluster in clusters {
        physics::look(&sim.settings, &mut sim.state, &cluster, now.virt);
    }
    Ok(shown)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PrincipalChange {
    #[serde(default)]
    secret: Option<String>,
    #[serde(default)]
    secret_expired: Option<bool>,
    #[serde(default)]
    certificates: Option<Vec<RegisteredCertificate>>,
    #[serde(default)]
    federated: Option<Vec<Federated>>,
    #[serde(default)]
    disabled: Option<bool>,
    #[serde(default)]
    roles: Option<Vec<Role>>,
    #[serde(default)]
    revoke_tokens: bool,
    #[serde(default)]
    tenant: Option<String>,
}

/// The principals without their secrets.
pub fn principals(sim: &Sim) -> Value {
    let shown: Vec<Value> = sim
        .state
        .principals
        .values()
        .map(|p| {
            let certificates: Vec<String> = p.certificates.iter().map(RegisteredCertificate::thumbprint).collect();
            json!({
                "clientId": p.client_id, "objectId": p.object(), "tenant": p.tenant, "name": p.name, "roles": p.roles,
                "certificates": certificates, "disabled": p.disabled,
            })
        })
        .collect();
    json!({"value": shown})
}

/// Change a principal, or make one (then `tenant` is needed).
pub fn principal(sim: &mut Sim, client: &str, req: &Request, now: Now) -> Said<Value> {
    let change: PrincipalChange = body(req)?;
    change.certificates.iter().flatten().try_for_each(|certificate| certificate.der().map(drop))?;
    let key = client.to_ascii_lowercase();
    if !sim.state.principals.contains_key(&key) {
        let tenant =
            change.tenant.clone().ok_or(format!("there is no principal {client}; to make one, give its tenant"))?;
        let fresh: Principal =
            serde_json::from_value(json!({"clientId": client, "tenant": tenant})).map_err(|e| e.to_string())?;
        sim.state.principals.insert(key.clone(), fresh);
    }
    if let (Some(roles), Some(known)) = (&change.roles, sim.state.principals.get(&key)) {
        roles::check_assignments(&sim.state, &Principal { roles: roles.clone(), ..known.clone() })?;
    }
    let Some(principal) = sim.state.principals.get_mut(&key) else { return Err("no such principal".into()) };
    if let Some(roles) = change.roles {
        principal.roles = roles;
    }
    if let Some(secret) = change.secret {
        principal.secret = Some(secret);
        principal.secret_expired = false;
    }
    if let Some(expired) = change.secret_expired {
        principal.secret_expired = expired;
    }
    if let Some(certificates) = change.certificates {
        principal.certificates = certificates;
    }
    if let Some(federated) = change.federated {
        principal.federated = federated;
    }
    if let Some(disabled) = change.disabled {
        principal.disabled = disabled;
    }
    if change.revoke_tokens {
        principal.revoked_before = Some(now.real);
    }
    Ok(json!({"clientId": principal.client_id, "objectId": principal.object(), "roles": principal.roles}))
}
