//! What an object's policies forbid isn't done, and what would be done is told.

use azureml_tests::sim::arm::compute_id;
use azureml_tests::team::{Team, brisk, condition};
use azureml_tests::{Environment, Result, Until};
use serde_json::{Value, json};

const APPROVE: &str = "azureml.dev/approve";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_or_not_approved_is_planned_and_not_written() {
    let env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = async {
        tokio::try_join!(
            a_paused_creation_is_only_planned(&env),
            a_paused_cluster_is_seen_and_left_alone(&env),
            an_approved_plan_is_carried_out_and_no_other(&env),
            a_deletion_waits_for_approval_too(&env),
        )
    };
    cases.await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn observed_orphaned_protected_and_fixed_ones_stay_as_they_are() {
    let env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = async {
        tokio::try_join!(
            observed_ones_are_shown_and_never_written(&env),
            orphans_stay(&env),
            protected_ones_stay(&env),
            replacements_are_refused_at_admission(&env),
            replacements_are_refused_by_the_planner(&env),
            a_failed_creation_heals_with_another_size(&env),
        )
    };
    cases.await.unwrap_or_else(|error| panic!("{error}"));
}

/// The condition is True and set for the manifest as it is, and so is the status.
fn acknowledged(kind: &str) -> Until {
    Until::condition(kind, "True")
}

fn plan(object: &Value) -> &Value {
    &object["status"]["plan"]
}

fn hash(object: &Value) -> String {
    plan(object)["hash"].as_str().unwrap_or_else(|| panic!("no plan: {}", object["status"])).to_string()
}

async fn a_paused_creation_is_only_planned(env: &Environment) -> Result<()> {
    let team = Team::new(env, "asleep")?;
    team.cluster("asleep", json!({"paused": true}))?;
    team.wait("asleep", acknowledged("Paused")).await?;
    let planned = Until::json("a plan", |object| object["status"]["plan"]["action"] == "Create");
    let asleep = team.wait("asleep", planned).await?;
    assert_eq!(asleep["status"]["observedGeneration"], asleep["metadata"]["generation"]);
    assert_eq!(plan(&asleep)["steps"], json!(["create it (PUT)"]));
    assert_eq!(condition(&asleep, "Ready")["status"], "Unknown", "{}", asleep["status"]);
    assert_eq!(condition(&asleep, "InSync")["status"], "False", "{}", asleep["status"]);
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("asleep").await?, [""; 0]);
    team.edit("asleep", json!({"paused": false}))?;
    let awake = team.wait("asleep", Until::ready()).await?;
    assert!(condition(&awake, "Paused").is_null(), "{}", awake["status"]);
    assert_eq!(env.sim.verbs_to("asleep").await?, ["PUT"]);

    // One that was never created goes at once, paused as it is.
    team.cluster("dreamt", json!({"paused": true}))?;
    team.wait("dreamt", acknowledged("Paused")).await?;
    team.delete("amlcc", "dreamt")?;
    team.wait("dreamt", Until::gone()).await?;
    assert_eq!(env.sim.verbs_to("dreamt").await?, [""; 0]);
    Ok(())
}

async fn a_paused_cluster_is_seen_and_left_alone(env: &Environment) -> Result<()> {
    let team = Team::new(env, "paused")?;
    let before = team.ready_cluster("paused", json!({})).await?;
    team.edit("paused", json!({"paused": true}))?;
    let paused = team.wait("paused", acknowledged("Paused")).await?;
    assert_eq!(condition(&paused, "InSync")["status"], "True", "nothing differs: {}", paused["status"]);

    team.edit("paused", json!({"scale": {"maxNodes": 6}}))?;
    let paused = team.wait("paused", Until::condition("InSync", "False")).await?;
    assert_eq!(paused["status"]["observedGeneration"], paused["metadata"]["generation"]);
    assert_eq!(condition(&paused, "InSync")["message"], "spec.scale.maxNodes: 4 → 6");
    assert_eq!(
        plan(&paused)["changes"],
        json!([{"field": "spec.scale.maxNodes", "from": "4", "to": "6", "effect": "InPlace"}])
    );
    let ready = condition(&paused, "Ready");
    assert_eq!(ready["status"], "True", "as before: {}", paused["status"]);
    assert_eq!(ready["lastTransitionTime"], condition(&before, "Ready")["lastTransitionTime"]);
    assert!(condition(&paused, "Reconciling").is_null(), "{}", paused["status"]);

    // What others do is seen meanwhile.
    let other = json!({"properties": {"properties": {"scaleSettings": {"maxNodeCount": 9}}}});
    env.sim.change_by_hand("paused", other).await?;
    let seen = Until::json("what somebody else did", |object| {
        condition(object, "InSync")["message"] == "spec.scale.maxNodes: 9 → 6"
    });
    team.wait("paused", seen).await?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("paused").await?, ["PUT"]);
    // Its deletion waits as well.
    team.delete("amlcc", "paused")?;
    let leaving = Until::json("the deletion", |object| object["metadata"]["deletionTimestamp"].is_string());
    team.wait("paused", leaving).await?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("paused").await?, ["PUT"]);
    team.edit("paused", json!({"paused": false}))?;
    team.wait("paused", Until::gone()).await?;
    assert_eq!(env.sim.verbs_to("paused").await?, ["PUT", "DELETE"]);
    Ok(())
}

