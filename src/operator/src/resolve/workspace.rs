//! The Workspace that an object refers to: there, willing, and connected to Azure.

use std::collections::BTreeMap;
use std::sync::Arc;

use azureml_api::condition::Reason;
use azureml_api::workspace::{AllowedNamespaces, NamespacesFrom, WorkspaceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;

use crate::connections::Connection;
use crate::context::Context;
use crate::failure::Problem;
use crate::index::{Key, Object};
use crate::observe::source::Source;

/// What an object gets from its Workspace.
pub struct Place {
    /// Reads the workspace's computes, and holds the client.
    pub source: Arc<Source>,
    /// Path of the workspace in ARM.
    pub workspace_id: String,
}

/// Finds an object's Workspace. Whether it lets the object in doesn't matter to one that is being deleted: revoked access
/// stops writes, not deletion.
///
/// # Errors
/// What stands in the way, for conditions.
pub fn resolve(ctx: &Context, object: &Object) -> Result<Place, Problem> {
    let Some(key) = object.workspace() else {
        return Err(Problem::stalled(Reason::InvalidManifest, "spec.workspaceRef.name is missing"));
    };
    let name = format!("Workspace {}/{}", key.namespace, key.name);
    let Some(workspace) = ctx.index.get(&key) else {
        return Err(Problem::blocked(
            Reason::WorkspaceNotFound,
            format!("{name} doesn't exist: create it, or make this object anew with another workspaceRef"),
        ));
    };
    let spec = WorkspaceSpec::deserialize(workspace.spec())
        .map_err(|error| Problem::blocked(Reason::WorkspaceNotReady, format!("{name} can't be read: {error}")))?;
    if !object.is_deleting() {
        if !allows(ctx, &key, &spec, &object.key.namespace) {
            return Err(Problem::blocked(
                Reason::WorkspaceNotAllowed,
                format!("{name} doesn't let namespace {} refer to it: set its allowedNamespaces", object.key.namespace),
            ));
        }
        if workspace.is_deleting() && !object.has_finalizer() {
            return Err(Problem::blocked(Reason::WorkspaceNotReady, format!("{name} is being deleted")));
        }
    }
    match ctx.connections.get(&key) {
        Some(Connection::Open(source)) => Ok(Place { workspace_id: spec.arm_id(&key.name), source }),
        Some(Connection::Broken(problem)) => {
            Err(Problem { message: format!("{name}: {}", problem.message), ..problem })
        }
        None => Err(Problem::unseen(Reason::Pending, format!("{name} hasn't been looked at yet"))),
    }
}

fn allows(ctx: &Context, workspace: &Key, spec: &WorkspaceSpec, namespace: &str) -> bool {
    let rule = spec.allowed_namespaces.clone().unwrap_or_default();
    workspace.namespace == namespace || lets_in(&rule, &ctx.index.namespace_labels(namespace))
}

fn lets_in(rule: &AllowedNamespaces, labels: &BTreeMap<String, String>) -> bool {
    match rule.from {
        NamespacesFrom::Same => false,
        NamespacesFrom::All => true,
        NamespacesFrom::Selector => rule.selector.as_ref().is_some_and(|selector| selects(selector, labels)),
    }
}

/// Kubernetes' rules for label selectors.
fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let expressions = selector.match_expressions.iter().flatten().all(|requirement| {
        let value = labels.get(&requirement.key);
        let listed = value.is_some_and(|value| requirement.values.iter().flatten().any(|v| v == value));
        match requirement.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    equal && expressions
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn namespaces_are_let_in_as_the_rule_says() {
        let labels: BTreeMap<String, String> = [("team".to_owned(), "ml".to_owned())].into();
        let expression = |operator: &str, values: &[&str]| {
            json!({"from": "Selector", "selector":
                   {"matchExpressions": [{"key": "team", "operator": operator, "values": values}]}})
        };
        let rows = [
            (json!({}), false),
            (json!({"from": "All"}), true),
            (json!({"from": "Selector"}), false),
            (json!({"from": "Selector", "selector": {}}), true),
            (json!({"from": "Selector", "selector": {"matchLabels": {"team": "ml"}}}), true),
            (json!({"from": "Selector", "selector": {"matchLabels": {"team": "web"}}}), false),
            (expression("In", &["ml", "web"]), true),
            (expression("NotIn", &["ml"]), false),
            (expression("Exists", &[]), true),
            (expression("DoesNotExist", &[]), false),
            (expression("Nonsense", &[]), false),
        ];
        for (rule, expected) in rows {
            assert_eq!(lets_in(&serde_json::from_value(rule.clone()).unwrap(), &labels), expected, "{rule}");
        }
    }
}
