//! A cluster in a manifest becomes a cluster in Azure, changes with it, and is scaled by jobs.

use azureml_tests::sim::arm::{compute_id, workspace_id};
use azureml_tests::sim::demo;
use azureml_tests::team::{LONG, Team, brisk, condition, laid};
use azureml_tests::{Environment, Result, SimRequest, Until};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A password that is found wherever it leaks to.
const PASSWORD: &str = "Pa55-word-that-nobody-may-see";

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_made_shown_changed_and_scaled() {
    let env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = async {
        tokio::try_join!(
            becomes_ready_and_is_shown(&env),
            an_edit_of_max_nodes_is_one_patch(&env),
            a_dropped_scale_field_goes_back_and_an_unmanaged_one_stays(&env),
            tags_and_identity_are_one_put_that_keeps_the_rest(&env),
            a_job_scales_the_cluster_and_the_operator_only_looks_on(&env),
            scale_and_tags_together_are_one_put(&env),
            edits_in_a_row_end_as_the_last_one_says(&env),
        )
    };
    cases.await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_reaches_the_wire_and_the_password_nothing_else() {
    let mut env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    every_field(&env).await.unwrap_or_else(|error| panic!("{error}"));
    an_update_carries_the_credentials(&env).await.unwrap_or_else(|error| panic!("{error}"));
    a_changed_password_needs_a_replacement(&env).await.unwrap_or_else(|error| panic!("{error}"));
    nothing_shows_the_password(&mut env).await.unwrap_or_else(|error| panic!("{error}"));
}

/// The verb of each write, in order.
fn verbs(writes: &[SimRequest]) -> Vec<&str> {
    writes.iter().map(|write| write.method.as_str()).collect()
}

async fn becomes_ready_and_is_shown(env: &Environment) -> Result<()> {
    let team = Team::new(env, "shown")?;
    team.cluster("shown", json!({}))?;
    team.kubectl(&["wait", "amlws/research", "amlcc/shown", "--for=condition=Ready", "--timeout=150s"])?;
    let cluster = team.wait("shown", Until::condition("InSync", "True")).await?;
    let status = &cluster["status"];
    assert_eq!(status["azure"]["id"].as_str().map(str::to_lowercase), Some(compute_id("shown").to_lowercase()));
    assert_eq!(status["azure"]["provisioningState"], "Succeeded");
    assert_eq!(status["observedGeneration"], cluster["metadata"]["generation"]);
    for of in ["operation", "plan"] {
        assert!(status[of].is_null(), "{of} is left over: {status}");
    }
    for of in ["Reconciling", "Stalled", "Paused", "AwaitingApproval"] {
        assert!(condition(&cluster, of).is_null(), "{of} exists only while True: {status}");
    }

    let shown = team.kubectl(&["get", "amlcc"])?;
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "READY", "REASON", "SIZE", "NODES", "MIN", "MAX", "AGE", "MESSAGE"], "{shown}");
    assert_eq!(lines[1][..7], ["shown", "True", "Available", "Standard_DS3_v2", "0", "0", "4"], "{shown}");
    assert_eq!(lines[1][8..].join(" "), "the cluster is provisioned", "{shown}");
    let wide = team.kubectl(&["get", "amlcc", "-o", "wide"])?;
    let header: Vec<&str> = wide.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(header[9..], ["WORKSPACE", "RUNNING", "IDLE", "INSYNC"], "{wide}");

    let shown = team.kubectl(&["get", "amlws"])?;
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "READY", "REASON", "LOCATION", "COMPUTES", "AGE", "MESSAGE"], "{shown}");
    assert_eq!(lines[1][..4], ["research", "True", "Available", "westeurope"], "{shown}");
    team.wait_told("shown", "Creating", "/computes/shown").await?;
    team.wait_told("shown", "Ready", "provisioned").await?;
    Ok(())
}

