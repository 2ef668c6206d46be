//! Nothing is written without approval: the condition tells the very command that approves, an event tells it once for
//! each plan, and an approval is good for the plan that it names and no other.

use std::io::Write;
use std::process::{Command, Stdio};

use azureml_tests::sim::arm::compute_id;
use azureml_tests::team::{Team, WORKSPACE, brisk, condition};
use azureml_tests::{Environment, Result, Until, binary, operator};
use serde_json::{Value, json};

/// What each case ends with: how many outcomes it has looked at.
type Seen = Result<usize>;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_without_approval() {
    let env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = async {
        tokio::try_join!(
            creations(&env),
            updates(&env),
            repairs(&env),
            deletions(&env),
            failed_creations(&env),
            paused_ones(&env),
            what_asks_for_nothing(&env),
            observed_ones(&env),
        )
    };
    let seen = cases.await.unwrap_or_else(|error| panic!("{error}"));
    let (a, b, c, d, e, f, g, h) = seen;
    azureml_promises::held("approval::nothing_is_written_without_approval", a + b + c + d + e + f + g + h);
}

fn approved(spec: Value) -> Value {
    azureml_tests::team::laid(json!({"applyPolicy": "Approved"}), spec)
}

fn hash(object: &Value) -> String {
    object["status"]["plan"]["hash"].as_str().unwrap_or_else(|| panic!("no plan: {}", object["status"])).to_string()
}

/// It waits for the approval of such a plan, for the manifest as it is; and what the plan is.
async fn waiting(team: &Team<'_>, name: &str, action: &'static str) -> Result<Value> {
    let waits = Until::json(format!("AwaitingApproval of {action}"), move |object| {
        let found = condition(object, "AwaitingApproval");
        let plan = &object["status"]["plan"];
        let current = found["observedGeneration"] == object["metadata"]["generation"];
        let told = found["message"].as_str().unwrap_or_default();
        let is_its = plan["hash"].as_str().is_some_and(|hash| told.contains(&format!("azureml.dev/approve={hash}")));
        found["status"] == "True" && current && plan["action"] == action && is_its
    });
    let object = team.wait(name, waits).await?;
    assert_eq!(object["status"]["observedGeneration"], object["metadata"]["generation"], "acknowledged");
    assert!(condition(&object, "Reconciling").is_null(), "it isn't at work: {}", object["status"]);
    assert!(condition(&object, "Stalled").is_null(), "nothing is wrong: {}", object["status"]);
    let told = condition(&object, "AwaitingApproval")["message"].as_str().unwrap();
    assert!(!told.contains('\n'), "one line: {told}");
    team.wait_told(name, "AwaitingApproval", &format!("azureml.dev/approve={}", hash(&object))).await?;
    Ok(object)
}

/// Runs the command that the condition tells, word for word.
fn approve(team: &Team<'_>, waiting: &Value) -> Result<()> {
    let told = condition(waiting, "AwaitingApproval")["message"].as_str().unwrap();
    let (_, command) = told.split_once("kubectl ").unwrap_or_else(|| panic!("no command in {told:?}"));
    let words: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(words[0], "annotate", "{told}");
    team.env.plane.kubectl(&words).map(drop)
}

/// So many events have told of plans that wait.
fn told(team: &Team<'_>, name: &str) -> Result<usize> {
    Ok(team.events(name)?.iter().filter(|event| event.reason == "AwaitingApproval").count())
}

async fn unwritten(team: &Team<'_>, name: &str, so_far: &[&str]) -> Result<()> {
    team.env.sim.wait_for_a_few_lists().await?;
    assert_eq!(team.env.sim.verbs_to(name).await?, so_far, "{name}");
    Ok(())
}