async fn an_approved_plan_is_carried_out_and_no_other(env: &Environment) -> Result<()> {
    let team = Team::new(env, "approved")?;
    team.cluster("approved", json!({"applyPolicy": "Approved"}))?;
    let waiting = team.wait("approved", acknowledged("AwaitingApproval")).await?;
    let first = hash(&waiting);
    let message = condition(&waiting, "AwaitingApproval")["message"].as_str().unwrap();
    assert!(message.contains(&format!("azureml.dev/approve={first}")), "{message}");
    assert_eq!(plan(&waiting)["action"], "Create");
    team.wait_told("approved", "AwaitingApproval", &first).await?;
    team.annotate("approved", APPROVE, "0123456789abcdef")?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("approved").await?, [""; 0], "that isn't the plan's hash");

    // Another manifest is another plan: the approval of the first doesn't count for it.
    team.edit("approved", json!({"scale": {"maxNodes": 3}}))?;
    let other = first.clone();
    let replanned = Until::json("another plan", move |object| object["status"]["plan"]["hash"] != json!(other));
    let waiting = team.wait("approved", replanned).await?;
    team.annotate("approved", APPROVE, &first)?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("approved").await?, [""; 0], "that was the plan of before");
    team.annotate("approved", APPROVE, &hash(&waiting))?;
    let ready = team.wait("approved", Until::ready()).await?;
    assert!(condition(&ready, "AwaitingApproval").is_null(), "{}", ready["status"]);
    assert_eq!(env.sim.verbs_to("approved").await?, ["PUT"]);

    // And so is each change after it.
    team.edit("approved", json!({"scale": {"maxNodes": 6}}))?;
    let waiting = team.wait("approved", acknowledged("AwaitingApproval")).await?;
    assert_eq!(plan(&waiting)["changes"][0]["to"], "6");
    assert_eq!(condition(&waiting, "Ready")["status"], "True", "as before: {}", waiting["status"]);
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("approved").await?, ["PUT"]);
    team.annotate("approved", APPROVE, &hash(&waiting))?;
    team.wait("approved", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.verbs_to("approved").await?, ["PUT", "PATCH"]);
    Ok(())
}

async fn a_deletion_waits_for_approval_too(env: &Environment) -> Result<()> {
    let team = Team::new(env, "leaving")?;
    team.ready_cluster("leaving", json!({})).await?;
    team.edit("leaving", json!({"applyPolicy": "Approved"}))?;
    team.wait("leaving", Until::condition("InSync", "True")).await?;
    team.delete("amlcc", "leaving")?;
    let waiting = team.wait("leaving", acknowledged("AwaitingApproval")).await?;
    assert_eq!(plan(&waiting)["action"], "Delete");
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("leaving").await?, ["PUT"]);
    team.annotate("leaving", APPROVE, &hash(&waiting))?;
    team.wait("leaving", Until::gone()).await?;
    assert_eq!(env.sim.verbs_to("leaving").await?, ["PUT", "DELETE"]);
    Ok(())
}

