//! A kind's page, from its definition and, where it has one, its field table.

use serde_json::{Map, Value};

use super::NOTE;
use crate::crd::evidence;
use crate::fields::{AzureDefault, Change, Field};

/// Fields whose parts Kubernetes itself explains.
const KUBERNETES_OWN: [&str; 2] = ["spec.allowedNamespaces.selector", "status.conditions"];

/// The page of one kind: each field of its spec and status, the rules that the API server holds, the columns that
/// `kubectl get` prints.
pub fn kind(definition: &Value, table: &[Field]) -> String {
    let at = |pointer: &str| definition.pointer(pointer).cloned().unwrap_or_default();
    let text = |pointer: &str| at(pointer).as_str().unwrap_or_default().to_owned();
    let version = at("/spec/versions/0");
    let schema = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default();
    let (name, plural, group) = (text("/spec/names/kind"), text("/spec/names/plural"), text("/spec/group"));
    let short = text("/spec/names/shortNames/0");
    let api = version["name"].as_str().unwrap_or_default();
    let mut page = format!(
        "{NOTE}\n# {name}\n\n{}\n\n`apiVersion: {group}/{api}`, `kind: {name}`; in kubectl `{plural}`, `{short}`, and \
         with all other kinds `azureml`.\n",
        one_line(&schema)
    );
    page.push_str("\n## Manifest\n\n| field | type | default | changes |\n|---|---|---|---|\n");
    let spec = fields("spec", &schema["properties"]["spec"]);
    for field in &spec {
        page.push_str(&summary(field, table));
    }
    for field in &spec {
        page.push_str(&section(field, table));
    }
    page.push_str(&rules(&schema, &spec));
    page.push_str("\n## Status\n\n| field | type | what |\n|---|---|---|\n");
    // What has no words of its own mirrors the manifest, as its parent says.
    let status = fields("status", &schema["properties"]["status"]);
    for field in status.iter().filter(|field| field.schema.get("description").is_some()) {
        let mut what = one_line(field.schema).replace('|', "\\|");
        if field.schema.get("enum").is_some() {
            what.push_str(&allowed(field.schema).map(|values| format!(" One of {values}.")).unwrap_or_default());
        }
        page.push_str(&format!("| `{}` | {} | {what} |\n", field.path, kind_of(field.schema)));
    }
    page.push_str("\n## Columns of kubectl get\n\n| column | from |\n|---|---|\n");
    for column in version["additionalPrinterColumns"].as_array().into_iter().flatten() {
        let wide = if column["priority"].as_i64().unwrap_or_default() > 0 { " (with `-o wide`)" } else { "" };
        let word = |member: &str| column[member].as_str().unwrap_or_default().to_owned();
        page.push_str(&format!("| {}{wide} | `{}` |\n", word("name"), word("jsonPath")));
    }
    page
}

/// A field of the schema with where it stands.
struct Node<'a> {
    path: String,
    schema: &'a Value,
    required: bool,
}

/// All fields below a node, parents before their parts.
fn fields<'a>(path: &str, schema: &'a Value) -> Vec<Node<'a>> {
    let mut all = Vec::new();
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, below) in schema["properties"].as_object().into_iter().flat_map(Map::iter) {
        let path = format!("{path}.{name}");
        all.push(Node { path: path.clone(), schema: below, required: required.contains(&name.as_str()) });
        if KUBERNETES_OWN.contains(&path.as_str()) {
            continue;
        }
        if below["type"] == "array" {
            all.extend(fields(&format!("{path}[]"), &below["items"]));
        } else {
            all.extend(fields(&path, below));
        }
    }
    all
}

/// A line in the table of all fields, which leads to the field's section.
fn summary(node: &Node<'_>, table: &[Field]) -> String {
    let row = row(table, &node.path);
    let required = if node.required { "**required**" } else { "" };
    let default = default(node, row).unwrap_or_default();
    let changes = match row.map(|row| row.change) {
        Some(Change::Patch { .. } | Change::Put) => "in place",
        Some(Change::Replace) => "replacement",
        None => "",
    };
    let default = if default.is_empty() { required.to_owned() } else { default };
    format!("| [`{0}`](#{1}) | {2} | {default} | {changes} |\n", node.path, anchor(&node.path), kind_of(node.schema))
}

