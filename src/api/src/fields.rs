//! Field tables: one row for each field that a manifest can set in Azure.
//!
//! A row drives the body on the wire, the comparison, the plan, the admission rules, the field's description in the
//! custom resource definition, and the reference.

use serde_json::Value;

use crate::duration::Seconds;

/// How Azure changes a field of an existing resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// PATCH of the object named, always with all of that object's fields. The path is on the wire.
    Patch {
        /// Path on the wire of the object that the PATCH carries whole.
        object: &'static str,
    },
    /// PUT of the live resource with the managed fields laid over it.
    Put,
    /// Only by deleting the resource and creating it again.
    Replace,
}

/// How the manifest's value becomes the wire's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convert {
    /// The same value.
    Same,
    /// A Kubernetes-style duration becomes ISO 8601.
    Duration,
    /// A boolean is inverted (`localAuth: true` is `disableLocalAuth: false`).
    Not,
    /// `identity` of the manifest becomes ARM's `identity` object.
    Identity,
}

/// How a wanted and a live value on the wire are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// As they are.
    Exact,
    /// Text without case (Azure answers VM sizes in upper case).
    IgnoreCase,
    /// Azure regions: without case and blanks (`West Europe` is `westeurope`).
    Location,
    /// ISO 8601 durations by their length (`PT120S` is `PT2M`).
    Duration,
    /// Objects key by key; keys that the manifest never managed are left alone.
    PerKey,
    /// An identity: its type, and user-assigned ids as a set without case.
    Identity,
    /// Never readable: by keyed hash of what was last written.
    Hash,
}

/// What Azure has when a field is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AzureDefault {
    /// This value on the wire, as JSON text, and how to say it to people.
    Value {
        /// JSON text of the value on the wire.
        wire: &'static str,
        /// The value in the manifest's words.
        words: &'static str,
    },
    /// The workspace's location.
    WorkspaceLocation,
    /// Nothing (null or absent).
    Nothing,
    /// The field has to be given.
    Required,
}

/// Where a row's knowledge about change comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Azure's documentation or a client's documented behaviour says so.
    Documented,
    /// Seen in recorded traffic.
    Recorded,
    /// Nobody has shown it; treated with caution.
    Assumed,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Path in the manifest, dotted, from `spec`.
    pub manifest: &'static str,
    /// Path on the wire, dotted, from the resource's envelope.
    pub wire: &'static str,
    /// How Azure changes it.
    pub change: Change,
    /// How the manifest's value becomes the wire's.
    pub convert: Convert,
    /// How wanted and live compare.
    pub compare: Compare,
    /// What Azure has when it is left out.
    pub default: AzureDefault,
    /// First GA api-version of Microsoft.MachineLearningServices that has it, among those that the operator speaks.
    pub since: &'static str,
    /// How sure `change` is.
    pub evidence: Evidence,
    /// Where that is from.
    pub source: &'static str,
}

impl Field {
    /// Azure never gives the value back.
    pub const fn is_write_only(&self) -> bool {
        matches!(self.compare, Compare::Hash)
    }

    /// The value that Azure falls back to when the field is left out, where that is known and not null.
    pub fn default_on_wire(&self, workspace_location: Option<&str>) -> Value {
        match self.default {
            AzureDefault::Value { wire, .. } => serde_json::from_str(wire).unwrap_or(Value::Null),
            AzureDefault::WorkspaceLocation => workspace_location.map_or(Value::Null, Value::from),
            AzureDefault::Nothing | AzureDefault::Required => Value::Null,
        }
    }

    /// Turns the manifest's value into the wire's. A value of the wrong shape is passed on as it is: the API server's
    /// schema has refused it long before.
    pub fn to_wire(&self, value: &Value) -> Value {
        match self.convert {
            Convert::Same => value.clone(),
            Convert::Duration => value
                .as_str()
                .and_then(|text| Seconds::from_manifest(text).ok())
                .map_or_else(|| value.clone(), |seconds| Value::from(seconds.to_iso8601())),
            Convert::Not => value.as_bool().map_or_else(|| value.clone(), |flag| Value::from(!flag)),
            Convert::Identity => identity_to_wire(value),
        }
    }

