//! The rules that speak of several fields, and that need neither the stored object nor the API server.
//!
//! The rules themselves, with their messages, are those of the custom resource definitions; here stands how each is
//! decided without the API server. A test holds that none is missing.

use azureml_api::fields::lookup;
use azureml_api::registry;
use azureml_api::rules::{self, Rule};
use azureml_catalog::names::is_cluster_name;
use serde_json::Value;

use super::schema::Fault;

/// An object that is checked.
struct Checked<'a> {
    name: &'a str,
    object: &'a Value,
    at: &'a Value,
}

impl Checked<'_> {
    /// A text below `spec`.
    fn text(&self, path: &str) -> Option<&str> {
        lookup(self.object, path).and_then(Value::as_str)
    }

    fn azure_name(&self) -> &str {
        self.text("spec.azureName").unwrap_or(self.name)
    }

    /// Whether the node that the rule is about has such a member.
    fn has(&self, member: &str) -> bool {
        lookup(self.at, member).is_some()
    }

    fn is(&self, member: &str, value: &str) -> bool {
        lookup(self.at, member).and_then(Value::as_str) == Some(value)
    }
}

/// How a rule is decided.
struct Check {
    kind: &'static str,
    /// Where in the schema the rule stands.
    at: &'static str,
    /// Words of the rule that no other rule at that place has.
    words: &'static str,
    holds: fn(&Checked<'_>) -> bool,
}

const CHECKS: &[Check] = &[
    Check {
        kind: "Workspace",
        at: "spec.allowedNamespaces",
        words: "self.selector",
        holds: |o| o.has("selector") == o.is("from", "Selector"),
    },
    Check { kind: "Workspace", at: "", words: "metadata.name", holds: |o| is_workspace_name(o.azure_name()) },
    Check { kind: "Workspace", at: "spec.observeInterval", words: "matches", holds: has_digit },
    Check {
        kind: "ComputeCluster",
        at: "spec",
        words: "managementPolicy",
        holds: |o| !o.is("managementPolicy", "Observe") || !o.is("deletionPolicy", "Delete"),
    },
    Check {
        kind: "ComputeCluster",
        at: "spec.scale",
        words: "minNodes",
        holds: |o| {
            let nodes = |member| lookup(o.at, member).and_then(Value::as_u64);
            nodes("minNodes").unwrap_or(0) <= nodes("maxNodes").unwrap_or(u64::MAX)
        },
    },
    Check {
        kind: "ComputeCluster",
        at: "",
        words: "metadata.name",
        holds: |o| {
            o.text("spec.managementPolicy") == Some("Observe")
                || o.text("spec.adoptionPolicy") == Some("Adopt")
                || is_cluster_name(o.azure_name())
        },
    },
    Check {
        kind: "ComputeCluster",
        at: "spec.identity",
        words: "userAssignedIds",
        holds: |o| {
            let ids = lookup(o.at, "userAssignedIds").and_then(Value::as_array).map_or(0, Vec::len);
            o.is("type", "UserAssigned") == (ids > 0)
        },
    },
    Check {
        kind: "ComputeCluster",
        at: "spec.ssh",
        words: "has(self.adminUserName) ==",
        holds: |o| o.has("adminUserName") == (o.has("sshPublicKey") || o.has("adminPasswordSecretRef")),
    },
    Check {
        kind: "ComputeCluster",
        at: "spec.ssh",
        words: "publicAccess",
        holds: |o| !o.is("publicAccess", "Enabled") || o.has("adminUserName"),
    },
    Check {
        kind: "ComputeCluster",
        at: "spec",
        words: "self.image",
        holds: |o| !o.has("image") || o.is("osType", "Windows"),
    },
    Check { kind: "ComputeCluster", at: "spec.scale.idleBeforeScaleDown", words: "matches", holds: has_digit },
];

/// 3 to 33 letters, digits, hyphens and underscores, first a letter or digit: the rule of the definition.
fn is_workspace_name(name: &str) -> bool {
    (3..=33).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn has_digit(o: &Checked<'_>) -> bool {
    o.at.as_str().is_none_or(|text| text.contains(|c: char| c.is_ascii_digit()))
}

fn of_kind(kind: &str) -> Vec<Rule> {
    if kind == "Workspace" { rules::workspace() } else { registry::kind(kind).map(rules::target).unwrap_or_default() }
}

impl Check {
    fn decides(&self, kind: &str, rule: &Rule) -> bool {
        self.kind == kind && self.at == rule.at && rule.rule.contains(self.words) && !compares_with_stored(rule)
    }
}

/// Such rules are the API server's alone.
fn compares_with_stored(rule: &Rule) -> bool {
    rule.rule.contains("oldSelf")
}

/// Every rule that an object with a completed spec breaks.
pub fn faults(kind: &str, name: &str, spec: &Value) -> Vec<Fault> {
    let object = serde_json::json!({"spec": spec});
    let broken = |rule: &Rule| {
        let at = if rule.at.is_empty() { Some(&object) } else { lookup(&object, &rule.at) };
        let check = CHECKS.iter().find(|check| check.decides(kind, rule));
        at.zip(check).is_some_and(|(at, check)| !(check.holds)(&Checked { name, object: &object, at }))
    };
    // The messages name their fields themselves.
    of_kind(kind).iter().filter(|rule| broken(rule)).map(|rule| Fault::new("", rule.message.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_rule_is_decided_by_one_check() {
        let kinds = std::iter::once("Workspace").chain(registry::KINDS.iter().map(|kind| kind.kind));
        let mut used = 0;
        for kind in kinds {
            for rule in of_kind(kind).iter().filter(|rule| !compares_with_stored(rule)) {
                let checks = CHECKS.iter().filter(|check| check.decides(kind, rule)).count();
                assert_eq!(checks, 1, "{kind}: {rule:?}");
                used += checks;
            }
        }
        assert_eq!(used, CHECKS.len());
    }

    #[test]
    fn rules_hold_or_are_told() {
        let rows = [
            ("ComputeCluster", "gpu", json!({"scale": {"minNodes": 2, "maxNodes": 2}}), None),
            ("ComputeCluster", "gpu", json!({"scale": {"minNodes": 3, "maxNodes": 2}}), Some("spec.scale.minNodes")),
            ("ComputeCluster", "gpu-4", json!({}), Some("Azure allows cluster names")),
            ("ComputeCluster", "gpu-4", json!({"azureName": "gpu4"}), None),
            ("ComputeCluster", "gpu-4", json!({"adoptionPolicy": "Adopt"}), None),
            (
                "ComputeCluster",
                "gpu",
                json!({"managementPolicy": "Observe", "deletionPolicy": "Delete"}),
                Some("managementPolicy: Observe never deletes"),
            ),
            ("ComputeCluster", "gpu", json!({"identity": {"type": "UserAssigned"}}), Some("spec.identity")),
            (
                "ComputeCluster",
                "gpu",
                json!({"identity": {"type": "SystemAssigned", "userAssignedIds": ["/a"]}}),
                Some("spec.identity"),
            ),
            ("ComputeCluster", "gpu", json!({"identity": {"type": "SystemAssigned"}}), None),
            ("ComputeCluster", "gpu", json!({"ssh": {"adminUserName": "a"}}), Some("spec.ssh.adminUserName")),
            ("ComputeCluster", "gpu", json!({"ssh": {"adminUserName": "a", "sshPublicKey": "k"}}), None),
            ("ComputeCluster", "gpu", json!({"ssh": {"publicAccess": "Enabled"}}), Some("spec.ssh.publicAccess")),
            ("ComputeCluster", "gpu", json!({"image": "/i"}), Some("spec.image")),
            ("ComputeCluster", "gpu", json!({"image": "/i", "osType": "Windows"}), None),
            (
                "ComputeCluster",
                "gpu",
                json!({"scale": {"maxNodes": 1, "idleBeforeScaleDown": ""}}),
                Some("spec.scale.idle"),
            ),
            ("Workspace", "ws", json!({}), Some("Azure allows workspace names")),
            ("Workspace", "ws", json!({"azureName": "ws1"}), None),
            ("Workspace", "ws1", json!({"allowedNamespaces": {"from": "Selector"}}), Some("spec.allowedNamespaces")),
            ("Workspace", "ws1", json!({"allowedNamespaces": {"from": "All"}}), None),
        ];
        for (kind, name, spec, expected) in rows {
            let faults = faults(kind, name, &spec);
            let first = faults.first().map(ToString::to_string);
            let told = match (&first, expected) {
                (None, None) => true,
                (Some(first), Some(expected)) => faults.len() == 1 && first.starts_with(expected),
                _ => false,
            };
            assert!(told, "{kind} {name} {spec}: {faults:?}");
        }
    }
}
