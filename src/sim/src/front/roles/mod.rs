//! Who may do what: roles are lists of actions with wildcards, assigned at a scope and inherited by what lies below.

mod actions;
mod definition;

use crate::{
    front::refusal::{Outcome, Refusal},
    scope,
    state::State,
    world::{Principal, Role},
};
pub use definition::{RoleDefinition, check_assignments, define, forget_assignments, undefine};
use serde::Serialize;

/// What a request needed, and which of the caller's roles grant it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// The action.
    pub action: String,
    /// The ARM id over which.
    pub scope: String,
    /// The roles; none, and the request was refused. One without a name is `(actions)`.
    pub roles: Vec<String>,
}

/// What somebody may do.
#[derive(Clone, Copy)]
pub struct Rights<'a> {
    state: &'a State,
    principal: &'a Principal,
}

impl<'a> Rights<'a> {
    /// Those of `principal`.
    pub fn of(state: &'a State, principal: &'a Principal) -> Self {
        Self { state, principal }
    }

    /// True when `action` is allowed at `at`.
    pub fn allow(&self, action: &str, at: &str) -> bool {
        self.granting(action, &scope::key(at)).next().is_some()
    }

    /// True when there is any role on, above or below `at` (a scope key).
    pub fn reach(&self, at: &str) -> bool {
        self.principal.roles.iter().any(|role| {
            let key = scope::key(&role.scope);
            scope::contains(&key, at) || scope::contains(at, &key)
        })
    }

    /// What a request that asks for `action` at `at` needs.
    pub fn need(&self, action: &str, at: &str) -> Need {
        let key = scope::key(at);
        let names = self.granting(action, &key).map(|role| role.role.clone().unwrap_or_else(|| "(actions)".into()));
        let mut roles: Vec<String> = names.collect();
        roles.sort();
        roles.dedup();
        Need { action: action.into(), scope: at.into(), roles }
    }

    /// The assignments that grant `action` at `key`: not-actions take off what their own role grants, and no other's.
    fn granting(&self, action: &str, key: &str) -> impl Iterator<Item = &'a Role> {
        let (state, at) = (self.state, key.to_string());
        let roles = self.principal.roles.iter().filter(move |role| scope::contains(&scope::key(&role.scope), &at));
        roles.filter(move |role| grants(state, role, action))
    }
}

fn grants(state: &State, role: &Role, action: &str) -> bool {
    let (mut yes, mut no): (Vec<&str>, Vec<&str>) =
        (texts(&role.actions).collect(), texts(&role.not_actions).collect());
    if let Some(name) = &role.role {
        if let Some((actions, not_actions)) = definition::built_in(name) {
            yes.extend(actions);
            no.extend(not_actions);
        } else if let Some(custom) = state.roles.get(&name.to_ascii_lowercase()) {
            yes.extend(texts(&custom.actions));
            no.extend(texts(&custom.not_actions));
        }
    }
    let hit = |patterns: Vec<&str>| patterns.iter().any(|pattern| matches(pattern, action));
    hit(yes) && !hit(no)
}

