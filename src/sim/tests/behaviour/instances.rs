//! Instances over the API: create, read, switch on and off, delete.

use crate::azure::{Azure, SUB, cluster, code, compute, instance, world, ws};
use azure_sim::{
    front::{governance::place, http::Answer},
    ml::ctx::{Assumed, Lists, Options},
};
use serde_json::{Value, json};

const GA: &str = "2025-12-01";
const PREVIEW: &str = "2024-10-01-preview";
const INNER: &str = "properties.properties";

fn with(path: &str, value: Value) -> Value {
    let mut body = instance("Standard_DS3_v2");
    place(&mut body, path, value);
    body
}

/// Create one and let its creation end.
fn make(azure: &mut Azure, name: &str, body: Value) {
    let got = azure.put(&compute(name), body);
    assert_eq!(got.status, 201, "{}", got.body);
    azure.skip("180s");
}

fn state(azure: &mut Azure, name: &str) -> String {
    azure.inner(name)["state"].as_str().unwrap_or("none").to_string()
}

fn last(azure: &mut Azure, name: &str) -> [String; 3] {
    let last = azure.inner(name)["lastOperation"].clone();
    ["operationName", "operationStatus", "operationTrigger"].map(|field| last[field].as_str().unwrap().to_string())
}

fn act(azure: &mut Azure, name: &str, action: &str) -> Answer {
    azure.act(name, action, Value::Null, GA)
}

fn ended(azure: &mut Azure, answer: &Answer) -> Answer {
    let url = answer.header("location").unwrap_or_else(|| panic!("{} {}", answer.status, answer.body)).to_string();
    azure.exact("GET", &url, Value::Null)
}

#[test]
fn a_creation_from_201_to_running() {
    let mut azure = Azure::new();
    let mut body = instance("Standard_DS3_v2");
    body["tags"] = json!({"team": "a"});
    body["identity"] = json!({"type": "SystemAssigned"});
    place(
        &mut body,
        "properties.properties.customServices",
        json!([{"name": "rstudio", "extra": 1,
        "endpoints": [{"name": "ui", "target": 8787, "published": 8787}]}]),
    );
    let made = azure.put(&compute("ada"), body);
    assert_eq!((made.status, &made.body["properties"]["provisioningState"]), (201, &json!("Creating")));
    assert!(made.header("azure-asyncoperation").is_some() && made.header("location").is_none());
    assert_eq!(last(&mut azure, "ada"), ["Create", "InProgress", "User"]);
    let inner = azure.inner("ada");
    assert_eq!((&inner["state"], &inner["applications"]), (&json!("Creating"), &json!([])));
    azure.skip("180s");
    let got = azure.get(&compute("ada")).body;
    assert_eq!(got["properties"]["computeType"], "ComputeInstance");
    assert_eq!(got["properties"]["provisioningState"], "Succeeded");
    assert!(got["identity"]["principalId"].is_string());
    let inner = &got["properties"]["properties"];
    assert_eq!(inner["vmSize"], "STANDARD_DS3_V2");
    assert_eq!(inner["state"], "Running");
    assert_eq!(
        inner["sshSettings"],
        json!({
        "sshPublicAccess": "Disabled", "adminPublicKey": null, "adminUserName": "azureuser", "sshPort": null})
    );
    assert_eq!(inner["applicationSharingPolicy"], "Shared");
    assert_eq!(inner["createdBy"]["userName"], "demo-operator");
    assert_eq!(inner["customServices"][0]["extra"], 1, "custom services take further fields");
    let uris: Vec<&str> =
        inner["applications"].as_array().unwrap().iter().filter_map(|a| a["endpointUri"].as_str()).collect();
    assert_eq!(uris.len(), 3);
    assert!(uris[2].contains("ada-8787.westeurope"), "{uris:?}");
    assert!(inner["connectivityEndpoints"]["privateIpAddress"].is_string());
    for absent in ["currentNodeCount", "scaleSettings", "allocationState", "osType"] {
        assert_eq!(inner.get(absent), None, "a cluster's field");
    }
    assert_eq!(last(&mut azure, "ada"), ["Create", "Succeeded", "User"]);
    assert_eq!(azure.put(&compute("ada"), got).status, 201, "what was read can be put back");
}

