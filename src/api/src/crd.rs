//! The custom resource definitions, generated: schemas from the types, rules from [`crate::rules`], and what the field
//! tables know about each field in its description.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::compute_cluster::ComputeCluster;
use crate::fields::{AzureDefault, Change, Evidence, Field};
use crate::registry::{self, Kind};
use crate::rules::{self, Rule};
use crate::workspace::Workspace;

/// `status.observedGeneration` of an object that the operator hasn't looked at yet.
pub const NOT_OBSERVED: i64 = -1;

/// A definition that could not be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The schema didn't turn into JSON or back.
    #[error("the definition of {kind} is not valid JSON: {source}")]
    Json {
        /// The kind.
        kind: &'static str,
        /// What was wrong.
        source: serde_json::Error,
    },
    /// A rule or a table row names a path that the schema doesn't have.
    #[error("the schema of {kind} has no {path}")]
    NoSuchPath {
        /// The kind.
        kind: &'static str,
        /// The dotted path.
        path: String,
    },
}

/// Every definition: plural name and the definition as JSON, in the order in which they are installed.
///
/// # Errors
/// When a rule or a table row names a field that isn't in the schema.
pub fn definitions() -> Result<Vec<(&'static str, Value)>, GenerateError> {
    let mut all = vec![("workspaces", definition("Workspace", Workspace::crd(), &rules::workspace(), &[])?)];
    for kind in registry::KINDS {
        let crd = typed(kind);
        all.push((kind.plural, definition(kind.kind, crd, &rules::target(kind), kind.table.fields)?));
    }
    Ok(all)
}

fn typed(kind: &Kind) -> CustomResourceDefinition {
    match kind.kind {
        "ComputeCluster" => ComputeCluster::crd(),
        // A kind in the registry without a line here fails the test below.
        _ => CustomResourceDefinition::default(),
    }
}

fn definition(
    kind: &'static str,
    crd: CustomResourceDefinition,
    rules: &[Rule],
    fields: &[Field],
) -> Result<Value, GenerateError> {
    let mut crd = serde_json::to_value(crd).map_err(|source| GenerateError::Json { kind, source })?;
    let missing = |path: &str| GenerateError::NoSuchPath { kind, path: path.to_owned() };
    let schema = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").ok_or_else(|| missing("schema"))?;
    if let Some(root) = schema.as_object_mut() {
        let about = root.get("properties").and_then(|p| p.pointer("/spec/description")).cloned();
        if let Some(about) = about {
            root.insert("description".to_owned(), about);
        }
        // Rules on the object read its name, so the schema has to say that it has one.
        if let Some(Value::Object(properties)) = root.get_mut("properties") {
            properties.insert("metadata".to_owned(), json!({"type": "object"}));
        }
    }
    tidy(schema);
    if let Some(Value::Object(status)) = node(schema, "status") {
        // To kstatus, and so to Flux and kpt, an object without a status is whole. One that the operator hasn't looked at
        // yet says instead that no generation of it was observed.
        status.insert("default".to_owned(), json!({"observedGeneration": NOT_OBSERVED}));
    }
    if let Some(fixed) = node(schema, "status.azure.fixed") {
        bound_fixed(fixed, fields);
    }
    for field in fields {
        let node = node(schema, field.manifest).ok_or_else(|| missing(field.manifest))?;
        describe(node, field);
    }
    for rule in rules {
        let node = node(schema, &rule.at).ok_or_else(|| missing(&rule.at))?;
        if let Some(object) = node.as_object_mut() {
            let list = object.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(json!({"rule": rule.rule, "message": rule.message}));
            }
        }
    }
    Ok(crd)
}

/// A property each, since rules over maps cost the API server too much.
fn bound_fixed(node: &mut Value, fields: &[Field]) {
    let property = |field: &Field| (rules::fixed_name(field), json!({"type": "string", "maxLength": 1024}));
    let properties: serde_json::Map<String, Value> = rules::fixed_fields(fields).map(property).collect();
    if let Some(object) = node.as_object_mut() {
        object.remove("additionalProperties");
        object.insert("properties".to_owned(), Value::Object(properties));
    }
}

/// Left out and null are the same in a manifest, so nothing is nullable; and Kubernetes knows no unsigned formats.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.remove("nullable");
            if let Some(format) = object.get_mut("format").filter(|format| *format == "uint32") {
                *format = Value::from("int32");
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn node<'a>(schema: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    if path.is_empty() {
        return Some(schema);
    }
    path.split('.').try_fold(schema, |at, key| at.get_mut("properties")?.get_mut(key))
}

/// What the table knows, in one or two sentences for `kubectl explain`.
pub fn sentences(field: &Field) -> String {
    let default = match field.default {
        AzureDefault::Value { words, .. } => format!("Azure's default: {words}."),
        AzureDefault::WorkspaceLocation => "Azure's default: the workspace's.".to_owned(),
        AzureDefault::Nothing => "Azure's default: none.".to_owned(),
        AzureDefault::Required => "Azure has no default.".to_owned(),
    };
    let change = match field.change {
        Change::Patch { .. } | Change::Put => "Changed in place.",
        Change::Replace => "Changing it needs a replacement.",
    };
    format!("{default} {change}")
}

fn describe(node: &mut Value, field: &Field) {
    if let Some(object) = node.as_object_mut() {
        let text = object.get("description").and_then(Value::as_str).unwrap_or_default();
        let text = format!("{text} {}", sentences(field)).trim().to_owned();
        object.insert("description".to_owned(), Value::from(text));
    }
}

/// One word for the evidence of a row.
pub const fn evidence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Documented => "Documented",
        Evidence::Recorded => "Recorded",
        Evidence::Assumed => "Assumed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_definition_with_its_rules() {
        let all = definitions().unwrap();
        assert_eq!(all.len(), registry::KINDS.len() + 1);
        for (plural, crd) in all {
            assert_eq!(crd["metadata"]["name"], format!("{plural}.azureml.dev"));
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            assert!(schema["properties"]["spec"]["x-kubernetes-validations"].as_array().unwrap().len() > 2);
        }
    }

    #[test]
    fn an_object_is_not_observed_until_the_operator_says_so() {
        for (_, crd) in definitions().unwrap() {
            let status = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
            assert_eq!(status["default"], json!({"observedGeneration": -1}));
        }
    }

    #[test]
    fn optional_fields_that_map_to_azure_have_no_default() {
        for (_, crd) in definitions().unwrap() {
            let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
            for (name, property) in spec.as_object().unwrap() {
                let policy = name.ends_with("Policy") || ["paused", "deletionProtection"].contains(&name.as_str());
                assert_eq!(property.get("default").is_some(), policy, "{name}: {property}");
            }
        }
    }
}
