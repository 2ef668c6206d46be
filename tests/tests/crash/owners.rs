//! Two operators of two Kubernetes clusters that make one cluster in Azure at the same time. ARM has no condition for a
//! PUT, so both are let come to theirs, having both seen that there is none.

use std::time::Duration;

use azureml_tests::gate::{Hold, Moment, Side};
use azureml_tests::team::{LONG, Team, brisk, brisk_operator, condition};
use azureml_tests::wait::eventually;
use azureml_tests::{EnvOptions, Environment, Gate, Operator, OperatorStart, Until};
use serde_json::json;

/// A Kubernetes cluster with its operator, which goes through a gate of its own to the Azure of the first.
struct Owner<'a> {
    // In the order of their end.
    operator: Option<Operator>,
    gate: Gate,
    env: &'a Environment,
    team: Team<'a>,
    azure: &'a Environment,
}

impl<'a> Owner<'a> {
    async fn start(env: &'a Environment, azure: &'a Environment) -> Self {
        let gate = Gate::open("gate", &env.plane, &azure.sim).await.unwrap();
        let team = Team::new(env, "ml").unwrap();
        let mut owner = Owner { env, team, gate, operator: None, azure };
        owner.start_operator().await;
        owner
    }

    async fn start_operator(&mut self) {
        let options = self.gate.lead(&brisk_operator());
        let started = Operator::start(&options, &self.env.plane, &self.azure.sim).await;
        self.operator = Some(started.unwrap_or_else(|error| panic!("{error}")));
    }

    /// Holds the PUT of a cluster.
    fn hold(&self, name: &'static str, moment: Moment) -> Hold {
        self.gate
            .hold(1, moment, move |write| write.side == Side::Azure && write.method == "PUT" && write.is_about(name))
    }

    /// The uid that Azure's tags tell of this one's object.
    fn uid(&self, name: &str) -> String {
        self.team.get(name).unwrap()["metadata"]["uid"].as_str().unwrap().to_string()
    }

    async fn says_that_it_is_anothers(&self, name: &str) {
        let lost = self.team.wait(name, Until::reason("Ready", "OwnedByAnother")).await.unwrap();
        assert_eq!(condition(&lost, "Stalled")["status"], "True", "{lost:#}");
    }
}

/// What Azure got for a cluster: `PUT 201`.
async fn writes(azure: &Environment, name: &str) -> Vec<String> {
    let all = azure.sim.requests().await.unwrap();
    let writes = all.iter().filter(|request| request.is_write() && request.is_about(name));
    writes.map(|request| format!("{} {}", request.method, request.status)).collect()
}

async fn settles(azure: &Environment, name: &str) {
    let settled = async {
        while azure.sim.live(name).await.unwrap()["properties"]["provisioningState"] != "Succeeded" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LONG, settled).await.unwrap_or_else(|_| panic!("azure-sim doesn't settle {name}"));
}

/// Nothing more comes, of either.
async fn rests(azure: &Environment, name: &str, want: &[&str]) {
    for _ in 0..2 {
        azure.sim.wait_for_a_few_lists().await.unwrap();
    }
    assert_eq!(writes(azure, name).await, want, "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_of_two_operators_is_told_by_the_one_that_lost() {
    let later = || EnvOptions { start: OperatorStart::Later, ..brisk() };
    let started = futures::future::try_join(Environment::start(later()), Environment::start(later())).await;
    let (one, two) = started.unwrap_or_else(|error| panic!("{error}"));
    let (mut here, there) = (Owner::start(&one, &one).await, Owner::start(&two, &one).await);
    overtaken_after_its_end(&here, &there, "after").await;
    overtaken_while_under_way(&here, &there, "within").await;
    killed_before_it_knew(&mut here, &there, "unknown").await;
    azureml_promises::held("crash::a_race_of_two_operators_is_told_by_the_one_that_lost", 3);
}

/// Brings both to their PUT: the second one waits before it, having seen that there is no such cluster yet.
async fn both(here: &Owner<'_>, there: &Owner<'_>, name: &'static str, moment: Moment) -> (Hold, Hold) {
    let (mut mine, mut theirs) = (here.hold(name, moment), there.hold(name, Moment::Before));
    there.team.cluster(name, json!({"scale": {"maxNodes": 7}})).unwrap();
    let come = tokio::time::timeout(LONG, theirs.reached()).await;
    assert!(come.is_ok(), "{name}: the second doesn't come to its PUT");
    here.team.cluster(name, json!({})).unwrap();
    let come = tokio::time::timeout(LONG, mine.reached()).await;
    assert!(come.is_ok(), "{name}: the first doesn't come to its PUT");
    (mine, theirs)
}

/// The second PUT comes when the first one's cluster is there already: Azure takes it as an update.
async fn overtaken_after_its_end(here: &Owner<'_>, there: &Owner<'_>, name: &'static str) {
    let azure = here.azure;
    let (mine, theirs) = both(here, there, name, Moment::Before).await;
    mine.pass();
    here.team.wait(name, Until::ready()).await.unwrap();
    theirs.pass();
    here.says_that_it_is_anothers(name).await;
    there.team.wait(name, Until::ready()).await.unwrap();
    rests(azure, name, &["PUT 201", "PUT 201"]).await;
    let has = azure.sim.live(name).await.unwrap();
    assert_eq!(has["tags"]["azureml.dev-uid"], there.uid(name), "{has:#}");
    // The loser's object may go, and takes nothing along.
    here.team.delete("amlcc", name).unwrap();
    here.team.wait(name, Until::gone()).await.unwrap();
    rests(azure, name, &["PUT 201", "PUT 201"]).await;
}

/// The second PUT comes while the first is under way: Azure refuses it.
async fn overtaken_while_under_way(here: &Owner<'_>, there: &Owner<'_>, name: &'static str) {
    let azure = here.azure;
    // Azure is at it until the second has been refused.
    let never =
        json!({"match": {"method": "PUT", "pathContains": format!("/computes/{name}")}, "fault": "operationNeverEnds"});
    azure.sim.fault(never).await.unwrap();
    let (mine, theirs) = both(here, there, name, Moment::Before).await;
    mine.pass();
    let taken = async || Ok((!writes(azure, name).await.is_empty()).then_some(()));
    eventually(&format!("a PUT of {name}"), LONG, taken).await.unwrap();
    theirs.pass();
    there.says_that_it_is_anothers(name).await;
    rests(azure, name, &["PUT 201", "PUT 409"]).await;
    let has = azure.sim.live(name).await.unwrap();
    assert_eq!(has["tags"]["azureml.dev-uid"], here.uid(name), "{has:#}");
    there.team.delete("amlcc", name).unwrap();
    there.team.wait(name, Until::gone()).await.unwrap();
    rests(azure, name, &["PUT 201", "PUT 409"]).await;
}

/// The first is killed before it learns that Azure has taken its PUT, and overtaken before it comes back.
async fn killed_before_it_knew(here: &mut Owner<'_>, there: &Owner<'_>, name: &'static str) {
    let azure = here.azure;
    let (mine, theirs) = both(here, there, name, Moment::After).await;
    here.operator.take().unwrap().kill().unwrap();
    drop(mine);
    settles(azure, name).await;
    theirs.pass();
    there.team.wait(name, Until::ready()).await.unwrap();
    here.start_operator().await;
    here.says_that_it_is_anothers(name).await;
    rests(azure, name, &["PUT 201", "PUT 201"]).await;
    let has = azure.sim.live(name).await.unwrap();
    assert_eq!(has["tags"]["azureml.dev-uid"], there.uid(name), "{has:#}");
}
