//! `Workspace`: the Azure Machine Learning workspace that every other object refers to.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::SecretRef;
use crate::duration::Seconds;

/// An Azure Machine Learning workspace: subscription, resource group, name and credential. Every other object of this
/// group refers to one.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "azureml.dev",
    version = "v1alpha1",
    kind = "Workspace",
    plural = "workspaces",
    shortname = "amlws",
    category = "azureml",
    namespaced,
    status = "WorkspaceStatus",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name":"Location","type":"string","jsonPath":".status.azure.location"}"#,
    printcolumn = r#"{"name":"Computes","type":"integer","jsonPath":".status.computes"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].message"}"#,
    printcolumn = r#"{"name":"Subscription","type":"string","jsonPath":".spec.subscriptionId","priority":1}"#,
    printcolumn = r#"{"name":"Group","type":"string","jsonPath":".spec.resourceGroup","priority":1}"#
)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceSpec {
    /// Id of the Azure subscription. Can't be changed.
    #[schemars(length(equal = 36), regex(pattern = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"))]
    pub subscription_id: String,
    /// Name of the resource group. Can't be changed.
    #[schemars(length(min = 1, max = 90), regex(pattern = r"^[-\w._()]*[-\w_()]$"))]
    pub resource_group: String,
    /// The workspace's name in Azure: 3 to 33 letters, digits, hyphens and underscores. Default: metadata.name. Can't be
    /// changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 33), regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}$"))]
    pub azure_name: Option<String>,
    /// Observe (default): the workspace exists in Azure and is only read. This release has no other value.
    #[serde(default)]
    pub management_policy: WorkspaceManagementPolicy,
    /// The Secret in this namespace with the credential: AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_CLIENT_SECRET,
    /// with AZURE_CLIENT_CERTIFICATE (PEM: certificate and private key), or with neither (federated: the operator's own
    /// service account token stands for that client). Default: the operator's own identity, where
    /// --default-identity-namespaces allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_ref: Option<SecretRef>,
    /// Which namespaces' objects may refer to this workspace. Default: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// How often Azure is looked at when nothing is under way, from 1s to 24h. Default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 24), regex(pattern = r"^([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,9}s)?$"))]
    pub observe_interval: Option<String>,
}

/// How often Azure is looked at by default, in seconds.
pub const DEFAULT_OBSERVE_INTERVAL: u64 = 60;

impl WorkspaceSpec {
    /// How often Azure is looked at when nothing is under way, in seconds, from 1 to 86,400.
    pub fn observe_interval_seconds(&self) -> u64 {
        self.observe_interval
            .as_deref()
            .and_then(|text| Seconds::from_manifest(text).ok())
            .map_or(DEFAULT_OBSERVE_INTERVAL, |seconds| seconds.0.clamp(1, 86_400))
    }

    /// ARM id of the workspace, given the object's name for the default.
    pub fn arm_id(&self, object_name: &str) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}",
            self.subscription_id,
            self.resource_group,
            self.azure_name.as_deref().unwrap_or(object_name)
        )
    }
}

/// Whether the operator writes the workspace itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WorkspaceManagementPolicy {
    /// It exists in Azure and is only read.
    #[default]
    Observe,
}

/// Which namespaces may refer to a Workspace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedNamespaces {
    /// Same (default): its own only. All: every namespace. Selector: those whose labels match `selector`.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Selects namespaces by their labels. With from: Selector only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Ways to name namespaces, as in Gateway API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// The Workspace's own namespace.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// Namespaces whose labels match.
    Selector,
}

/// Status of a `Workspace`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceStatus {
    /// The generation of the manifest that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready and InSync always; Reconciling, Stalled and Limited only while True.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// What Azure says about the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<WorkspaceAzureStatus>,
    /// The Secret that is held by a finalizer while this Workspace needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_secret: Option<String>,
    /// How many computes the workspace has in Azure, ours or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computes: Option<u32>,
    /// The value of the annotation azureml.dev/reconcile-requested-at that was acted on last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// What Azure says about the workspace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceAzureStatus {
    /// ARM resource id.
    pub id: String,
    /// Azure's immutable id of this very workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    /// Azure region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Azure's provisioning state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning_state: Option<String>,
}

impl AllowedNamespaces {
    /// Whether a namespace with these labels, other than the Workspace's own, may refer to the Workspace.
    pub fn admits(&self, labels: &BTreeMap<String, String>) -> bool {
        match self.from {
            NamespacesFrom::Same => false,
            NamespacesFrom::All => true,
            NamespacesFrom::Selector => self.selector.as_ref().is_some_and(|selector| selects(selector, labels)),
        }
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
            let allowed: AllowedNamespaces = serde_json::from_value(rule.clone()).unwrap();
            assert_eq!(allowed.admits(&labels), expected, "{rule}");
        }
    }
}
