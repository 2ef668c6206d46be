//! Mutators that keep an input readable: JSON stays JSON most of the time, so that what lies behind the parser is reached.

use std::sync::LazyLock;

use azureml_api::registry::KINDS;
use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Map, Value, json};

/// Longest path into a document that is mutated; deeper ones are left to the bytes' own mutations.
const MOST_NODES: usize = 2_000;

/// Names of members that mean something to somebody.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let rows = KINDS.iter().flat_map(|kind| kind.table.fields);
    let paths = rows.flat_map(|field| field.manifest.split('.').chain(field.wire.split('.')));
    let mut names: Vec<String> = paths.chain(OTHER_NAMES.iter().copied()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
});

const OTHER_NAMES: &[&str] = &[
    "absent",
    "action",
    "additionalInfo",
    "allowedNamespaces",
    "annotations",
    "applied",
    "applyPolicy",
    "approved",
    "azure",
    "azureName",
    "azureml.dev-owner",
    "azureml.dev-uid",
    "adoptionPolicy",
    "body",
    "code",
    "computeType",
    "conditions",
    "createdOn",
    "credentialRef",
    "currentNodeCount",
    "deletionPolicy",
    "deletionProtection",
    "detail",
    "details",
    "driftPolicy",
    "error",
    "errors",
    "fields",
    "from",
    "generation",
    "hashes",
    "id",
    "info",
    "innererror",
    "items",
    "kind",
    "labels",
    "live",
    "location",
    "managementPolicy",
    "matchLabels",
    "message",
    "metadata",
    "name",
    "namespace",
    "nextLink",
    "nodeStateCounts",
    "notHonoured",
    "observeInterval",
    "operation",
    "origin",
    "paused",
    "phase",
    "policyAssignment",
    "principalId",
    "provisionedOn",
    "provisioningErrors",
    "provisioningState",
    "reason",
    "replacementPolicy",
    "resourceGroup",
    "resourceId",
    "selector",
    "sku",
    "startedAt",
    "status",
    "subscriptionId",
    "tag",
    "takeOverFrom",
    "target",
    "type",
    "uid",
    "url",
    "userAssignedIdentities",
    "value",
    "verb",
    "workspaceRef",
];

/// Values that somebody treats in a way of their own.
static VALUES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let texts = [
        "",
        " ",
        "None",
        "none",
        "Succeeded",
        "Failed",
        "Canceled",
        "Creating",
        "Updating",
        "Deleting",
        "InProgress",
        "PT15M",
        "PT120S",
        "P1DT2H",
        "PT0.5S",
        "15m",
        "0s",
        "1h30m",
        "99999999999999999999h",
        "West Europe",
        "westeurope",
        "Observe",
        "Manage",
        "Adopt",
        "Refuse",
        "Orphan",
        "Delete",
        "Report",
        "Correct",
        "Approved",
        "Automatic",
        "Never",
        "Immediately",
        "WhenIdle",
        "Enabled",
        "enabled",
        "Disabled",
        "NotSpecified",
        "Linux",
        "Windows",
        "Dedicated",
        "LowPriority",
        "SystemAssigned",
        "UserAssigned",
        "Selector",
        "All",
        "Same",
        "Create",
        "Put",
        "Patch",
        "Intended",
        "Running",
        "Created",
        "ComputeCluster",
        "Workspace",
        "AmlCompute",
        "prod/ComputeCluster/ml/gpu",
        "prod",
        "prod/ComputeCluster/ml/other",
        "dev/ComputeCluster/ml/gpu",
        "2026-11-01T10:00:00.0000000+00:00",
        "2027-01-15T08:00:00Z",
        "RetryableError",
        "ResourceNotFound",
        "QuotaExceeded",
        "AuthorizationFailed",
        "ScopeLocked",
        "\u{130}\u{df}\u{1f600}",
        "a\nb\u{7}",
        "{\"error\":{\"code\":\"X\",\"message\":\"m\"}}",
        "https://management.azure.com/p?api-version=v&t=1",
        "https://evil.example/p",
        "//evil.example",
        "/providers/",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/computes/gpu",
    ];
    let others = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(-1),
        json!(4),
        json!(65_000),
        json!(65_001),
        json!(u32::MAX),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1.5),
        json!(1e300),
        json!({}),
        json!([]),
        json!([""]),
        json!({"type": "UserAssigned", "userAssignedIdentities": {"/A": {}, "/a": null}}),
        json!({"type": "UserAssigned", "userAssignedIds": ["/a", "/A"]}),
        json!({"Team": "a", "team": "b"}),
    ];
    texts.into_iter().map(Value::from).chain(others).collect()
});

/// A small generator: one seed gives one mutation, which libFuzzer relies on.
struct Dice(u64);

