//! The kinds' schemas, as the custom resource definitions hold them: defaults, unknown fields, shapes.

use std::collections::BTreeMap;

use azureml_api::crd::{GenerateError, definitions};
use azureml_catalog::nearest::nearest;
use regex::bytes::RegexBuilder;
use serde_json::{Map, Value};

/// What is wrong at a place in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place; empty for the whole object.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Fault {
    /// A fault.
    pub fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

/// The schema of each kind's `spec`, by kind.
pub struct Schemas(BTreeMap<String, Kind>);

struct Kind {
    plural: &'static str,
    spec: Value,
}

impl Schemas {
    /// Those of this release.
    ///
    /// # Errors
    /// When a definition can't be generated, which is a fault of this program.
    pub fn of_this_release() -> Result<Self, GenerateError> {
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
        let all = definitions()?.into_iter().map(|(plural, definition)| {
            let kind = definition.pointer("/spec/names/kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            (kind, Kind { plural, spec: definition.pointer(spec).cloned().unwrap_or(Value::Null) })
        });
        Ok(Self(all.collect()))
    }

    /// Whether this release has that kind.
    pub fn has(&self, kind: &str) -> bool {
        self.0.contains_key(kind)
    }

    /// The kinds' names.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The kind's plural, as in URLs.
    pub fn plural(&self, kind: &str) -> &'static str {
        self.0.get(kind).map_or("", |kind| kind.plural)
    }

    /// Makes of a spec what the API server would store: nulls go, defaults come.
    pub fn complete(&self, kind: &str, spec: &mut Value) {
        if let Some(kind) = self.0.get(kind) {
            complete(&kind.spec, spec);
        }
    }

    /// Everything in a completed spec that the schema refuses.
    pub fn faults(&self, kind: &str, spec: &Value) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Some(kind) = self.0.get(kind) {
            check(&kind.spec, spec, "spec", &mut faults);
        }
        faults
    }
}

fn complete(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                if let (None, Some(default)) = (object.get(name), property.get("default")) {
                    object.insert(name.clone(), default.clone());
                }
                if let Some(value) = object.get_mut(name) {
                    complete(property, value);
                }
            }
        }
        Value::Array(items) => {
            let schema = schema.get("items").unwrap_or(&Value::Null);
            items.iter_mut().for_each(|item| complete(schema, item));
        }
        _ => {}
    }
}

fn check(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) {
    let Some(wanted) = schema.get("type").and_then(Value::as_str) else { return };
    if !is_of_type(wanted, value) {
        let shown = if value.is_object() || value.is_array() { String::new() } else { format!(", not {value}") };
        faults.push(Fault::new(path, format!("has to be {}{shown}", article(wanted))));
        return;
    }
    let allowed = schema.get("enum").and_then(Value::as_array);
    if let Some(allowed) = allowed.filter(|allowed| !allowed.contains(value)) {
        let names: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        faults.push(Fault::new(path, format!("{value} isn't one of {}", names.join(", "))));
    }
    match value {
        Value::Object(object) => check_object(schema, object, path, faults),
        Value::Array(items) => {
            bounds(schema, ["minItems", "maxItems"], items.len() as f64, "entries", path, faults);
            let schema = schema.get("items").unwrap_or(&Value::Null);
            for (index, item) in items.iter().enumerate() {
                check(schema, item, &format!("{path}[{index}]"), faults);
            }
        }
        Value::String(text) => {
            bounds(schema, ["minLength", "maxLength"], text.chars().count() as f64, "characters", path, faults);
            if !fits_pattern(schema, text) {
                let pattern = schema.get("pattern").and_then(Value::as_str).unwrap_or_default();
                faults.push(Fault::new(path, format!("{text:?} doesn't fit the pattern {pattern}")));
            }
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            bounds(schema, ["minimum", "maximum"], number, "", path, faults);
        }
        Value::Bool(_) | Value::Null => {}
    }
}

fn check_object(schema: &Value, object: &Map<String, Value>, path: &str, faults: &mut Vec<Fault>) {
    bounds(schema, ["minProperties", "maxProperties"], object.len() as f64, "entries", path, faults);
    let properties = schema.get("properties").and_then(Value::as_object);
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in required.filter(|name| !object.contains_key(*name)) {
        faults.push(Fault::new(&format!("{path}.{name}"), "is required"));
    }
    let free = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    let others = schema.get("additionalProperties");
    for (name, value) in object {
        let at = format!("{path}.{name}");
        match (properties.and_then(|known| known.get(name)), others) {
            (Some(property), _) => check(property, value, &at, faults),
            (None, Some(other)) => check(other, value, &at, faults),
            (None, None) if free => {}
            (None, None) => {
                let known = properties.into_iter().flatten().map(|(name, _)| name.as_str());
                faults.push(Fault::new(&at, unknown("there is no such field", name, known)));
            }
        }
    }
}

