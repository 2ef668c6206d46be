//! The rules that the API server holds (CEL): by hand where they speak of several fields, generated from the field
//! tables for fields that Azure can't change in place.

use crate::fields::{Change, Field, FieldTable};
use crate::registry::Kind;

/// A rule and where in the schema it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Dotted path of the schema node that it is about; empty for the object itself.
    pub at: String,
    /// CEL expression.
    pub rule: String,
    /// What to do, naming the field.
    pub message: String,
}

fn rule(at: &str, expression: &str, message: &str) -> Rule {
    Rule { at: at.to_owned(), rule: expression.to_owned(), message: message.to_owned() }
}

/// The rules of `Workspace`.
pub fn workspace() -> Vec<Rule> {
    let mut rules = vec![
        immutable("subscriptionId"),
        immutable("resourceGroup"),
        immutable_optional("azureName"),
        rule(
            "spec.allowedNamespaces",
            "has(self.selector) == (has(self.from) && self.from == 'Selector')",
            "spec.allowedNamespaces.selector goes with from: Selector, and only with it",
        ),
        rule(
            "",
            "(has(self.spec.azureName) ? self.spec.azureName : self.metadata.name)\
             .matches('^[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}$')",
            "Azure allows workspace names of 3 to 33 letters, digits, hyphens and underscores: \
             set spec.azureName (default: metadata.name)",
        ),
    ];
    rules.extend(duration_rule("spec.observeInterval"));
    rules
}

/// The rules of a kind that stands for a compute.
pub fn target(kind: &Kind) -> Vec<Rule> {
    let mut rules = vec![
        rule(
            "spec",
            "self.workspaceRef == oldSelf.workspaceRef",
            "spec.workspaceRef can't be changed: delete the object and create it again",
        ),
        immutable_optional("azureName"),
        rule(
            "spec",
            "self.managementPolicy != 'Observe' || self.deletionPolicy != 'Delete'",
            "managementPolicy: Observe never deletes: set deletionPolicy: Orphan beside it",
        ),
    ];
    if kind.kind == "ComputeCluster" {
        rules.extend(compute_cluster());
    }
    rules.extend(kind.table.fields.iter().filter(|field| guards(field)).map(replacement));
    rules
}

fn compute_cluster() -> Vec<Rule> {
    let mut rules = vec![
        rule(
            "spec.scale",
            "!has(self.minNodes) || self.minNodes <= self.maxNodes",
            "spec.scale.minNodes can't be above spec.scale.maxNodes",
        ),
        rule(
            "",
            "self.spec.managementPolicy == 'Observe' || self.spec.adoptionPolicy == 'Adopt' || \
             [has(self.spec.azureName) ? self.spec.azureName : self.metadata.name].all(name, \
             name.matches('^[a-zA-Z][a-zA-Z0-9-]{2,23}$') && !name.matches('-[0-9]+$'))",
            "Azure allows cluster names of 3 to 24 letters, digits and hyphens that start with a letter and don't end \
             in a hyphen and digits: set spec.azureName (default: metadata.name)",
        ),
        rule(
            "spec.identity",
            "(self.type == 'UserAssigned') == (has(self.userAssignedIds) && size(self.userAssignedIds) > 0)",
            "spec.identity.userAssignedIds goes with type: UserAssigned, and only with it",
        ),
        rule(
            "spec.ssh",
            "has(self.adminUserName) == (has(self.sshPublicKey) || has(self.adminPasswordSecretRef))",
            "spec.ssh.adminUserName goes with sshPublicKey or adminPasswordSecretRef, and they with it",
        ),
        rule(
            "spec.ssh",
            "!has(self.publicAccess) || self.publicAccess != 'Enabled' || has(self.adminUserName)",
            "spec.ssh.publicAccess: Enabled needs an account: set adminUserName with sshPublicKey or \
             adminPasswordSecretRef",
        ),
        rule(
            "spec",
            "!has(self.image) || (has(self.osType) && self.osType == 'Windows')",
            "spec.image is for osType: Windows only",
        ),
    ];
    rules.extend(duration_rule("spec.scale.idleBeforeScaleDown"));
    rules
}

fn duration_rule(at: &str) -> Option<Rule> {
    Some(rule(at, "self.matches('[0-9]')", &format!("{at} is a duration like 90s, 15m or 1h30m")))
}

