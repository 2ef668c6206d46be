//! A cluster's body with every writable field in place, and what may change in a compute.

use super::ctx::Assumed;
use crate::{
    clock::{iso_duration, parse_duration},
    front::{
        governance::lookup,
        refusal::{Outcome, Refusal},
    },
    state::{Compute, ComputeKind},
};
use jiff::SignedDuration;
use serde_json::{Value, json};

/// Idle time before scale-down when the body names none.
pub const DEFAULT_IDLE: &str = "PT120S";

/// Whether a source says that a field is fixed after creation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Evidence {
    Documented,
    Assumed,
}

/// Fields of any compute that don't change in place.
const FIXED: &[(&str, Evidence)] = &[
    ("properties.computeLocation", Evidence::Documented),
    ("properties.resourceId", Evidence::Documented),
    ("properties.description", Evidence::Assumed),
    ("properties.disableLocalAuth", Evidence::Assumed),
];

/// Those of a cluster.
const FIXED_CLUSTER: &[(&str, Evidence)] = &[
    ("properties.properties.vmSize", Evidence::Documented),
    ("properties.properties.vmPriority", Evidence::Documented),
    ("properties.properties.osType", Evidence::Documented),
    ("properties.properties.subnet", Evidence::Documented),
    ("properties.properties.enableNodePublicIp", Evidence::Documented),
    ("properties.properties.remoteLoginPortPublicAccess", Evidence::Documented),
    ("properties.properties.userAccountCredentials", Evidence::Documented),
    ("properties.properties.virtualMachineImage", Evidence::Assumed),
    ("properties.properties.isolatedNetwork", Evidence::Assumed),
    ("properties.properties.propertyBag", Evidence::Assumed),
];

/// Those of an instance: all but its schedules.
const FIXED_INSTANCE: &[(&str, Evidence)] = &[
    ("tags", Evidence::Assumed),
    ("identity", Evidence::Assumed),
    ("properties.properties.vmSize", Evidence::Documented),
    ("properties.properties.subnet", Evidence::Documented),
    ("properties.properties.enableNodePublicIp", Evidence::Documented),
    ("properties.properties.sshSettings", Evidence::Documented),
    ("properties.properties.personalComputeInstanceSettings", Evidence::Documented),
    ("properties.properties.setupScripts", Evidence::Documented),
    ("properties.properties.customServices", Evidence::Documented),
    ("properties.properties.idleTimeBeforeShutdown", Evidence::Documented),
    ("properties.properties.enableSSO", Evidence::Documented),
    ("properties.properties.applicationSharingPolicy", Evidence::Assumed),
    ("properties.properties.computeInstanceAuthorizationType", Evidence::Assumed),
];

/// Every writable field of a checked PUT body: what is absent or null takes the service's default, so a PUT wipes.
///
/// # Errors
/// 400 for values that the service refuses.
pub fn cluster(body: &Value, workspace_region: &str) -> Outcome<Value> {
    let inner = &body["properties"]["properties"];
    let size =
        inner["vmSize"].as_str().ok_or_else(|| invalid("properties.properties.vmSize", "a VM size is required"))?;
    let mut out = common(body, workspace_region)?;
    out["properties"]["properties"] = json!({
        "osType": named(&inner["osType"], &["Linux", "Windows"], "Linux"),
        "vmSize": size.to_ascii_uppercase(),
        "vmPriority": named(&inner["vmPriority"], &["Dedicated", "LowPriority"], "Dedicated"),
        "virtualMachineImage": inner["virtualMachineImage"],
        "isolatedNetwork": or(&inner["isolatedNetwork"], json!(false)),
        "scaleSettings": scale(&inner["scaleSettings"])?,
        "userAccountCredentials": inner["userAccountCredentials"],
        "subnet": inner["subnet"],
        "remoteLoginPortPublicAccess": named(
            &inner["remoteLoginPortPublicAccess"], &["Enabled", "Disabled", "NotSpecified"], "NotSpecified"),
        "enableNodePublicIp": or(&inner["enableNodePublicIp"], json!(true)),
        "propertyBag": or(&inner["propertyBag"], json!({})),
    });
    Ok(out)
}

/// The value, or the service's default in its place.
pub fn or(value: &Value, default: Value) -> Value {
    if value.is_null() { default } else { value.clone() }
}

/// One of `names` in the service's writing, or the default.
pub fn named(value: &Value, names: &[&str], default: &str) -> Value {
    let text = value.as_str().unwrap_or(default);
    json!(names.iter().find(|n| n.eq_ignore_ascii_case(text)).copied().unwrap_or(default))
}

