//! Instances over time: schedules, idle shutdown, jobs.

use crate::azure::{Azure, compute, instance, ws};
use azure_sim::front::governance::place;
use serde_json::{Value, json};

fn state(azure: &mut Azure) -> String {
    azure.inner("ada")["state"].as_str().unwrap_or("none").to_string()
}

fn trigger(azure: &mut Azure) -> String {
    let last = &azure.inner("ada")["lastOperation"];
    format!("{} {}", last["operationName"].as_str().unwrap(), last["operationTrigger"].as_str().unwrap())
}

/// An instance since 2026-11-23T10:03Z, a Monday.
fn made(path: &str, value: Value) -> Azure {
    let mut azure = Azure::new();
    let mut body = instance("Standard_DS2_v2");
    place(&mut body, path, value);
    let got = azure.put(&compute("ada"), body);
    assert_eq!(got.status, 201, "{}", got.body);
    azure.skip("180s");
    azure
}

fn idle(time: &str) -> Azure {
    made("properties.properties.idleTimeBeforeShutdown", json!(time))
}

fn job(azure: &mut Azure, name: &str, duration: &str) {
    let body = json!({"properties": {"jobType": "Command", "command": "true", "environmentId": "e",
        "computeId": compute("ada"), "environmentVariables": {"AZUREML_SIM_DURATION": duration}}});
    let got = azure.put(&format!("{}/jobs/{name}", ws()), body);
    assert_eq!(got.status, 201, "{}", got.body);
}

fn status(azure: &mut Azure, name: &str) -> String {
    azure.get(&format!("{}/jobs/{name}", ws())).body["properties"]["status"].as_str().unwrap().to_string()
}

#[test]
fn schedules_stop_and_start_it() {
    let mut azure = made(
        "properties.properties.schedules.computeStartStop",
        json!([
            {"action": "Stop", "triggerType": "Cron", "cron": {"expression": "0 18 * * 1-5", "timeZone": "W. Europe Standard Time"}},
            {"action": "Start", "triggerType": "Recurrence", "recurrence": {"frequency": "Day", "interval": 1,
                "timeZone": "W. Europe Standard Time", "schedule": {"hours": [8], "minutes": [0]}}},
            {"action": "Stop", "triggerType": "Cron", "status": "Disabled", "cron": {"expression": "* * * * *"}},
        ]),
    );
    let listed = azure.inner("ada")["schedules"]["computeStartStop"].clone();
    assert!(listed[0]["id"].is_string() && listed[0]["provisioningStatus"] == "Completed");
    assert_eq!((&listed[0]["status"], &listed[2]["status"]), (&json!("Enabled"), &json!("Disabled")));
    // 10:03 to 16:59 UTC is 17:59 in Berlin.
    azure.skip("6h56m");
    assert_eq!(state(&mut azure), "Running");
    azure.skip("1m");
    assert_eq!((state(&mut azure), trigger(&mut azure)), ("Stopping".into(), "Stop Schedule".into()));
    azure.skip("13h59m");
    assert_eq!(state(&mut azure), "Stopped");
    azure.skip("1m");
    assert_eq!((state(&mut azure), trigger(&mut azure)), ("Starting".into(), "Start Schedule".into()));
    azure.skip("24h");
    assert_eq!(
        (state(&mut azure), trigger(&mut azure)),
        ("Starting".into(), "Start Schedule".into()),
        "again the day after"
    );
}

#[test]
fn a_schedule_with_nothing_to_do_does_nothing() {
    let mut azure = made(
        "properties.properties.schedules.computeStartStop",
        json!([
        {"action": "Start", "triggerType": "Cron", "cron": {"expression": "0 * * * *"}}]),
    );
    azure.skip("3h");
    assert_eq!((state(&mut azure), trigger(&mut azure)), ("Running".into(), "Create User".into()));
}

#[test]
fn new_schedules_replace_the_old() {
    let daily = |hour: i64| json!([{"action": "Stop", "triggerType": "Cron", "cron": {"expression": format!("0 {hour} * * *")}}]);
    let mut azure = made("properties.properties.schedules.computeStartStop", daily(12));
    let mut body = instance("Standard_DS2_v2");
    place(&mut body, "properties.properties.schedules.computeStartStop", daily(14));
    assert_eq!(azure.put(&compute("ada"), body).status, 201);
    azure.skip("3h");
    assert_eq!(state(&mut azure), "Running");
    azure.skip("1h");
    assert_eq!(state(&mut azure), "Stopped");
}

#[test]
fn idle_shutdown() {
    let mut azure = idle("PT30M");
    azure.skip("29m59s");
    assert_eq!(state(&mut azure), "Running");
    azure.skip("1s");
    assert_eq!((state(&mut azure), trigger(&mut azure)), ("Stopping".into(), "Stop IdleShutdown".into()));
    azure.skip("1m");
    azure.act("ada", "start", Value::Null, "2025-12-01");
    azure.skip("2m");
    azure.admin("POST", &format!("instance{}", compute("ada")), json!({"activeFor": "2h"}));
    azure.skip("2h29m");
    assert_eq!(state(&mut azure), "Running", "somebody used it");
    azure.skip("1m");
    assert_eq!(state(&mut azure), "Stopping");
}

#[test]
fn a_new_idle_time_counts_from_the_last_use() {
    let mut azure = idle("P3D");
    azure.skip("20m");
    let set = |azure: &mut Azure, time: Value| {
        let got = azure.act(
            "ada",
            "updateIdleShutdownSetting",
            json!({"idleTimeBeforeShutdown": time}),
            "2026-05-15-preview",
        );
        assert_eq!(got.status, 200, "{}", got.body);
    };
    set(&mut azure, json!("PT30M"));
    azure.skip("9m");
    assert_eq!(state(&mut azure), "Running");
    set(&mut azure, Value::Null);
    azure.skip("100h");
    assert_eq!(state(&mut azure), "Running", "switched off");
    set(&mut azure, json!("PT15M"));
    assert_eq!(trigger(&mut azure), "Stop IdleShutdown");
}