async fn an_edit_of_max_nodes_is_one_patch(env: &Environment) -> Result<()> {
    let team = Team::new(env, "edited")?;
    team.ready_cluster("edited", json!({"scale": {"minNodes": 0}})).await?;
    let mark = env.sim.mark().await?;
    team.edit("edited", json!({"scale": {"maxNodes": 6}}))?;
    team.wait("edited", Until::condition("InSync", "True")).await?;
    team.wait("edited", Until::ready()).await?;
    let writes = env.sim.writes_of("edited", mark).await?;
    assert_eq!(verbs(&writes), ["PATCH"], "{writes:#?}");
    // All three values, since a PATCH replaces the scale settings whole.
    let scale = json!({"minNodeCount": 0, "maxNodeCount": 6, "nodeIdleTimeBeforeScaleDown": "PT2M"});
    assert_eq!(writes[0].body, json!({"properties": {"properties": {"scaleSettings": scale}}}));
    team.wait_told("edited", "Updating", "spec.scale.maxNodes: 4 → 6").await?;
    Ok(())
}

async fn a_dropped_scale_field_goes_back_and_an_unmanaged_one_stays(env: &Environment) -> Result<()> {
    let team = Team::new(env, "dropped")?;
    team.ready_cluster("dropped", json!({"scale": {"idleBeforeScaleDown": "10m"}})).await?;
    let idle = "/properties/properties/scaleSettings/nodeIdleTimeBeforeScaleDown";
    let arm = env.sim.arm().await?;
    let has = arm.get(&compute_id("dropped")).await?.body;
    assert_eq!(has.pointer(idle), Some(&json!("PT10M")), "{has}");
    let mark = env.sim.mark().await?;
    team.edit("dropped", json!({"scale": {"idleBeforeScaleDown": null}}))?;
    team.wait("dropped", Until::condition("InSync", "True")).await?;
    let writes = env.sim.writes_of("dropped", mark).await?;
    assert_eq!(verbs(&writes), ["PATCH"], "{writes:#?}");
    assert_eq!(writes[0].body.pointer(idle), Some(&json!("PT120S")), "Azure's default: {writes:#?}");

    // Nothing manages the field now: somebody else's value is neither drift nor lost in the next write.
    let other = json!({"properties": {"properties": {"scaleSettings": {"nodeIdleTimeBeforeScaleDown": "PT7M"}}}});
    env.sim.change_by_hand("dropped", other).await?;
    let mark = env.sim.mark().await?;
    env.sim.wait_for_lists(mark, 2, LONG).await?;
    assert_eq!(env.sim.writes_of("dropped", mark).await?, []);
    team.edit("dropped", json!({"scale": {"maxNodes": 5}}))?;
    team.wait("dropped", Until::condition("InSync", "True")).await?;
    let writes = env.sim.writes_of("dropped", mark).await?;
    assert_eq!(verbs(&writes), ["PATCH"], "{writes:#?}");
    assert_eq!(writes[0].body.pointer(idle), Some(&json!("PT7M")), "{writes:#?}");
    Ok(())
}