/// What every compute has around the properties of its type.
///
/// # Errors
/// 400 for tags or an identity that the service refuses.
pub fn common(body: &Value, workspace_region: &str) -> Outcome<Value> {
    let outer = &body["properties"];
    let region = outer["computeLocation"].as_str().unwrap_or(workspace_region);
    let mut tags = body["tags"].clone();
    if tags.as_object().is_some_and(serde_json::Map::is_empty) {
        tags = Value::Null;
    }
    check_tags(&tags)?;
    check_identity(&body["identity"])?;
    Ok(json!({
        "tags": tags,
        "identity": body["identity"],
        "sku": body["sku"],
        "properties": {
            "computeLocation": region.replace(' ', "").to_ascii_lowercase(),
            "description": outer["description"],
            "resourceId": outer["resourceId"],
            "disableLocalAuth": or(&outer["disableLocalAuth"], json!(false)),
        },
    }))
}

/// Scale settings with defaults: minimum 0, idle time two minutes.
///
/// # Errors
/// 400 for a negative count, a minimum above the maximum, or an idle time that isn't a duration.
pub fn scale(given: &Value) -> Outcome<Value> {
    const AT: &str = "properties.properties.scaleSettings";
    let Some(max) = given["maxNodeCount"].as_i64() else {
        return Err(invalid(&format!("{AT}.maxNodeCount"), "the maximum number of nodes is required"));
    };
    let min = given["minNodeCount"].as_i64().unwrap_or(0);
    if max < 0 || min < 0 || min > max {
        return Err(invalid(
            &format!("{AT}.minNodeCount"),
            &format!("the minimum ({min}) must be between 0 and the maximum ({max})"),
        ));
    }
    let idle = given["nodeIdleTimeBeforeScaleDown"].as_str().unwrap_or(DEFAULT_IDLE);
    let idle = Some(idle)
        .filter(|i| i.starts_with('P'))
        .and_then(|i| parse_duration(i).ok())
        .filter(|d| !d.is_negative())
        .ok_or_else(|| {
            invalid(&format!("{AT}.nodeIdleTimeBeforeScaleDown"), &format!("'{idle}' is not an ISO 8601 duration"))
        })?;
    Ok(json!({"maxNodeCount": max, "minNodeCount": min, "nodeIdleTimeBeforeScaleDown": iso_duration(idle)}))
}

/// 400 for a value, with the field in the target.
pub fn invalid(field: &str, why: &str) -> Refusal {
    Refusal::provider(
        400,
        "InvalidPropertyValue",
        format!("The specified value for property {field} is not valid: {why}."),
    )
    .at(field)
}

fn check_tags(tags: &Value) -> Outcome<()> {
    let Some(map) = tags.as_object() else { return Ok(()) };
    if map.len() > 50 {
        return Err(Refusal::arm(
            400,
            "TooManyTags",
            format!("The number of tags {} exceeds the limit of 50.", map.len()),
        )
        .at("tags"));
    }
    for (name, value) in map {
        if name.contains(['<', '>', '%', '&', '\\', '?', '/']) {
            return Err(Refusal::arm(
                400,
                "InvalidTagNameCharacters",
                format!("The tag names '{name}' have reserved characters '<,>,%,&,\\,?,/' or control characters."),
            )
            .at("tags"));
        }
        if name.len() > 512 || value.as_str().is_some_and(|v| v.chars().count() > 256) {
            return Err(Refusal::arm(
                400,
                "TagValueTooLarge",
                format!(
                    "Tag value too large. The value of tag '{name}' exceeded the maximum length. Maximum allowed length \
                     for tag value - '256' characters."
                ),
            )
            .at("tags"));
        }
    }
    Ok(())
}

fn check_identity(identity: &Value) -> Outcome<()> {
    let kind = identity["type"].as_str().unwrap_or("None").to_ascii_lowercase().replace(' ', "");
    let users = identity["userAssignedIdentities"].as_object().map_or(0, serde_json::Map::len);
    let wrong = |why: &str| Err(invalid("identity", why));
    match kind.as_str() {
        "systemassigned,userassigned" => {
            wrong("a compute has one system-assigned identity or user-assigned ones, not both")
        }
        "userassigned" if users == 0 => wrong("UserAssigned needs userAssignedIdentities"),
        "none" | "systemassigned" if users > 0 => wrong("userAssignedIdentities need the type UserAssigned"),
        _ => Ok(()),
    }
}

/// The first field in which `new` differs from `old` although it is fixed after creation.
///
/// # Errors
/// 400 naming the property.
pub fn check_fixed(kind: ComputeKind, old: &Value, new: &Value, name: &str, assumed: Assumed) -> Outcome<()> {
    let own = match kind {
        ComputeKind::Cluster => FIXED_CLUSTER,
        ComputeKind::Instance => FIXED_INSTANCE,
    };
    for (path, evidence) in FIXED.iter().chain(own) {
        if *evidence == Evidence::Assumed && assumed == Assumed::Allowed {
            continue;
        }
        if !same(lookup(old, path), lookup(new, path)) {
            return Err(Refusal::provider(
                400,
                "PropertyChangeNotAllowed",
                format!("Changing property '{path}' of compute '{name}' is not allowed. Delete the compute and create it again."),
            )
            .at(*path));
        }
    }
    Ok(())
}

