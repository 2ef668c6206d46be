//! Compares the field table of clusters with a list of how Azure changes each field, where that list is at hand: in
//! `azure/mutability.tsv` below the folder that AZUREML_SHARED names (default: `../shared` from the workspace root).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::path::{Path, PathBuf};

use azureml_api::compute_cluster::TABLE;
use azureml_api::crd::evidence;
use azureml_api::fields::{Change, Field};

/// Rows of the list that the table deliberately doesn't have, and why.
const DELIBERATE: &[(&str, &str)] = &[
    ("location", "the envelope's region is the workspace's and no field of the manifest: a PUT takes it from there"),
    ("properties.computeType", "stands in the table's head, since it is what makes the kind"),
    ("properties.resourceId", "names what is attached, and a managed cluster isn't attached"),
    ("sku", "Azure doesn't give it back, so a manifest couldn't be kept in sync with it"),
];

struct Row {
    path: String,
    change: String,
    evidence: String,
}

/// The list's rows for clusters, its own and those for every type; `None` where there is no list.
fn list() -> Option<Vec<Row>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("AZUREML_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let file = root.join(folder).join("azure/mutability.tsv");
    let Ok(text) = std::fs::read_to_string(&file) else {
        println!("skipped: there is no {}", file.display());
        return None;
    };
    let rows = text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    let rows = rows.filter(|row| ["*", TABLE.compute_type].contains(&row[0])).map(|row| Row {
        path: row[1].to_owned(),
        change: row[2].to_owned(),
        evidence: row[3].to_owned(),
    });
    Some(rows.collect())
}

/// The table's rows at or below a path on the wire.
fn below(path: &str) -> Vec<&'static Field> {
    let inside = |wire: &str| wire == path || wire.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    TABLE.fields.iter().filter(|field| inside(field.wire)).collect()
}

fn change(field: &Field) -> &'static str {
    match field.change {
        Change::Patch { .. } => "Patch",
        Change::Put => "Put",
        Change::Replace => "Replace",
    }
}

#[test]
fn the_table_says_what_the_list_says() {
    let Some(list) = list() else { return };
    assert!(list.len() > 10, "the list has only {} rows for clusters", list.len());
    for row in &list {
        let fields = below(&row.path);
        if let Some((_, why)) = DELIBERATE.iter().find(|(path, _)| *path == row.path) {
            assert!(fields.is_empty(), "{} is in the table after all, though: {why}", row.path);
            continue;
        }
        assert!(!fields.is_empty(), "{} isn't in the table", row.path);
        for field in fields {
            assert_eq!(change(field), row.change, "{}", field.manifest);
            assert_eq!(evidence(field.evidence), row.evidence, "{}", field.manifest);
        }
    }
}

#[test]
fn the_table_has_nothing_that_the_list_lacks() {
    let Some(list) = list() else { return };
    for field in TABLE.fields {
        assert!(list.iter().any(|row| below(&row.path).iter().any(|f| f.wire == field.wire)), "{}", field.manifest);
    }
}

#[test]
fn a_patch_carries_what_the_list_patches() {
    let Some(list) = list() else { return };
    let patched: Vec<&str> = list.iter().filter(|row| row.change == "Patch").map(|row| row.path.as_str()).collect();
    for field in TABLE.fields {
        if let Change::Patch { object } = field.change {
            assert!(patched.contains(&object), "{} is patched as {object}", field.manifest);
        }
    }
}

#[test]
fn deliberate_differences_are_in_the_list() {
    let Some(list) = list() else { return };
    for (path, _) in DELIBERATE {
        assert!(list.iter().any(|row| row.path == *path), "{path} isn't in the list any more");
    }
}