async fn tags_and_identity_are_one_put_that_keeps_the_rest(env: &Environment) -> Result<()> {
    let team = Team::new(env, "tagged")?;
    team.ready_cluster("tagged", json!({"tags": {"team": "a", "old": "1"}})).await?;
    // What others keep there: a tag, and a field that no manifest of ours names.
    let others =
        json!({"tags": {"cost-centre": "4711"}, "properties": {"description": "by hand", "disableLocalAuth": true}});
    env.sim.change_by_hand("tagged", others).await?;
    let mark = env.sim.mark().await?;
    team.edit("tagged", json!({"tags": {"team": "b", "old": null}, "identity": {"type": "SystemAssigned"}}))?;
    let cluster = team.wait("tagged", Until::condition("InSync", "True")).await?;
    let writes = env.sim.writes_of("tagged", mark).await?;
    assert_eq!(verbs(&writes), ["PUT"], "{writes:#?}");
    let body = &writes[0].body;
    assert_eq!(body["tags"]["team"], "b", "{body}");
    assert_eq!(body["tags"]["cost-centre"], "4711", "{body}");
    assert!(body["tags"]["old"].is_null(), "{body}");
    assert!(body["tags"]["azureml.dev-owner"].is_string(), "{body}");
    assert_eq!(body["identity"], json!({"type": "SystemAssigned"}));
    assert_eq!(body["properties"]["description"], "by hand");
    assert_eq!(body["properties"]["disableLocalAuth"], true);
    assert!(cluster["status"]["identityPrincipalId"].is_string(), "{}", cluster["status"]);

    // Dropped from the manifest, they go; what others keep stays.
    let mark = env.sim.mark().await?;
    team.edit("tagged", json!({"tags": null, "identity": null}))?;
    team.wait("tagged", Until::condition("InSync", "True")).await?;
    let writes = env.sim.writes_of("tagged", mark).await?;
    assert_eq!(verbs(&writes), ["PUT"], "{writes:#?}");
    let arm = env.sim.arm().await?;
    let has = arm.get(&compute_id("tagged")).await?.body;
    let mut tags: Vec<&String> = has["tags"].as_object().unwrap().keys().collect();
    tags.sort();
    assert_eq!(tags, ["azureml.dev-owner", "azureml.dev-uid", "cost-centre"], "{has}");
    assert!(has["identity"].is_null() || has["identity"]["type"] == "None", "{has}");
    assert_eq!(has["properties"]["description"], "by hand");
    Ok(())
}

async fn a_job_scales_the_cluster_and_the_operator_only_looks_on(env: &Environment) -> Result<()> {
    let team = Team::new(env, "scaled")?;
    let before = team.ready_cluster("scaled", json!({})).await?;
    let mark = env.sim.mark().await?;
    let job = json!({"properties": {
        "jobType": "Command",
        "command": "python train.py",
        "environmentId": format!("{}/environments/minimal/versions/1", workspace_id()),
        "computeId": compute_id("scaled"),
        "resources": {"instanceCount": 3},
        // Virtual time: a minute of it is a second here.
        "environmentVariables": {"AZUREML_SIM_DURATION": "10m"},
    }});
    let arm = env.sim.arm().await?;
    let answer = arm.put(&format!("{}/jobs/scaled", workspace_id()), job).await?;
    assert!(answer.status.is_success(), "{answer:?}");
    let nodes = |of: &'static str, count: u64| Until::field(&format!("/status/nodes/{of}"), count);
    team.wait("scaled", nodes("current", 3)).await?;
    let busy = team.wait("scaled", nodes("running", 3)).await?;
    for of in ["Ready", "InSync"] {
        assert_eq!(condition(&busy, of), condition(&before, of), "autoscaling is no change");
    }
    let after = team.wait("scaled", nodes("current", 0)).await?;
    for of in ["Ready", "InSync"] {
        assert_eq!(condition(&after, of), condition(&before, of), "autoscaling is no change");
    }
    assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"]);
    assert_eq!(env.sim.writes_of("scaled", mark).await?, []);
    Ok(())
}

async fn scale_and_tags_together_are_one_put(env: &Environment) -> Result<()> {
    let team = Team::new(env, "joined")?;
    team.ready_cluster("joined", json!({})).await?;
    let mark = env.sim.mark().await?;
    team.edit("joined", json!({"scale": {"maxNodes": 6}, "tags": {"team": "a"}}))?;
    team.wait("joined", Until::condition("InSync", "True")).await?;
    let writes = env.sim.writes_of("joined", mark).await?;
    assert_eq!(verbs(&writes), ["PUT"], "{writes:#?}");
    assert_eq!(writes[0].body["tags"]["team"], "a");
    assert_eq!(writes[0].body["properties"]["properties"]["scaleSettings"]["maxNodeCount"], 6);
    Ok(())
}

