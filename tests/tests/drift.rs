//! What somebody else does in Azure is seen, named, and set right or only told.

use azureml_tests::team::{LONG, Team, brisk, condition};
use azureml_tests::{Environment, Result, SimRequest, Until};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_named_and_repaired_or_told() {
    let mut env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    // Alone, since it counts the lists.
    scale_is_repaired_at_the_next_look(&env).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = async {
        tokio::try_join!(
            tags_are_set_back_and_foreign_ones_stay(&env),
            a_lost_owner_tag_comes_back(&env),
            a_deleted_cluster_is_created_again(&env),
            report_only_tells(&env),
            report_does_not_create_again(&env),
            what_azure_does_not_keep_is_written_once(&env),
        )
    };
    cases.await.unwrap_or_else(|error| panic!("{error}"));
    what_happened_while_it_was_away_is_told_apart(&mut env).await.unwrap_or_else(|error| panic!("{error}"));
}

fn max_nodes(count: u32) -> Value {
    json!({"properties": {"properties": {"scaleSettings": {"maxNodeCount": count}}}})
}

fn methods(requests: &[SimRequest]) -> Vec<&str> {
    requests.iter().map(|request| request.method.as_str()).collect()
}

async fn scale_is_repaired_at_the_next_look(env: &Environment) -> Result<()> {
    let team = Team::without_workspace(env, "bounds")?;
    // Long enough for a busy machine to act between two looks.
    team.workspace("research", json!({"observeInterval": "6s"}))?;
    team.ready_cluster("bounds", json!({})).await?;
    env.sim.change_by_hand("bounds", max_nodes(9)).await?;
    let mark = env.sim.mark().await?;
    let is_patch = |request: &SimRequest| request.method == "PATCH" && request.is_about("bounds");
    let requests = env.sim.wait_for_requests("PATCH of the cluster", mark, 1, LONG, is_patch).await?;
    let looks = requests.iter().take_while(|request| !is_patch(request)).filter(|request| request.is_list()).count();
    assert_eq!(looks, 1, "{requests:#?}");
    let told = team.wait_told("bounds", "DriftCorrected", "spec.scale.maxNodes: 9 → 4").await?;
    assert_eq!(told.tone, "Warning");
    team.wait("bounds", Until::condition("InSync", "True")).await?;
    let has = env.sim.live("bounds").await?;
    assert_eq!(has["properties"]["properties"]["scaleSettings"]["maxNodeCount"], 4, "{has}");
    assert_eq!(methods(&env.sim.writes_of("bounds", mark).await?), ["PATCH"]);
    // The others look every second.
    team.workspace("research", json!({}))
}

async fn tags_are_set_back_and_foreign_ones_stay(env: &Environment) -> Result<()> {
    let team = Team::new(env, "tags")?;
    team.ready_cluster("tags", json!({"tags": {"team": "a"}})).await?;
    let mark = env.sim.mark().await?;
    env.sim.change_by_hand("tags", json!({"tags": {"team": "b", "seen-by": "finance"}})).await?;
    team.wait_told("tags", "DriftCorrected", "spec.tags[team]: b → a").await?;
    team.wait("tags", Until::condition("InSync", "True")).await?;
    let writes = env.sim.writes_of("tags", mark).await?;
    assert_eq!(methods(&writes), ["PUT"], "{writes:#?}");
    assert_eq!(writes[0].body["tags"]["seen-by"], "finance");
    let has = env.sim.live("tags").await?;
    assert_eq!((&has["tags"]["team"], &has["tags"]["seen-by"]), (&json!("a"), &json!("finance")), "{has}");
    Ok(())
}

async fn a_lost_owner_tag_comes_back(env: &Environment) -> Result<()> {
    let team = Team::new(env, "untagged")?;
    team.ready_cluster("untagged", json!({})).await?;
    let before = env.sim.live("untagged").await?;
    let mark = env.sim.mark().await?;
    env.sim.change_by_hand("untagged", json!({"tags": {"azureml.dev-owner": null}})).await?;
    // Status knows it by its id and the time of its creation.
    team.wait_told("untagged", "DriftCorrected", "azureml.dev-owner").await?;
    team.wait("untagged", Until::condition("InSync", "True")).await?;
    assert_eq!(methods(&env.sim.writes_of("untagged", mark).await?), ["PUT"]);
    let after = env.sim.live("untagged").await?;
    assert_eq!(after["tags"], before["tags"]);
    assert_eq!(after["properties"]["createdOn"], before["properties"]["createdOn"]);
    Ok(())
}

async fn a_deleted_cluster_is_created_again(env: &Environment) -> Result<()> {
    let team = Team::new(env, "deleted")?;
    let first = team.ready_cluster("deleted", json!({"tags": {"team": "a"}})).await?;
    let mark = env.sim.mark().await?;
    env.sim.delete_by_hand("deleted").await?;
    team.wait_told("deleted", "DriftCorrected", "deleted in Azure by somebody else").await?;
    let created = first["status"]["azure"]["createdOn"].clone();
    let anew = Until::json("a new cluster that is Ready", move |object| {
        object["status"]["azure"]["createdOn"] != created && condition(object, "Ready")["status"] == "True"
    });
    team.wait("deleted", anew).await?;
    team.wait("deleted", Until::condition("InSync", "True")).await?;
    assert_eq!(methods(&env.sim.writes_of("deleted", mark).await?), ["PUT"]);
    assert_eq!(env.sim.live("deleted").await?["tags"]["team"], "a");
    Ok(())
}

