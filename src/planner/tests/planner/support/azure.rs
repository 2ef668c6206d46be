//! A model of how Azure carries out a plan's writes: enough to ask whether a second plan finds anything left to do.

use azureml_api::fields::{lookup, set};
use azureml_planner::{Plan, Step};
use serde_json::{Value, json};

use super::{CREATED_ON, Case, OWNER, arm_id, present, provisioned};

/// What only Azure writes: a body that holds one of these is refused.
pub const READ_ONLY: &[&str] = &[
    "id",
    "name",
    "type",
    "systemData",
    "identity.principalId",
    "identity.tenantId",
    "properties.provisioningState",
    "properties.provisioningErrors",
    "properties.provisioningWarnings",
    "properties.createdOn",
    "properties.modifiedOn",
    "properties.isAttachedCompute",
    "properties.properties.allocationState",
    "properties.properties.allocationStateTransitionTime",
    "properties.properties.errors",
    "properties.properties.currentNodeCount",
    "properties.properties.targetNodeCount",
    "properties.properties.nodeStateCounts",
];

/// What Azure takes in a PUT, by path, and what it fills in where a body leaves it out.
pub const WRITABLE: &[(&str, Option<&str>)] = &[
    ("location", None),
    ("tags", None),
    ("identity", None),
    ("sku", None),
    ("properties.computeLocation", Some("\"westeurope\"")),
    ("properties.description", None),
    ("properties.resourceId", None),
    ("properties.disableLocalAuth", Some("false")),
    ("properties.properties.osType", Some("\"Linux\"")),
    ("properties.properties.vmSize", None),
    ("properties.properties.vmPriority", Some("\"Dedicated\"")),
    ("properties.properties.virtualMachineImage", None),
    ("properties.properties.isolatedNetwork", Some("false")),
    ("properties.properties.scaleSettings.maxNodeCount", None),
    ("properties.properties.scaleSettings.minNodeCount", Some("0")),
    ("properties.properties.scaleSettings.nodeIdleTimeBeforeScaleDown", Some("\"PT120S\"")),
    ("properties.properties.subnet", None),
    ("properties.properties.remoteLoginPortPublicAccess", Some("\"NotSpecified\"")),
    ("properties.properties.enableNodePublicIp", Some("true")),
    ("properties.properties.propertyBag", None),
];

/// Carries a plan out, as the operator and Azure would: the model's live resource and the memory afterwards.
pub fn carry_out(case: &mut Case, plan: &Plan) {
    for step in &plan.steps {
        match step {
            Step::Create(body) => {
                case.observed = present(put(&body.json));
                case.azure = Some(provisioned());
            }
            Step::Put(body) => case.observed = present(put(&body.json)),
            Step::Patch(body) => patch(case, &body.json),
            Step::Delete => case.observed = azureml_planner::Observed::Absent,
            other => panic!("nothing to carry out in {other:?}"),
        }
    }
    case.remember_applied();
}

/// PUT: what the body leaves out is wiped to Azure's default, secrets are swallowed.
fn put(body: &Value) -> Value {
    for path in READ_ONLY {
        assert!(lookup(body, path).is_none(), "{path} is read-only: {body}");
    }
    let mut live = json!({
        "id": arm_id("gpu"), "name": "gpu",
        "properties": {
            "computeType": lookup(body, "properties.computeType").expect("computeType is required"),
            "provisioningState": "Succeeded", "createdOn": CREATED_ON, "provisioningErrors": null,
            "properties": {"userAccountCredentials": null, "subnet": null, "currentNodeCount": 0}
        }
    });
    for (path, default) in WRITABLE {
        let default = default.map(|text| serde_json::from_str(text).unwrap());
        if let Some(value) = lookup(body, path).cloned().or(default) {
            set(&mut live, path, shown(path, value));
        }
    }
    assert!(lookup(&live, "properties.properties.scaleSettings.maxNodeCount").is_some(), "required: {body}");
    assert_eq!(live["tags"]["azureml.dev-owner"], OWNER);
    live
}

/// How Azure gives a value back: sizes in upper case, durations in seconds, identities with their principals.
fn shown(path: &str, value: Value) -> Value {
    match path {
        "properties.properties.vmSize" => value.as_str().map_or(value.clone(), |size| json!(size.to_ascii_uppercase())),
        "properties.computeLocation" if value == "westeurope" => json!("West Europe"),
        "identity" if value["type"] == "None" => Value::Null,
        "identity" => {
            let mut identity = value;
            if let Some(ids) = identity.get_mut("userAssignedIdentities").and_then(Value::as_object_mut) {
                *ids = ids
                    .keys()
                    .map(|id| (id.to_ascii_uppercase(), json!({"principalId": "p", "clientId": "c"})))
                    .collect();
            } else {
                set(&mut identity, "principalId", json!("p"));
            }
            identity
        }
        _ => value,
    }
}

/// PATCH: the scale and nothing else, always with all three values.
fn patch(case: &mut Case, body: &Value) {
    let scale = lookup(body, "properties.properties.scaleSettings").expect("a PATCH carries the scale").clone();
    let mut keys: Vec<&str> = scale.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["maxNodeCount", "minNodeCount", "nodeIdleTimeBeforeScaleDown"]);
    assert_eq!(
        *body,
        json!({"properties": {"properties": {"scaleSettings": scale}}}),
        "a PATCH carries only the scale"
    );
    set(case.live_mut(), "properties.properties.scaleSettings", scale);
}
