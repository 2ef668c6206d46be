//! Which object has the claim to a resource: of several that stand for one, the oldest.

use std::collections::HashMap;

use azureml_api::registry::KINDS;
use azureml_api::workspace::WorkspaceSpec;
use k8s_openapi::jiff::Timestamp;
use kube::core::DynamicObject;
use serde::Deserialize;
use serde_json::Value;

use super::workspace::Place;
use super::{World, workspace_of};
use crate::kubernetes::words;
use crate::manifests::Key;
use crate::problem::Problem;

/// Who stands for what.
#[derive(Debug, Default)]
pub struct Claims(Vec<Claim>);

#[derive(Clone, Debug)]
struct Claim {
    /// Lower-cased.
    arm_id: String,
    key: Key,
    /// `None` for an object that isn't in the cluster yet: it is younger than all that are.
    created: Option<Timestamp>,
}

impl Claims {
    /// Those of the cluster and of the files. A note where the cluster's can't be listed.
    pub async fn gather(world: &World, places: &HashMap<Key, Result<Place, Problem>>) -> (Self, Option<String>) {
        let (mut claims, note) = match of_cluster(world).await {
            Ok(claims) => (claims, None),
            Err(why) => {
                let lost = "whether another object of the cluster stands for the same resource isn't known";
                (Vec::new(), Some(format!("{lost}: {why}")))
            }
        };
        for manifest in world.files.manifests.iter().filter(|manifest| manifest.faults.is_empty()) {
            let Some(Ok(place)) = workspace_of(manifest).and_then(|key| places.get(&key)) else { continue };
            let known = claims.iter().any(|claim| claim.key == manifest.key);
            if manifest.key.kind != "Workspace" && !known {
                let arm_id = arm_id(&place.arm_id, &manifest.spec, &manifest.key.name).to_lowercase();
                claims.push(Claim { arm_id, key: manifest.key.clone(), created: None });
            }
        }
        (Self(claims), note)
    }

    /// Who has the claim: the oldest; of those that aren't in the cluster yet, the first in the files.
    pub fn holder(&self, arm_id: &str) -> Option<&Key> {
        let of_it = self.0.iter().filter(|claim| claim.arm_id.eq_ignore_ascii_case(arm_id));
        of_it.min_by_key(|claim| (claim.created.is_none(), claim.created)).map(|claim| &claim.key)
    }
}

/// ARM id of the compute that an object stands for.
pub fn arm_id(workspace: &str, spec: &Value, object_name: &str) -> String {
    let name = spec.get("azureName").and_then(Value::as_str).unwrap_or(object_name);
    format!("{workspace}/computes/{name}")
}

async fn of_cluster(world: &World) -> Result<Vec<Claim>, String> {
    let Ok(cluster) = &world.cluster else { return Ok(Vec::new()) };
    if world.files.manifests.iter().all(|manifest| manifest.key.kind == "Workspace") {
        return Ok(Vec::new());
    }
    let list = async |kind: &str| {
        let listed = cluster.list(kind, world.schemas.plural(kind)).await;
        listed.map_err(|error| words(&error))
    };
    let mut workspaces = HashMap::new();
    for object in list("Workspace").await? {
        let key = key("Workspace", &object);
        if let Ok(spec) = WorkspaceSpec::deserialize(object.data.get("spec").unwrap_or(&Value::Null)) {
            workspaces.insert(key.clone(), spec.arm_id(&key.name));
        }
    }
    let mut claims = Vec::new();
    for kind in KINDS {
        for object in list(kind.kind).await? {
            claims.extend(claim(key(kind.kind, &object), &object, &workspaces));
        }
    }
    Ok(claims)
}

fn key(kind: &str, object: &DynamicObject) -> Key {
    let metadata = &object.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Key { kind: kind.to_owned(), namespace: text(&metadata.namespace), name: text(&metadata.name) }
}

fn claim(key: Key, object: &DynamicObject, workspaces: &HashMap<Key, String>) -> Option<Claim> {
    let spec = object.data.get("spec")?;
    let reference = spec.get("workspaceRef")?;
    let namespace = reference.get("namespace").and_then(Value::as_str).unwrap_or(&key.namespace);
    let workspace = workspaces.get(&Key::workspace(namespace, reference.get("name")?.as_str()?))?;
    let arm_id = arm_id(workspace, spec, &key.name).to_lowercase();
    Some(Claim { arm_id, key, created: object.metadata.creation_timestamp.as_ref().map(|time| time.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_has_the_claim_and_what_is_new_comes_last() {
        let claim = |name: &str, created: Option<i64>| Claim {
            arm_id: "/ws/computes/gpu".to_owned(),
            key: Key::workspace("ml", name),
            created: created.map(|second| Timestamp::from_second(second).unwrap()),
        };
        let rows = [
            (vec![claim("new", None), claim("old", Some(9)), claim("older", Some(5))], "older"),
            (vec![claim("first", None), claim("second", None)], "first"),
        ];
        for (claims, holder) in rows {
            assert_eq!(Claims(claims).holder("/WS/computes/GPU").unwrap().name, holder);
        }
        assert_eq!(Claims(vec![claim("a", None)]).holder("/ws/computes/cpu"), None);
    }

    #[test]
    fn a_stored_object_stands_for_its_name_in_azure() {
        let workspaces = HashMap::from([(Key::workspace("ml", "w"), "/WS".to_owned())]);
        let rows = [
            (serde_json::json!({"workspaceRef": {"name": "w"}}), Some("/ws/computes/c")),
            (serde_json::json!({"workspaceRef": {"name": "w"}, "azureName": "GPU"}), Some("/ws/computes/gpu")),
            (serde_json::json!({"workspaceRef": {"name": "x"}}), None),
        ];
        for (spec, expected) in rows {
            let metadata = serde_json::json!({"name": "c", "namespace": "ml"});
            let object: DynamicObject =
                serde_json::from_value(serde_json::json!({"metadata": metadata, "spec": spec})).unwrap();
            let found = claim(key("ComputeCluster", &object), &object, &workspaces);
            assert_eq!(found.map(|claim| claim.arm_id).as_deref(), expected);
        }
    }
}