#[test]
fn jobs_run_side_by_side_and_hold_off_the_idle_clock() {
    let mut azure = idle("PT15M");
    for name in ["one", "two", "three"] {
        job(&mut azure, name, "20m");
    }
    azure.skip("10s");
    assert_eq!(state(&mut azure), "JobRunning");
    let seen = ["one", "two", "three"].map(|name| status(&mut azure, name));
    assert_eq!(seen, ["Running", "Running", "Queued"], "two cores");
    azure.skip("30m");
    assert_eq!((state(&mut azure), status(&mut azure, "three")), ("JobRunning".into(), "Running".into()));
    azure.skip("24m");
    assert_eq!(state(&mut azure), "Running", "idle since 40 minutes after the start");
    azure.skip("1m");
    assert_eq!(trigger(&mut azure), "Stop IdleShutdown");
}

#[test]
fn a_stop_cancels_jobs_and_a_start_takes_what_is_queued() {
    let mut azure = made("properties.description", json!("x"));
    job(&mut azure, "one", "1h");
    azure.skip("1m");
    azure.act("ada", "stop", Value::Null, "2025-12-01");
    assert_eq!(status(&mut azure, "one"), "Canceled");
    job(&mut azure, "two", "1h");
    azure.skip("10m");
    assert_eq!((state(&mut azure), status(&mut azure, "two")), ("Stopped".into(), "Queued".into()));
    azure.act("ada", "start", Value::Null, "2025-12-01");
    azure.skip("2m");
    assert_eq!((state(&mut azure), status(&mut azure, "two")), ("JobRunning".into(), "Running".into()));
    azure.delete(&format!("{}?underlyingResourceAction=Delete", compute("ada")));
    assert_eq!(status(&mut azure, "two"), "Canceled");
}

#[test]
fn a_policy_appends_a_schedule_to_instances_without_one() {
    let mut azure = Azure::new();
    let stop =
        json!({"computeStartStop": [{"action": "Stop", "triggerType": "Cron", "cron": {"expression": "0 12 * * *"}}]});
    azure.admin(
        "POST",
        "policies",
        json!({"name": "off-at-noon", "effect": "append",
        "resourceType": "Microsoft.MachineLearningServices/workspaces/computes",
        "when": [{"field": "properties.computeType", "equals": "ComputeInstance"}],
        "set": {"properties.properties.schedules": stop}}),
    );
    assert_eq!(azure.put(&compute("ada"), instance("Standard_DS2_v2")).status, 201);
    assert_eq!(azure.put(&compute("cpu"), crate::azure::cluster("Standard_DS2_v2", 0, 1)).status, 201);
    azure.skip("2h");
    assert_eq!(trigger(&mut azure), "Stop Schedule");
    azure.admin(
        "POST",
        "policies",
        json!({"name": "no-instances", "effect": "deny",
        "when": [{"field": "properties.computeType", "equals": "ComputeInstance"}]}),
    );
    let got = azure.put(&compute("bob"), instance("Standard_DS2_v2"));
    assert_eq!((got.status, crate::azure::code(&got)), (403, "RequestDisallowedByPolicy"));
}

#[test]
fn schedules_changed_in_the_studio_count_at_once() {
    let mut azure = made("properties.description", json!("x"));
    let stop =
        json!([{"status": "Enabled", "action": "Stop", "triggerType": "Cron", "cron": {"expression": "0 11 * * *"}}]);
    azure.admin(
        "POST",
        &format!("compute{}", compute("ada")),
        json!({"properties": {"properties": {"schedules": {"computeStartStop": stop}}}}),
    );
    azure.skip("1h");
    assert_eq!(trigger(&mut azure), "Stop Schedule");
}

#[test]
fn a_restart_of_the_simulator_loses_nothing() {
    let mut azure = idle("PT30M");
    azure.admin("POST", "clock", json!({"advance": "10m"}));
    let text = serde_json::to_string(&azure.sim.state).unwrap();
    let (settings, clock) = (azure.sim.settings.clone(), azure.sim.clock.clone());
    let kept = serde_json::from_str(&text).unwrap();
    azure.sim = azure_sim::sim::Sim::resume(settings.world, settings.options, kept, clock).unwrap();
    azure.skip("19m");
    assert_eq!(state(&mut azure), "Running");
    azure.skip("2m");
    assert_eq!(trigger(&mut azure), "Stop IdleShutdown");
    let older = text.replace("\"retired\":[],", "").replace("\"bad_scripts\":{},", "");
    assert!(older.len() < text.len());
    let read: Result<azure_sim::state::State, _> = serde_json::from_str(&older);
    assert!(read.is_ok(), "a state of before is read: {read:?}");
}

#[test]
fn a_delete_that_fails_leaves_an_instance_that_falls_idle() {
    let mut azure = idle("PT30M");
    job(&mut azure, "one", "2h");
    azure.skip("1m");
    azure.admin(
        "POST",
        "faults",
        json!({"match": {"method": "DELETE"}, "fault": {"operationFails": {"code": "X", "message": "y"}}}),
    );
    azure.delete(&format!("{}?underlyingResourceAction=Delete", compute("ada")));
    azure.skip("60s");
    assert_eq!((state(&mut azure), status(&mut azure, "one")), ("Running".into(), "Canceled".into()));
    azure.skip("31m");
    assert_eq!(trigger(&mut azure), "Stop IdleShutdown");
}