async fn report_only_tells(env: &Environment) -> Result<()> {
    let team = Team::new(env, "told")?;
    let before = team.ready_cluster("told", json!({"driftPolicy": "Report"})).await?;
    let mark = env.sim.mark().await?;
    env.sim.change_by_hand("told", max_nodes(9)).await?;
    let drifted = team.wait("told", Until::reason("InSync", "Drifted")).await?;
    assert_eq!(condition(&drifted, "InSync")["status"], "False");
    assert_eq!(condition(&drifted, "InSync")["message"], "spec.scale.maxNodes: 9 → 4");
    assert_eq!(condition(&drifted, "Ready"), condition(&before, "Ready"));
    assert!(condition(&drifted, "Reconciling").is_null(), "nothing is under way: {}", drifted["status"]);
    assert_eq!(
        drifted["status"]["plan"]["changes"],
        json!([{"field": "spec.scale.maxNodes", "from": "9", "to": "4", "effect": "InPlace"}])
    );
    team.wait_told("told", "Drifted", "spec.scale.maxNodes: 9 → 4").await?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.writes_of("told", mark).await?, []);

    // A change of the manifest is the manifest's: it is carried out, and takes the difference with it.
    team.edit("told", json!({"scale": {"maxNodes": 5}}))?;
    team.wait("told", Until::condition("InSync", "True")).await?;
    assert_eq!(methods(&env.sim.writes_of("told", mark).await?), ["PATCH"]);
    // And a difference that goes by itself is told no more.
    env.sim.change_by_hand("told", max_nodes(8)).await?;
    team.wait("told", Until::reason("InSync", "Drifted")).await?;
    env.sim.change_by_hand("told", max_nodes(5)).await?;
    let again = team.wait("told", Until::condition("InSync", "True")).await?;
    assert!(again["status"]["plan"].is_null(), "{}", again["status"]);
    assert_eq!(methods(&env.sim.writes_of("told", mark).await?), ["PATCH"]);
    Ok(())
}

async fn report_does_not_create_again(env: &Environment) -> Result<()> {
    let team = Team::new(env, "lost")?;
    team.ready_cluster("lost", json!({"driftPolicy": "Report"})).await?;
    let mark = env.sim.mark().await?;
    env.sim.delete_by_hand("lost").await?;
    let lost = team.wait("lost", Until::reason("Ready", "NotInAzure")).await?;
    assert_eq!(condition(&lost, "Stalled")["status"], "True", "{}", lost["status"]);
    assert!(condition(&lost, "Ready")["message"].as_str().unwrap().contains("driftPolicy Report"));
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.writes_of("lost", mark).await?, []);
    // A person decides.
    team.edit("lost", json!({"driftPolicy": "Correct"}))?;
    team.wait("lost", Until::ready()).await?;
    assert_eq!(methods(&env.sim.writes_of("lost", mark).await?), ["PUT"]);
    Ok(())
}

async fn what_azure_does_not_keep_is_written_once(env: &Environment) -> Result<()> {
    let team = Team::new(env, "unkept")?;
    team.ready_cluster("unkept", json!({})).await?;
    let matches = json!({"method": "PATCH", "pathContains": "/computes/unkept"});
    let fault = json!({"notHonoured": {"field": "properties.properties.scaleSettings.maxNodeCount"}});
    env.sim.fault(json!({"match": matches, "times": 1, "fault": fault})).await?;
    let mark = env.sim.mark().await?;
    team.edit("unkept", json!({"scale": {"maxNodes": 6}}))?;
    let unkept = team.wait("unkept", Until::reason("InSync", "NotHonoured")).await?;
    let message = condition(&unkept, "InSync")["message"].as_str().unwrap();
    assert!(message.contains("spec.scale.maxNodes: the manifest says 6, Azure keeps 4"), "{message}");
    assert_eq!(condition(&unkept, "InSync")["status"], "False");
    assert_eq!(condition(&unkept, "Ready")["status"], "True", "{}", unkept["status"]);
    team.wait_told("unkept", "NotHonoured", "the manifest says 6, Azure keeps 4").await?;
    env.sim.wait_for_lists(env.sim.mark().await?, 12, LONG).await?;
    assert_eq!(methods(&env.sim.writes_of("unkept", mark).await?), ["PATCH"], "it isn't tried again");
    let still = team.get("unkept")?;
    assert_eq!(condition(&still, "InSync"), condition(&unkept, "InSync"));
    // Another generation is another try.
    team.edit("unkept", json!({"scale": {"maxNodes": 7}}))?;
    team.wait("unkept", Until::condition("InSync", "True")).await?;
    assert_eq!(methods(&env.sim.writes_of("unkept", mark).await?), ["PATCH", "PATCH"]);
    Ok(())
}

async fn what_happened_while_it_was_away_is_told_apart(env: &mut Environment) -> Result<()> {
    let team = Team::new(env, "away")?;
    for cluster in ["by-hand", "by-manifest"] {
        team.ready_cluster(cluster, json!({})).await?;
    }
    env.stop_operator()?;
    let team = Team { env, namespace: "away".into() };
    env.sim.change_by_hand("by-hand", max_nodes(9)).await?;
    team.edit("by-manifest", json!({"scale": {"maxNodes": 6}}))?;
    let mark = env.sim.mark().await?;
    env.start_operator().await?;
    let team = Team { env, namespace: "away".into() };
    team.wait_told("by-hand", "DriftCorrected", "spec.scale.maxNodes: 9 → 4").await?;
    team.wait_told("by-manifest", "Updating", "spec.scale.maxNodes: 4 → 6").await?;
    for cluster in ["by-hand", "by-manifest"] {
        team.wait(cluster, Until::condition("InSync", "True")).await?;
        assert_eq!(methods(&env.sim.writes_of(cluster, mark).await?), ["PATCH"], "{cluster}");
    }
    assert!(team.events("by-manifest")?.iter().all(|event| event.reason != "DriftCorrected"));
    Ok(())
}