async fn edits_in_a_row_end_as_the_last_one_says(env: &Environment) -> Result<()> {
    let team = Team::new(env, "hasty")?;
    team.ready_cluster("hasty", json!({})).await?;
    let mark = env.sim.mark().await?;
    for max in 5..10 {
        team.edit("hasty", json!({"scale": {"maxNodes": max}}))?;
    }
    team.wait("hasty", Until::condition("InSync", "True")).await?;
    let writes = env.sim.writes_of("hasty", mark).await?;
    assert!(writes.iter().all(|write| write.method == "PATCH" && write.status == 200), "{writes:#?}");
    let last = writes.last().unwrap();
    assert_eq!(last.body["properties"]["properties"]["scaleSettings"]["maxNodeCount"], 9, "{writes:#?}");
    Ok(())
}

/// A manifest with every field that a cluster has, and its body on the wire.
fn everything() -> (Value, Value) {
    let (subscription, group) = (demo::SUBSCRIPTION, demo::RESOURCE_GROUP);
    let root = format!("/subscriptions/{subscription}/resourceGroups/{group}/providers");
    let subnet = format!("{root}/Microsoft.Network/virtualNetworks/net/subnets/nodes");
    let image = format!("{root}/Microsoft.Compute/images/golden");
    let user = format!("{root}/Microsoft.ManagedIdentity/userAssignedIdentities/trainer");
    let manifest = json!({
        "azureName": "Everything-Set",
        "location": "northeurope",
        "vmSize": "Standard_D4s_v3",
        "vmPriority": "LowPriority",
        "scale": {"minNodes": 0, "maxNodes": 3, "idleBeforeScaleDown": "1h30m"},
        "osType": "Windows",
        "image": image,
        "subnetId": subnet,
        "nodePublicIp": false,
        "isolatedNetwork": true,
        "ssh": {
            "publicAccess": "Disabled",
            "adminUserName": "azureuser",
            "sshPublicKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample example",
            "adminPasswordSecretRef": {"name": "nodes", "key": "password"},
        },
        "identity": {"type": "UserAssigned", "userAssignedIds": [user]},
        "localAuth": false,
        "description": "All that there is",
        "tags": {"team": "research", "cost-centre": "4711"},
        "propertyBag": {"custom": {"a": [1, "two"]}},
    });
    let wire = json!({
        "location": "westeurope",
        "tags": {"team": "research", "cost-centre": "4711"},
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {user: {}}},
        "properties": {
            "computeType": "AmlCompute",
            "computeLocation": "northeurope",
            "description": "All that there is",
            "disableLocalAuth": true,
            "properties": {
                "osType": "Windows",
                "vmSize": "Standard_D4s_v3",
                "vmPriority": "LowPriority",
                "virtualMachineImage": {"id": image},
                "isolatedNetwork": true,
                "scaleSettings":
                    {"minNodeCount": 0, "maxNodeCount": 3, "nodeIdleTimeBeforeScaleDown": "PT1H30M"},
                "userAccountCredentials": {
                    "adminUserName": "azureuser",
                    "adminUserSshPublicKey": "(redacted)",
                    "adminUserPassword": "(redacted)",
                },
                "subnet": {"id": subnet},
                "remoteLoginPortPublicAccess": "Disabled",
                "enableNodePublicIp": false,
                "propertyBag": {"custom": {"a": [1, "two"]}},
            },
        },
    });
    (manifest, wire)
}

