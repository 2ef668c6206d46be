//! What must not happen: one team works with another's credential, a replaced object leaves its cluster behind, a list
//! without properties is taken for an empty one.

use azureml_tests::sim::arm::compute_id;
use azureml_tests::sim::{SimOptions, demo};
use azureml_tests::team::{LONG, Team, VM_SIZE, WORKSPACE, brisk};
use azureml_tests::{EnvOptions, Environment, Result, SimRequest, Until};
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn teams_and_objects_are_guarded() {
    let env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = async {
        tokio::try_join!(nobody_works_with_anothers_credential(&env), a_replaced_object_gets_its_finalizer_back(&env),)
    };
    cases.await.unwrap_or_else(|error| panic!("{error}"));
}

/// Two Workspaces name the same workspace with the same client; one has a secret that Azure refuses.
async fn nobody_works_with_anothers_credential(env: &Environment) -> Result<()> {
    let honest = Team::new(env, "honest")?;
    honest.ready_cluster("honest", json!({})).await?;
    let other = Team::without_workspace(env, "other-team")?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "guessed", "namespace": "other-team"},
        "stringData": {"AZURE_TENANT_ID": demo::TENANT, "AZURE_CLIENT_ID": demo::CLIENT, "AZURE_CLIENT_SECRET": "guessed"}
    });
    env.apply(&secret.to_string())?;
    other.workspace(WORKSPACE, json!({"credentialRef": {"name": "guessed"}}))?;
    other.cluster("stolen", json!({}))?;
    other.wait_any("Workspace", WORKSPACE, Until::reason("Ready", "CredentialRejected")).await?;
    other.wait("stolen", Until::reason("Ready", "CredentialRejected")).await?;
    // The honest team's connection is its own: it changes its cluster while the other's is refused.
    let mark = env.sim.mark().await?;
    honest.edit("honest", json!({"scale": {"maxNodes": 3}}))?;
    honest.wait("honest", Until::field("/status/azure/provisioningState", "Succeeded")).await?;
    honest.wait("honest", Until::condition("InSync", "True")).await?;
    honest.wait_any("Workspace", WORKSPACE, Until::ready()).await?;
    assert_eq!(env.sim.writes_of("honest", mark).await?.len(), 1);
    assert!(
        env.sim.writes_of("stolen", mark).await?.is_empty(),
        "the other team wrote with the honest one's credential"
    );
    other.wait("stolen", Until::reason("Ready", "CredentialRejected")).await?;
    Ok(())
}

/// `kubectl replace` takes the finalizer off; the deletion must reach Azure all the same.
async fn a_replaced_object_gets_its_finalizer_back(env: &Environment) -> Result<()> {
    let team = Team::new(env, "replaced")?;
    let before = team.ready_cluster("replaced", json!({})).await?;
    let object = json!({
        "apiVersion": "azureml.dev/v1alpha1", "kind": "ComputeCluster",
        "metadata": {"name": "replaced", "namespace": "replaced"},
        "spec": {"workspaceRef": {"name": WORKSPACE}, "vmSize": VM_SIZE, "scale": {"maxNodes": 4}}
    });
    env.plane.kubectl_with_input(&["replace", "-f", "-"], &object.to_string())?;
    let holds = |object: &serde_json::Value| {
        object["metadata"]["finalizers"]
            .as_array()
            .is_some_and(|all| all.iter().any(|f| f == "azureml.dev/azure-resource"))
    };
    assert!(holds(&before), "{before}");
    team.wait("replaced", Until::json("the finalizer", holds)).await?;
    team.delete("amlcc", "replaced")?;
    team.wait("replaced", Until::gone()).await?;
    let deletes = |request: &&SimRequest| request.method == "DELETE" && request.is_about("replaced");
    assert_eq!(env.sim.requests().await?.iter().filter(deletes).count(), 1);
    Ok(())
}

/// The list shows names and states only: what it lacks is read by itself, and rarely.
#[tokio::test(flavor = "multi_thread")]
async fn lists_without_properties_are_enough() {
    let sim = SimOptions { flags: vec!["--sparse-lists".to_string()], ..SimOptions::default() };
    let env = Environment::start(EnvOptions { sim, ..brisk() }).await.unwrap_or_else(|error| panic!("{error}"));
    sparse(&env).await.unwrap_or_else(|error| panic!("{error}"));
}

async fn sparse(env: &Environment) -> Result<()> {
    let team = Team::new(env, "sparse")?;
    for name in ["sparse-a", "sparse-b"] {
        team.ready_cluster(name, json!({})).await?;
    }
    team.edit("sparse-a", json!({"scale": {"maxNodes": 5}}))?;
    team.wait("sparse-a", Until::condition("InSync", "True")).await?;
    let mark = env.sim.mark().await?;
    let since = env.sim.wait_for_lists(mark, 10, LONG).await?;
    let lists = since.iter().filter(|request| request.is_list()).count();
    let alone = since.iter().filter(|request| request.method == "GET" && request.is_about("sparse-a")).count();
    assert!(alone > 0 && alone * 4 <= lists, "{alone} reads of one cluster beside {lists} lists");
    assert_eq!(since.iter().filter(|request| request.is_write()).count(), 0);
    // One can't be read: that is told of it, and the other is looked after.
    let broken = json!({"method": "GET", "pathEnds": "/computes/sparse-a"});
    let fault = json!({"status": 500, "code": "InternalServerError", "message": "it broke"});
    env.sim.fault(json!([{"name": "broken", "match": broken, "times": -1, "fault": fault}])).await?;
    team.wait_told("sparse-a", "AzureUnavailable", "it broke").await?;
    team.edit("sparse-b", json!({"scale": {"maxNodes": 6}}))?;
    team.wait("sparse-b", Until::condition("InSync", "True")).await?;
    env.sim.call(Method::DELETE, "faults/broken", None).await?;
    team.wait("sparse-a", Until::ready()).await?;
    // One goes by hand: the other isn't disturbed, and it comes again.
    env.sim.call(Method::DELETE, &format!("compute{}", compute_id("sparse-b")), None).await?;
    team.wait_told("sparse-b", "DriftCorrected", "deleted in Azure").await?;
    team.wait("sparse-b", Until::ready()).await?;
    assert!(env.sim.writes_of("sparse-a", mark).await?.is_empty());
    Ok(())
}