#[test]
fn what_a_put_refuses() {
    let mut azure = Azure::new();
    let at = |field: &str| format!("{INNER}.{field}");
    for (name, body, expected) in [
        ("ada-1", instance("Standard_DS3_v2"), "ComputeNameNotAvailable"),
        ("ad", instance("Standard_DS3_v2"), "ComputeNameNotAvailable"),
        ("ada", with(&at("vmPriority"), json!("Dedicated")), "InvalidRequestContent"),
        ("ada", with(&at("scaleSettings"), json!({"maxNodeCount": 1})), "InvalidRequestContent"),
        ("ada", with(&at("enableSSO"), json!("yes")), "InvalidRequestContent"),
        ("ada", with(&at("applicationSharingPolicy"), json!("Everybody")), "InvalidRequestContent"),
        ("ada", with(&at("sshSettings.port"), json!(22)), "InvalidRequestContent"),
        (
            "ada",
            with(&at("personalComputeInstanceSettings.assignedUser"), json!({"objectId": "u"})),
            "InvalidRequestContent",
        ),
        ("ada", with(&at("schedules.computeStartStop"), json!([{"triggerType": "Cron"}])), "InvalidRequestContent"),
        ("ada", with(&at("setupScripts.scripts.startupScript.path"), json!("x")), "InvalidRequestContent"),
        ("ada", with(&at("vmSize"), Value::Null), "InvalidPropertyValue"),
        ("ada", with(&at("idleTimeBeforeShutdown"), json!("PT5M")), "InvalidPropertyValue"),
        ("ada", with("properties.computeLocation", json!("northeurope")), "InvalidPropertyValue"),
        (
            "ada",
            with(
                &at("schedules.computeStartStop"),
                json!([{"action": "Stop", "triggerType": "Cron",
                "cron": {"expression": "0 18 * * *", "timeZone": "Europe/Berlin"}}]),
            ),
            "InvalidPropertyValue",
        ),
    ] {
        let got = azure.put(&compute(name), body.clone());
        assert_eq!((got.status, code(&got)), (400, expected), "{body} {}", got.body);
    }
    let zone = with(
        &at("schedules.computeStartStop"),
        json!([{"action": "Stop", "triggerType": "Cron",
        "cron": {"expression": "0 18 * * *", "timeZone": "Nowhere"}}]),
    );
    let target = azure.put(&compute("ada"), zone).body["error"]["target"].clone();
    assert_eq!(target, "properties.properties.schedules.computeStartStop[0].cron.timeZone");
}

#[test]
fn a_name_exists_once_in_a_region() {
    let mut world = world();
    let second = serde_json::from_value(json!({"subscription": "00000000-0000-0000-0000-000000000001",
        "resourceGroup": "ml-rg", "name": "other-ws", "location": "westeurope"}))
    .unwrap();
    world.workspaces.push(second);
    let mut azure = Azure::with(world, Options::default());
    let elsewhere = |name: &str| compute(name).replace("research-ws", "other-ws");
    azure.put(&compute("ada"), instance("Standard_DS3_v2"));
    azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 1));
    for (name, body) in [
        ("ADA", instance("Standard_DS3_v2")),
        ("cpu", instance("Standard_DS3_v2")),
        ("ada", cluster("Standard_DS3_v2", 0, 1)),
    ] {
        let got = azure.put(&elsewhere(name), body);
        assert_eq!((got.status, code(&got)), (400, "ComputeNameNotAvailable"), "{name}");
        assert!(got.body["error"]["message"].as_str().unwrap().contains("Reason: AlreadyExists"));
    }
    assert_eq!(azure.put(&elsewhere("cpu"), cluster("Standard_DS3_v2", 0, 1)).status, 201, "clusters may");
}

