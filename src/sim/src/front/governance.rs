//! Locks and policies: what an administrator laid over the resources.

use super::refusal::{Outcome, Refusal};
use crate::{
    scope,
    world::{Condition, Effect, Lock, LockLevel, Policy},
};
use serde_json::{Value, json};

/// Refuse what a lock forbids on `id`. A delete is also held up by locks below.
///
/// # Errors
/// 409 ScopeLocked naming the locks.
pub fn check_locks(locks: &[Lock], id: &str, method: &str) -> Outcome<()> {
    let key = scope::key(id);
    let holds = |lock: &&Lock| {
        let at = scope::key(&lock.scope);
        match method {
            "DELETE" => scope::contains(&at, &key) || scope::contains(&key, &at),
            "GET" | "HEAD" => false,
            _ => lock.level == LockLevel::ReadOnly && scope::contains(&at, &key),
        }
    };
    let held: Vec<&str> = locks.iter().filter(holds).map(|l| l.scope.as_str()).collect();
    if held.is_empty() {
        return Ok(());
    }
    let verb = if method == "DELETE" { "delete" } else { "write" };
    Err(Refusal::arm(
        409,
        "ScopeLocked",
        format!(
            "The scope '{id}' cannot perform {verb} operation because following scope(s) are locked: '{}'. Please \
             remove the lock and try again.",
            held.join(",")
        ),
    ))
}

/// Let the policies at `id` change `body` or refuse the write.
///
/// # Errors
/// 403 RequestDisallowedByPolicy naming every policy that denies.
pub fn apply_policies(policies: &[Policy], id: &str, kind: &str, body: &mut Value) -> Outcome<()> {
    let key = scope::key(id);
    let concerns = |p: &&Policy| {
        scope::contains(&scope::key(&p.scope), &key)
            && p.resource_type.as_ref().is_none_or(|t| t.eq_ignore_ascii_case(kind))
    };
    let (deny, change): (Vec<&Policy>, Vec<&Policy>) =
        policies.iter().filter(concerns).partition(|p| p.effect == Effect::Deny);
    for policy in change {
        if policy.when.iter().all(|c| holds(c, body)) {
            for (path, value) in &policy.set {
                let there = lookup(body, path).is_some_and(|v| !v.is_null());
                if policy.effect == Effect::Modify || !there {
                    place(body, path, value.clone());
                }
            }
        }
    }
    let against: Vec<&Policy> = deny.into_iter().filter(|p| p.when.iter().all(|c| holds(c, body))).collect();
    if against.is_empty() { Ok(()) } else { Err(disallowed(id, &against)) }
}

fn disallowed(id: &str, policies: &[&Policy]) -> Refusal {
    let name = scope::leaf(id);
    let assignment = |p: &Policy| {
        format!("{}/providers/Microsoft.Authorization/policyAssignments/{}", p.scope.trim_end_matches('/'), p.name)
    };
    let definition = |p: &Policy| {
        format!("{}/providers/Microsoft.Authorization/policyDefinitions/{}", p.scope.trim_end_matches('/'), p.name)
    };
    let listed: Vec<Value> = policies
        .iter()
        .map(|p| {
            json!({
                "policyAssignment": {"name": p.name, "id": assignment(p)},
                "policyDefinition": {"name": p.name, "id": definition(p)},
            })
        })
        .collect();
    let mut refusal = Refusal::arm(
        403,
        "RequestDisallowedByPolicy",
        format!("Resource '{name}' was disallowed by policy. Policy identifiers: '{}'.", json!(listed)),
    )
    .at(name);
    refusal.additional = policies
        .iter()
        .map(|p| {
            json!({"type": "PolicyViolation", "info": {
                "policyAssignmentName": p.name, "policyAssignmentDisplayName": p.name,
                "policyAssignmentId": assignment(p), "policyAssignmentScope": p.scope,
                "policyDefinitionName": p.name, "policyDefinitionId": definition(p),
                "policyDefinitionEffect": "deny",
            }})
        })
        .collect();
    refusal
}

/// The value at a dotted path.
pub fn lookup<'a>(body: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(body, |at, name| at.get(name))
}

/// Put `value` at a dotted path, making the objects on the way.
pub fn place(body: &mut Value, path: &str, value: Value) {
    let mut at = body;
    for name in path.split('.') {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[name];
    }
    *at = value;
}

fn holds(condition: &Condition, body: &Value) -> bool {
    let value = lookup(body, &condition.field).unwrap_or(&Value::Null);
    let among = |list: &[Value]| list.iter().any(|v| same(v, value));
    condition.equals.as_ref().is_none_or(|v| same(v, value))
        && condition.one_of.as_ref().is_none_or(|list| among(list))
        && condition.not_in.as_ref().is_none_or(|list| !among(list))
        && condition.exists.is_none_or(|wanted| wanted != value.is_null())
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.eq_ignore_ascii_case(b),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "Microsoft.MachineLearningServices/workspaces/computes";

    fn policy(text: &str) -> Policy {
        serde_yaml_ng::from_str(text).unwrap()
    }

    #[test]
    fn locks_hold_what_lies_below_and_deletes_above() {
        let lock = |level| Lock { name: "l".into(), scope: "/subscriptions/s/resourceGroups/G".into(), level };
        for (level, id, method, locked) in [
            (LockLevel::CanNotDelete, "/subscriptions/S/resourceGroups/g/x", "DELETE", true),
            (LockLevel::CanNotDelete, "/subscriptions/S/resourceGroups/g/x", "PUT", false),
            (LockLevel::ReadOnly, "/subscriptions/S/resourceGroups/g/x", "POST", true),
            (LockLevel::ReadOnly, "/subscriptions/S/resourceGroups/g/x", "GET", false),
            (LockLevel::CanNotDelete, "/subscriptions/s", "DELETE", true),
            (LockLevel::CanNotDelete, "/subscriptions/s/resourceGroups/other", "DELETE", false),
        ] {
            let got = check_locks(&[lock(level)], id, method);
            assert_eq!(got.is_err(), locked, "{id} {method}");
        }
    }

    #[test]
    fn deny_names_the_policy() {
        let deny = policy(
            "{name: no-gpu, effect: deny, when: [{field: properties.properties.vmSize, notIn: [standard_ds3_v2]}]}",
        );
        let id = "/subscriptions/s/resourceGroups/g/c";
        let mut body = json!({"properties": {"properties": {"vmSize": "STANDARD_NC6"}}});
        let refused = apply_policies(std::slice::from_ref(&deny), id, KIND, &mut body).unwrap_err();
        assert_eq!(refused.code, "RequestDisallowedByPolicy");
        assert!(refused.message.contains("no-gpu"));
        body["properties"]["properties"]["vmSize"] = json!("Standard_DS3_v2");
        assert!(apply_policies(&[deny], id, KIND, &mut body).is_ok());
    }

    #[test]
    fn append_keeps_and_modify_overwrites() {
        let mut body = json!({"tags": {"a": "mine", "b": "mine"}});
        let policies = [
            policy("{name: p, effect: append, set: {tags.a: theirs, tags.c: theirs}}"),
            policy("{name: q, effect: modify, set: {tags.b: theirs}}"),
            policy("{name: r, effect: modify, resourceType: other, set: {tags.b: never}}"),
        ];
        apply_policies(&policies, "/subscriptions/s", KIND, &mut body).unwrap();
        assert_eq!(body["tags"], json!({"a": "mine", "b": "theirs", "c": "theirs"}));
    }
}
