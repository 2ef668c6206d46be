//! Who may do what: roles are lists of actions with wildcards, at a scope.

use crate::{
    front::refusal::{Outcome, Refusal},
    scope,
    world::{Principal, Role},
};

/// Actions and not-actions of the built-in roles that this world knows.
fn built_in(name: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    Some(match name {
        "Owner" => (&["*"], &[]),
        "Contributor" => (
            &["*"],
            &[
                "Microsoft.Authorization/*/Delete",
                "Microsoft.Authorization/*/Write",
                "Microsoft.Authorization/elevateAccess/Action",
            ],
        ),
        "Reader" => (&["*/read"], &[]),
        "AzureML Compute Operator" => (
            &[
                "Microsoft.MachineLearningServices/workspaces/computes/*",
                "Microsoft.MachineLearningServices/workspaces/notebooks/vm/*",
            ],
            &[],
        ),
        "AzureML Data Scientist" => (
            &[
                "Microsoft.MachineLearningServices/workspaces/*/read",
                "Microsoft.MachineLearningServices/workspaces/*/action",
                "Microsoft.MachineLearningServices/workspaces/*/delete",
                "Microsoft.MachineLearningServices/workspaces/*/write",
            ],
            &[
                "Microsoft.MachineLearningServices/workspaces/delete",
                "Microsoft.MachineLearningServices/workspaces/write",
                "Microsoft.MachineLearningServices/workspaces/computes/*/write",
                "Microsoft.MachineLearningServices/workspaces/computes/*/delete",
                "Microsoft.MachineLearningServices/workspaces/computes/listKeys/action",
                "Microsoft.MachineLearningServices/workspaces/listKeys/action",
            ],
        ),
        _ => return None,
    })
}

/// A role's name that this world doesn't know, if there is one: said at start rather than as a 403 later.
pub fn unknown_role(principal: &Principal) -> Option<&str> {
    principal.roles.iter().filter_map(|r| r.role.as_deref()).find(|r| built_in(r).is_none())
}

/// True when `principal` may do `action` at `at` (a scope key).
pub fn allows(principal: &Principal, action: &str, at: &str) -> bool {
    principal.roles.iter().any(|role| scope::contains(&scope::key(&role.scope), at) && grants(role, action))
}

/// True when `principal` has any role on, above or below `at`.
pub fn reaches(principal: &Principal, at: &str) -> bool {
    principal.roles.iter().any(|role| {
        let key = scope::key(&role.scope);
        scope::contains(&key, at) || scope::contains(at, &key)
    })
}

fn grants(role: &Role, action: &str) -> bool {
    let (actions, not_actions) = role.role.as_deref().and_then(built_in).unwrap_or((&[], &[]));
    let hit = |patterns: Vec<&str>| patterns.iter().any(|p| matches(p, action));
    hit(actions.iter().copied().chain(role.actions.iter().map(String::as_str)).collect())
        && !hit(not_actions.iter().copied().chain(role.not_actions.iter().map(String::as_str)).collect())
}

/// `*` stands for any characters, slashes too; case doesn't count.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = action.strip_prefix(parts.next().unwrap_or("")) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Refuse with ARM's words what isn't allowed.
///
/// # Errors
/// 403 AuthorizationFailed naming client, object id, action and scope.
pub fn require(principal: &Principal, action: &str, at: &str) -> Outcome<()> {
    if allows(principal, action, &scope::key(at)) {
        return Ok(());
    }
    Err(Refusal::arm(
        403,
        "AuthorizationFailed",
        format!(
            "The client '{}' with object id '{}' does not have authorization to perform action '{action}' over scope \
             '{at}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
            principal.client_id,
            principal.object()
        ),
    ))
}

/// Refuse a write that needs `linked` at another scope.
///
/// # Errors
/// 403 LinkedAuthorizationFailed naming both.
pub fn require_linked(principal: &Principal, action: &str, at: &str, linked: &str, other: &str) -> Outcome<()> {
    if allows(principal, linked, &scope::key(other)) {
        return Ok(());
    }
    Err(Refusal::arm(
        403,
        "LinkedAuthorizationFailed",
        format!(
            "The client '{}' with object id '{}' has permission to perform action '{action}' on scope '{at}'; however, \
             it does not have permission to perform action(s) '{linked}' on the linked scope(s) '{other}' \
             (respectively) or the linked scope(s) are invalid.",
            principal.client_id,
            principal.object()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_by_action_and_scope() {
        let ws = "/subscriptions/s/resourcegroups/g/providers/microsoft.machinelearningservices/workspaces/w";
        let ml = "Microsoft.MachineLearningServices";
        for (role, action, at, yes) in [
            ("Reader", format!("{ml}/workspaces/read"), ws, true),
            ("Reader", format!("{ml}/workspaces/computes/write"), ws, false),
            ("Contributor", format!("{ml}/workspaces/computes/write"), ws, true),
            ("Contributor", "Microsoft.Authorization/locks/delete".into(), ws, false),
            ("Contributor", format!("{ml}/workspaces/read"), "/subscriptions/t", false),
            ("AzureML Compute Operator", format!("{ml}/workspaces/computes/listNodes/action"), ws, true),
            ("AzureML Compute Operator", format!("{ml}/workspaces/read"), ws, false),
            ("AzureML Data Scientist", format!("{ml}/workspaces/computes/read"), ws, true),
            ("AzureML Data Scientist", format!("{ml}/workspaces/listKeys/action"), ws, false),
        ] {
            let text = format!("{{clientId: c, tenant: t, roles: [{{scope: /subscriptions/S, role: {role}}}]}}");
            let principal: Principal = serde_yaml_ng::from_str(&text).unwrap();
            assert_eq!(allows(&principal, &action, at), yes, "{role} {action} {at}");
        }
    }

    #[test]
    fn wildcards() {
        for (pattern, action, yes) in [
            ("*", "a/b", true),
            ("*/read", "A/b/READ", true),
            ("a/*/read", "a/b/c/read", true),
            ("a/read", "a/read", true),
            ("a/read", "a/read/x", false),
            ("a/*/write", "a/b/read", false),
        ] {
            assert_eq!(matches(pattern, action), yes, "{pattern} {action}");
        }
    }
}
