//! Whose a resource is.

use azureml_api::status::{AzureStatus, Operation, Phase, Verb};
use azureml_api::{OWNER_TAG, UID_TAG};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::input::{Memory, Owner};

/// Whose a resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This object's: by its tag, or by id and creation time in its status.
    Ours,
    /// Nobody's that we know.
    Nobodys,
    /// Another object's of this operator.
    AnotherObject(String),
    /// Another operator's.
    AnotherOperator {
        /// Its owner id.
        owner_id: String,
        /// The whole tag.
        tag: String,
    },
}

/// Longest owner tag that stays as text. Azure's limit for a tag's value is 256 characters.
const LONGEST_TAG: usize = 200;

impl Owner {
    /// The value of the owner tag: `<owner-id>/<kind>/<namespace>/<name>`, its end hashed past 200 characters.
    pub fn tag(&self) -> String {
        let path = format!("{}/{}/{}", self.kind, self.namespace, self.name);
        let text = format!("{}/{path}", self.owner_id);
        if text.chars().count() <= LONGEST_TAG {
            return text;
        }
        format!("{}/sha256-{}", self.owner_id, short_hash(path.as_bytes()))
    }

    /// The tags that mark a resource as this object's.
    pub fn tags(&self) -> [(&'static str, String); 2] {
        [(OWNER_TAG, self.tag()), (UID_TAG, self.uid.clone())]
    }
}

/// The first 16 bytes of SHA-256, in hexadecimal.
pub fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Decides whose the live resource is.
pub fn ownership(owner: &Owner, id: &str, memory: Option<&AzureStatus>, live: &Value) -> Ownership {
    // Azure's tag names have no case. Should there be several, one that isn't ours counts.
    let tags = live.get("tags").and_then(Value::as_object).into_iter().flatten();
    let tags = tags.filter(|(name, _)| name.eq_ignore_ascii_case(OWNER_TAG)).filter_map(|(_, value)| value.as_str());
    match tags.min_by_key(|tag| *tag == owner.tag()) {
        Some(tag) if tag == owner.tag() => Ownership::Ours,
        Some(tag) => {
            let owner_id = tag.split('/').next().unwrap_or_default();
            if owner_id == owner.owner_id {
                Ownership::AnotherObject(tag.to_owned())
            } else {
                Ownership::AnotherOperator { owner_id: owner_id.to_owned(), tag: tag.to_owned() }
            }
        }
        None if remembered(id, memory, live) => Ownership::Ours,
        None => Ownership::Nobodys,
    }
}

/// What status holds of a resource that we have written. One that was only looked at (observed, or to be adopted while
/// paused or not approved) is in status too, and that makes it nobody's property.
pub fn written(memory: Memory<'_>) -> Option<&AzureStatus> {
    let accepted = memory.operation.is_some_and(|operation| operation.phase == Phase::Running);
    memory.azure.filter(|_| accepted || memory.applied.is_some())
}

/// Azure has accepted our creation of this resource, so that one that carries nobody's tag yet is the one that we made.
pub fn accepted_creation(operation: Option<&Operation>) -> bool {
    operation.is_some_and(|operation| operation.verb == Verb::Create && operation.phase == Phase::Running)
}

/// Status holds this very resource: the same id, created at the same time.
fn remembered(id: &str, memory: Option<&AzureStatus>, live: &Value) -> bool {
    let created = live.pointer("/properties/createdOn").and_then(Value::as_str);
    memory.is_some_and(|azure| {
        azure.id.eq_ignore_ascii_case(id) && azure.created_on.is_some() && azure.created_on.as_deref() == created
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner() -> Owner {
        Owner {
            owner_id: "prod".into(),
            kind: "ComputeCluster".into(),
            namespace: "ml".into(),
            name: "gpu".into(),
            uid: "u1".into(),
            generation: 1,
        }
    }

    #[test]
    fn tags_and_status_tell() {
        let memory =
            AzureStatus { id: "/s/Gpu".into(), created_on: Some("2026-01-01".into()), ..AzureStatus::default() };
        let live = |tag: Option<&str>, created: &str| json!({"tags": tag.map(|t| json!({OWNER_TAG: t})), "properties": {"createdOn": created}});
        let rows = [
            (live(Some("prod/ComputeCluster/ml/gpu"), "x"), None, Ownership::Ours),
            (live(None, "2026-01-01"), Some(&memory), Ownership::Ours),
            (live(None, "2026-02-02"), Some(&memory), Ownership::Nobodys),
            (live(None, "2026-01-01"), None, Ownership::Nobodys),
            (
                live(Some("prod/ComputeCluster/ml/other"), "2026-01-01"),
                Some(&memory),
                Ownership::AnotherObject("prod/ComputeCluster/ml/other".into()),
            ),
            (
                json!({"tags": {"Azureml.Dev-Owner": "dev/x"}, "properties": {"createdOn": "2026-01-01"}}),
                Some(&memory),
                Ownership::AnotherOperator { owner_id: "dev".into(), tag: "dev/x".into() },
            ),
            (
                live(Some("dev/ComputeCluster/ml/gpu"), "2026-01-01"),
                Some(&memory),
                Ownership::AnotherOperator { owner_id: "dev".into(), tag: "dev/ComputeCluster/ml/gpu".into() },
            ),
        ];
        for (live, memory, expected) in rows {
            assert_eq!(ownership(&owner(), "/S/gpu", memory, &live), expected, "{live}");
        }
    }

    #[test]
    fn long_tags_are_hashed_and_stay_distinct() {
        let long = |name: char| Owner { name: name.to_string().repeat(240), ..owner() }.tag();
        assert!(long('a').len() <= LONGEST_TAG && long('a').starts_with("prod/sha256-"));
        assert_ne!(long('a'), long('b'));
    }
}
