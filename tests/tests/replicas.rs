//! Several operators: replicas of which one works, and shards that each work on their own Workspaces.

use azureml_tests::gate::{Gate, Moment, Side};
use azureml_tests::operator::{NAMESPACE, Operator, OperatorOptions};
use azureml_tests::team::{LONG, Team, WORKSPACE, brisk, brisk_operator, metric};
use azureml_tests::wait::eventually;
use azureml_tests::{EnvOptions, Environment, OperatorStart, Result, Until};
use serde_json::{Value, json};

/// The usual lease.
const SHORT: &str = "12s";
/// A lease that never runs out within a test: whoever doesn't wait for that was handed it.
const ENDLESS: &str = "1h";

async fn environment() -> Environment {
    let options = EnvOptions { start: OperatorStart::Later, ..brisk() };
    Environment::start(options).await.unwrap_or_else(|error| panic!("{error}"))
}

fn options(replica: &str, flags: &[(&str, &str)]) -> OperatorOptions {
    let mut options = OperatorOptions { replica: Some(replica.to_owned()), ..brisk_operator() };
    options.flags.extend(flags.iter().map(|(flag, value)| (flag.to_string(), value.to_string())));
    options
}

async fn replica(env: &Environment, name: &str, lease: &str) -> Result<Operator> {
    let flags = [("--leader-elect", "true"), ("--lease-duration", lease)];
    Operator::start(&options(name, &flags), &env.plane, &env.sim).await
}

async fn leads(operator: &Operator) -> bool {
    operator.metrics().await.is_ok_and(|text| metric(&text, "azureml_leads") == 1.0)
}

async fn wait_until_it_leads(operator: &Operator) -> Result<()> {
    eventually("a replica that leads", LONG, async || Ok(leads(operator).await.then_some(()))).await
}

fn lease(env: &Environment) -> Value {
    let text = env.plane.kubectl(&["-n", NAMESPACE, "get", "lease", "azureml-operator", "-o", "json"]).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["spec"].clone()
}

async fn requests_to_azure(operator: &Operator) -> f64 {
    metric(&operator.metrics().await.unwrap(), "azureml_arm_requests_total")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_works_and_the_other_takes_over() {
    let env = environment().await;
    let cases = take_over(&env).await.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("replicas::one_replica_works_and_the_other_takes_over", cases);
}

async fn take_over(env: &Environment) -> Result<usize> {
    let team = Team::new(env, "replicas")?;
    let first = replica(env, "first", ENDLESS).await?;
    wait_until_it_leads(&first).await?;
    let second = replica(env, "second", ENDLESS).await?;
    team.ready_cluster("one", json!({})).await?;
    assert!(!leads(&second).await, "one at a time");
    assert_eq!(requests_to_azure(&second).await, 0.0, "a standby asks nothing of Azure");
    let holder = lease(env)["holderIdentity"].as_str().unwrap_or_default().to_owned();
    assert!(holder.starts_with("first_"), "{holder}");

    // A stop hands over: this lease would not run out.
    let mark = env.sim.mark().await?;
    assert!(first.stop()?.success());
    wait_until_it_leads(&second).await?;
    assert_eq!(lease(env)["leaseTransitions"], 1);
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.writes_of("one", mark).await?, vec![], "nothing to do, nothing written");
    team.edit("one", json!({"scale": {"maxNodes": 2}}))?;
    team.wait("one", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.writes_of("one", mark).await?.len(), 1);
    drop(second);
    env.plane.kubectl(&["-n", NAMESPACE, "delete", "lease", "azureml-operator"])?;
    Ok(2 + killed(env, &team).await? + frozen(env, &team).await?)
}

/// A kill in the middle of a creation: the standby takes over when the lease has run out, and goes on with it.
async fn killed(env: &Environment, team: &Team<'_>) -> Result<usize> {
    let first = replica(env, "third", SHORT).await?;
    wait_until_it_leads(&first).await?;
    let second = replica(env, "fourth", SHORT).await?;
    team.cluster("two", json!({}))?;
    team.wait("two", Until::json("status.operation is there", |o| o["status"]["operation"].is_object())).await?;
    first.kill()?;
    wait_until_it_leads(&second).await?;
    team.wait("two", Until::ready()).await?;
    team.wait("two", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.verbs_to("two").await?.iter().filter(|verb| *verb == "PUT").count(), 1);
    assert!(second.stop()?.success());
    Ok(1)
}