#[test]
fn creating_needs_the_right_to_ask_for_names() {
    let mut world = world();
    let role = &mut world.principals[0].roles[0];
    role.role = None;
    role.actions = vec!["Microsoft.MachineLearningServices/workspaces/computes/*".into()];
    let mut azure = Azure::with(world, Options::default());
    assert_eq!(azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 1)).status, 201);
    let got = azure.put(&compute("ada"), instance("Standard_DS3_v2"));
    assert_eq!((got.status, code(&got)), (403, "AuthorizationFailed"));
    assert!(got.body["error"]["message"].as_str().unwrap().contains("checkComputeNameAvailability/action"));
}

#[test]
fn sizes_and_quotas_fail_the_creation() {
    let mut azure = Azure::new();
    for (name, size, wrong) in [
        ("aaa", "Standard_XYZ", "InvalidPropertyValue"),
        ("bbb", "Standard_NC24ads_A100_v4", ""),
        ("ccc", "Standard_NC4as_T4_v3", ""),
        ("ddd", "Standard_NC4as_T4_v3", ""),
        ("eee", "Standard_NC4as_T4_v3", ""),
        ("fff", "Standard_NC4as_T4_v3", ""),
        // Sixteen cores of quota, all taken.
        ("ggg", "Standard_NC4as_T4_v3", "ClusterCoreQuotaReached"),
    ] {
        make(&mut azure, name, instance(size));
        let got = azure.get(&compute(name)).body;
        let error =
            got["properties"]["provisioningErrors"][0]["error"]["code"].as_str().unwrap_or_default().to_string();
        assert_eq!(error, wrong, "{name}");
        let failed = !wrong.is_empty();
        assert_eq!(got["properties"]["provisioningState"], if failed { "Failed" } else { "Succeeded" });
        assert_eq!(state(&mut azure, name), if failed { "CreateFailed" } else { "Running" });
    }
    assert_eq!(last(&mut azure, "ggg"), ["Create", "CreateFailed", "User"]);
    act(&mut azure, "ccc", "stop");
    azure.skip("60s");
    azure.put(&compute("ggg"), instance("Standard_NC4as_T4_v3"));
    azure.skip("180s");
    assert_eq!(state(&mut azure, "ggg"), "CreateFailed", "what is stopped keeps its quota");
    azure.delete(&format!("{}?underlyingResourceAction=Delete", compute("ccc")));
    azure.skip("60s");
    azure.put(&compute("ggg"), instance("Standard_NC4as_T4_v3"));
    azure.skip("180s");
    assert_eq!(state(&mut azure, "ggg"), "Running", "a PUT over a failed creation tries again");
}