async fn observed_ones_are_shown_and_never_written(env: &Environment) -> Result<()> {
    let team = Team::new(env, "observed")?;
    let observe = json!({"managementPolicy": "Observe", "deletionPolicy": "Orphan"});
    let refused = team.cluster("observed", json!({"managementPolicy": "Observe"})).unwrap_err().to_string();
    assert!(refused.contains("set deletionPolicy: Orphan beside it"), "{refused}");
    team.cluster("observed", observe)?;
    let absent = team.wait("observed", Until::reason("Ready", "NotInAzure")).await?;
    assert_eq!(condition(&absent, "Stalled")["status"], "True", "{}", absent["status"]);

    let properties = json!({"vmSize": "Standard_DS3_v2", "scaleSettings": {"minNodeCount": 1, "maxNodeCount": 4}});
    let body = json!({"location": "westeurope", "tags": {"made-by": "hand"},
        "properties": {"computeType": "AmlCompute", "properties": properties}});
    assert_eq!(env.sim.arm().await?.put(&compute_id("observed"), body).await?.status, 201);
    // It is seen by itself, with its nodes.
    let shown = team.wait("observed", Until::field("/status/nodes/current", 1)).await?;
    let shown_id = shown["status"]["azure"]["id"].as_str().map(str::to_lowercase);
    assert_eq!(shown_id, Some(compute_id("observed").to_lowercase()));
    let ready = team.wait("observed", Until::ready()).await?;
    assert!(condition(&ready, "Stalled").is_null(), "{}", ready["status"]);
    // What differs is told.
    team.edit("observed", json!({"scale": {"maxNodes": 9}, "tags": {"team": "a"}}))?;
    let differs = team.wait("observed", Until::condition("InSync", "False")).await?;
    let message = condition(&differs, "InSync")["message"].as_str().unwrap();
    assert!(message.contains("spec.scale.maxNodes: 4 → 9") && message.contains("spec.tags[team]"), "{message}");
    assert_eq!(condition(&differs, "Ready")["status"], "True", "{}", differs["status"]);
    env.sim.wait_for_a_few_lists().await?;
    let before = env.sim.live("observed").await?;
    team.delete("amlcc", "observed")?;
    team.wait("observed", Until::gone()).await?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.live("observed").await?, before);
    assert_eq!(env.sim.verbs_to("observed").await?, ["PUT"], "the person's own");
    Ok(())
}

async fn orphans_stay(env: &Environment) -> Result<()> {
    let team = Team::new(env, "orphans")?;
    team.ready_cluster("orphan", json!({"deletionPolicy": "Orphan"})).await?;
    let before = env.sim.live("orphan").await?;
    team.delete("amlcc", "orphan")?;
    team.wait("orphan", Until::gone()).await?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("orphan").await?, ["PUT"]);
    assert_eq!(env.sim.live("orphan").await?, before);
    // The same object applied again is its owner again: the tag says so.
    team.ready_cluster("orphan", json!({})).await?;
    let after = env.sim.live("orphan").await?;
    assert_eq!(after["properties"]["createdOn"], before["properties"]["createdOn"]);
    Ok(())
}

async fn protected_ones_stay(env: &Environment) -> Result<()> {
    let team = Team::new(env, "protected")?;
    team.ready_cluster("protected", json!({"deletionProtection": true})).await?;
    team.delete("amlcc", "protected")?;
    let held = team.wait("protected", Until::reason("Ready", "DeletionProtected")).await?;
    assert_eq!(condition(&held, "Stalled")["status"], "True", "{}", held["status"]);
    let message = condition(&held, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("deletionProtection"), "{message}");
    team.wait_told("protected", "DeletionProtected", "deletionProtection").await?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("protected").await?, ["PUT"]);
    team.edit("protected", json!({"deletionProtection": false}))?;
    team.wait("protected", Until::gone()).await?;
    assert_eq!(env.sim.verbs_to("protected").await?, ["PUT", "DELETE"]);
    Ok(())
}