impl Dice {
    fn new(seed: u32) -> Self {
        Self(u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `sides`; 0 where there are none.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides.max(1)
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }
}

/// Mutates a JSON document as JSON, now and then as bytes.
pub fn json(data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    let mut dice = Dice::new(seed);
    let parsed = serde_json::from_slice::<Value>(&data[..size]).ok().filter(|_| dice.roll(16) > 0);
    let Some(mut value) = parsed else { return fuzzer_mutate(data, size, most) };
    for _ in 0..=dice.roll(3) {
        mutate(&mut value, &mut dice);
    }
    put(data, most, value.to_string().as_bytes()).unwrap_or_else(|| fuzzer_mutate(data, size, most))
}

/// Mutates a message of head, empty line and JSON: either the head's bytes or the body's JSON.
pub fn message(data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    let Some(blank) = data[..size].windows(2).position(|two| two == b"\n\n") else {
        return fuzzer_mutate(data, size, most);
    };
    let at = blank + 2;
    if !seed.is_multiple_of(3) {
        return at + json(&mut data[at..], size - at, most - at, seed / 3);
    }
    // The head grows and shrinks before the body.
    let body = data[at..size].to_vec();
    let head = fuzzer_mutate(data, blank, most.saturating_sub(body.len() + 2).max(blank));
    let whole = [&data[..head], b"\n\n", body.as_slice()].concat();
    put(data, most, &whole).unwrap_or(head)
}

fn put(data: &mut [u8], most: usize, bytes: &[u8]) -> Option<usize> {
    if bytes.len() > most || bytes.len() > data.len() {
        return None;
    }
    data[..bytes.len()].copy_from_slice(bytes);
    Some(bytes.len())
}

fn mutate(value: &mut Value, dice: &mut Dice) {
    let mut places = Vec::new();
    walk(value, &mut String::new(), &mut places);
    let place = dice.pick(&places).clone();
    let from = dice.pick(&places).clone();
    let other = value.pointer(&from).cloned().unwrap_or(Value::Null);
    let Some(node) = value.pointer_mut(&place) else { return };
    match dice.roll(8) {
        0 => *node = other,
        1 => *node = dice.pick(&VALUES).clone(),
        2 => *node = wrapped(node.take(), dice),
        _ => within(node, other, dice),
    }
}

fn walk(value: &Value, path: &mut String, places: &mut Vec<String>) {
    if places.len() >= MOST_NODES {
        return;
    }
    places.push(path.clone());
    let length = path.len();
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                path.push('/');
                path.push_str(&name.replace('~', "~0").replace('/', "~1"));
                walk(member, path, places);
                path.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("/{index}"));
                walk(item, path, places);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

fn wrapped(value: Value, dice: &mut Dice) -> Value {
    match dice.roll(2) {
        0 => json!([value]),
        _ => Value::Object(Map::from_iter([(dice.pick(&NAMES).clone(), value)])),
    }
}

/// A change of a node in its own kind.
fn within(node: &mut Value, other: Value, dice: &mut Dice) {
    match node {
        Value::Object(members) => {
            let names: Vec<String> = members.keys().cloned().collect();
            let old = names.get(dice.roll(names.len())).cloned().unwrap_or_default();
            match dice.roll(4) {
                0 => drop(members.remove(&old)),
                1 => {
                    let member = members.remove(&old).unwrap_or(other);
                    members.insert(dice.pick(&NAMES).clone(), member);
                }
                2 => {
                    let member = members.get(&old).cloned().unwrap_or(other);
                    members.insert(recased(&old, dice), member);
                }
                _ => drop(members.insert(dice.pick(&NAMES).clone(), other)),
            }
        }
        Value::Array(items) => {
            let at = dice.roll(items.len());
            match dice.roll(3) {
                0 if !items.is_empty() => drop(items.remove(at)),
                1 if !items.is_empty() => items.push(items[at].clone()),
                _ => items.insert(at, other),
            }
        }
        Value::String(text) => {
            *text = match dice.roll(3) {
                0 => recased(text, dice),
                _ => bytes(text),
            }
        }
        Value::Number(number) => {
            let step = [-1, 1, 60, 1 << 31][dice.roll(4)];
            *node = number.as_i64().map_or_else(|| json!(0), |number| json!(number.wrapping_add(step)));
        }
        Value::Bool(flag) => *flag = !*flag,
        Value::Null => *node = dice.pick(&VALUES).clone(),
    }
}

/// The text as libFuzzer changes bytes, with what it has learned from comparisons.
fn bytes(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let size = bytes.len();
    let most = size + 16;
    bytes.resize(most, 0);
    let size = fuzzer_mutate(&mut bytes, size, most);
    String::from_utf8_lossy(&bytes[..size]).into_owned()
}

fn recased(text: &str, dice: &mut Dice) -> String {
    match dice.roll(3) {
        0 => text.to_uppercase(),
        1 => text.to_lowercase(),
        _ => {
            let at = dice.roll(text.chars().count());
            let swap = |(index, c): (usize, char)| match index == at {
                true if c.is_lowercase() => c.to_ascii_uppercase(),
                true => c.to_ascii_lowercase(),
                false => c,
            };
            text.chars().enumerate().map(swap).collect()
        }
    }
}