fn immutable(field: &str) -> Rule {
    rule(
        "spec",
        &format!("self.{field} == oldSelf.{field}"),
        &format!("spec.{field} can't be changed: delete the object and create it again"),
    )
}

fn immutable_optional(field: &str) -> Rule {
    rule(
        "spec",
        &format!(
            "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
        ),
        &format!("spec.{field} can't be changed: delete the object and create it again"),
    )
}

/// Whether the API server can hold a field's change: it needs a value that CEL can compare.
fn guards(field: &Field) -> bool {
    field.change == Change::Replace && field.manifest != "spec.propertyBag" && !field.manifest.ends_with("Ref")
}

/// Once the resource has been provisioned, and unless a replacement is allowed, a field that needs one may change only
/// to what Azure has.
fn replacement(field: &Field) -> Rule {
    let path = field.manifest;
    let new = format!("self.{path}");
    let old = format!("oldSelf.{path}");
    let (in_new, in_old) = (presence("self", path), presence("oldSelf", path));
    let to_live = |value: &str| match field.is_write_only() {
        // Azure never shows it, so there is nothing to go back to.
        true => "false".to_owned(),
        false => {
            let fixed = format!("self.status.azure.fixed.{}", fixed_name(field));
            format!("(has(self.status.azure.fixed) && has({fixed}) && {fixed}.lowerAscii() == {value})")
        }
    };
    // The API server can't bound the length of string(…), so flags are spelled out.
    let new_text = if is_flag(field) { format!("({new} ? 'true' : 'false')") } else { format!("{new}.lowerAscii()") };
    let expression = format!(
        "self.spec.replacementPolicy != 'Never' || !has(self.status) || !has(self.status.azure) || \
         !has(self.status.azure.provisionedOn) || (({in_new}) ? \
         (({in_old}) && {new} == {old}) || {} : !({in_old}) || {})",
        to_live(&new_text),
        to_live(&format!("'{}'", default_text(field))),
    );
    let back = if field.is_write_only() { "to what it was" } else { "to what Azure has (status.azure.fixed)" };
    let message = format!(
        "{path} can't be changed in place by Azure: set it back {back}, or delete the object and create it again"
    );
    Rule { at: String::new(), rule: expression, message }
}

fn is_flag(field: &Field) -> bool {
    matches!(field.default, crate::fields::AzureDefault::Value { wire: "true" | "false", .. })
}

/// `has()` for each optional step of a path below `spec`.
fn presence(root: &str, path: &str) -> String {
    let mut tests = Vec::new();
    let mut at = root.to_owned();
    for key in path.split('.') {
        at = format!("{at}.{key}");
        if key != "spec" && at != format!("{root}.spec.scale") {
            tests.push(format!("has({at})"));
        }
    }
    tests.join(" && ")
}

/// The default as it stands in `status.azure.fixed`, lower-cased; a text that no value equals where there is none.
fn default_text(field: &Field) -> String {
    match field.default {
        crate::fields::AzureDefault::Value { words, .. } => words.to_lowercase(),
        _ => "(none)".to_owned(),
    }
}

/// The name of a field in `status.azure.fixed`: `spec.ssh.publicAccess` is `sshPublicAccess`.
pub fn fixed_name(field: &Field) -> String {
    let mut parts = field.manifest.trim_start_matches("spec.").split('.');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let (head, tail) = part.split_at(part.len().min(1));
        format!("{name}{}{tail}", head.to_uppercase())
    })
}

/// The fields of `status.azure.fixed`.
pub fn fixed_fields(fields: &[Field]) -> impl Iterator<Item = &Field> {
    fields.iter().filter(|field| guards(field) && !field.is_write_only())
}

/// The text of the live values in `status.azure.fixed`, which the rules of [`target`] compare with.
pub fn fixed_values(table: &FieldTable, live: &serde_json::Value) -> Vec<(String, String)> {
    fixed_fields(table.fields)
        .map(|field| {
            let value = crate::fields::lookup(live, field.wire).cloned();
            let value = value.unwrap_or_else(|| field.default_on_wire(None));
            (fixed_name(field), field.words(&value).chars().take(1024).collect())
        })
        .collect()
}
