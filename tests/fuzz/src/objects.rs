//! Objects as the API server may hold them: a spec of each kind, statuses of this and other releases, conditions.

use std::collections::BTreeMap;
use std::fmt::Debug;

use azureml_api::compute_cluster::{ComputeClusterSpec, ComputeClusterStatus, TABLE};
use azureml_api::condition::{ConditionType, Reason, Truth, Wanted, merge};
use azureml_api::registry::KINDS;
use azureml_api::status::TargetStatus;
use azureml_api::workspace::{NamespacesFrom, WorkspaceSpec, WorkspaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::reader::texts;

/// The input is an object as JSON.
pub fn check(data: &[u8]) {
    let Ok(object) = serde_json::from_slice::<Value>(data) else { return };
    let part = |name: &str| object.get(name).cloned().unwrap_or(Value::Null);
    let (spec, status) = (part("spec"), part("status"));
    kinds(&spec);
    workspace(&spec, &texts(&object, "/metadata/labels"));
    stays::<ComputeClusterStatus>(&status);
    stays::<WorkspaceStatus>(&status);
    if let Some(status) = stays::<TargetStatus>(&status) {
        conditions(&status.conditions);
    }
}

/// What is read and written is read as the same. Only the first reading may drop what this release doesn't know.
fn stays<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &Value) -> Option<T> {
    let read: T = serde_json::from_value(value.clone()).ok()?;
    let written = serde_json::to_value(&read).expect("what was read can be written");
    let again: T = serde_json::from_value(written.clone()).expect("and read again");
    assert_eq!(serde_json::to_value(&again).expect("and written again"), written);
    Some(read)
}

fn kinds(spec: &Value) {
    for kind in KINDS {
        let decoded = (kind.decode)(spec);
        // A status is told even of a spec that can't be read.
        stays::<ComputeClusterStatus>(&(kind.project)(spec, None)).expect("a status");
        let Ok(common) = decoded else { continue };
        assert!(common.secrets.iter().all(|used| TABLE.field(used.path).is_some_and(|field| field.is_write_only())));
        let read = stays::<ComputeClusterSpec>(spec).expect("decode reads the spec");
        let again = (kind.decode)(&json!(read)).expect("and reads it again");
        assert_eq!(again, common);
    }
}

fn workspace(spec: &Value, labels: &BTreeMap<String, String>) {
    let Some(spec) = stays::<WorkspaceSpec>(spec) else { return };
    assert!((1..=86_400).contains(&spec.observe_interval_seconds()));
    assert!(spec.arm_id("name").starts_with("/subscriptions/"));
    if let Some(allowed) = spec.allowed_namespaces {
        let admits = allowed.admits(labels);
        match allowed.from {
            NamespacesFrom::Same => assert!(!admits),
            NamespacesFrom::All => assert!(admits),
            NamespacesFrom::Selector => assert!(!admits || allowed.selector.is_some()),
        }
    }
}

/// Merging keeps one of each type, keeps times of what didn't change, and has nothing to do the second time.
fn conditions(old: &[Condition]) {
    let types = [ConditionType::Ready, ConditionType::InSync, ConditionType::Stalled];
    let wanted: Vec<Wanted> = types
        .iter()
        .zip(old.iter().map(|condition| condition.message.as_str()).chain(std::iter::repeat("m")))
        .map(|(condition, message)| Wanted {
            condition: *condition,
            truth: old.first().map_or(Truth::Unknown, |first| Truth::parse(&first.status)),
            reason: old.first().and_then(|first| Reason::parse(&first.reason)).unwrap_or(Reason::Pending),
            message: message.to_owned(),
        })
        .collect();
    let at = |second| Timestamp::from_second(second).expect("a time");
    let merged = merge(old, &wanted, 7, at(1_000));
    assert_eq!(merged.len(), wanted.len());
    for condition in &merged {
        assert!(condition.message.chars().count() <= 1024 && condition.observed_generation == Some(7));
        let before = old.iter().find(|c| c.type_ == condition.type_ && c.status == condition.status);
        let since = before.map_or(at(1_000), |before| before.last_transition_time.0);
        assert_eq!(condition.last_transition_time.0, since);
    }
    assert_eq!(merge(&merged, &wanted, 7, at(2_000)), merged);
}