#[test]
fn switched_off_and_on() {
    let mut azure = Azure::new();
    make(&mut azure, "ada", instance("Standard_DS3_v2"));
    let off = act(&mut azure, "ada", "stop");
    assert_eq!((off.status, off.bytes().len()), (202, 0));
    assert!(off.header("retry-after").is_some());
    assert_eq!(state(&mut azure, "ada"), "Stopping");
    assert_eq!(azure.get(&compute("ada")).body["properties"]["provisioningState"], "Succeeded", "apart from it");
    assert_eq!(ended(&mut azure, &off).status, 202);
    let busy = act(&mut azure, "ada", "start");
    assert_eq!((busy.status, code(&busy)), (409, "Conflict"));
    let put = azure.put(&compute("ada"), instance("Standard_DS3_v2"));
    assert_eq!((put.status, code(&put)), (409, "Conflict"));
    azure.skip("60s");
    assert_eq!(ended(&mut azure, &off).status, 200);
    assert_eq!(
        (state(&mut azure, "ada"), last(&mut azure, "ada")),
        ("Stopped".into(), ["Stop", "Succeeded", "User"].map(String::from))
    );
    for (action, wrong) in [
        ("stop", "StopComputeInstanceOnlyAllowedInRunningState"),
        ("restart", "RestartComputeInstanceOnlyAllowedInRunningState"),
    ] {
        let got = act(&mut azure, "ada", action);
        assert_eq!(got.status, 202, "it fails as an operation");
        let end = ended(&mut azure, &got);
        assert_eq!((end.status, code(&end)), (400, wrong));
    }
    assert_eq!(last(&mut azure, "ada")[0], "Stop", "nothing was begun");
    act(&mut azure, "ada", "start");
    assert_eq!(state(&mut azure, "ada"), "Starting");
    azure.skip("120s");
    assert_eq!(state(&mut azure, "ada"), "Running");
    let again = act(&mut azure, "ada", "start");
    let end = ended(&mut azure, &again);
    assert_eq!(code(&end), "StartComputeInstanceOnlyAllowedInStoppedState");
    assert!(end.body["error"]["message"].as_str().unwrap().contains("when the instance ada is in 'stopped' state"));
    act(&mut azure, "ada", "restart");
    assert_eq!(state(&mut azure, "ada"), "Restarting");
    azure.skip("120s");
    assert_eq!((state(&mut azure, "ada"), last(&mut azure, "ada")[0].clone()), ("Running".into(), "Restart".into()));
}

#[test]
fn actions_need_their_right_their_type_and_their_version() {
    let mut azure = Azure::new();
    make(&mut azure, "ada", instance("Standard_DS3_v2"));
    azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 1));
    let nodes = act(&mut azure, "ada", "listNodes");
    assert_eq!((nodes.status, code(&nodes)), (400, "UserError"));
    assert_eq!(code(&act(&mut azure, "ada", "listKeys")), "BadRequest");
    assert_eq!(code(&act(&mut azure, "cpu", "stop")), "BadRequest");
    assert_eq!(act(&mut azure, "none", "stop").status, 404);
    let patch = json!({"properties": {"properties": {"scaleSettings": {"maxNodeCount": 2}}}});
    assert_eq!(code(&azure.call("PATCH", &compute("ada"), patch)), "BadRequest");
    let idle = json!({"idleTimeBeforeShutdown": "PT2H"});
    assert_eq!(azure.act("ada", "updateIdleShutdownSetting", idle.clone(), GA).status, 404);
    assert_eq!(azure.act("ada", "updateIdleShutdownSetting", idle.clone(), PREVIEW).status, 200);
    assert_eq!(azure.inner("ada")["idleTimeBeforeShutdown"], "PT2H");
    let short = json!({"idleTimeBeforeShutdown": "PT1M"});
    assert_eq!(code(&azure.act("ada", "updateIdleShutdownSetting", short, PREVIEW)), "InvalidPropertyValue");
    let wrong = json!({"idle": "PT2H"});
    assert_eq!(code(&azure.act("ada", "updateIdleShutdownSetting", wrong, PREVIEW)), "InvalidRequestContent");
    let limited = json!({"roles": [{"scope": SUB, "role": "Reader"}]});
    azure.admin("POST", &format!("principals/{}", crate::azure::CLIENT), limited);
    for action in ["start", "stop", "restart", "resize", "updateIdleShutdownSetting"] {
        let got = azure.act("ada", action, idle.clone(), PREVIEW);
        assert_eq!(code(&got), "AuthorizationFailed");
        assert!(got.body["error"]["message"].as_str().unwrap().contains(&format!("computes/{action}/action")));
    }
}

