//! Upgrading and removing what helm installed: Azure is written to for nobody's sake but a manifest's.

mod releases;
mod stored;

use azureml_tests::chart;
use azureml_tests::environment::Install;
use azureml_tests::operator::{NAME, NAMESPACE};
use azureml_tests::team::{LONG, Team, brisk, brisk_operator, metric};
use azureml_tests::wait::eventually;
use azureml_tests::{EnvOptions, Environment, Operator, OperatorOptions, OperatorStart, Result, Until};
use serde_json::{Value, json};

/// Clusters that are made and edited while the chart is upgraded.
const CLUSTERS: usize = 24;

async fn environment() -> Environment {
    let options = EnvOptions { install: Install::Chart(json!({})), start: OperatorStart::Later, ..brisk() };
    Environment::start(options).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Starts a pod of the Deployment as it is now.
async fn pod(env: &Environment, name: &str) -> Result<Operator> {
    let mut options = OperatorOptions { replica: Some(name.to_owned()), ..brisk_operator() };
    options.flags.push(("--leader-elect".into(), "true".into()));
    Operator::start(&options, &env.plane, &env.sim).await
}

async fn wait_until_it_leads(operator: &Operator) -> Result<()> {
    let leads = async || Ok(operator.metrics().await.is_ok_and(|text| metric(&text, "azureml_leads") == 1.0));
    eventually("a replica that leads", LONG, async || Ok(leads().await?.then_some(()))).await
}

fn cluster(number: usize) -> String {
    format!("load-{number:02}-c")
}

/// Every other one is edited while the replicas change.
fn is_edited(number: usize) -> bool {
    number % 2 == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_under_load_writes_nothing_twice() {
    let env = environment().await;
    let cases = upgraded(&env).await.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("upgrade::an_upgrade_under_load_writes_nothing_twice", cases);
}

async fn upgraded(env: &Environment) -> Result<usize> {
    let first = pod(env, "first").await?;
    wait_until_it_leads(&first).await?;
    let second = pod(env, "second").await?;
    let team = Team::new(env, "load")?;
    team.wait_any("Workspace", "research", Until::ready()).await?;
    for number in 0..CLUSTERS {
        team.cluster(&cluster(number), json!({}))?;
        if number == CLUSTERS / 2 {
            // In the middle of the creations. One pod at a time, as the Deployment's strategy says: the standby first.
            chart::install(
                &env.plane,
                NAME,
                NAMESPACE,
                &json!({"operator": {"concurrency": 8, "unhealthyAfter": "5m"}}),
            )?;
            assert!(second.stop()?.success());
            break;
        }
    }
    let third = pod(env, "third").await?;
    for number in CLUSTERS / 2 + 1..CLUSTERS {
        team.cluster(&cluster(number), json!({}))?;
    }
    for number in (0..CLUSTERS).filter(|number| is_edited(*number)) {
        team.edit(&cluster(number), json!({"scale": {"maxNodes": 5}}))?;
    }
    // The leader, with writes under way.
    assert!(first.stop()?.success());
    let _fourth = pod(env, "fourth").await?;
    wait_until_it_leads(&third).await?;
    for number in 0..CLUSTERS {
        let name = cluster(number);
        team.wait(&name, Until::ready()).await?;
        team.wait(&name, Until::condition("InSync", "True")).await?;
        let live = env.sim.live(&name).await?;
        let most = live.pointer("/properties/properties/scaleSettings/maxNodeCount").and_then(Value::as_u64);
        assert_eq!(most, Some(if is_edited(number) { 5 } else { 4 }), "{name}: {live}");
        let verbs = env.sim.verbs_to(&name).await?;
        // An edit that came before its creation was sent is part of it.
        let wanted: &[&[&str]] = if is_edited(number) { &[&["PUT"], &["PUT", "PATCH"]] } else { &[&["PUT"]] };
        assert!(wanted.iter().any(|wanted| verbs == *wanted), "{name}: {verbs:?}");
    }
    // With all of it done: an upgrade of the same, and one that has other flags, change nothing here or there.
    let (mark, versions) = (env.sim.mark().await?, settled(&team).await?);
    chart::install(&env.plane, NAME, NAMESPACE, &json!({"operator": {"concurrency": 16}}))?;
    assert!(third.stop()?.success());
    let fifth = pod(env, "fifth").await?;
    env.sim.wait_for_a_few_lists().await?;
    let writes: Vec<_> = env.sim.since(mark).await?.into_iter().filter(|request| request.is_write()).collect();
    assert_eq!(writes, vec![], "nothing to do, nothing written");
    assert_eq!(team.versions()?, versions, "nothing to do, nothing written");
    assert!(fifth.stop()?.success());
    Ok(CLUSTERS + 1)
}

/// The versions of all objects, once the last events are told.
async fn settled(team: &Team<'_>) -> Result<std::collections::BTreeMap<String, String>> {
    let mut last = team.versions()?;
    eventually("objects that nobody writes any more", LONG, async || {
        team.env.sim.wait_for_a_few_lists().await?;
        let now = team.versions()?;
        Ok((std::mem::replace(&mut last, now.clone()) == now).then_some(now))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn uninstalling_leaves_azure_as_it_is_and_says_how_to_delete_first() {
    let env = environment().await;
    let cases = uninstalled(&env).await.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("upgrade::uninstalling_leaves_azure_as_it_is_and_says_how_to_delete_first", cases);
}

async fn uninstalled(env: &Environment) -> Result<usize> {
    let notes = chart::install(&env.plane, NAME, NAMESPACE, &json!({}))?;
    let deletes = deleting_commands(&notes);
    assert_eq!(deletes.len(), 2, "how to delete first: {notes}");
    let mut operator = pod(env, "first").await?;
    let team = Team::new(env, "kept")?;
    let before = team.ready_cluster("kept", json!({})).await?;
    let mark = env.sim.mark().await?;

    // Its rights go first; its pod goes on until somebody ends it.
    let told = chart::uninstall(&env.plane, NAME, NAMESPACE)?;
    for definition in ["workspaces.azureml.dev", "computeclusters.azureml.dev"] {
        assert!(told.contains(definition), "what stays is said: {told}");
    }
    team.edit("kept", json!({"scale": {"maxNodes": 2}}))?;
    let end = eventually("the end of who may not renew its Lease", LONG, async || operator.ended()).await?;
    assert!(!end.success(), "{end}");
    let live = env.sim.live("kept").await?;
    assert_eq!(live.pointer("/properties/provisioningState"), Some(&json!("Succeeded")), "{live}");
    let writes = env.sim.writes_of("kept", mark).await?;
    assert_eq!(writes, vec![], "an operator without rights can't record what it would write");
    let after = team.get("kept")?;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"], "{after}");

    // Installed again, it goes on with what it had.
    chart::install(&env.plane, NAME, NAMESPACE, &json!({}))?;
    let _operator = pod(env, "second").await?;
    team.wait("kept", Until::condition("InSync", "True")).await?;
    let verbs: Vec<_> = env.sim.writes_of("kept", mark).await?.into_iter().map(|write| write.method).collect();
    assert_eq!(verbs, ["PATCH"], "the edit of before");

    // As the notes say it.
    for command in &deletes[..1] {
        env.plane.kubectl(&command.split_whitespace().skip(1).collect::<Vec<_>>())?;
    }
    let gone = env.sim.live("kept").await?;
    assert_eq!(gone.pointer("/error/code"), Some(&json!("ResourceNotFound")), "{gone}");
    chart::uninstall(&env.plane, NAME, NAMESPACE)?;
    Ok(3)
}

/// The commands of the notes that delete: of objects, then of the release.
fn deleting_commands(notes: &str) -> Vec<String> {
    let lines = notes.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    lines
        .filter(|line| line.starts_with("kubectl delete") || line.starts_with("helm uninstall"))
        .map(str::to_owned)
        .collect()
}
