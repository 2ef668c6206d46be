//! What the operator tells of itself: a trace from a look to its requests in Azure, metrics, and health.

use std::collections::BTreeSet;

use azureml_tests::gate::{Gate, Moment, Side, Watching};
use azureml_tests::operator::{Operator, OperatorOptions};
use azureml_tests::team::{LONG, Team, brisk, brisk_operator, metric};
use azureml_tests::wait::eventually;
use azureml_tests::{EnvOptions, Environment, OperatorStart, Result, Until};
use serde_json::{Value, json};

/// How long silence is taken for health in the test of probes.
const UNHEALTHY_AFTER: &str = "30s";
/// All metrics with their units in their names, as Prometheus shows them.
const METRICS: [(&str, &str); 19] = [
    ("azureml_arm_budget_left", "gauge"),
    ("azureml_arm_budget_waiting", "gauge"),
    ("azureml_arm_request_duration_seconds", "histogram"),
    ("azureml_arm_requests", "counter"),
    ("azureml_leads", "gauge"),
    ("azureml_nodes", "gauge"),
    ("azureml_objects", "gauge"),
    ("azureml_operation_age_seconds", "gauge"),
    ("azureml_operations_in_flight", "gauge"),
    ("azureml_plan_actions", "counter"),
    ("azureml_queue_due", "gauge"),
    ("azureml_queue_longest_due_seconds", "gauge"),
    ("azureml_reconcile_duration_seconds", "histogram"),
    ("azureml_reconciles", "counter"),
    ("azureml_snapshot_age_seconds", "gauge"),
    ("azureml_status_writes", "counter"),
    ("azureml_watch_age_seconds", "gauge"),
    ("azureml_watches_failed", "counter"),
    ("azureml_build", "info"),
];

async fn environment() -> Environment {
    let options = EnvOptions { start: OperatorStart::Later, ..brisk() };
    Environment::start(options).await.unwrap_or_else(|error| panic!("{error}"))
}