#[test]
fn resized_only_when_stopped() {
    let mut azure = Azure::new();
    make(&mut azure, "ada", instance("Standard_DS3_v2"));
    let resize = |azure: &mut Azure, size: &str| azure.act("ada", "resize", json!({"targetVMSize": size}), PREVIEW);
    let early = resize(&mut azure, "Standard_DS2_v2");
    assert_eq!(code(&ended(&mut azure, &early)), "ResizeComputeInstanceOnlyAllowedInStoppedState");
    act(&mut azure, "ada", "stop");
    azure.skip("60s");
    assert_eq!(code(&resize(&mut azure, "Standard_XYZ")), "InvalidPropertyValue");
    assert_eq!(code(&azure.act("ada", "resize", json!({}), PREVIEW)), "InvalidRequestContent");
    assert_eq!(resize(&mut azure, "Standard_DS2_v2").status, 202);
    assert_eq!(
        (state(&mut azure, "ada"), azure.inner("ada")["vmSize"].clone()),
        ("Resizing".into(), json!("STANDARD_DS3_V2"))
    );
    azure.skip("180s");
    assert_eq!(
        (state(&mut azure, "ada"), azure.inner("ada")["vmSize"].clone()),
        ("Stopped".into(), json!("STANDARD_DS2_V2"))
    );
}

#[test]
fn what_changes_in_place() {
    let cron =
        json!({"computeStartStop": [{"action": "Stop", "triggerType": "Cron", "cron": {"expression": "0 18 * * *"}}]});
    for (assumed, path, value, refused) in [
        (Assumed::Refused, "properties.properties.schedules", cron, false),
        (Assumed::Allowed, "properties.properties.vmSize", json!("Standard_D2_v2"), true),
        (Assumed::Allowed, "properties.properties.idleTimeBeforeShutdown", json!("PT1H"), true),
        (Assumed::Allowed, "properties.properties.enableSSO", json!(false), true),
        (Assumed::Allowed, "properties.properties.enableNodePublicIp", json!(false), true),
        (Assumed::Refused, "tags", json!({"a": "b"}), true),
        (Assumed::Allowed, "tags", json!({"a": "b"}), false),
        (Assumed::Refused, "identity", json!({"type": "SystemAssigned"}), true),
        (Assumed::Refused, "properties.properties.applicationSharingPolicy", json!("Personal"), true),
    ] {
        let mut azure = Azure::with(world(), Options { assumed, ..Options::default() });
        make(&mut azure, "ada", instance("Standard_DS3_v2"));
        let got = azure.put(&compute("ada"), with(path, value));
        assert_eq!(got.status == 400, refused, "{path} {}", got.body);
        if refused {
            assert_eq!((code(&got), &got.body["error"]["target"]), ("PropertyChangeNotAllowed", &json!(path)));
        } else {
            assert_eq!((got.status, state(&mut azure, "ada")), (201, "Running".into()), "the machine goes on");
        }
    }
    let mut azure = Azure::new();
    make(&mut azure, "ada", instance("Standard_DS3_v2"));
    let got = azure.put(&compute("ada"), cluster("Standard_DS3_v2", 0, 1));
    assert_eq!(got.body["error"]["target"], "properties.computeType");
}

#[test]
fn deleted_at_any_time() {
    let mut azure = Azure::new();
    let delete = format!("{}?underlyingResourceAction=Delete", compute("ada"));
    make(&mut azure, "ada", instance("Standard_DS3_v2"));
    assert_eq!(azure.delete(&compute("ada")).status, 400, "the action is required");
    let off = act(&mut azure, "ada", "stop");
    let gone = azure.delete(&delete);
    assert_eq!(gone.status, 202);
    assert_eq!(ended(&mut azure, &off).status, 409, "overtaken");
    assert_eq!(
        (state(&mut azure, "ada"), last(&mut azure, "ada")),
        ("Deleting".into(), ["Delete", "InProgress", "User"].map(String::from))
    );
    assert_eq!(code(&act(&mut azure, "ada", "start")), "Conflict");
    azure.skip("60s");
    assert_eq!(azure.get(&compute("ada")).status, 404);
    assert_eq!(azure.delete(&delete).status, 204);
    azure.admin(
        "POST",
        "faults",
        json!({"match": {"method": "DELETE"}, "fault": {"operationFails": {"code": "X", "message": "y"}}}),
    );
    make(&mut azure, "ada", instance("Standard_DS3_v2"));
    azure.delete(&delete);
    azure.skip("60s");
    assert_eq!(
        (state(&mut azure, "ada"), last(&mut azure, "ada")[1].clone()),
        ("Running".into(), "DeleteFailed".into())
    );
}

