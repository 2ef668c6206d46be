//! An instance as the service writes it.

use crate::{
    clock::wire_time,
    dice::guid_for,
    ml::ctx::Lists,
    state::{Compute, Instance, InstanceState, Provisioning},
};
use serde_json::{Value, json};

/// Fields that change without a write; sparse lists leave them out.
pub const LIVE: &[&str] = &["state", "lastOperation", "errors", "applications", "connectivityEndpoints"];

/// Further read-only fields.
pub const READ_ONLY: &[&str] = &["osImageMetadata", "createdBy", "containers", "dataDisks", "dataMounts", "versions"];

/// Add what the service adds to an instance's `properties.properties`.
pub fn complete(compute: &Compute, instance: &Instance, inner: &mut Value, lists: Lists) {
    let port = if inner["sshSettings"]["sshPublicAccess"] == "Enabled" { json!(50000) } else { Value::Null };
    inner["sshSettings"]["adminUserName"] = json!("azureuser");
    inner["sshSettings"]["sshPort"] = port;
    identify_schedules(compute, inner);
    let creator = &instance.creator;
    inner["createdBy"] = json!({"userName": creator.name, "userOrgId": creator.tenant, "userId": creator.object});
    let there = !matches!(instance.state, InstanceState::Creating | InstanceState::CreateFailed);
    inner["osImageMetadata"] = match there {
        true => json!({
            "currentImageVersion": "26.10.01", "latestImageVersion": "26.10.01", "isLatestOsImageVersion": true,
            "osPatchingStatus": null,
        }),
        false => Value::Null,
    };
    inner["versions"] = if there { json!({"runtime": "4.15.2"}) } else { Value::Null };
    inner["containers"] = json!([]);
    inner["dataDisks"] = if there {
        json!([{"caching": "None", "diskSizeGB": 128, "lun": 0, "storageAccountType": "Standard_LRS"}])
    } else {
        json!([])
    };
    inner["dataMounts"] = json!([]);
    if lists == Lists::Full {
        live(compute, instance, inner, there);
    }
}

fn live(compute: &Compute, instance: &Instance, inner: &mut Value, there: bool) {
    let deleting = compute.state == Provisioning::Deleting;
    inner["state"] = json!(if deleting { "Deleting" } else { instance.state.text() });
    let last = &instance.last;
    inner["lastOperation"] = json!({
        "operationName": last.power.text(), "operationTime": wire_time(last.at), "operationStatus": last.status(),
        "operationTrigger": last.trigger.text(),
    });
    inner["errors"] = if instance.errors.is_null() { json!([]) } else { instance.errors.clone() };
    let public = inner["enableNodePublicIp"] == true;
    let number = compute.meta.uid.bytes().fold(0u32, |n, b| (n * 31 + u32::from(b)) % 250) + 4;
    inner["connectivityEndpoints"] = match there {
        true => json!({
            "publicIpAddress": public.then(|| format!("203.0.113.{number}")),
            "privateIpAddress": format!("10.1.0.{number}"),
        }),
        false => Value::Null,
    };
    inner["applications"] = if there { applications(compute, inner) } else { json!([]) };
}

fn applications(compute: &Compute, inner: &Value) -> Value {
    let (name, region) = (compute.meta.name().to_ascii_lowercase(), &compute.meta.location);
    let at = |label: &str, path: &str| json!({"displayName": label, "endpointUri": format!("https://{name}.{region}.instances.azureml.ms{path}")});
    let mut all = vec![at("Jupyter", "/tree/"), at("Jupyter Lab", "/lab")];
    for service in inner["customServices"].as_array().into_iter().flatten() {
        for endpoint in service["endpoints"].as_array().into_iter().flatten() {
            let label = endpoint["name"].as_str().or(service["name"].as_str()).unwrap_or("application");
            let port = endpoint["published"].as_i64().unwrap_or_default();
            let uri = format!("https://{name}-{port}.{region}.instances.azureml.ms");
            all.push(json!({"displayName": label, "endpointUri": uri}));
        }
    }
    json!(all)
}

/// A schedule's id stays the same as long as the schedule does.
fn identify_schedules(compute: &Compute, inner: &mut Value) {
    let Some(items) = inner["schedules"].get_mut("computeStartStop").and_then(Value::as_array_mut) else { return };
    for (i, item) in items.iter_mut().enumerate() {
        let id = guid_for(&format!("{}{i}{item}", compute.meta.uid));
        item["id"] = json!(id);
        item["provisioningStatus"] = json!("Completed");
    }
}
