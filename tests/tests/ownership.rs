//! What isn't ours is never touched: resources that were there before, other operators', other objects'.

use std::time::Duration;

use azureml_tests::sim::arm::compute_id;
use azureml_tests::team::{LONG, Team, brisk, brisk_operator, condition, laid};
use azureml_tests::{EnvOptions, Environment, Operator, OperatorStart, Result, Until};
use serde_json::{Value, json};

const OWNER: &str = "azureml.dev-owner";
const TAKE_OVER: &str = "azureml.dev/take-over-from";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_left_alone_until_a_person_says_otherwise() {
    let env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = async {
        tokio::try_join!(
            found_ones_are_not_owned(&env),
            adopted_ones_are_tagged_and_kept(&env),
            adoption_replaces_nothing(&env),
            adoption_wipes_no_secret(&env),
            another_owners_needs_the_annotation(&env),
        )
    };
    cases.await.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("ownership::what_is_there_already_is_left_alone_until_a_person_says_otherwise", 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_objects_never_stand_for_one_cluster() {
    let env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = async {
        tokio::try_join!(
            the_younger_claims_nothing_whatever_the_case(&env),
            the_younger_follows_an_older_that_deletes(&env),
            the_younger_finds_what_an_older_leaves(&env),
            claims_reach_across_namespaces(&env),
            claims_reach_across_workspaces(&env),
        )
    };
    cases.await.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("ownership::two_objects_never_stand_for_one_cluster", 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_share_an_azure() {
    let env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    // Another Kubernetes cluster, whose operator works on the first one's Azure.
    let options = EnvOptions { start: OperatorStart::Later, ..brisk() };
    let other = Environment::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    let operator = Operator::start(&brisk_operator(), &other.plane, &env.sim).await;
    let _operator = operator.unwrap_or_else(|error| panic!("{error}"));
    two_operators(&env, &other).await.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("ownership::two_operators_share_an_azure", 1);
}

/// Makes a cluster as a person would, out of the operator's sight, and waits until it is there.
async fn by_hand(env: &Environment, cluster: &str, over: Value) -> Result<Value> {
    let properties = json!({"vmSize": "Standard_DS3_v2", "scaleSettings": {"maxNodeCount": 2}});
    let usual = json!({"location": "westeurope", "tags": {"made-by": "hand"},
        "properties": {"computeType": "AmlCompute", "description": "by hand", "properties": properties}});
    let arm = env.sim.arm().await?;
    let answer = arm.put(&compute_id(cluster), laid(usual, over)).await?;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let there = async {
        loop {
            let has = arm.get(&compute_id(cluster)).await?.body;
            if has["properties"]["provisioningState"] == "Succeeded" {
                return Ok(has);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LONG, there).await.unwrap_or_else(|_| panic!("azure-sim doesn't create {cluster}"))
}

fn stalled(object: &Value) -> bool {
    condition(object, "Stalled")["status"] == "True" && condition(object, "Ready")["status"] == "False"
}

async fn found_ones_are_not_owned(env: &Environment) -> Result<()> {
    let team = Team::new(env, "found")?;
    let before = by_hand(env, "found", json!({})).await?;
    team.cluster("found", json!({}))?;
    let refused = team.wait("found", Until::reason("Ready", "NotOwned")).await?;
    assert!(stalled(&refused), "{}", refused["status"]);
    let message = condition(&refused, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("adoptionPolicy: Adopt"), "{message}");
    assert!(refused["status"]["azure"].is_null(), "what isn't ours isn't shown as ours: {}", refused["status"]);
    env.sim.wait_for_a_few_lists().await?;
    // Deleting the object deletes nothing.
    team.delete("amlcc", "found")?;
    team.wait("found", Until::gone()).await?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("found").await?, ["PUT"], "the person's own");
    assert_eq!(env.sim.live("found").await?, before);
    Ok(())
}

async fn adopted_ones_are_tagged_and_kept(env: &Environment) -> Result<()> {
    let team = Team::new(env, "adopted")?;
    let before = by_hand(env, "adopted", json!({})).await?;
    team.cluster("adopted", json!({}))?;
    team.wait("adopted", Until::reason("Ready", "NotOwned")).await?;
    team.edit("adopted", json!({"adoptionPolicy": "Adopt"}))?;
    team.wait("adopted", Until::ready()).await?;
    team.wait("adopted", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.verbs_to("adopted").await?, ["PUT", "PUT"]);
    let after = env.sim.live("adopted").await?;
    assert!(after["tags"][OWNER].as_str().unwrap().ends_with("/ComputeCluster/adopted/adopted"), "{after}");
    assert_eq!(after["tags"]["made-by"], "hand");
    assert_eq!(after["properties"]["createdOn"], before["properties"]["createdOn"], "it is the same cluster");
    assert_eq!(after["properties"]["description"], "by hand", "what the manifest doesn't name stays");
    assert_eq!(after["properties"]["properties"]["scaleSettings"]["maxNodeCount"], 4);
    // It is ours now: deleted with its object.
    team.delete("amlcc", "adopted")?;
    team.wait("adopted", Until::gone()).await?;
    assert_eq!(env.sim.live("adopted").await?["error"]["code"], "ResourceNotFound");
    Ok(())
}

async fn adoption_replaces_nothing(env: &Environment) -> Result<()> {
    let team = Team::new(env, "differs")?;
    let before = by_hand(env, "differs", json!({})).await?;
    team.cluster("differs", json!({"adoptionPolicy": "Adopt", "vmSize": "Standard_D2s_v3"}))?;
    let refused = team.wait("differs", Until::reason("Ready", "ReplacementRequired")).await?;
    assert!(stalled(&refused), "{}", refused["status"]);
    let message = condition(&refused, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("Azure has STANDARD_DS3_V2, the manifest says Standard_D2s_v3"), "{message}");
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.live("differs").await?, before);
    // Set to what Azure has, it is adopted.
    team.edit("differs", json!({"vmSize": "standard_ds3_v2"}))?;
    team.wait("differs", Until::ready()).await?;
    assert_eq!(env.sim.verbs_to("differs").await?, ["PUT", "PUT"]);
    Ok(())
}

async fn adoption_wipes_no_secret(env: &Environment) -> Result<()> {
    let team = Team::new(env, "secretive")?;
    let account = json!({"adminUserName": "me", "adminUserPassword": "kept-by-somebody-else"});
    let open = json!({"userAccountCredentials": account, "remoteLoginPortPublicAccess": "Enabled"});
    let before = by_hand(env, "secretive", json!({"properties": {"properties": open}})).await?;
    team.cluster("secretive", json!({"adoptionPolicy": "Adopt"}))?;
    // The tag would need a PUT, and a PUT would wipe the password: ownership stays in status.
    team.wait("secretive", Until::ready()).await?;
    team.wait("secretive", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.verbs_to("secretive").await?, ["PUT", "PATCH"]);
    assert_eq!(env.sim.live("secretive").await?["tags"], before["tags"]);
    // A tag of the manifest's own needs it as well, and says so.
    team.edit("secretive", json!({"tags": {"team": "a"}}))?;
    let refused = team.wait("secretive", Until::reason("Ready", "SecretWouldBeLost")).await?;
    assert!(stalled(&refused), "{}", refused["status"]);
    let message = condition(&refused, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("spec.ssh"), "{message}");
    env.sim.wait_for_a_few_lists().await?;
    team.edit("secretive", json!({"tags": null}))?;
    team.wait("secretive", Until::ready()).await?;
    assert_eq!(env.sim.verbs_to("secretive").await?, ["PUT", "PATCH"]);
    // It is ours without the tag: deleted with its object.
    team.delete("amlcc", "secretive")?;
    team.wait("secretive", Until::gone()).await?;
    assert_eq!(env.sim.verbs_to("secretive").await?, ["PUT", "PATCH", "DELETE"]);
    Ok(())
}

async fn another_owners_needs_the_annotation(env: &Environment) -> Result<()> {
    let team = Team::new(env, "theirs")?;
    let tag = "other-cluster/ComputeCluster/ml/gpu";
    let before = by_hand(env, "theirs", json!({"tags": {OWNER: tag}})).await?;
    team.cluster("theirs", json!({"adoptionPolicy": "Adopt"}))?;
    let refused = team.wait("theirs", Until::reason("Ready", "OwnedByAnother")).await?;
    assert!(stalled(&refused), "{}", refused["status"]);
    let message = condition(&refused, "Ready")["message"].as_str().unwrap();
    assert!(message.contains(tag) && message.contains("azureml.dev/take-over-from: other-cluster"), "{message}");
    team.annotate("theirs", TAKE_OVER, "some-other")?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.live("theirs").await?, before, "the annotation names somebody else");
    team.annotate("theirs", TAKE_OVER, "other-cluster")?;
    team.wait("theirs", Until::ready()).await?;
    let after = env.sim.live("theirs").await?;
    assert!(after["tags"][OWNER].as_str().unwrap().ends_with("/ComputeCluster/theirs/theirs"), "{after}");
    assert_eq!(after["tags"]["made-by"], "hand");
    assert_eq!(env.sim.verbs_to("theirs").await?, ["PUT", "PUT"]);
    Ok(())
}

async fn the_younger_claims_nothing_whatever_the_case(env: &Environment) -> Result<()> {
    let team = Team::new(env, "twins")?;
    let older = team.ready_cluster("older", json!({"azureName": "Twin"})).await?;
    team.cluster("younger", json!({"azureName": "tWIN", "scale": {"maxNodes": 9}, "adoptionPolicy": "Adopt"}))?;
    let claimed = team.wait("younger", Until::reason("Ready", "NameClaimed")).await?;
    assert!(stalled(&claimed), "{}", claimed["status"]);
    let message = condition(&claimed, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("ComputeCluster twins/older"), "{message}");
    env.sim.wait_for_a_few_lists().await?;
    team.delete("amlcc", "younger")?;
    team.wait("younger", Until::gone()).await?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("twin").await?, ["PUT"]);
    let still = team.get("older")?;
    assert_eq!(still["status"], older["status"]);
    Ok(())
}

async fn the_younger_follows_an_older_that_deletes(env: &Environment) -> Result<()> {
    let team = Team::new(env, "heirs")?;
    team.ready_cluster("older", json!({"azureName": "heir"})).await?;
    let before = env.sim.live("heir").await?;
    team.cluster("younger", json!({"azureName": "Heir", "scale": {"maxNodes": 9}}))?;
    team.wait("younger", Until::reason("Ready", "NameClaimed")).await?;
    team.delete("amlcc", "older")?;
    team.wait("older", Until::gone()).await?;
    team.wait("younger", Until::ready()).await?;
    assert_eq!(env.sim.verbs_to("heir").await?, ["PUT", "DELETE", "PUT"]);
    let after = env.sim.live("heir").await?;
    assert_ne!(after["properties"]["createdOn"], before["properties"]["createdOn"]);
    assert_eq!(after["properties"]["properties"]["scaleSettings"]["maxNodeCount"], 9);
    Ok(())
}

async fn the_younger_finds_what_an_older_leaves(env: &Environment) -> Result<()> {
    let team = Team::new(env, "orphans")?;
    team.ready_cluster("older", json!({"azureName": "orphan", "deletionPolicy": "Orphan"})).await?;
    let before = env.sim.live("orphan").await?;
    team.cluster("younger", json!({"azureName": "orphan", "adoptionPolicy": "Adopt"}))?;
    team.wait("younger", Until::reason("Ready", "NameClaimed")).await?;
    team.delete("amlcc", "older")?;
    team.wait("older", Until::gone()).await?;
    // What the older left carries its tag.
    let refused = team.wait("younger", Until::reason("Ready", "OwnedByAnother")).await?;
    assert!(stalled(&refused), "{}", refused["status"]);
    assert_eq!(env.sim.live("orphan").await?, before);
    let owner = before["tags"][OWNER].as_str().unwrap().split('/').next().unwrap().to_string();
    team.annotate("younger", TAKE_OVER, &owner)?;
    team.wait("younger", Until::ready()).await?;
    let after = env.sim.live("orphan").await?;
    assert!(after["tags"][OWNER].as_str().unwrap().ends_with("/orphans/younger"), "{after}");
    assert_eq!(after["properties"]["createdOn"], before["properties"]["createdOn"]);
    assert_eq!(env.sim.verbs_to("orphan").await?, ["PUT", "PUT"]);
    Ok(())
}

async fn claims_reach_across_namespaces(env: &Environment) -> Result<()> {
    let host = Team::without_workspace(env, "host")?;
    host.workspace("research", json!({"allowedNamespaces": {"from": "All"}}))?;
    host.ready_cluster("shared", json!({})).await?;
    let guest = Team::without_workspace(env, "guest")?;
    let from_there = json!({"workspaceRef": {"name": "research", "namespace": "host"}, "azureName": "SHARED"});
    guest.cluster("mine", from_there)?;
    let claimed = guest.wait("mine", Until::reason("Ready", "NameClaimed")).await?;
    let message = condition(&claimed, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("ComputeCluster host/shared"), "{message}");
    guest.delete("amlcc", "mine")?;
    guest.wait("mine", Until::gone()).await?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("shared").await?, ["PUT"]);
    Ok(())
}

async fn claims_reach_across_workspaces(env: &Environment) -> Result<()> {
    // Two Workspace objects that stand for one workspace in Azure.
    let (first, second) = (Team::new(env, "first")?, Team::new(env, "second")?);
    first.ready_cluster("common", json!({})).await?;
    second.cluster("common", json!({}))?;
    let claimed = second.wait("common", Until::reason("Ready", "NameClaimed")).await?;
    let message = condition(&claimed, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("ComputeCluster first/common"), "{message}");
    first.delete("amlcc", "common")?;
    first.wait("common", Until::gone()).await?;
    second.wait("common", Until::ready()).await?;
    assert_eq!(env.sim.verbs_to("common").await?, ["PUT", "DELETE", "PUT"]);
    Ok(())
}

async fn two_operators(env: &Environment, other: &Environment) -> Result<()> {
    let (here, there) = (Team::new(env, "ml")?, Team::new(other, "ml")?);
    here.ready_cluster("both", json!({})).await?;
    let tag = env.sim.live("both").await?["tags"][OWNER].clone();
    there.cluster("both", json!({"adoptionPolicy": "Adopt", "scale": {"maxNodes": 7}}))?;
    let refused = there.wait("both", Until::reason("Ready", "OwnedByAnother")).await?;
    assert!(stalled(&refused), "{}", refused["status"]);
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("both").await?, ["PUT"]);

    // A person moves it over: the first operator lets go of it, and neither pulls it back.
    let owner = tag.as_str().unwrap().split('/').next().unwrap();
    there.annotate("both", TAKE_OVER, owner)?;
    there.wait("both", Until::ready()).await?;
    let lost = here.wait("both", Until::reason("Ready", "OwnedByAnother")).await?;
    assert!(stalled(&lost), "{}", lost["status"]);
    for _ in 0..3 {
        env.sim.wait_for_a_few_lists().await?;
    }
    assert_eq!(env.sim.verbs_to("both").await?, ["PUT", "PUT"]);
    let moved = env.sim.live("both").await?;
    assert_ne!(moved["tags"][OWNER], tag);
    // The first one's object may go without taking the cluster along.
    here.delete("amlcc", "both")?;
    here.wait("both", Until::gone()).await?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.live("both").await?, moved);
    there.delete("amlcc", "both")?;
    there.wait("both", Until::gone()).await?;
    assert_eq!(env.sim.verbs_to("both").await?, ["PUT", "PUT", "DELETE"]);
    Ok(())
}