fn texts(all: &[String]) -> impl Iterator<Item = &str> {
    all.iter().map(String::as_str)
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
pub fn require(principal: &Principal, need: &Need) -> Outcome<()> {
    if !need.roles.is_empty() {
        return Ok(());
    }
    Err(Refusal::arm(
        403,
        "AuthorizationFailed",
        format!(
            "The client '{}' with object id '{}' does not have authorization to perform action '{}' over scope '{}' or \
             the scope is invalid. If access was recently granted, please refresh your credentials.",
            principal.client_id,
            principal.object(),
            need.action,
            need.scope
        ),
    ))
}

/// Refuse a write, allowed as `own` says, that needs `linked` at another scope.
///
/// # Errors
/// 403 LinkedAuthorizationFailed naming both.
pub fn require_linked(principal: &Principal, (action, at): (&str, &str), linked: &Need) -> Outcome<()> {
    if !linked.roles.is_empty() {
        return Ok(());
    }
    Err(Refusal::arm(
        403,
        "LinkedAuthorizationFailed",
        format!(
            "The client '{}' with object id '{}' has permission to perform action '{action}' on scope '{at}'; however, \
             it does not have permission to perform action(s) '{}' on the linked scope(s) '{}' (respectively) or the \
             linked scope(s) are invalid.",
            principal.client_id,
            principal.object(),
            linked.action,
            linked.scope
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let world = crate::world::World::parse(include_str!("../../../worlds/demo.yaml")).unwrap();
        let at = jiff::Timestamp::UNIX_EPOCH;
        State::build(&world, 1, crate::clock::Now { real: at, virt: at }).unwrap()
    }

    fn principal(roles: &str) -> Principal {
        serde_yaml_ng::from_str(&format!("{{clientId: c, tenant: t, roles: [{roles}]}}")).unwrap()
    }

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
            let principal = principal(&format!("{{scope: /subscriptions/S, role: {role}}}"));
            assert_eq!(Rights::of(&state(), &principal).allow(&action, at), yes, "{role} {action} {at}");
        }
    }

    fn custom(name: &str, actions: &[&str], at: &str) -> RoleDefinition {
        serde_json::from_value(serde_json::json!({
            "Name": name, "Description": "d", "Actions": actions, "AssignableScopes": [at],
        }))
        .unwrap()
    }

    #[test]
    fn a_custom_role_names_what_azure_knows_and_is_assigned_where_it_may_be() {
        let write = "Microsoft.MachineLearningServices/workspaces/computes/write";
        let group = "/subscriptions/s/resourceGroups/g";
        for (role, words) in [
            (custom("a", &[write, "*/read"], group), ""),
            (
                custom("a", &["Microsoft.MachineLearningServices/workspaces/computes/wirte"], group),
                "does not match any",
            ),
            (custom("a", &["Nonsense/read"], group), "does not match any"),
            (custom("Reader", &[write], group), "can't be named"),
            (custom(" ", &[write], group), "can't be named"),
            (custom("a", &[write], "/"), "no assignable scope"),
            (custom("a", &[write], &format!("{group}/providers/x/y/z")), "no assignable scope"),
            (RoleDefinition { assignable_scopes: Vec::new(), ..custom("a", &[write], group) }, "at least one"),
            (RoleDefinition { is_custom: false, ..custom("a", &[write], group) }, "IsCustom"),
        ] {
            let told = role.check().err().unwrap_or_default();
            assert!(told.contains(words) && told.is_empty() == words.is_empty(), "{role:?}: {told}");
        }
        let mut state = state();
        define(&mut state, custom("Writer", &[write], group)).unwrap();
        let holder = principal(&format!("{{scope: {group}/providers/x/y/w, role: writer}}"));
        check_assignments(&state, &holder).unwrap();
        for (roles, words) in [
            ("{scope: /subscriptions/s, role: writer}", "not assignable"),
            ("{scope: /subscriptions/s, role: nobody}", "neither built in nor defined"),
        ] {
            let told = check_assignments(&state, &principal(roles)).unwrap_err();
            assert!(told.contains(words), "{told}");
        }
        state.principals.insert("c".into(), holder.clone());
        assert!(undefine(&mut state, "WRITER").unwrap_err().contains("is assigned"));
        let moved = define(&mut state, custom("WRITER", &[write], "/subscriptions/t")).unwrap_err();
        assert!(moved.contains("not assignable"), "{moved}");
        let below = format!("{group}/providers/x/y/w/z/c");
        assert_eq!(Rights::of(&state, &holder).need(write, &below).roles, ["writer"]);
        forget_assignments(&mut state, &scope::key(group));
        assert!(state.principals["c"].roles.is_empty());
        undefine(&mut state, "Writer").unwrap();
        assert!(undefine(&mut state, "Writer").unwrap_err().contains("no role"));
    }

    #[test]
    fn not_actions_take_off_their_own_role_only() {
        let both = "{scope: /, actions: ['*'], notActions: ['*/write']}, {scope: /, actions: ['a/write']}";
        let (state, one) = (state(), principal(both));
        let rights = Rights::of(&state, &one);
        assert!(rights.allow("a/write", "/x") && rights.allow("b/read", "/x") && !rights.allow("b/write", "/x"));
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
