//! What differs between the manifest and Azure, field by field, as the field table says.

use std::collections::BTreeSet;

use azureml_api::common::ManagementPolicy;
use azureml_api::duration::Seconds;
use azureml_api::fields::{Change, Compare, Field, lookup};
use azureml_api::status::Applied;
use azureml_api::{OWNER_TAG, UID_TAG};
use serde_json::Value;

use crate::input::Input;

/// A field that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// Path in the manifest; a tag's key in brackets (`spec.tags[team]`).
    pub path: String,
    /// The table's row.
    pub row: &'static str,
    /// What Azure has, in words.
    pub from: String,
    /// What it shall have, in words.
    pub to: String,
    /// How it changes.
    pub change: Change,
    /// Whether Azure has a value of its own there.
    pub in_azure: Presence,
}

/// Whether Azure shows a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It does.
    Shown,
    /// It doesn't, or never would.
    NotShown,
}

/// Everything that differs, in the table's order.
pub fn diff(input: &Input<'_>, live: &Value) -> Vec<FieldChange> {
    input
        .table
        .fields
        .iter()
        .flat_map(|field| match field.compare {
            Compare::PerKey => per_key(input, field, live),
            Compare::Hash => hashed(input, field).into_iter().collect(),
            _ => plain(input, field, live).into_iter().collect(),
        })
        .collect()
}

/// The paths in the manifest that are set, which is what the operator manages.
pub fn managed(input: &Input<'_>) -> Vec<String> {
    let set = |field: &&Field| lookup(input.manifest, field.manifest).is_some();
    input.table.fields.iter().filter(set).map(|field| field.manifest.to_owned()).collect()
}

/// The keys of tags that the operator manages.
pub fn managed_tags(input: &Input<'_>) -> Vec<String> {
    wanted_tags(input, "spec.tags").into_iter().map(|(key, _)| key).collect()
}

/// The tags that the resource shall carry: the manifest's and the owner's. Azure's tag names have no case, so of two that
/// differ in nothing else only the later one can be had; the owner's come last.
pub fn wanted_tags(input: &Input<'_>, path: &str) -> Vec<(String, String)> {
    let given = lookup(input.manifest, path).and_then(Value::as_object).into_iter().flatten();
    let given = given.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    let manages = input.policies.management_policy == ManagementPolicy::Manage;
    let own = input.owner.tags().into_iter().filter(|_| manages).map(|(key, value)| (key.to_owned(), value));
    let mut tags: Vec<(String, String)> = Vec::new();
    for tag in given.chain(own) {
        tags.retain(|(key, _)| !key.eq_ignore_ascii_case(&tag.0));
        tags.push(tag);
    }
    tags
}

fn was_managed(applied: Option<&Applied>, path: &str) -> bool {
    applied.is_some_and(|applied| applied.fields.iter().any(|field| field == path))
}

fn plain(input: &Input<'_>, field: &'static Field, live: &Value) -> Option<FieldChange> {
    let default = field.default_on_wire(input.facts.workspace_location.as_deref());
    let wanted = match lookup(input.manifest, field.manifest) {
        Some(value) => field.to_wire(value),
        None if was_managed(input.memory.applied, field.manifest) => default.clone(),
        None => return None,
    };
    let shown = lookup(live, field.wire).cloned();
    let in_azure = if shown.is_some() { Presence::Shown } else { Presence::NotShown };
    let has = shown.unwrap_or(default);
    (!equal(field.compare, &wanted, &has)).then(|| FieldChange {
        path: field.manifest.to_owned(),
        row: field.manifest,
        from: field.words(&has),
        to: field.words(&wanted),
        change: field.change,
        in_azure,
    })
}

/// The id of the key that a hash was made with, before its colon. Hashes of different keys can't be compared.
fn key_of(hash: &str) -> &str {
    hash.split_once(':').map_or("", |(key, _)| key)
}