fn options(flags: &[(&str, &str)]) -> OperatorOptions {
    let mut options = brisk_operator();
    options.flags.extend(flags.iter().map(|(flag, value)| (flag.to_string(), value.to_string())));
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_is_traced_into_azures_log_and_measured() {
    let env = environment().await;
    traced(&env).await.unwrap_or_else(|error| panic!("{error}"));
}

async fn traced(env: &Environment) -> Result<()> {
    let operator = Operator::start(&options(&[("--log-format", "json")]), &env.plane, &env.sim).await?;
    let team = Team::new(env, "traces")?;
    // Its read is held up, so that the creation is under way for as long as it takes to measure it.
    let after = json!({"method": "PUT", "pathContains": "/computes/traced"});
    let reads = json!({"method": "GET", "pathContains": "/computes", "after": after});
    env.sim.fault(json!({"match": reads, "times": -1, "fault": {"status": 503}})).await?;
    team.cluster("traced", json!({"scale": {"minNodes": 1, "maxNodes": 2}}))?;
    let in_flight = async || {
        let text = operator.metrics().await?;
        Ok((metric(&text, "azureml_operations_in_flight") == 1.0).then_some(text))
    };
    let under_way = eventually("an operation in flight", LONG, in_flight).await?;
    env.sim.clear_faults().await?;
    team.wait("traced", Until::ready()).await?;
    team.wait("traced", Until::field("/status/nodes/current", 1)).await?;

    let requests = env.sim.requests().await?;
    let put = requests.iter().find(|r| r.method == "PUT" && r.is_about("traced")).unwrap();
    let trace = put.correlation_id.clone().unwrap_or_default();
    let get = requests.iter().rfind(|r| r.seq < put.seq && r.method == "GET" && r.is_about("traced")).unwrap();
    assert_eq!(get.correlation_id.as_ref(), Some(&trace), "the read before the write is the same look's");
    let told = team.wait_told("traced", "Creating", &trace).await?;
    assert!(told.note.contains("correlation"), "a person can search Azure's activity log for it: {told:?}");

    let log = std::fs::read_to_string(operator.log()).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let written = lines.iter().find(|line| line["message"] == "wrote to Azure" && line["method"] == "PUT").unwrap();
    assert_eq!(written["span"]["trace"], trace.as_str(), "{written}");
    assert_eq!(written["span"]["object"], "ComputeCluster traces/traced", "{written}");
    assert_eq!((&written["status"], &written["correlation"]), (&json!(201), &json!(trace)), "{written}");
    let of_trace: BTreeSet<&str> = lines
        .iter()
        .filter(|line| line["span"]["trace"] == trace.as_str())
        .filter_map(|line| line["message"].as_str())
        .collect();
    assert!(of_trace.contains("read from Azure") && of_trace.contains("looked at"), "{of_trace:?}");

    measured(&under_way, &operator.metrics().await?);
    Ok(())
}

#[test]
fn the_page_has_every_metric() {
    let page = std::fs::read_to_string(azureml_tests::checkout().join("docs/metrics.md")).unwrap();
    let rows: BTreeSet<(&str, &str)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `azureml_"))
        .map(|row| (row.split('`').next().unwrap(), row.split('|').nth(1).unwrap().trim()))
        .collect();
    let known = METRICS.map(|(name, kind)| (name.strip_prefix("azureml_").unwrap(), kind));
    assert_eq!(rows, BTreeSet::from(known));
}

fn measured(under_way: &str, after: &str) {
    let declared = |text: &str| -> BTreeSet<(String, String)> {
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|line| line.split_once(' ')).map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
    };
    let both = declared(under_way).union(&declared(after)).cloned().collect::<BTreeSet<_>>();
    let expected = METRICS.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    assert_eq!(both, BTreeSet::from(expected));
    assert!(
        under_way.contains("azureml_operation_age_seconds{kind=\"ComputeCluster\",verb=\"Create\"}"),
        "{under_way}"
    );
    assert_eq!(metric(after, "azureml_operations_in_flight"), 0.0);
    let exactly = [
        "azureml_plan_actions_total{kind=\"ComputeCluster\",action=\"Create\"} 1",
        "azureml_leads 1",
        "azureml_nodes{namespace=\"traces\",name=\"traced\",state=\"current\"} 1",
        "azureml_objects{kind=\"ComputeCluster\",ready=\"True\",reason=\"Available\"} 1",
    ];
    for line in exactly {
        assert!(after.lines().any(|known| known == line), "{line} isn't in\n{after}");
    }
    let put =
        "azureml_arm_requests_total{provider=\"Microsoft.MachineLearningServices\",method=\"PUT\",code=\"201\"} 1";
    assert!(after.lines().any(|known| known == put), "{after}");
    assert!(metric(after, "azureml_arm_budget_left") > 1.0, "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_notice_a_silent_watch_and_stuck_work() {
    let env = environment().await;
    probed(&env).await.unwrap_or_else(|error| panic!("{error}"));
}

async fn probed(env: &Environment) -> Result<()> {
    let team = Team::new(env, "probes")?;
    let gate = Gate::open("gate", &env.plane, &env.sim).await?;
    let options = gate.lead(&options(&[("--unhealthy-after", UNHEALTHY_AFTER)]));
    let operator = Operator::start(&options, &env.plane, &env.sim).await?;
    team.ready_cluster("one", json!({})).await?;
    assert_eq!(operator.health().await?, Ok(()));

    gate.watching(Watching::Unanswered);
    let faults = wait_for_fault(&operator).await?;
    // Whichever was renewed first.
    let of_ours =
        |line: &str| line.starts_with("the watch of workspaces") || line.starts_with("the watch of computeclusters");
    assert!(faults.lines().any(|line| of_ours(line) && line.contains("silent for")), "{faults}");
    gate.watching(Watching::Live);
    eventually("health", LONG, async || Ok(operator.health().await?.ok())).await?;

    let mut held = gate.hold(1, Moment::Before, |write| write.side == Side::Kubernetes && write.is_about("two"));
    team.cluster("two", json!({}))?;
    held.reached().await;
    let faults = wait_for_fault(&operator).await?;
    assert!(faults.contains("a look at an object has taken"), "{faults}");
    held.pass();
    eventually("health", LONG, async || Ok(operator.health().await?.ok())).await?;
    team.wait("two", Until::ready()).await.map(drop)
}

async fn wait_for_fault(operator: &Operator) -> Result<String> {
    eventually("a probe that fails", LONG, async || Ok(operator.health().await?.err())).await
}