/// What `kubectl azureml plan` says of a manifest.
fn previewed(team: &Team<'_>, object: &Value) -> Value {
    let metadata = json!({"name": object["metadata"]["name"], "namespace": team.namespace});
    let manifest = json!({"apiVersion": "azureml.dev/v1alpha1", "kind": "ComputeCluster", "metadata": metadata,
        "spec": object["spec"]});
    let mut child = Command::new(binary("kubectl-azureml", "kubectl-azureml").unwrap())
        .args(["plan", "-f", "-", "-o", "json"])
        .env("KUBECONFIG", team.env.plane.kubeconfig())
        .envs(operator::environment(&team.env.sim))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(manifest.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    whole["plans"].as_array().unwrap().iter().find(|plan| plan["kind"] == "ComputeCluster").unwrap().clone()
}

fn assert_same_hash(team: &Team<'_>, object: &Value) {
    let previewed = previewed(team, object);
    assert_eq!((&previewed["hash"], &previewed["action"]), (&json!(hash(object)), &object["status"]["plan"]["action"]));
}

async fn creations(env: &Environment) -> Seen {
    let team = Team::new(env, "approve-creation")?;
    team.cluster("made", approved(json!({})))?;
    let waits = waiting(&team, "made", "Create").await?;
    assert_same_hash(&team, &waits);
    unwritten(&team, "made", &[]).await?;
    for wrong in ["", "0123456789abcdef", &hash(&waits).to_uppercase()[1..]] {
        team.annotate("made", "azureml.dev/approve", wrong)?;
    }
    unwritten(&team, "made", &[]).await?;
    assert_eq!(told(&team, "made")?, 1, "it is told once");
    // Another manifest is another plan, which the old command doesn't approve.
    team.edit("made", json!({"scale": {"maxNodes": 3}}))?;
    let other = waiting(&team, "made", "Create").await?;
    assert_ne!(hash(&other), hash(&waits));
    approve(&team, &waits)?;
    unwritten(&team, "made", &[]).await?;
    assert_eq!(told(&team, "made")?, 2, "each plan is told once");
    approve(&team, &other)?;
    team.wait("made", Until::condition("InSync", "True")).await?;
    let made = team.wait("made", Until::ready()).await?;
    assert!(condition(&made, "AwaitingApproval").is_null(), "{}", made["status"]);
    assert_eq!(env.sim.verbs_to("made").await?, ["PUT"]);
    Ok(4)
}

async fn updates(env: &Environment) -> Seen {
    let team = Team::new(env, "approve-update")?;
    let before = team.ready_cluster("changed", json!({})).await?;
    team.edit("changed", approved(json!({"scale": {"maxNodes": 6}})))?;
    let waits = waiting(&team, "changed", "Update").await?;
    assert_same_hash(&team, &waits);
    assert_eq!(condition(&waits, "Ready")["lastTransitionTime"], condition(&before, "Ready")["lastTransitionTime"]);
    assert_eq!(condition(&waits, "InSync")["status"], "False");
    assert_eq!(waits["status"]["plan"]["changes"][0]["to"], "6");
    unwritten(&team, "changed", &["PUT"]).await?;
    approve(&team, &waits)?;
    team.wait("changed", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.verbs_to("changed").await?, ["PUT", "PATCH"]);
    // The next change waits again, one by PUT as well.
    team.edit("changed", json!({"tags": {"team": "a"}}))?;
    let waits = waiting(&team, "changed", "Update").await?;
    unwritten(&team, "changed", &["PUT", "PATCH"]).await?;
    approve(&team, &waits)?;
    team.wait("changed", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.verbs_to("changed").await?, ["PUT", "PATCH", "PUT"]);
    Ok(2)
}

async fn repairs(env: &Environment) -> Seen {
    let team = Team::new(env, "approve-repair")?;
    team.ready_cluster("drifted", json!({})).await?;
    team.edit("drifted", approved(json!({"scale": {"maxNodes": 6}})))?;
    let change = waiting(&team, "drifted", "Update").await?;
    approve(&team, &change)?;
    team.wait("drifted", Until::condition("InSync", "True")).await?;
    // Somebody undoes what was approved: doing it once more is another plan.
    let undone = json!({"properties": {"properties": {"scaleSettings": {"maxNodeCount": 4}}}});
    env.sim.change_by_hand("drifted", undone).await?;
    let waits = waiting(&team, "drifted", "Update").await?;
    assert_eq!(waits["status"]["plan"]["changes"], change["status"]["plan"]["changes"]);
    assert_ne!(hash(&waits), hash(&change));
    assert_eq!(condition(&waits, "InSync")["reason"], "Drifted");
    unwritten(&team, "drifted", &["PUT", "PATCH"]).await?;
    approve(&team, &waits)?;
    team.wait("drifted", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.verbs_to("drifted").await?, ["PUT", "PATCH", "PATCH"]);
    // What is gone is made anew with approval only.
    env.sim.delete_by_hand("drifted").await?;
    let waits = waiting(&team, "drifted", "Create").await?;
    unwritten(&team, "drifted", &["PUT", "PATCH", "PATCH"]).await?;
    approve(&team, &waits)?;
    team.wait("drifted", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.verbs_to("drifted").await?, ["PUT", "PATCH", "PATCH", "PUT"]);
    Ok(3)
}

async fn deletions(env: &Environment) -> Seen {
    let team = Team::new(env, "approve-deletion")?;
    team.ready_cluster("leaving", approved(json!({"applyPolicy": "Automatic", "deletionProtection": true}))).await?;
    team.edit("leaving", approved(json!({})))?;
    team.wait("leaving", Until::condition("InSync", "True")).await?;
    team.delete("amlcc", "leaving")?;
    // Protection comes first: it says how it is lifted, and nobody is asked for an approval.
    let held = team.wait("leaving", Until::reason("Ready", "DeletionProtected")).await?;
    let words = condition(&held, "Ready")["message"].as_str().unwrap();
    assert!(words.contains("deletionProtection") && words.contains("false"), "{words}");
    assert!(condition(&held, "AwaitingApproval").is_null(), "{}", held["status"]);
    assert!(held["metadata"]["finalizers"].is_array(), "{held}");
    unwritten(&team, "leaving", &["PUT"]).await?;
    team.edit("leaving", json!({"deletionProtection": false}))?;
    let waits = waiting(&team, "leaving", "Delete").await?;
    unwritten(&team, "leaving", &["PUT"]).await?;
    approve(&team, &waits)?;
    team.wait("leaving", Until::gone()).await?;
    assert_eq!(env.sim.verbs_to("leaving").await?, ["PUT", "DELETE"]);
    Ok(2)
}

/// What failed is deleted and made again: two writes under one approval.
async fn failed_creations(env: &Environment) -> Seen {
    let team = Team::new(env, "approve-anew")?;
    // The region lists this size, and Azure refuses it for a cluster.
    team.cluster("anew", approved(json!({"vmSize": "Standard_B2s"})))?;
    let waits = waiting(&team, "anew", "Create").await?;
    approve(&team, &waits)?;
    let planned = Until::json("the plan to make it anew", |object| object["status"]["plan"]["action"] == "Replace");
    team.wait("anew", planned).await?;
    team.edit("anew", json!({"vmSize": "Standard_DS3_v2"}))?;
    let waits = waiting(&team, "anew", "Replace").await?;
    assert_same_hash(&team, &waits);
    unwritten(&team, "anew", &["PUT"]).await?;
    approve(&team, &waits)?;
    team.wait("anew", Until::ready()).await?;
    assert_eq!(env.sim.verbs_to("anew").await?, ["PUT", "DELETE", "PUT"]);
    Ok(2)
}

/// Paused comes before approved; an approval that was given meanwhile counts when the pause ends.
async fn paused_ones(env: &Environment) -> Seen {
    let team = Team::new(env, "approve-paused")?;
    team.ready_cluster("paused", json!({})).await?;
    team.edit("paused", approved(json!({"paused": true, "scale": {"maxNodes": 6}})))?;
    let planned = Until::json("a plan under the pause", |object| object["status"]["plan"]["action"] == "Update");
    let paused = team.wait("paused", planned).await?;
    assert_eq!(condition(&paused, "Paused")["status"], "True", "{}", paused["status"]);
    assert!(condition(&paused, "AwaitingApproval").is_null(), "one thing after another: {}", paused["status"]);
    let words = condition(&paused, "Paused")["message"].as_str().unwrap();
    assert!(words.contains("spec.paused"), "{words}");
    team.annotate("paused", "azureml.dev/approve", &hash(&paused))?;
    unwritten(&team, "paused", &["PUT"]).await?;
    team.edit("paused", json!({"paused": false}))?;
    team.wait("paused", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.verbs_to("paused").await?, ["PUT", "PATCH"]);
    // Without one it waits after the pause.
    team.edit("paused", json!({"paused": true, "scale": {"maxNodes": 5}}))?;
    let later = Until::json("the next plan", |object| object["status"]["plan"]["changes"][0]["to"] == "5");
    team.wait("paused", later).await?;
    team.edit("paused", json!({"paused": false}))?;
    waiting(&team, "paused", "Update").await?;
    unwritten(&team, "paused", &["PUT", "PATCH"]).await?;
    Ok(3)
}

/// A policy alone, and what is refused, waits for nobody.
async fn what_asks_for_nothing(env: &Environment) -> Seen {
    let team = Team::new(env, "approve-nothing")?;
    team.ready_cluster("resting", json!({})).await?;
    team.edit("resting", approved(json!({"driftPolicy": "Report", "adoptionPolicy": "Adopt"})))?;
    let resting = team.wait("resting", Until::condition("InSync", "True")).await?;
    assert_eq!(resting["status"]["observedGeneration"], resting["metadata"]["generation"]);
    assert!(condition(&resting, "AwaitingApproval").is_null(), "{}", resting["status"]);
    // Drift is only told.
    let other = json!({"properties": {"properties": {"scaleSettings": {"maxNodeCount": 9}}}});
    env.sim.change_by_hand("resting", other).await?;
    let drifted = team.wait("resting", Until::reason("InSync", "Drifted")).await?;
    assert!(condition(&drifted, "AwaitingApproval").is_null(), "{}", drifted["status"]);
    // A replacement is refused, not asked for.
    team.edit(
        "resting",
        json!({"driftPolicy": "Correct", "replacementPolicy": "WhenIdle", "vmSize": "Standard_D2s_v3"}),
    )?;
    let refused = team.wait("resting", Until::reason("Ready", "ReplacementRequired")).await?;
    assert_eq!(condition(&refused, "Stalled")["status"], "True", "{}", refused["status"]);
    assert!(condition(&refused, "AwaitingApproval").is_null(), "{}", refused["status"]);
    unwritten(&team, "resting", &["PUT"]).await?;
    assert_eq!(told(&team, "resting")?, 0);
    // One that was never created goes at once, whoever has approved what.
    team.cluster("dreamt", approved(json!({})))?;
    waiting(&team, "dreamt", "Create").await?;
    team.delete("amlcc", "dreamt")?;
    team.wait("dreamt", Until::gone()).await?;
    unwritten(&team, "dreamt", &[]).await?;
    Ok(4)
}

/// Observed ones are never written, approved or not.
async fn observed_ones(env: &Environment) -> Seen {
    let team = Team::new(env, "approve-observed")?;
    let observe = json!({"managementPolicy": "Observe", "deletionPolicy": "Orphan", "deletionProtection": true});
    team.cluster("looked-at", approved(observe))?;
    let absent = team.wait("looked-at", Until::reason("Ready", "NotInAzure")).await?;
    assert!(condition(&absent, "AwaitingApproval").is_null(), "{}", absent["status"]);
    let properties = json!({"vmSize": "Standard_DS3_v2", "scaleSettings": {"maxNodeCount": 2}});
    let body = json!({"location": "westeurope", "properties": {"computeType": "AmlCompute", "properties": properties}});
    assert_eq!(env.sim.arm().await?.put(&compute_id("looked-at"), body).await?.status, 201);
    let differs = team.wait("looked-at", Until::condition("InSync", "False")).await?;
    assert!(condition(&differs, "AwaitingApproval").is_null(), "{}", differs["status"]);
    let differs = team.wait("looked-at", Until::reason("InSync", "Drifted")).await?;
    team.annotate("looked-at", "azureml.dev/approve", &hash(&differs))?;
    unwritten(&team, "looked-at", &["PUT"]).await?;
    team.delete("amlcc", "looked-at")?;
    team.wait("looked-at", Until::gone()).await?;
    unwritten(&team, "looked-at", &["PUT"]).await?;
    team.wait_any("Workspace", WORKSPACE, Until::ready()).await?;
    Ok(3)
}