async fn every_field(env: &Environment) -> Result<()> {
    let team = Team::new(env, "whole")?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "nodes", "namespace": "whole"},
        "stringData": {"password": PASSWORD}});
    env.plane.kubectl_with_input(&["apply", "--server-side", "-f", "-"], &secret.to_string())?;
    let (manifest, wire) = everything();
    let mark = env.sim.mark().await?;
    let cluster = team.ready_cluster("everything", manifest.clone()).await?;
    let writes = env.sim.writes_of("Everything-Set", mark).await?;
    assert_eq!(verbs(&writes), ["PUT"], "{writes:#?}");
    let owner = &writes[0].body["tags"]["azureml.dev-owner"];
    assert!(owner.as_str().unwrap().ends_with("/ComputeCluster/whole/everything"), "{owner}");
    let own = json!({"tags": {"azureml.dev-owner": owner, "azureml.dev-uid": cluster["metadata"]["uid"]}});
    let wire = laid(wire, own);
    assert_eq!(writes[0].body, wire, "the body on the wire");

    // The log shows no secrets, but it knows the body's hash.
    let key = manifest["ssh"]["sshPublicKey"].clone();
    let accounts = json!({"adminUserSshPublicKey": key, "adminUserPassword": PASSWORD});
    let sent = laid(wire, json!({"properties": {"properties": {"userAccountCredentials": accounts}}}));
    let hash: String = Sha256::digest(sent.to_string()).iter().map(|byte| format!("{byte:02x}")).collect();
    let log = env.sim.call(reqwest::Method::GET, "requests?method=PUT&path=/computes/Everything-Set", None).await?;
    assert_eq!(log["value"][0]["bodySha256"], hash, "the secrets on the wire: {log}");

    // As Azure has it, it is no drift.
    let mark = env.sim.mark().await?;
    env.sim.wait_for_lists(mark, 3, LONG).await?;
    assert_eq!(env.sim.writes_of("Everything-Set", mark).await?, []);
    let still = team.get("everything")?;
    assert_eq!(condition(&still, "InSync")["status"], "True", "{still}");
    Ok(())
}

async fn an_update_carries_the_credentials(env: &Environment) -> Result<()> {
    let team = Team { env, namespace: "whole".into() };
    let mark = env.sim.mark().await?;
    team.edit("everything", json!({"tags": {"team": "training"}}))?;
    team.wait("everything", Until::condition("InSync", "True")).await?;
    let writes = env.sim.writes_of("Everything-Set", mark).await?;
    assert_eq!(verbs(&writes), ["PUT"], "{writes:#?}");
    // Azure never shows them, and a PUT without them would wipe them.
    let account = &writes[0].body["properties"]["properties"]["userAccountCredentials"];
    let sent =
        json!({"adminUserName": "azureuser", "adminUserSshPublicKey": "(redacted)", "adminUserPassword": "(redacted)"});
    assert_eq!(*account, sent);
    Ok(())
}

fn password(team: &Team<'_>, password: &str) -> Result<()> {
    team.edit_any("secret", "nodes", json!({"stringData": {"password": password}}))
}

async fn a_changed_password_needs_a_replacement(env: &Environment) -> Result<()> {
    let team = Team { env, namespace: "whole".into() };
    let mark = env.sim.mark().await?;
    password(&team, "An0ther-word-of-no-use")?;
    let refused = team.wait("everything", Until::reason("Ready", "ReplacementRequired")).await?;
    let message = condition(&refused, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("spec.ssh.adminPasswordSecretRef"), "{message}");
    assert!(!refused.to_string().contains("An0ther"), "{refused}");
    password(&team, PASSWORD)?;
    team.wait("everything", Until::ready()).await?;
    assert_eq!(env.sim.writes_of("Everything-Set", mark).await?, []);
    Ok(())
}

/// Neither the API server's objects, nor logs, nor metrics hold the password or the credential's secret.
async fn nothing_shows_the_password(env: &mut Environment) -> Result<()> {
    let objects = env.plane.kubectl(&["get", "azureml,events,configmaps", "-A", "-o", "json"])?;
    assert!(objects.contains("everything"), "the objects were read");
    let operator = env.operator()?;
    let metrics = operator.metrics().await?;
    let log = std::fs::read_to_string(operator.log()).unwrap();
    assert!(log.len() > 100 && metrics.contains("azureml_"), "there is a log, and there are metrics");
    let texts = [("objects and events", &objects), ("metrics", &metrics), ("log", &log)];
    for secret in [PASSWORD, demo::CLIENT_SECRET] {
        let encoded = [secret.to_string(), base64(secret), hex_sha256(secret)];
        for (what, text) in texts {
            for form in &encoded {
                assert!(!text.contains(form.as_str()), "the {what} hold a secret");
            }
        }
    }
    Ok(())
}

fn hex_sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(text: &str) -> String {
    let encoded = serde_json::to_value(k8s_openapi::ByteString(text.as_bytes().to_vec())).unwrap();
    encoded.as_str().unwrap().to_string()
}