#[test]
fn a_setup_script_that_fails() {
    let mut azure = Azure::new();
    let script = json!({"creationScript": {"scriptSource": "inline", "scriptData": "ZXhpdCAx", "timeout": "10m"}});
    let body = with("properties.properties.setupScripts.scripts", script.clone());
    azure.admin("POST", &format!("instance{}", compute("ada")), json!({"setupFails": "exit code 1"}));
    azure.put(&compute("ada"), body.clone());
    azure.skip("180s");
    assert_eq!(state(&mut azure, "ada"), "SettingUp");
    azure.skip("60s");
    assert_eq!(
        (state(&mut azure, "ada"), last(&mut azure, "ada")[1].clone()),
        ("SetupFailed".into(), "CreateFailed".into())
    );
    let got = azure.get(&compute("ada")).body;
    assert_eq!(got["properties"]["provisioningState"], "Failed");
    let inner = &got["properties"]["properties"];
    assert_eq!(inner["errors"][0]["error"]["code"], "SetupScriptsError");
    assert!(inner["errors"][0]["error"]["message"].as_str().unwrap().contains("exit code 1"));
    assert_eq!(inner["setupScripts"]["scripts"]["creationScript"], script["creationScript"]);
    act(&mut azure, "ada", "restart");
    azure.skip("120s");
    assert_eq!(state(&mut azure, "ada"), "Running", "the creation script runs once");
    azure.admin("POST", &format!("instance{}", compute("bob")), json!({"setupFails": ""}));
    azure.put(&compute("bob"), body);
    azure.skip("240s");
    assert_eq!(state(&mut azure, "bob"), "Running");
}

#[test]
fn failures_of_operations() {
    for (action, after) in [("start", "Stopped"), ("stop", "Running"), ("restart", "Unusable")] {
        let mut azure = Azure::new();
        make(&mut azure, "ada", instance("Standard_DS3_v2"));
        if action == "start" {
            act(&mut azure, "ada", "stop");
            azure.skip("60s");
        }
        azure.admin(
            "POST",
            "faults",
            json!({"match": {"method": "POST", "pathEnds": action},
            "fault": {"operationFails": {"code": "AllocationFailed", "message": "none left"}}}),
        );
        let got = act(&mut azure, "ada", action);
        azure.skip("120s");
        assert_eq!(code(&ended(&mut azure, &got)), "AllocationFailed");
        let (name, status) = (last(&mut azure, "ada")[0].clone(), last(&mut azure, "ada")[1].clone());
        assert_eq!((state(&mut azure, "ada"), status), (after.into(), format!("{name}Failed")));
        assert_eq!(azure.inner("ada")["errors"][0]["error"]["code"], "AllocationFailed");
    }
}

#[test]
fn lists_hold_both_types_and_may_be_sparse() {
    let mut azure = Azure::with(world(), Options { lists: Lists::Sparse, ..Options::default() });
    azure.put(&compute("ada"), instance("Standard_DS3_v2"));
    azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 1));
    let list = azure.get(&format!("{}/computes", ws())).body["value"].clone();
    let kinds: Vec<&Value> = list.as_array().unwrap().iter().map(|i| &i["properties"]["computeType"]).collect();
    assert_eq!(kinds, ["ComputeInstance", "AmlCompute"]);
    assert_eq!(list[0]["properties"]["properties"].get("state"), None);
    assert_eq!(state(&mut azure, "ada"), "Creating", "a GET of the one has it");
}