/// A leader that was held up for longer than its lease, right between its intent and the write: it ends, and its successor
/// alone writes.
async fn frozen(env: &Environment, team: &Team<'_>) -> Result<usize> {
    let gate = Gate::open("gate", &env.plane, &env.sim).await?;
    let flags = [("--leader-elect", "true"), ("--lease-duration", SHORT)];
    let mut first = Operator::start(&gate.lead(&options("fifth", &flags)), &env.plane, &env.sim).await?;
    wait_until_it_leads(&first).await?;
    let second = replica(env, "sixth", SHORT).await?;
    let mut intent = gate.hold(1, Moment::After, |write| {
        write.side == Side::Kubernetes
            && write.is_about("two")
            && write.body["status"]["operation"]["phase"] == "Intended"
    });
    let mark = env.sim.mark().await?;
    team.edit("two", json!({"scale": {"maxNodes": 3}}))?;
    intent.reached().await;
    first.freeze();
    wait_until_it_leads(&second).await?;
    team.wait("two", Until::condition("InSync", "True")).await?;
    intent.pass();
    first.thaw();
    let end = eventually("the end of who lost the lease", LONG, async || first.ended()).await?;
    assert!(!end.success(), "it says that it lost the lease: {end}");
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.writes_of("two", mark).await?.len(), 1, "one change, one write");
    assert!(leads(&second).await);
    Ok(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_share_the_workspaces_and_a_label_moves_one() {
    let env = environment().await;
    let cases = shards(&env).await.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("replicas::shards_share_the_workspaces_and_a_label_moves_one", cases);
}

async fn shards(env: &Environment) -> Result<usize> {
    let half = ("--arm-budget-share", "0.5");
    let team = Team::new(env, "shards")?;
    let blue = Team::without_workspace(env, "blue")?;
    let spec = json!({"metadata": {"labels": {"azureml.dev/shard": "blue"}}});
    blue.workspace(WORKSPACE, json!({}))?;
    blue.edit_any("amlws", WORKSPACE, spec)?;
    let nameless = Operator::start(&options("nameless", &[half]), &env.plane, &env.sim).await?;
    team.ready_cluster("plain", json!({})).await?;
    env.sim.wait_for_a_few_lists().await?;
    let untouched = blue.wait_any("Workspace", WORKSPACE, Until::json("the Workspace", |_| true)).await?;
    let status = &untouched["status"];
    assert_eq!(*status, json!({"observedGeneration": -1}), "another shard's: {untouched}");
    blue.cluster("azure", json!({}))?;

    let own = Operator::start(&options("blue", &[half, ("--shard", "blue")]), &env.plane, &env.sim).await?;
    blue.wait("azure", Until::ready()).await?;
    blue.wait("azure", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.verbs_to("azure").await?.iter().filter(|verb| *verb == "PUT").count(), 1);
    for (operator, writes) in [(&nameless, 1.0), (&own, 1.0)] {
        let text = operator.metrics().await?;
        assert_eq!(metric(&text, "azureml_plan_actions_total"), writes);
        assert_eq!(metric(&text, "azureml_objects"), 2.0, "each tells of its own two objects: {text}");
    }

    // Moved while all is well: the other shard goes on, and nothing is written for it.
    let mark = env.sim.mark().await?;
    team.edit_any("amlws", WORKSPACE, json!({"metadata": {"labels": {"azureml.dev/shard": "blue"}}}))?;
    eventually("the move of the Workspace", LONG, async || {
        let counts = [own.metrics().await?, nameless.metrics().await?].map(|text| metric(&text, "azureml_objects"));
        Ok((counts == [4.0, 0.0]).then_some(()))
    })
    .await?;
    team.edit("plain", json!({"scale": {"maxNodes": 2}}))?;
    team.wait("plain", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.writes_of("plain", mark).await?.len(), 1, "the edit, and nothing for the move");
    assert_eq!(metric(&nameless.metrics().await?, "azureml_plan_actions_total"), 1.0);

    // The shards end each by itself; deletion works where the Workspace is.
    team.delete("amlcc", "plain")?;
    team.wait("plain", Until::gone()).await?;
    assert!(nameless.stop()?.success() && own.stop()?.success());
    Ok(3)
}