/// Equal, texts without case (sizes and ids are compared so by the service).
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a.unwrap_or(&Value::Null), b.unwrap_or(&Value::Null)) {
        (Value::String(a), Value::String(b)) => a.eq_ignore_ascii_case(b),
        (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).all(|k| same(a.get(k), b.get(k))),
        (a, b) => a == b,
    }
}

/// What the physics need of a cluster's body.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Region of the nodes.
    pub region: String,
    /// Size, upper case.
    pub size: String,
    /// Low priority.
    pub low_priority: bool,
    /// Fewest nodes.
    pub min: i64,
    /// Most nodes.
    pub max: i64,
    /// Idle time before a node goes.
    pub idle: SignedDuration,
}

impl Compute {
    /// Read the shape off the body.
    pub fn shape(&self) -> Shape {
        let outer = &self.body["properties"];
        let inner = &outer["properties"];
        let scale = &inner["scaleSettings"];
        let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
        // An instance is one node for as long as it exists.
        let count = |name: &str, instance: i64| match self.kind() {
            ComputeKind::Cluster => scale[name].as_i64().unwrap_or(0),
            ComputeKind::Instance => instance,
        };
        let idle = parse_duration(scale["nodeIdleTimeBeforeScaleDown"].as_str().unwrap_or(DEFAULT_IDLE));
        Shape {
            region: text(&outer["computeLocation"]),
            size: text(&inner["vmSize"]),
            low_priority: inner["vmPriority"] == "LowPriority",
            min: count("minNodeCount", 1),
            max: count("maxNodeCount", 1),
            idle: idle.unwrap_or(SignedDuration::from_secs(120)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Value {
        json!({"properties": {"computeType": "AmlCompute", "properties": {
            "vmSize": "Standard_DS3_v2", "scaleSettings": {"maxNodeCount": 4}}}})
    }

    #[test]
    fn absent_is_default() {
        let got = cluster(&body(), "westeurope").unwrap();
        let inner = &got["properties"]["properties"];
        assert_eq!(inner["vmSize"], "STANDARD_DS3_V2");
        assert_eq!(inner["scaleSettings"]["nodeIdleTimeBeforeScaleDown"], "PT2M");
        assert_eq!(inner["enableNodePublicIp"], true);
        assert_eq!(got["properties"]["computeLocation"], "westeurope");
    }

    #[test]
    fn scale_settings() {
        for (given, ok) in [
            (json!({"maxNodeCount": 0}), true),
            (json!({"maxNodeCount": 1, "minNodeCount": 2}), false),
            (json!({"maxNodeCount": -1}), false),
            (json!({"maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "15m"}), false),
            (json!({"minNodeCount": 1}), false),
        ] {
            assert_eq!(scale(&given).is_ok(), ok, "{given}");
        }
    }

    #[test]
    fn what_may_change_in_place() {
        let old = cluster(&body(), "westeurope").unwrap();
        for (path, value, assumed, refused) in [
            ("properties.properties.vmSize", json!("STANDARD_NC6"), Assumed::Allowed, true),
            ("properties.properties.vmSize", json!("standard_ds3_v2"), Assumed::Refused, false),
            ("properties.properties.subnet", json!({"id": "/x"}), Assumed::Allowed, true),
            ("properties.description", json!("d"), Assumed::Refused, true),
            ("properties.description", json!("d"), Assumed::Allowed, false),
            ("tags", json!({"a": "b"}), Assumed::Refused, false),
            ("properties.properties.scaleSettings.maxNodeCount", json!(9), Assumed::Refused, false),
        ] {
            let mut new = old.clone();
            crate::front::governance::place(&mut new, path, value);
            let got = check_fixed(ComputeKind::Cluster, &old, &new, "c", assumed);
            assert_eq!(got.is_err(), refused, "{path}");
            if let Err(refusal) = got {
                assert!(refusal.message.contains(path));
            }
        }
    }

    #[test]
    fn tags_and_identities() {
        assert!(check_tags(&json!({"azureml.dev-owner": "x"})).is_ok());
        assert!(check_tags(&json!({"azureml.dev/owner": "x"})).is_err());
        assert!(check_tags(&json!({"a": "x".repeat(257)})).is_err());
        assert!(check_identity(&json!({"type": "SystemAssigned,UserAssigned"})).is_err());
        assert!(check_identity(&json!({"type": "UserAssigned", "userAssignedIdentities": {"/x": {}}})).is_ok());
    }
}