#[test]
fn a_state_behind_the_api() {
    let mut azure = Azure::new();
    make(&mut azure, "ada", instance("Standard_DS3_v2"));
    let set = |azure: &mut Azure, state: Value| {
        azure.admin(
            "POST",
            &format!("compute{}", compute("ada")),
            json!({"properties": {"properties": {"state": state}}}),
        )
    };
    set(&mut azure, json!("Unusable"));
    assert_eq!(state(&mut azure, "ada"), "Unusable");
    set(&mut azure, Value::Null);
    assert_eq!(state(&mut azure, "ada"), "Running");
}

#[test]
fn a_cloud_without_previews_has_no_actions_of_theirs() {
    let offered = |azure: &mut Azure| {
        let got = azure.exact(
            "GET",
            &format!("{SUB}/providers/Microsoft.MachineLearningServices?api-version=2021-04-01"),
            Value::Null,
        );
        let types = got.body["resourceTypes"].as_array().unwrap().clone();
        let computes = types.iter().find(|t| t["resourceType"] == "workspaces/computes").unwrap();
        computes["apiVersions"].to_string().contains(PREVIEW)
    };
    let idle = json!({"idleTimeBeforeShutdown": "PT2H"});
    let mut azure = Azure::new();
    assert!(offered(&mut azure));
    let mut world = world();
    world.api_versions = [("*".to_string(), vec![GA.to_string(), "2021-04-01".to_string()])].into();
    let mut azure = Azure::with(world, Options::default());
    make(&mut azure, "ada", instance("Standard_DS3_v2"));
    assert!(!offered(&mut azure));
    let got = azure.act("ada", "updateIdleShutdownSetting", idle, PREVIEW);
    assert_eq!((got.status, code(&got)), (400, "NoRegisteredProviderFound"));
}

#[test]
fn a_workspace_takes_its_instances_with_it() {
    let mut azure = Azure::new();
    make(&mut azure, "ada", instance("Standard_DS3_v2"));
    let usage = |azure: &mut Azure| {
        let url = format!("{SUB}/providers/Microsoft.MachineLearningServices/locations/westeurope/usages");
        azure.get(&url).body["value"][1]["currentValue"].clone()
    };
    assert_eq!(usage(&mut azure), 4);
    azure.delete(&ws());
    azure.skip("60s");
    assert_eq!((azure.get(&compute("ada")).status, usage(&mut azure)), (404, json!(0)));
}

#[test]
fn what_is_not_honoured() {
    let mut azure = Azure::new();
    make(&mut azure, "ada", instance("Standard_DS3_v2"));
    for (method, field) in [("POST", "idleTimeBeforeShutdown"), ("PUT", "schedules")] {
        let fault = json!({"notHonoured": {"field": format!("properties.properties.{field}")}});
        azure.admin("POST", "faults", json!({"match": {"method": method}, "fault": fault}));
    }
    let idle = json!({"idleTimeBeforeShutdown": "PT2H"});
    assert_eq!(azure.act("ada", "updateIdleShutdownSetting", idle.clone(), PREVIEW).status, 200);
    assert_eq!(azure.inner("ada")["idleTimeBeforeShutdown"], Value::Null);
    let cron = json!([{"action": "Stop", "triggerType": "Cron", "cron": {"expression": "0 18 * * *"}}]);
    assert_eq!(azure.put(&compute("ada"), with("properties.properties.schedules.computeStartStop", cron)).status, 201);
    assert_eq!(azure.inner("ada")["schedules"], Value::Null);
    azure.act("ada", "updateIdleShutdownSetting", idle, PREVIEW);
    azure.skip("20s");
    assert_eq!(azure.inner("ada")["idleTimeBeforeShutdown"], Value::Null, "409 while the update runs");
}
