//! What the tests of bad days share: cases that don't disturb each other in one environment.
//!
//! Each case has a namespace, a principal and a workspace in Azure of its own, so that a fault, a role or a lock of one
//! isn't felt by another.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use azureml_tests::sim::demo;
use azureml_tests::team::{Team, WORKSPACE, brisk_operator, condition};
use azureml_tests::{EnvOptions, Environment, Mark, OperatorStart, RunDir, SimOptions, SimRequest, Until};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};

use super::history::History;

/// How long a wait may take on a machine that is busy with other things.
pub const LONG: Duration = Duration::from_secs(150);
/// The secret of every case's principal, which is good for nothing else.
pub const SECRET: &str = "demo-only-not-a-secret-either";

/// An environment with a workspace and a principal for each of these cases.
pub struct Days {
    pub env: Environment,
    cases: Vec<&'static str>,
    history: History,
    _world: RunDir,
}

/// How an environment differs from the usual.
#[derive(Default)]
pub struct Weather {
    /// Flags of the operator.
    pub flags: &'static [(&'static str, &'static str)],
    /// Laid over azure-sim's world.
    pub world: Option<Value>,
    /// Cases whose principal trusts the operator's service account.
    pub federated: &'static [&'static str],
    /// When the operator starts.
    pub start: OperatorStart,
}

impl Days {
    pub async fn start(cases: &[&'static str], weather: Weather) -> Self {
        let dir = RunDir::new("world").unwrap();
        let world = dir.path().join("world.yaml");
        std::fs::write(&world, world_of(cases, &weather).to_string()).unwrap();
        let mut operator = brisk_operator();
        operator.flags.extend(weather.flags.iter().map(|(flag, value)| (flag.to_string(), value.to_string())));
        let sim = SimOptions { world, ..SimOptions::default() };
        let options = EnvOptions { sim, operator, start: weather.start, ..EnvOptions::default() };
        let env = Environment::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        let history = History::record(&env.plane.client());
        Days { env, cases: cases.to_vec(), history, _world: dir }
    }

    /// A case, without its objects in Kubernetes.
    pub fn case(&self, name: &str) -> Case<'_> {
        let team = Team { env: &self.env, namespace: name.to_string() };
        let at = self.cases.iter().position(|case| *case == name).unwrap_or_else(|| panic!("no case {name}"));
        let history = self.history.clone();
        let since = Cell::new(history.end());
        Case { team, client: client(at), azure: azure(name), history, since }
    }

    /// A case with its namespace, credential and Workspace.
    pub fn open(&self, name: &str) -> Case<'_> {
        let case = self.case(name);
        case.namespace();
        case.credential(SECRET);
        case.workspace(json!({}));
        case
    }
}

fn client(at: usize) -> String {
    format!("00000000-0000-0000-0001-{at:012}")
}

fn azure(case: &str) -> String {
    format!("{case}-ws")
}

/// The demo's world with a workspace and a Contributor for each case.
fn world_of(cases: &[&str], weather: &Weather) -> Value {
    let text = std::fs::read_to_string(SimOptions::default().world).unwrap();
    let mut world: Value = serde_yaml_ng::from_str(&text).unwrap();
    for (at, case) in cases.iter().enumerate() {
        world["workspaces"].as_array_mut().unwrap().push(json!({
            "subscription": demo::SUBSCRIPTION, "resourceGroup": demo::RESOURCE_GROUP, "name": azure(case),
            "location": "westeurope",
        }));
        let trust = json!({
            "issuer": "https://kubernetes.default.svc.cluster.local",
            "subject": "system:serviceaccount:azureml-system:azureml-operator",
        });
        let federated = if weather.federated.contains(case) { json!([trust]) } else { json!([]) };
        world["principals"].as_array_mut().unwrap().push(json!({
            "clientId": client(at), "tenant": demo::TENANT, "name": case, "secret": SECRET, "federated": federated,
            "roles": [{"scope": format!("/subscriptions/{}", demo::SUBSCRIPTION), "role": "Contributor"}],
        }));
    }
    azureml_tests::team::laid(world, weather.world.clone().unwrap_or(json!({})))
}