async fn replacements_are_refused_at_admission(env: &Environment) -> Result<()> {
    let team = Team::new(env, "fixed")?;
    // Before anything is in Azure, everything but the identity may change.
    team.cluster("fixed", json!({"paused": true}))?;
    team.wait("fixed", acknowledged("Paused")).await?;
    team.edit("fixed", json!({"vmSize": "Standard_D2s_v3"}))?;
    team.edit("fixed", json!({"vmSize": "Standard_DS3_v2", "description": "as made", "paused": false}))?;
    team.wait("fixed", Until::ready()).await?;
    let before = team.wait("fixed", Until::condition("InSync", "True")).await?;
    let subnet = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/x";
    for (field, change) in [
        ("spec.vmSize", json!({"vmSize": "Standard_D2s_v3"})),
        ("spec.vmPriority", json!({"vmPriority": "LowPriority"})),
        ("spec.location", json!({"location": "northeurope"})),
        ("spec.osType", json!({"osType": "Windows"})),
        ("spec.subnetId", json!({"subnetId": subnet})),
        ("spec.nodePublicIp", json!({"nodePublicIp": false})),
        ("spec.isolatedNetwork", json!({"isolatedNetwork": true})),
        ("spec.localAuth", json!({"localAuth": false})),
        ("spec.description", json!({"description": "another"})),
        ("spec.description", json!({"description": null})),
        ("spec.ssh.publicAccess", json!({"ssh": {"publicAccess": "Disabled"}})),
        ("spec.ssh.adminUserName", json!({"ssh": {"adminUserName": "me", "sshPublicKey": "ssh-ed25519 AAAA me"}})),
        ("spec.azureName", json!({"azureName": "other"})),
        ("spec.workspaceRef", json!({"workspaceRef": {"name": "other"}})),
    ] {
        let refused = team.edit("fixed", change.clone()).err().unwrap_or_else(|| panic!("{change} was taken"));
        let text = refused.to_string();
        assert!(text.contains(&format!("{field} can't be changed")), "{change}: {text}");
        assert!(text.contains("delete the object and create it again"), "{change}: {text}");
    }
    // What Azure has already may be said, in any case.
    for same in
        [json!({"vmSize": "STANDARD_ds3_V2"}), json!({"vmPriority": "Dedicated"}), json!({"nodePublicIp": true})]
    {
        team.edit("fixed", same)?;
    }
    team.wait("fixed", Until::condition("InSync", "True")).await?;
    env.sim.wait_for_a_few_lists().await?;
    let after = team.get("fixed")?;
    assert_eq!(condition(&after, "Ready")["status"], condition(&before, "Ready")["status"]);
    assert_eq!(env.sim.verbs_to("fixed").await?, ["PUT"]);
    Ok(())
}

async fn replacements_are_refused_by_the_planner(env: &Environment) -> Result<()> {
    let team = Team::new(env, "bypassed")?;
    team.ready_cluster("bypassed", json!({})).await?;
    team.edit("bypassed", json!({"replacementPolicy": "WhenIdle", "vmSize": "Standard_D2s_v3"}))?;
    let refused = team.wait("bypassed", Until::reason("Ready", "ReplacementRequired")).await?;
    assert_eq!(condition(&refused, "Stalled")["status"], "True", "{}", refused["status"]);
    assert_eq!(condition(&refused, "InSync")["status"], "False", "{}", refused["status"]);
    let message = condition(&refused, "Ready")["message"].as_str().unwrap();
    for words in ["spec.vmSize", "STANDARD_DS3_V2", "Standard_D2s_v3", "WhenIdle"] {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(plan(&refused)["changes"][0]["effect"], "Replace", "{}", refused["status"]);
    // With a change that could be made in place beside it, still nothing is written.
    team.edit("bypassed", json!({"scale": {"maxNodes": 6}}))?;
    team.wait("bypassed", Until::reason("Ready", "ReplacementRequired")).await?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("bypassed").await?, ["PUT"]);
    team.edit("bypassed", json!({"vmSize": "Standard_DS3_v2"}))?;
    team.wait("bypassed", Until::ready()).await?;
    team.wait("bypassed", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.verbs_to("bypassed").await?, ["PUT", "PATCH"]);
    Ok(())
}

async fn a_failed_creation_heals_with_another_size(env: &Environment) -> Result<()> {
    let team = Team::new(env, "failed")?;
    // The region lists this size, and Azure refuses it for a cluster.
    team.cluster("failed", json!({"vmSize": "Standard_B2s"}))?;
    let failed = team.wait("failed", Until::reason("Ready", "VmSizeNotAvailable")).await?;
    assert_eq!(condition(&failed, "Stalled")["status"], "True", "{}", failed["status"]);
    let message = condition(&failed, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("not a supported VM size"), "{message}");
    assert!(condition(&failed, "Ready")["status"] == "False" && failed["status"]["azure"]["errors"][0].is_string());
    team.edit("failed", json!({"vmSize": "Standard_DS3_v2"}))?;
    team.wait("failed", Until::ready()).await?;
    team.wait("failed", Until::condition("InSync", "True")).await?;
    let has = env.sim.live("failed").await?;
    assert_eq!(has["properties"]["properties"]["vmSize"], "STANDARD_DS3_V2");
    let all = env.sim.verbs_to("failed").await?;
    assert!(all.len() >= 3 && all.ends_with(&["DELETE".into(), "PUT".into()]), "{all:?}");
    Ok(())
}
