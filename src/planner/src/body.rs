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

/// Body of a PUT over the live resource. An absent field in a PUT is a wipe, so every writable field that Azure has is
/// sent back as it is, under the managed ones.
pub fn put(input: &Input<'_>, live: &Value) -> Body {
    let mut body = Body { json: skeleton(input), secrets: Vec::new() };
    if let Some(location) = live.get("location") {
        set(&mut body.json, "location", location.clone());
    }
    for field in input.table.fields {
        if let Some(value) = lookup(live, field.wire).filter(|_| field.compare != Compare::PerKey) {
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
        Some(_) if field.manifest.ends_with("SecretRef") => body.secrets.push((field.manifest, field.wire)),
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
    for key in input.memory.applied.into_iter().flat_map(|applied| &applied.tags) {
        tags.remove(key);
    }
    tags.extend(wanted_tags(input, "spec.tags").into_iter().map(|(key, value)| (key, Value::from(value))));
    if !tags.is_empty() {
        set(json, "tags", Value::Object(tags));
    }
}