/// A write-only value differs when its hash isn't the one that was last written. Without such a hash nothing is known,
/// so it is left alone, unless the manifest that was applied last didn't have the field at all.
fn hashed(input: &Input<'_>, field: &'static Field) -> Option<FieldChange> {
    let before = input.memory.applied.and_then(|applied| applied.hashes.get(field.manifest));
    let now = input.hashes.get(field.manifest);
    if before.zip(now).is_some_and(|(before, now)| key_of(before) != key_of(now)) {
        return None;
    }
    let wanted = lookup(input.manifest, field.manifest).is_some();
    let added = input.memory.applied.is_some_and(|applied| applied.generation.is_some())
        && !was_managed(input.memory.applied, field.manifest);
    let (from, to) = match (before, now) {
        (Some(before), Some(now)) if before != now => ("(secret)", "(another secret)"),
        (Some(_), None) if !wanted => ("(secret)", "(none)"),
        (None, Some(_)) if added => ("(none)", "(secret)"),
        _ => return None,
    };
    Some(FieldChange {
        path: field.manifest.to_owned(),
        row: field.manifest,
        from: from.to_owned(),
        to: to.to_owned(),
        change: field.change,
        in_azure: Presence::NotShown,
    })
}

/// Azure's tag names have no case: a key is looked up, and dropped, whatever its case.
fn per_key(input: &Input<'_>, field: &'static Field, live: &Value) -> Vec<FieldChange> {
    let shown = lookup(live, field.wire).and_then(Value::as_object);
    let has = |key: &str| {
        let found = shown.into_iter().flatten().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.and_then(|(_, value)| value.as_str()).map(str::to_owned)
    };
    let change = |key: &str, from: Option<String>, to: Option<String>| FieldChange {
        path: format!("{}[{key}]", field.manifest),
        row: field.manifest,
        in_azure: if from.is_some() { Presence::Shown } else { Presence::NotShown },
        from: from.unwrap_or_else(|| "(none)".to_owned()),
        to: to.unwrap_or_else(|| "(none)".to_owned()),
        change: field.change,
    };
    let wanted = wanted_tags(input, field.manifest);
    // Observed resources keep the owner's tags that an earlier Manage put there.
    let keep: BTreeSet<String> =
        wanted.iter().map(|(key, _)| key.as_str()).chain([OWNER_TAG, UID_TAG]).map(str::to_ascii_lowercase).collect();
    let dropped = input
        .memory
        .applied
        .into_iter()
        .flat_map(|applied| &applied.tags)
        .filter(|key| !keep.contains(&key.to_ascii_lowercase()))
        .filter_map(|key| Some(change(key, Some(has(key)?), None)));
    wanted
        .iter()
        .filter(|(key, value)| has(key).as_ref() != Some(value))
        .map(|(key, value)| change(key, has(key), Some(value.clone())))
        .chain(dropped)
        .collect()
}

/// Whether two values on the wire mean the same.
pub fn equal(compare: Compare, a: &Value, b: &Value) -> bool {
    let both = || Some((a.as_str()?, b.as_str()?));
    match compare {
        Compare::Exact | Compare::PerKey | Compare::Hash => a == b,
        Compare::IgnoreCase => both().map_or(a == b, |(a, b)| a.eq_ignore_ascii_case(b)),
        Compare::Location => both().map_or(a == b, |(a, b)| location(a) == location(b)),
        Compare::Duration => {
            both().map_or(a == b, |(x, y)| match (Seconds::from_iso8601(x), Seconds::from_iso8601(y)) {
                (Ok(x), Ok(y)) => x == y,
                _ => x == y,
            })
        }
        Compare::Identity => identity(a) == identity(b),
    }
}

/// A region's name in its short form: `West Europe` is `westeurope`.
pub fn location(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

/// An identity as its type and its user-assigned ids; absent and `None` are the same.
fn identity(value: &Value) -> (String, BTreeSet<String>) {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or("None").to_lowercase();
    let ids = value.get("userAssignedIdentities").and_then(Value::as_object).into_iter().flatten();
    (kind, ids.map(|(id, _)| id.to_lowercase()).collect())
}
