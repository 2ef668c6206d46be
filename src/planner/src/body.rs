//! Bodies of writes.

use azureml_api::fields::{Change, Compare, Convert, Field, lookup, set};
use serde_json::{Map, Value, json};

use crate::diff::wanted_tags;
use crate::input::Input;
use crate::plan::Body;

/// Body of a PUT that creates the resource: what the manifest says and the owner's tags, nothing else.
pub fn create(input: &Input<'_>) -> Body {
    let mut body = Body { json: skeleton(input), secrets: Vec::new() };
    for field in input.table.fields {
        lay(input, field, &mut body);
    }
    set_tags(input, &mut body.json, None);
    body
}

/// Paths on the wire that Azure takes in a PUT and that no manifest sets.
const KEPT: [&str; 3] = ["location", "sku", "properties.resourceId"];

/// Body of a PUT over the live resource. An absent field in a PUT is a wipe, so every writable field that Azure has is
/// sent back as it is, under the managed ones.
pub fn put(input: &Input<'_>, live: &Value) -> Body {
    let mut body = Body { json: skeleton(input), secrets: Vec::new() };
    for path in KEPT {
        if let Some(value) = lookup(live, path) {
            set(&mut body.json, path, value.clone());
        }
    }
    for field in input.table.fields {
        let carried = field.compare != Compare::PerKey && !from_secret(field);
        if let Some(value) = lookup(live, field.wire).filter(|_| carried) {
            set(&mut body.json, field.wire, writable(field, value));
        }
        lay(input, field, &mut body);
    }
    set_tags(input, &mut body.json, Some(live));
    body
}

/// Body of a PATCH of one object: all of that object's fields, the managed ones as the manifest says.
pub fn patch(input: &Input<'_>, object: &str, live: &Value) -> Body {
    let mut body = Body { json: json!({}), secrets: Vec::new() };
    let part_of = |field: &&Field| matches!(field.change, Change::Patch { object: of } if of == object);
    for field in input.table.fields.iter().filter(part_of) {
        if let Some(value) = lookup(live, field.wire) {
            set(&mut body.json, field.wire, value.clone());
        } else if let default @ (Value::Number(_) | Value::String(_) | Value::Bool(_)) = field.default_on_wire(None) {
            set(&mut body.json, field.wire, default);
        }
        lay(input, field, &mut body);
    }
    body
}

fn skeleton(input: &Input<'_>) -> Value {
    let mut json = json!({"properties": {"computeType": input.table.compute_type, "properties": {}}});
    if let Some(location) = &input.facts.workspace_location {
        set(&mut json, "location", Value::from(location.clone()));
    }
    json
}

/// Lays the manifest's value of a field into the body. One that the manifest dropped and that we managed goes back to
/// Azure's default.
fn lay(input: &Input<'_>, field: &'static Field, body: &mut Body) {
    if field.compare == Compare::PerKey {
        return;
    }
    match lookup(input.manifest, field.manifest) {
        Some(_) if from_secret(field) => body.secrets.push((field.manifest, field.wire)),
        Some(value) => set(&mut body.json, field.wire, field.to_wire(value)),
        None if input.memory.applied.is_some_and(|a| a.fields.iter().any(|path| path == field.manifest)) => {
            match field.default_on_wire(input.facts.workspace_location.as_deref()) {
                Value::Null => azureml_api::fields::remove(&mut body.json, field.wire),
                default => set(&mut body.json, field.wire, default),
            }
        }
        None => {}
    }
}

/// Whether the value comes from a Secret, and so never stands in a plan's body.
fn from_secret(field: &Field) -> bool {
    field.manifest.ends_with("SecretRef")
}

/// A live value without what only Azure writes.
fn writable(field: &Field, value: &Value) -> Value {
    if field.convert != Convert::Identity {
        return value.clone();
    }
    let mut identity = Map::new();
    if let Some(kind) = value.get("type") {
        identity.insert("type".to_owned(), kind.clone());
    }
    if let Some(ids) = value.get("userAssignedIdentities").and_then(Value::as_object) {
        let ids = ids.keys().map(|id| (id.clone(), json!({})));
        identity.insert("userAssignedIdentities".to_owned(), Value::Object(ids.collect()));
    }
    Value::Object(identity)
}

fn set_tags(input: &Input<'_>, json: &mut Value, live: Option<&Value>) {
    let mut tags: Map<String, Value> =
        live.and_then(|live| lookup(live, "tags")).and_then(Value::as_object).cloned().unwrap_or_default();
    let wanted = wanted_tags(input, "spec.tags");
    let managed = |key: &str| {
        let before = input.memory.applied.into_iter().flat_map(|applied| &applied.tags);
        wanted.iter().map(|(key, _)| key).chain(before).any(|name| name.eq_ignore_ascii_case(key))
    };
    tags.retain(|key, _| !managed(key));
    tags.extend(wanted.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))));
    if !tags.is_empty() {
        set(json, "tags", Value::Object(tags));
    }
}
