//! An instance's body with every writable field in place.

use super::schedules::Timetable;
use crate::{
    clock::{iso_duration, parse_duration},
    front::refusal::Outcome,
    ml::canonical::{common, invalid, named, or},
};
use jiff::SignedDuration;
use serde_json::{Value, json};

/// Most schedules that an instance takes.
const MOST_SCHEDULES: usize = 4;

/// Bounds of the idle time: 15 minutes and 3 days.
const IDLE_BOUNDS: (SignedDuration, SignedDuration) =
    (SignedDuration::from_mins(15), SignedDuration::from_hours(3 * 24));

/// Every writable field of a checked PUT body: what is absent or null takes the service's default. `caller` is the
/// object id of who asks.
///
/// # Errors
/// 400 for values that the service refuses.
pub fn instance(body: &Value, workspace_region: &str, caller: &str) -> Outcome<Value> {
    let inner = &body["properties"]["properties"];
    let mut out = common(body, workspace_region)?;
    if out["properties"]["computeLocation"] != workspace_region {
        return Err(invalid(
            "properties.computeLocation",
            &format!("an instance is in its workspace's region, {workspace_region}"),
        ));
    }
    let size =
        inner["vmSize"].as_str().ok_or_else(|| invalid("properties.properties.vmSize", "a VM size is required"))?;
    let assigned = &inner["personalComputeInstanceSettings"]["assignedUser"];
    let ssh = ssh(&inner["sshSettings"], assigned)?;
    out["properties"]["properties"] = json!({
        "vmSize": size.to_ascii_uppercase(),
        "subnet": inner["subnet"],
        "applicationSharingPolicy": named(&inner["applicationSharingPolicy"], &["Personal", "Shared"], "Shared"),
        "sshSettings": ssh,
        "customServices": inner["customServices"],
        "computeInstanceAuthorizationType": "personal",
        "enableSSO": single_sign_on(&inner["enableSSO"], assigned, caller)?,
        "personalComputeInstanceSettings": inner["personalComputeInstanceSettings"],
        "setupScripts": inner["setupScripts"],
        "schedules": schedules(&inner["schedules"])?,
        "idleTimeBeforeShutdown": idle_time(&inner["idleTimeBeforeShutdown"])?,
        "enableNodePublicIp": or(&inner["enableNodePublicIp"], json!(true)),
    });
    Ok(out)
}

fn ssh(given: &Value, assigned: &Value) -> Outcome<Value> {
    const AT: &str = "properties.properties.sshSettings";
    let access = named(&given["sshPublicAccess"], &["Enabled", "Disabled"], "Disabled");
    let key = given["adminPublicKey"].as_str().filter(|key| !key.is_empty());
    if access == "Enabled" && key.is_none() {
        return Err(invalid(&format!("{AT}.adminPublicKey"), "SSH needs a public key"));
    }
    if key.is_some() && !assigned.is_null() {
        return Err(invalid(
            &format!("{AT}.adminPublicKey"),
            "an instance that is made for somebody else takes no SSH key from who makes it",
        ));
    }
    Ok(json!({"sshPublicAccess": access, "adminPublicKey": key}))
}

/// Only the user to whom an instance is assigned may switch it on.
fn single_sign_on(given: &Value, assigned: &Value, caller: &str) -> Outcome<Value> {
    let others = assigned["objectId"].as_str().is_some_and(|user| !user.eq_ignore_ascii_case(caller));
    if others && *given == true {
        return Err(invalid("properties.properties.enableSSO", "only the assigned user can enable single sign-on"));
    }
    Ok(or(given, json!(!others)))
}

/// The idle time as the service writes it, or null.
///
/// # Errors
/// 400 for one that isn't a duration, or out of bounds.
pub fn idle_time(given: &Value) -> Outcome<Value> {
    let Some(text) = given.as_str() else { return Ok(Value::Null) };
    let (low, high) = IDLE_BOUNDS;
    Some(text)
        .filter(|text| text.starts_with('P'))
        .and_then(|text| parse_duration(text).ok())
        .filter(|time| (low..=high).contains(time))
        .map(|time| json!(iso_duration(time)))
        .ok_or_else(|| {
            invalid(
                "properties.properties.idleTimeBeforeShutdown",
                &format!("'{text}' is not an ISO 8601 duration between PT15M and P3D"),
            )
        })
}