    /// Turns the wire's value into the manifest's words, for people.
    pub fn words(&self, value: &Value) -> String {
        let manifest = match self.convert {
            Convert::Duration => value
                .as_str()
                .and_then(|text| Seconds::from_iso8601(text).ok())
                .map(|seconds| Value::from(seconds.to_string())),
            Convert::Not => value.as_bool().map(|flag| Value::from(!flag)),
            Convert::Identity => Some(Value::from(identity_words(value))),
            Convert::Same => None,
        };
        match manifest.as_ref().unwrap_or(value) {
            Value::Null => "(none)".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// The type, and the user-assigned ids behind it.
fn identity_words(value: &Value) -> String {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or("None");
    let ids: Vec<&str> = value
        .get("userAssignedIdentities")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(id, _)| id.as_str())
        .collect();
    if ids.is_empty() { kind.to_owned() } else { format!("{kind} {}", ids.join(", ")) }
}

fn identity_to_wire(value: &Value) -> Value {
    let mut wire = serde_json::Map::new();
    if let Some(kind) = value.get("type") {
        wire.insert("type".to_owned(), kind.clone());
    }
    if let Some(ids) = value.get("userAssignedIds").and_then(Value::as_array).filter(|ids| !ids.is_empty()) {
        let ids = ids.iter().filter_map(Value::as_str).map(|id| (id.to_owned(), Value::Object(serde_json::Map::new())));
        wire.insert("userAssignedIdentities".to_owned(), Value::Object(ids.collect()));
    }
    Value::Object(wire)
}

/// All fields of one kind.
#[derive(Debug)]
pub struct FieldTable {
    /// The kind whose manifest it describes.
    pub kind: &'static str,
    /// `computeType` on the wire.
    pub compute_type: &'static str,
    /// Words for one such resource, for messages (`cluster`).
    pub noun: &'static str,
    /// The rows, in the order in which changes are told.
    pub fields: &'static [Field],
}

impl FieldTable {
    /// The row of a manifest path.
    pub fn field(&self, manifest: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.manifest == manifest)
    }
}

/// Looks a dotted path up in a JSON value. `None` when it is absent or null.
pub fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |at, key| at.get(key)).filter(|found| !found.is_null())
}

/// Sets a dotted path in a JSON value, making objects on the way. Whatever stands in the way is replaced.
pub fn set(value: &mut Value, path: &str, new: Value) {
    let mut at = value;
    for key in path.split('.') {
        if !at.is_object() {
            *at = Value::Object(serde_json::Map::new());
        }
        at = match at {
            Value::Object(map) => map.entry(key).or_insert(Value::Null),
            _ => return,
        };
    }
    *at = new;
}

/// Removes a dotted path from a JSON value, if it is there.
pub fn remove(value: &mut Value, path: &str) {
    let (parent, key) = match path.rsplit_once('.') {
        Some((parent, key)) => (parent.split('.').try_fold(value, |at, key| at.get_mut(key)), key),
        None => (Some(value), path),
    };
    if let Some(Value::Object(map)) = parent {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_looked_up_set_and_removed() {
        let mut value = json!({"a": {"b": 1, "n": null}});
        assert_eq!(lookup(&value, "a.b"), Some(&json!(1)));
        assert_eq!(lookup(&value, "a.n"), None);
        assert_eq!(lookup(&value, "a.b.c"), None);
        set(&mut value, "a.c.d", json!(2));
        set(&mut value, "a.b", json!(3));
        assert_eq!(value, json!({"a": {"b": 3, "n": null, "c": {"d": 2}}}));
        remove(&mut value, "a.c.d");
        remove(&mut value, "a.x.y");
        assert_eq!(value, json!({"a": {"b": 3, "n": null, "c": {}}}));
    }

    #[test]
    fn identities_take_arms_shape() {
        assert_eq!(identity_to_wire(&json!({"type": "SystemAssigned"})), json!({"type": "SystemAssigned"}));
        assert_eq!(
            identity_to_wire(&json!({"type": "UserAssigned", "userAssignedIds": ["/a", "/b"]})),
            json!({"type": "UserAssigned", "userAssignedIdentities": {"/a": {}, "/b": {}}})
        );
    }
}