/// Says that a name isn't known, and which are near.
pub fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = nearest(name, known, 2);
    if near.is_empty() { what.to_owned() } else { format!("{what}; the nearest: {}", near.join(", ")) }
}

fn is_of_type(wanted: &str, value: &Value) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn article(kind: &str) -> String {
    let words = match kind {
        "array" => "list",
        "string" => "text",
        "boolean" => "true or false",
        "integer" => "whole number",
        "object" => "group of fields",
        other => other,
    };
    if kind == "boolean" || kind == "string" { words.to_owned() } else { format!("a {words}") }
}

fn bounds(schema: &Value, keys: [&str; 2], size: f64, unit: &str, path: &str, faults: &mut Vec<Fault>) {
    let [least, most] = keys.map(|key| schema.get(key).and_then(Value::as_f64));
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    if let Some(least) = least.filter(|least| size < *least) {
        faults.push(Fault::new(path, format!("{size}{unit} is less than the least, {least}")));
    }
    if let Some(most) = most.filter(|most| size > *most) {
        faults.push(Fault::new(path, format!("{size}{unit} is more than the most, {most}")));
    }
}

/// Patterns are the API server's (RE2, of ASCII classes). One that doesn't compile is left to it.
fn fits_pattern(schema: &Value, text: &str) -> bool {
    let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else { return true };
    RegexBuilder::new(pattern).unicode(false).build().is_ok_and(|regex| regex.is_match(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(change: impl FnOnce(&mut Value)) -> Value {
        let mut spec = json!({"workspaceRef": {"name": "w"}, "vmSize": "Standard_D2", "scale": {"maxNodes": 4}});
        change(&mut spec);
        Schemas::of_this_release().unwrap().complete("ComputeCluster", &mut spec);
        spec
    }

    #[test]
    fn defaults_come_and_nulls_go_as_in_the_api_server() {
        let completed = spec(|spec| spec["location"] = Value::Null);
        assert_eq!(completed["adoptionPolicy"], "Refuse");
        assert_eq!(completed["paused"], false);
        assert_eq!(completed.get("location"), None);
        let mut workspace = json!({"allowedNamespaces": {}});
        Schemas::of_this_release().unwrap().complete("Workspace", &mut workspace);
        assert_eq!(workspace["allowedNamespaces"]["from"], "Same");
    }

    #[test]
    fn every_fault_is_named_with_its_path() {
        type Row = (fn(&mut Value), &'static str);
        let rows: [Row; 11] = [
            (|s| s["vmSiz"] = json!("x"), "spec.vmSiz: there is no such field; the nearest: vmSize"),
            (|s| s["scale"] = json!({"minNodes": 0}), "spec.scale.maxNodes: is required"),
            (|s| s["scale"]["maxNodes"] = json!("4"), "spec.scale.maxNodes: has to be a whole number, not \"4\""),
            (|s| s["scale"]["maxNodes"] = json!(-1), "spec.scale.maxNodes: -1 is less than the least, 0"),
            (|s| s["scale"]["maxNodes"] = json!(70000), "spec.scale.maxNodes: 70000 is more than the most, 65000"),
            (|s| s["paused"] = json!("yes"), "spec.paused: has to be true or false, not \"yes\""),
            (|s| s["vmPriority"] = json!("Low"), "spec.vmPriority: \"Low\" isn't one of Dedicated, LowPriority"),
            (|s| s["vmSize"] = json!(""), "spec.vmSize: 0 characters is less than the least, 1"),
            (|s| s["tags"] = json!({"a": 1}), "spec.tags.a: has to be text, not 1"),
            (
                |s| s["scale"]["idleBeforeScaleDown"] = json!("15 minutes"),
                "spec.scale.idleBeforeScaleDown: \"15 minutes\" doesn't fit the pattern",
            ),
            (
                |s| s["identity"] = json!({"type": "UserAssigned", "userAssignedIds": ["/a", ""]}),
                "spec.identity.userAssignedIds[1]: 0 characters",
            ),
        ];
        let schemas = Schemas::of_this_release().unwrap();
        assert_eq!(schemas.faults("ComputeCluster", &spec(|_| {})), []);
        for (change, expected) in rows {
            let faults = schemas.faults("ComputeCluster", &spec(change));
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].to_string().starts_with(expected), "{} is not {expected}", faults[0]);
        }
    }

    #[test]
    fn free_form_fields_take_anything() {
        let schemas = Schemas::of_this_release().unwrap();
        let spec = spec(|spec| spec["propertyBag"] = json!({"a": {"b": [1, "x"]}}));
        assert_eq!(schemas.faults("ComputeCluster", &spec), []);
    }
}