fn schedules(given: &Value) -> Outcome<Value> {
    const AT: &str = "properties.properties.schedules.computeStartStop";
    let Some(items) = given["computeStartStop"].as_array() else { return Ok(Value::Null) };
    if items.len() > MOST_SCHEDULES {
        return Err(invalid(AT, &format!("{} schedules are more than {MOST_SCHEDULES}", items.len())));
    }
    let mut out = Vec::new();
    for (i, item) in items.iter().enumerate() {
        Timetable::read(item).map_err(|(field, why)| invalid(&format!("{AT}[{i}].{field}"), &why))?;
        let zoned = |name: &str| {
            let mut trigger = item[name].clone();
            if trigger.is_object() {
                trigger["timeZone"] = or(&trigger["timeZone"], json!("UTC"));
            }
            trigger
        };
        out.push(json!({
            "status": named(&item["status"], &["Enabled", "Disabled"], "Enabled"),
            "action": named(&item["action"], &["Start", "Stop"], "Stop"),
            "triggerType": named(&item["triggerType"], &["Recurrence", "Cron"], "Cron"),
            "recurrence": zoned("recurrence"),
            "cron": zoned("cron"),
            "schedule": item["schedule"],
        }));
    }
    Ok(json!({"computeStartStop": out}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::governance::place;

    fn body() -> Value {
        json!({"properties": {"computeType": "ComputeInstance", "properties": {"vmSize": "Standard_DS3_v2"}}})
    }

    #[test]
    fn absent_is_default() {
        let got = instance(&body(), "westeurope", "me").unwrap();
        assert_eq!(
            got["properties"]["properties"],
            json!({
                "vmSize": "STANDARD_DS3_V2", "subnet": null, "applicationSharingPolicy": "Shared",
                "sshSettings": {"sshPublicAccess": "Disabled", "adminPublicKey": null}, "customServices": null,
                "computeInstanceAuthorizationType": "personal", "enableSSO": true,
                "personalComputeInstanceSettings": null, "setupScripts": null, "schedules": null,
                "idleTimeBeforeShutdown": null, "enableNodePublicIp": true,
            })
        );
    }

    #[test]
    fn what_is_refused() {
        let cron = json!({"action": "Stop", "triggerType": "Cron", "cron": {"expression": "0 18 * * *"}});
        let user = json!({"objectId": "u", "tenantId": "t"});
        for (path, value, ok) in [
            ("properties.properties.idleTimeBeforeShutdown", json!("PT15M"), true),
            ("properties.properties.idleTimeBeforeShutdown", json!("PT72H"), true),
            ("properties.properties.idleTimeBeforeShutdown", json!("PT14M59S"), false),
            ("properties.properties.idleTimeBeforeShutdown", json!("P3DT1S"), false),
            ("properties.properties.idleTimeBeforeShutdown", json!("30m"), false),
            ("properties.computeLocation", json!("West Europe"), true),
            ("properties.computeLocation", json!("northeurope"), false),
            ("properties.properties.vmSize", Value::Null, false),
            ("properties.properties.sshSettings", json!({"sshPublicAccess": "Enabled"}), false),
            (
                "properties.properties.sshSettings",
                json!({"sshPublicAccess": "Enabled", "adminPublicKey": "ssh-rsa A"}),
                true,
            ),
            ("properties.properties.schedules.computeStartStop", json!([cron, cron, cron, cron]), true),
            ("properties.properties.schedules.computeStartStop", json!([cron, cron, cron, cron, cron]), false),
            ("properties.properties.personalComputeInstanceSettings.assignedUser", user, true),
        ] {
            let mut body = body();
            place(&mut body, path, value.clone());
            assert_eq!(instance(&body, "westeurope", "me").is_ok(), ok, "{path} {value}");
        }
    }

    #[test]
    fn an_instance_for_somebody_else() {
        let mut body = body();
        place(&mut body, "properties.properties.personalComputeInstanceSettings.assignedUser.objectId", json!("u"));
        assert_eq!(instance(&body, "r", "me").unwrap()["properties"]["properties"]["enableSSO"], false);
        assert_eq!(instance(&body, "r", "U").unwrap()["properties"]["properties"]["enableSSO"], true);
        place(&mut body, "properties.properties.enableSSO", json!(true));
        assert!(instance(&body, "r", "me").is_err());
        place(&mut body, "properties.properties.enableSSO", Value::Null);
        place(&mut body, "properties.properties.sshSettings.adminPublicKey", json!("ssh-rsa A"));
        assert!(instance(&body, "r", "me").is_err());
    }
}
