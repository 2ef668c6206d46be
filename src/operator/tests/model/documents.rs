//! The few manifests and Azure documents that the model knows, and what of them it compares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use azureml_api::fields::{lookup, set};
use serde_json::{Value, json};

/// Name of the object, and of the resource.
pub const NAME: &str = "gpu";
/// Path of the workspace.
pub const WORKSPACE: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/\
                             Microsoft.MachineLearningServices/workspaces/ws";
/// Marks what this operator owns.
pub const OWNER_ID: &str = "model";

/// A document, by number: states stay small, and equal documents are equal numbers.
pub type Id = u32;

/// Numbers things by what they look like.
pub struct Interner<T>(Mutex<Numbered<T>>);

struct Numbered<T> {
    ids: HashMap<String, Id>,
    things: Vec<Arc<T>>,
    /// What two documents make when one is merged into the other.
    merged: HashMap<(Id, Id), Id>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self(Mutex::new(Numbered { ids: HashMap::new(), things: Vec::new(), merged: HashMap::new() }))
    }
}

impl<T> Interner<T> {
    /// The number of a thing that looks like `text`.
    pub fn put(&self, text: String, thing: impl FnOnce() -> T) -> Id {
        let mut inner = self.0.lock().unwrap();
        let Numbered { ids, things, .. } = &mut *inner;
        *ids.entry(text).or_insert_with(|| {
            things.push(Arc::new(thing()));
            Id::try_from(things.len() - 1).unwrap()
        })
    }

    /// The thing of a number.
    pub fn get(&self, id: Id) -> Arc<T> {
        self.0.lock().unwrap().things[id as usize].clone()
    }
}

impl Interner<Value> {
    /// The number of a document.
    pub fn document(&self, value: Value) -> Id {
        self.put(value.to_string(), || value)
    }

    /// The number of a document with a patch in it.
    pub fn merged(&self, settings: Id, patch: Id) -> Id {
        if let Some(known) = self.0.lock().unwrap().merged.get(&(settings, patch)) {
            return *known;
        }
        let made = self.document(merged(&self.get(settings), &self.get(patch)));
        self.0.lock().unwrap().merged.insert((settings, patch), made);
        made
    }
}

/// What a person may write into the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Manifest {
    /// `scale.maxNodes`: changed by PATCH.
    pub nodes: u8,
    /// The tag `team`: changed by PUT.
    pub team: u8,
    /// How it is to be kept.
    pub care: Care,
}

/// Policies, as far as the model tries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Care {
    /// Managed, with every default.
    Keep,
    /// `driftPolicy: Report`.
    ReportDrift,
    /// `paused: true`.
    Paused,
    /// `managementPolicy: Observe`.
    Observe,
}

impl Manifest {
    /// The first manifest.
    pub const FIRST: Self = Self { nodes: 4, team: 1, care: Care::Keep };

    /// The spec.
    pub fn spec(self) -> Value {
        let mut spec = json!({
            "workspaceRef": {"name": "ws"},
            "vmSize": "Standard_DS3_v2",
            "scale": {"maxNodes": self.nodes},
            "tags": {"team": format!("t{}", self.team)},
        });
        match self.care {
            Care::Keep => {}
            Care::ReportDrift => set(&mut spec, "driftPolicy", json!("Report")),
            Care::Paused => set(&mut spec, "paused", json!(true)),
            Care::Observe => set(&mut spec, "managementPolicy", json!("Observe")),
        }
        spec
    }

    /// Whether Azure's settings are as this manifest says.
    pub fn is_in(self, settings: &Value) -> bool {
        lookup(settings, NODES) == Some(&json!(self.nodes))
            && lookup(settings, "tags.team") == Some(&json!(format!("t{}", self.team)))
    }

    /// Whether anything may be written for it.
    pub fn may_write(self) -> bool {
        matches!(self.care, Care::Keep | Care::ReportDrift)
    }
}

const NODES: &str = "properties.properties.scaleSettings.maxNodeCount";

/// The settings after somebody has changed the scale by hand.
pub fn changed_by_hand(settings: &Value) -> Value {
    let mut changed = settings.clone();
    set(&mut changed, NODES, json!(6));
    changed
}

/// A cluster of the same name that somebody else has made.
pub fn foreign() -> Value {
    json!({
        "location": "westeurope",
        "tags": {"azureml.dev-owner": "another/ComputeCluster/ml/gpu"},
        "properties": {"computeType": "AmlCompute", "properties": {
            "vmSize": "Standard_DS3_v2", "scaleSettings": {"maxNodeCount": 2, "minNodeCount": 0}
        }}
    })
}

/// PATCH: objects are merged, all else is replaced.
fn merged(settings: &Value, patch: &Value) -> Value {
    match (settings, patch) {
        (Value::Object(settings), Value::Object(patch)) => {
            let mut merged = settings.clone();
            for (key, value) in patch {
                let before = merged.get(key).cloned().unwrap_or(Value::Null);
                merged.insert(key.clone(), self::merged(&before, value));
            }
            Value::Object(merged)
        }
        _ => patch.clone(),
    }
}
