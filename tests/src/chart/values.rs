//! The chart's `values.yaml` as a JSON schema and as a table for its README.
//!
//! A comment that begins with `# --` says what the value below it is for; `# @schema` after a value says more of it than
//! its default shows: `enum:[a, b]`, `type:integer`, `minimum:1`, `item:string`, several with semicolons between them.

use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// One value that is described.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The way to it.
    pub path: Vec<String>,
    /// What it is for.
    pub about: String,
    /// Its default.
    pub default: Value,
    /// What `@schema` says.
    pub schema: Map<String, Value>,
}

/// The described values, in the order of the file.
///
/// # Errors
/// If the text isn't YAML, a value isn't described, or an `@schema` can't be read.
pub fn entries(text: &str) -> Result<Vec<Entry>> {
    let defaults: Value = serde_yaml_ng::from_str(text).map_err(|error| invalid(&error.to_string()))?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut about: Option<String> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(more) = line.strip_prefix('#') {
            about = described(about, more.trim());
            continue;
        }
        let Some((key, rest)) = line.split_once(':').filter(|_| !line.starts_with('-')) else { continue };
        path.retain(|(at, _)| *at < indent);
        path.push((indent, key.to_string()));
        let names: Vec<String> = path.iter().map(|(_, name)| name.clone()).collect();
        let inside = entries.iter().any(|entry| names.len() > entry.path.len() && names.starts_with(&entry.path));
        match about.take() {
            Some(about) => {
                let default = defaults.pointer(&format!("/{}", names.join("/"))).cloned().unwrap_or_default();
                let schema = rest.split_once("# @schema ").map_or(Ok(Map::new()), |(_, said)| said_of(said))?;
                entries.push(Entry { path: names, about, default, schema });
            }
            None if inside || rest.trim().is_empty() => {}
            None => return Err(invalid(&format!("{} has no comment that begins with `# --`", names.join(".")))),
        }
    }
    Ok(entries)
}

/// A comment goes on until the value that it is for.
fn described(before: Option<String>, more: &str) -> Option<String> {
    match (more.strip_prefix("-- "), before) {
        (Some(begun), _) => Some(begun.to_string()),
        (None, Some(before)) => Some(format!("{before} {more}")),
        (None, None) => None,
    }
}

fn said_of(said: &str) -> Result<Map<String, Value>> {
    let mut schema = Map::new();
    for clause in said.split(';') {
        let (name, value) = clause.split_once(':').ok_or_else(|| invalid(&format!("@schema {clause}")))?;
        let value: Value = serde_yaml_ng::from_str(value).map_err(|error| invalid(&error.to_string()))?;
        match name.trim() {
            "item" => drop(schema.insert("items".into(), json!({"type": value}))),
            name => drop(schema.insert(name.into(), value)),
        }
    }
    Ok(schema)
}

/// The schema of all values: what isn't among them is a mistake.
pub fn schema(entries: &[Entry]) -> Value {
    let mut root = object("Values of the chart azureml-operator");
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    root["properties"]["global"] = json!({"type": "object"});
    for entry in entries {
        let mut place = &mut root;
        for name in &entry.path[..entry.path.len() - 1] {
            let properties = &mut place["properties"];
            if properties[name].is_null() {
                properties[name] = object("");
            }
            place = &mut properties[name];
        }
        let name = &entry.path[entry.path.len() - 1];
        place["properties"][name] = leaf(entry);
    }
    root
}

fn object(about: &str) -> Value {
    let mut object = json!({"type": "object", "additionalProperties": false, "properties": {}});
    if !about.is_empty() {
        object["description"] = json!(about);
    }
    object
}

fn leaf(entry: &Entry) -> Value {
    let kind = match &entry.default {
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::String(_) | Value::Null => "string",
    };
    let mut schema = Map::from_iter([("type".into(), json!(kind)), ("description".into(), json!(entry.about))]);
    schema.extend(entry.schema.clone());
    Value::Object(schema)
}

/// The table of all values.
pub fn table(entries: &[Entry]) -> String {
    let mut table = String::from("| value | default | what |\n|---|---|---|\n");
    for Entry { path, about, default, .. } in entries {
        let about = about.replace('|', "\\|");
        table.push_str(&format!("| `{}` | `{default}` | {about} |\n", path.join(".")));
    }
    table
}

fn invalid(what: &str) -> Error {
    Error::Invalid(format!("values.yaml: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A file.\n\n# -- How many.\n# At least one.\ncount: 2 # @schema minimum:1\nimage:\n  # -- Where from.\n  \
        pull: Always # @schema enum:[Always, Never]\n  # -- Labels.\n  labels:\n    a: b\n";

    #[test]
    fn values_become_a_schema_and_a_table() {
        let entries = entries(TEXT).unwrap();
        let paths: Vec<String> = entries.iter().map(|entry| entry.path.join(".")).collect();
        assert_eq!(paths, ["count", "image.pull", "image.labels"]);
        let schema = schema(&entries);
        let count = json!({"type": "integer", "minimum": 1, "description": "How many. At least one."});
        assert_eq!(schema["properties"]["count"], count);
        assert_eq!(schema["properties"]["image"]["properties"]["pull"]["enum"], json!(["Always", "Never"]));
        assert_eq!(schema["properties"]["image"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["image"]["properties"]["labels"]["type"], "object");
        assert!(table(&entries).contains("| `image.labels` | `{\"a\":\"b\"}` | Labels. |"));
    }

    #[test]
    fn what_is_not_described_is_told() {
        assert!(super::entries("a: 1\n").unwrap_err().to_string().contains("a has no comment"));
        assert!(super::entries("# -- A.\na: 1 # @schema minimum\n").is_err());
    }
}
