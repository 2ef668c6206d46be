//! kubeconform: holds manifests against the schemas of a running API server, where no unknown field is let through.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::tools::Tool;
use crate::{ControlPlane, Error, Result, files};

/// What kubeconform says of manifests.
#[derive(Debug)]
pub struct Verdict {
    /// How many are valid.
    pub valid: usize,
    /// What is wrong with the others, each by its kind and name.
    pub faults: Vec<String>,
}

/// Judges manifests by the API server's schemas of their kinds. Kinds that it doesn't know are faults.
///
/// # Errors
/// If kubeconform can't be had or doesn't answer, or the API server doesn't.
pub fn judge(plane: &ControlPlane, manifests: &[Value]) -> Result<Verdict> {
    let folder = plane.dir().path().join("schemas");
    let versions: BTreeSet<&str> = manifests.iter().filter_map(|object| object["apiVersion"].as_str()).collect();
    for version in versions {
        write(plane, &folder, version)?;
    }
    let text: String = manifests.iter().map(|object| format!("---\n{object}\n")).collect();
    let file = folder.join("manifests.yaml");
    files::write_atomically(&file, &text)?;
    let place = format!("{}/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json", folder.display());
    let mut command = Command::new(Tool::Kubeconform.find_or_build()?);
    command.args(["-strict", "-verbose", "-output", "json", "-schema-location", &place]).arg(&file);
    let output = command.output().map_err(Error::io("run kubeconform"))?;
    let told = String::from_utf8_lossy(&output.stdout);
    let told: Value = serde_json::from_str(&told).map_err(|error| {
        let words = String::from_utf8_lossy(&output.stderr);
        Error::Invalid(format!("kubeconform printed no JSON: {error}: {told} {words}"))
    })?;
    let mut verdict = Verdict { valid: 0, faults: Vec::new() };
    for resource in told["resources"].as_array().into_iter().flatten() {
        match resource["status"].as_str() {
            Some("statusValid") => verdict.valid += 1,
            _ => verdict.faults.push(resource.to_string()),
        }
    }
    Ok(verdict)
}

/// Writes a file for each kind of an API version, if that isn't done yet.
fn write(plane: &ControlPlane, folder: &Path, api_version: &str) -> Result<()> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let place = folder.join(if group.is_empty() { version } else { group });
    if place.is_dir() {
        return Ok(());
    }
    let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
    let Ok(text) = plane.kubectl(&["get", "--raw", &format!("/openapi/v3/{path}")]) else { return Ok(()) };
    let document: Value = serde_json::from_str(&text)
        .map_err(|error| Error::Invalid(format!("the API server's schemas of {path} aren't JSON: {error}")))?;
    let mut schemas: BTreeMap<String, Value> =
        serde_json::from_value(document["components"]["schemas"].clone()).unwrap_or_default();
    schemas.values_mut().for_each(strict);
    files::create_dir_all(&place)?;
    for (name, schema) in &schemas {
        for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let text = |member: &str| kind[member].as_str().unwrap_or_default();
            if (text("group"), text("version")) != (group, version) {
                continue;
            }
            let root = json!({"$ref": format!("#/components/schemas/{name}"), "components": {"schemas": &schemas}});
            let file = place.join(format!("{}_{version}.json", text("kind").to_lowercase()));
            files::write_atomically(&file, &root.to_string())?;
        }
    }
    Ok(())
}

/// An OpenAPI schema as a JSON schema that knows no fields but its own.
fn strict(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    let any = members.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if members.contains_key("properties") && !members.contains_key("additionalProperties") && !any {
        members.insert("additionalProperties".into(), Value::Bool(false));
    }
    if members.get("nullable") == Some(&Value::Bool(true))
        && let Some(kind) = members.get("type").cloned()
    {
        members.insert("type".into(), json!([kind, "null"]));
    }
    if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(strict);
    }
    for below in ["items", "additionalProperties", "not"] {
        members.get_mut(below).into_iter().for_each(strict);
    }
    for below in ["allOf", "anyOf", "oneOf"] {
        members.get_mut(below).and_then(Value::as_array_mut).into_iter().flatten().for_each(strict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_become_strict_at_every_depth() {
        let mut schema = json!({
            "properties": {
                "properties": {"additionalProperties": {"properties": {}}},
                "free": {"properties": {}, "x-kubernetes-preserve-unknown-fields": true},
                "many": {"items": {"properties": {"a": {"type": "string", "nullable": true}}}},
            },
        });
        strict(&mut schema);
        let want = json!({
            "additionalProperties": false,
            "properties": {
                "properties": {"additionalProperties": {"properties": {}, "additionalProperties": false}},
                "free": {"properties": {}, "x-kubernetes-preserve-unknown-fields": true},
                "many": {"items": {
                    "additionalProperties": false,
                    "properties": {"a": {"type": ["string", "null"], "nullable": true}},
                }},
            },
        });
        assert_eq!(schema, want);
    }
}