/// Runs cases side by side, and tells which of them failed.
pub async fn all(cases: Vec<(&'static str, LocalBoxFuture<'_, ()>)>) {
    let names: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
    let run = cases.into_iter().map(|(name, case)| {
        AssertUnwindSafe(async move {
            let began = Instant::now();
            case.await;
            eprintln!("{name}: {} s", began.elapsed().as_secs());
        })
        .catch_unwind()
    });
    let ended = futures::future::join_all(run).await;
    let failed: Vec<&str> =
        names.iter().zip(&ended).filter(|(_, ended)| ended.is_err()).map(|(name, _)| *name).collect();
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}

/// One case.
pub struct Case<'a> {
    /// Its namespace.
    pub team: Team<'a>,
    /// Its principal's client id.
    pub client: String,
    /// Its workspace's name in Azure.
    pub azure: String,
    history: History,
    /// The end of the history before the case last changed something.
    since: Cell<usize>,
}

impl Case<'_> {
    pub fn env(&self) -> &Environment {
        self.team.env
    }

    pub fn namespace(&self) {
        let metadata = json!({"name": self.team.namespace});
        self.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));
    }

    /// Writes the Secret with this client secret.
    pub fn credential(&self, secret: &str) {
        self.secret(
            "azure-sp",
            json!({
                "AZURE_TENANT_ID": demo::TENANT, "AZURE_CLIENT_ID": self.client, "AZURE_CLIENT_SECRET": secret,
            }),
        );
    }

    /// Writes a Secret with these texts and no others.
    pub fn secret(&self, name: &str, texts: Value) {
        let metadata = json!({"name": name, "namespace": self.team.namespace});
        self.put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": texts}));
    }

    /// What is told from here on is told of what is done next.
    fn changes(&self) {
        self.since.set(self.history.end());
    }

    /// Server-side apply: what an earlier apply named and this one doesn't goes.
    fn put(&self, object: Value) {
        self.changes();
        let applied = self.env().plane.kubectl_with_input(&["apply", "--server-side", "-f", "-"], &object.to_string());
        applied.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Applies the case's Workspace object; `spec` is laid over the usual one, where null takes a member away.
    pub fn workspace(&self, mut spec: Value) {
        self.changes();
        if spec.get("azureName").is_none() {
            spec["azureName"] = json!(self.azure);
        }
        self.team.workspace(WORKSPACE, spec).unwrap_or_else(|error| panic!("{error}"));
    }

    pub fn cluster(&self, name: &str, spec: Value) {
        self.changes();
        self.team.cluster(name, spec).unwrap_or_else(|error| panic!("{error}"));
    }

    pub fn edit(&self, name: &str, spec: Value) {
        self.changes();
        self.team.edit(name, spec).unwrap_or_else(|error| panic!("{error}"));
    }

    pub fn delete(&self, kind: &str, name: &str) {
        self.changes();
        self.team.delete(kind, name).unwrap_or_else(|error| panic!("{error}"));
    }

    pub async fn until(&self, kind: &str, name: &str, until: Until) -> Value {
        let found = self.env().wait_for(kind, &self.team.namespace, name, until, LONG).await;
        found.unwrap_or_else(|error| panic!("{}: {error}", self.team.namespace)).unwrap_or(Value::Null)
    }

    /// Ready and as the manifest says.
    pub async fn ready(&self, name: &str) -> Value {
        let what = format!("{name} to be Ready and InSync");
        self.until("ComputeCluster", name, says(what, |object| holds(object, "Ready") && holds(object, "InSync"))).await
    }

    /// Created and Ready.
    pub async fn made(&self, name: &str, spec: Value) -> Value {
        self.cluster(name, spec);
        self.ready(name).await
    }

    pub async fn workspace_ready(&self) {
        self.until("Workspace", WORKSPACE, Until::ready()).await;
    }

    pub async fn gone(&self, name: &str) {
        self.until("ComputeCluster", name, Until::gone()).await;
    }

    /// Ready isn't True, for this reason, with a message that has all these words.
    pub async fn told(&self, kind: &str, name: &str, reason: &str, words: &[&str]) -> Value {
        self.until(kind, name, tells("Ready", reason, words)).await
    }

    /// As [`Self::told`], of a cluster.
    pub async fn tells(&self, name: &str, reason: &str, words: &[&str]) -> Value {
        self.told("ComputeCluster", name, reason, words).await
    }

    /// As [`Self::tells`], or it did so for a moment since the case last changed something or added a fault.
    pub async fn told_once(&self, name: &str, reason: &str, words: &[&str]) -> Value {
        let namespace = self.team.namespace.clone();
        let is_it = |object: &Value| {
            let metadata = &object["metadata"];
            object["kind"] == "ComputeCluster" && metadata["name"] == name && metadata["namespace"] == *namespace
        };
        let told = |object: &Value| is_it(object) && does_tell(object, "Ready", reason, words);
        tokio::select! {
            found = self.history.find(self.since.get(), told) => found,
            found = self.tells(name, reason, words) => found,
        }
    }

    /// The ARM id of the case's workspace.
    pub fn workspace_id(&self) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}",
            demo::SUBSCRIPTION,
            demo::RESOURCE_GROUP,
            self.azure
        )
    }

    /// The ARM id of a cluster.
    pub fn id(&self, name: &str) -> String {
        format!("{}/computes/{name}", self.workspace_id())
    }

    /// What the demo's principal reads of a path: status and body.
    pub async fn azure_has(&self, path: &str) -> (u16, Value) {
        let answer = self.env().sim.arm().await.unwrap().get(path).await.unwrap();
        (answer.status.as_u16(), answer.body)
    }

    /// The requests of this case's workspace, from a mark on.
    pub async fn requests(&self, since: Option<Mark>) -> Vec<SimRequest> {
        let all = match since {
            Some(mark) => self.env().sim.since(mark).await.unwrap(),
            None => self.env().sim.requests().await.unwrap(),
        };
        let of = format!("/workspaces/{}", self.azure).to_lowercase();
        let mine = |path: &str| path.split_once(&of).is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('/'));
        all.into_iter().filter(|request| mine(&request.path.to_lowercase())).collect()
    }

    /// The writes of one cluster with their answers: `PUT 201`. A connection that was reset has the status 0.
    pub async fn writes(&self, name: &str) -> Vec<String> {
        let all = self.requests(None).await;
        let writes = all.iter().filter(|request| request.is_write() && request.is_about(name));
        writes.map(|request| format!("{} {}", request.method, request.status)).collect()
    }

    /// The operator has read this workspace's list so many times more, answered or not.
    pub async fn lists(&self, count: usize) {
        let mark = self.env().sim.mark().await.unwrap();
        let path = format!("/{}/computes", self.azure);
        let is_list = |request: &SimRequest| request.method == "GET" && request.path.ends_with(&path);
        let waited = self.env().sim.wait_for_requests("looks at the list", mark, count, LONG, is_list).await;
        waited.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Adds a fault for requests to a path of this case that has this in it.
    pub async fn fault(&self, method: &str, part: &str, times: i64, fault: Value) {
        self.changes();
        let matches = json!({"method": method, "pathContains": format!("/{}{part}", self.azure)});
        let rule = json!({"match": matches, "times": times, "fault": fault});
        self.env().sim.fault(rule).await.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A predicate over an object that exists.
pub fn says(what: impl Into<String>, holds: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Until {
    Until::json(what, holds)
}

/// The condition is True for the manifest as it is now.
pub fn holds(object: &Value, kind: &str) -> bool {
    let found = condition(object, kind);
    found["status"] == "True" && found["observedGeneration"] == object["metadata"]["generation"]
}

/// The condition isn't True, for this reason, with a message that has all these words.
pub fn tells(kind: &str, reason: &str, words: &[&str]) -> Until {
    let (kind, reason) = (kind.to_string(), reason.to_string());
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let what = format!("{kind} to tell {reason} with {words:?}");
    says(what, move |object| does_tell(object, &kind, &reason, &words))
}

fn does_tell(object: &Value, kind: &str, reason: &str, words: &[impl AsRef<str>]) -> bool {
    let found = condition(object, kind);
    let message = found["message"].as_str().unwrap_or_default().to_lowercase();
    found["status"] != "True"
        && found["reason"] == *reason
        && words.iter().all(|word| message.contains(&word.as_ref().to_lowercase()))
}

/// It was refused, however often, until it was done once.
pub fn refused_until_done(writes: &[String], refused: &str, done: &str) {
    let (last, before) = writes.split_last().unwrap();
    assert!(last == done && !before.is_empty() && before.iter().all(|write| write == refused), "{writes:?}");
}
