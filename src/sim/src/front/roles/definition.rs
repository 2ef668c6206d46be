//! Role definitions: the built-in ones, and those that a world or a test adds.

use super::actions;
use crate::{
    scope,
    state::State,
    world::{Principal, Role},
};
use serde::{Deserialize, Serialize};

/// A custom role, in the form that `az role definition create --role-definition` takes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RoleDefinition {
    /// Its name.
    pub name: String,
    /// Always true.
    #[serde(default = "yes")]
    pub is_custom: bool,
    /// What it is for.
    pub description: String,
    /// What it grants, with `*`.
    pub actions: Vec<String>,
    /// Taken off the actions.
    #[serde(default)]
    pub not_actions: Vec<String>,
    /// What it grants of data: not looked at here.
    #[serde(default)]
    pub data_actions: Vec<String>,
    /// Taken off those: not looked at here.
    #[serde(default)]
    pub not_data_actions: Vec<String>,
    /// Subscriptions and resource groups in which it may be assigned.
    pub assignable_scopes: Vec<String>,
}

fn yes() -> bool {
    true
}

/// Actions and not-actions of the built-in roles that are known here.
pub(super) fn built_in(name: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
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
        "Network Contributor" => {
            (&["Microsoft.Network/*", "Microsoft.Resources/subscriptions/resourceGroups/read"], &[])
        }
        "Managed Identity Operator" => (
            &[
                "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
                "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
                // Refusals name the action so, and holders of this role aren't refused.
                "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
            ],
            &[],
        ),
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

impl RoleDefinition {
    /// How it is found: names have no case.
    pub fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// What Azure has against it.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if name.trim().is_empty() || built_in(name).is_some() {
            return Err(format!("a custom role can't be named {name:?}"));
        }
        if !self.is_custom {
            return Err(format!("role {name:?}: IsCustom must be true"));
        }
        if let Some(unknown) = self.actions.iter().chain(&self.not_actions).find(|action| !actions::is_known(action)) {
            return Err(format!("'{unknown}' does not match any of the actions supported by the providers."));
        }
        if self.assignable_scopes.is_empty() {
            return Err(format!("role {name:?} needs at least one assignable scope"));
        }
        let bad = self.assignable_scopes.iter().find(|at| !is_assignable_scope(at));
        bad.map_or(Ok(()), |at| {
            Err(format!("role {name:?}: {at:?} is no assignable scope; a subscription or a resource group is"))
        })
    }

    fn is_assignable_at(&self, at: &str) -> bool {
        self.assignable_scopes.iter().any(|outer| scope::contains(&scope::key(outer), &scope::key(at)))
    }
}

/// A subscription or a resource group; management groups don't exist here.
fn is_assignable_scope(at: &str) -> bool {
    let key = scope::key(at);
    let parts: Vec<&str> = key.trim_start_matches('/').split('/').collect();
    matches!(parts.as_slice(), ["subscriptions", _] | ["subscriptions", _, "resourcegroups", _])
        && parts.iter().all(|part| !part.is_empty())
}

/// What is wrong with an assignment: its role isn't known, or isn't assignable there.
///
/// # Errors
/// A sentence.
pub fn check_assignments(state: &State, principal: &Principal) -> Result<(), String> {
    let who = &principal.client_id;
    for Role { scope: at, role, .. } in &principal.roles {
        let Some(name) = role else { continue };
        match (built_in(name), state.roles.get(&name.to_ascii_lowercase())) {
            (Some(_), _) => {}
            (None, None) => {
                return Err(format!(
                    "principal {who}: role {name:?} is neither built in nor defined; list its actions"
                ));
            }
            (None, Some(role)) if role.is_assignable_at(at) => {}
            (None, Some(role)) => {
                return Err(format!(
                    "principal {who}: role {name:?} is not assignable at {at}; it is at {}",
                    role.assignable_scopes.join(", ")
                ));
            }
        }
    }
    Ok(())
}

/// Add a definition, or put it in the place of the one of that name.
///
/// # Errors
/// What is wrong with it, or with an assignment that it would leave behind.
pub fn define(state: &mut State, role: RoleDefinition) -> Result<(), String> {
    role.check()?;
    let before = state.roles.insert(role.key(), role.clone());
    let fault = state.principals.values().find_map(|principal| check_assignments(state, principal).err());
    let Some(fault) = fault else { return Ok(()) };
    match before {
        Some(before) => state.roles.insert(before.key(), before),
        None => state.roles.remove(&role.key()),
    };
    Err(fault)
}

/// Take a definition away.
///
/// # Errors
/// There is none, or it is assigned.
pub fn undefine(state: &mut State, name: &str) -> Result<(), String> {
    let holds = |principal: &&Principal| {
        principal.roles.iter().any(|role| role.role.as_deref().is_some_and(|held| held.eq_ignore_ascii_case(name)))
    };
    if let Some(holder) = state.principals.values().find(holds) {
        return Err(format!("role {name:?} is assigned to {}", holder.client_id));
    }
    state.roles.remove(&name.to_ascii_lowercase()).map(drop).ok_or(format!("there is no role {name:?}"))
}

/// A resource that goes takes the assignments at its scope and below with it.
pub fn forget_assignments(state: &mut State, id: &str) {
    for principal in state.principals.values_mut() {
        principal.roles.retain(|role| !scope::contains(id, &scope::key(&role.scope)));
    }
}