fn section(node: &Node<'_>, table: &[Field]) -> String {
    let row = row(table, &node.path);
    let mut text = format!("\n### {}\n\n{}\n\n", node.path, one_line(node.schema));
    let mut item = |name: &str, what: &str| text.push_str(&format!("- {name}: {what}\n"));
    let required = if node.required { ", required" } else { "" };
    item("type", &format!("{}{required}", kind_of(node.schema)));
    if let Some(default) = default(node, row) {
        item("default", &default);
    }
    if let Some(allowed) = allowed(node.schema) {
        item("allowed", &allowed);
    }
    for rule in messages(node.schema).filter(|rule| !rule.is_empty()) {
        item("rule", &rule);
    }
    if let Some(row) = row {
        item("in Azure", &format!("`{}`, since api-version {}", row.wire, row.since));
        let how = match row.change {
            Change::Patch { .. } => "in place, by PATCH",
            Change::Put => "in place, by PUT",
            Change::Replace => "only by a [replacement](../concepts/policies.md#replacementpolicy)",
        };
        item("a change is made", how);
        item("evidence", &format!("{}: {}", evidence(row.evidence), row.source));
    }
    text
}

/// The row of the table for a path in the manifest.
fn row<'t>(table: &'t [Field], path: &str) -> Option<&'t Field> {
    table.iter().find(|row| row.manifest == path)
}

/// What is there when the field is left out: by the schema, or by Azure.
fn default(node: &Node<'_>, row: Option<&Field>) -> Option<String> {
    if let Some(default) = node.schema.get("default") {
        return Some(format!("`{}`", plain(default)));
    }
    match row?.default {
        AzureDefault::Value { words, .. } => Some(format!("Azure's: `{words}`")),
        AzureDefault::WorkspaceLocation => Some("Azure's: the workspace's".to_owned()),
        AzureDefault::Nothing | AzureDefault::Required => None,
    }
}

/// What the schema allows: the values of an enum, or bounds and a pattern.
fn allowed(schema: &Value) -> Option<String> {
    if let Some(values) = schema["enum"].as_array() {
        return Some(values.iter().map(|value| format!("`{}`", plain(value))).collect::<Vec<_>>().join(", "));
    }
    let number = |name: &str| schema.get(name).and_then(Value::as_f64);
    let mut parts = Vec::new();
    for (least, most, unit) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " keys"),
    ] {
        match (number(least), number(most)) {
            (Some(least), Some(most)) if least == most => parts.push(format!("{most}{unit}")),
            (Some(least), Some(most)) => parts.push(format!("{least} to {most}{unit}")),
            (None, Some(most)) => parts.push(format!("up to {most}{unit}")),
            (Some(least), None) => parts.push(format!("from {least}{unit}")),
            (None, None) => {}
        }
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        parts.push(format!("matching `{pattern}`"));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The type in a reader's words.
fn kind_of(schema: &Value) -> String {
    let kind = schema["type"].as_str().unwrap_or("any");
    match kind {
        "array" => format!("list of {}", kind_of(&schema["items"])),
        "object" if schema.get("additionalProperties").is_some() => {
            format!("map to {}", kind_of(&schema["additionalProperties"]))
        }
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        other => other.to_owned(),
    }
}

/// The rules of the object and its spec, those of single fields aside.
fn rules(schema: &Value, fields: &[Node<'_>]) -> String {
    let mut text = String::from(
        "\n## Rules\n\nWhat the API server refuses, and with what words, beside what each field allows:\n\n",
    );
    for message in messages(schema).chain(messages(&schema["properties"]["spec"])) {
        text.push_str(&format!("- {message}\n"));
    }
    for field in fields {
        messages(field.schema).for_each(|message| text.push_str(&format!("- {message}\n")));
    }
    text
}

fn messages(schema: &Value) -> impl Iterator<Item = String> {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    rules.filter_map(|rule| rule["message"].as_str()).map(str::to_owned)
}

/// The description without its line breaks.
fn one_line(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The anchor of a heading that is a path: both mdBook and code hosts drop dots and brackets.
fn anchor(path: &str) -> String {
    path.to_lowercase().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crd, registry};

    #[test]
    fn every_field_and_rule_of_every_kind_is_on_its_page() {
        for (plural, definition) in crd::definitions().unwrap() {
            let table = registry::KINDS.iter().find(|kind| kind.plural == plural).map(|kind| kind.table.fields);
            let table = table.unwrap_or_default();
            let page = kind(&definition, table);
            let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            let spec = fields("spec", &schema["properties"]["spec"]);
            assert!(spec.len() > 8);
            for field in &spec {
                assert!(page.contains(&format!("\n### {}\n\n", field.path)), "{}", field.path);
                assert!(!one_line(field.schema).is_empty(), "{} of {plural} isn't explained", field.path);
            }
            for row in table {
                assert!(page.contains(row.wire) && spec.iter().any(|field| field.path == row.manifest), "{row:?}");
            }
            let rules = definition.to_string().matches("\"message\":\"").count();
            let told = page.split("\n## Rules\n").nth(1).unwrap().split("\n## Status\n").next().unwrap();
            assert_eq!(told.matches("\n- ").count(), rules, "{plural}");
        }
    }
}
