//! One environment whose operator goes through a gate, and all clusters as a watch tells them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use azureml_tests::gate::{Side, Write};
use azureml_tests::sim::arm::compute_id;
use azureml_tests::team::{LONG, Team, WORKSPACE, brisk_operator, laid};
use azureml_tests::{
    Controllers, EnvOptions, Environment, Gate, Operator, OperatorOptions, OperatorStart, RunDir, SimClient,
    SimOptions, SimRequest, Throttle, tail,
};
use futures::{FutureExt, StreamExt};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;

/// Where the clusters live, and those that others claim with other words.
pub const NAMESPACE: &str = "crash";
/// A namespace that uses the Workspace of [`NAMESPACE`].
pub const GUEST: &str = "guest";
/// A namespace with a Workspace of its own for the same workspace in Azure.
pub const OWN: &str = "own";
const FINALIZER: &str = "azureml.dev/azure-resource";
/// A cluster of somebody else's.
const BYSTANDER: &str = "bystander";

/// How soon Azure shows what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Azure {
    /// At once.
    Prompt,
    /// After a while: until then reads and lists tell the past.
    Late,
}

/// All clusters, by namespace and name.
pub type Objects = HashMap<(String, String), Value>;

pub struct Scene {
    // In the order of their end.
    operator: Option<Operator>,
    pub gate: Gate,
    pub env: Environment,
    pub objects: watch::Receiver<Objects>,
    options: OperatorOptions,
    bystander: Value,
    _world: RunDir,
}

impl Scene {
    /// Kubernetes, azure-sim and the gate; the operator doesn't run yet.
    pub async fn start(azure: Azure) -> Self {
        let dir = RunDir::new("world").unwrap();
        let sim = SimOptions { world: world(azure, &dir), throttle: Throttle::Off, ..SimOptions::default() };
        // No namespace is deleted here.
        let controllers = Controllers::None;
        let options = EnvOptions { sim, start: OperatorStart::Later, controllers, ..EnvOptions::default() };
        let env = Environment::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        let gate = Gate::open("gate", &env.plane, &env.sim).await.unwrap_or_else(|error| panic!("{error}"));
        let mut options = gate.lead(&brisk_operator());
        // Each write that is held keeps a worker.
        options.flags.push(("--concurrency".to_string(), "256".to_string()));
        // Three of these without a look make what is known old, and say so on every object: longer than a busy machine
        // needs for a look.
        let interval = "3s";
        let everywhere = json!({"allowedNamespaces": {"from": "All"}, "observeInterval": interval});
        Team::without_workspace(&env, NAMESPACE).unwrap().workspace(WORKSPACE, everywhere).unwrap();
        Team::without_workspace(&env, GUEST).unwrap();
        let spelled = json!({"resourceGroup": "ML-RG", "azureName": "Research-WS", "observeInterval": interval});
        Team::without_workspace(&env, OWN).unwrap().workspace(WORKSPACE, spelled).unwrap();
        keep_an_eye_on_finalizers(&env, &gate);
        let objects = record(env.plane.client());
        let mut scene = Scene { env, gate, objects, operator: None, options, bystander: Value::Null, _world: dir };
        scene.by_hand(BYSTANDER, json!({"azureml.dev-owner": "somebody-else/ComputeCluster/ml/gpu"})).await;
        scene.bystander = scene.settled(BYSTANDER).await;
        scene
    }

    pub async fn start_operator(&mut self) {
        let started = Operator::start(&self.options, &self.env.plane, &self.env.sim).await;
        self.operator = Some(started.unwrap_or_else(|error| panic!("{error}")));
    }

    pub fn kill_operator(&mut self) {
        self.operator.take().unwrap().kill().unwrap();
    }

    /// Tells the operator to stop, does `then` when it knows, and waits for its end, which has to be of its own will.
    pub async fn stop_operator(&mut self, then: impl FnOnce()) {
        const KNOWS: &str = "told to stop";
        let operator = self.operator.take().unwrap();
        let log = operator.log().to_path_buf();
        let told = move || std::fs::read_to_string(&log).unwrap_or_default().matches(KNOWS).count();
        let before = told();
        let stopping = tokio::task::spawn_blocking(move || operator.stop());
        let knows = async {
            while told() == before {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(LONG, knows).await.is_ok(), "the operator doesn't notice SIGTERM");
        then();
        let status = stopping.await.unwrap().unwrap();
        assert!(status.success(), "the operator ended with {status} on SIGTERM{}", self.account().await);
    }

    /// Waits until the clusters are as wanted.
    pub async fn until(&self, what: &str, holds: impl Fn(&Objects) -> bool) {
        let mut objects = self.objects.clone();
        let waited = tokio::time::timeout(LONG, objects.wait_for(|objects| holds(objects))).await;
        if waited.is_err() {
            panic!("waited {} s for {what}{}", LONG.as_secs(), self.account().await);
        }
    }

    /// Waits until the operator has read Azure's list so many times more.
    pub async fn lists(&self, count: usize) {
        let mark = self.env.sim.mark().await.unwrap();
        let waited = self.env.sim.wait_for_lists(mark, count, LONG).await;
        waited.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Azure's clusters by lower-cased ARM id, without any delay.
    pub async fn azure(&self) -> Value {
        self.env.sim.state().await.unwrap()["computes"].take()
    }

    /// The writes to a cluster that reached Azure, with their answers: `PUT 201`.
    pub fn writes_to(&self, name: &str, all: &[SimRequest]) -> Vec<String> {
        let writes = all.iter().filter(|request| request.is_write() && request.is_about(name));
        writes.map(|request| format!("{} {}", request.method, request.status)).collect()
    }

    /// Makes a cluster as a person would.
    pub async fn by_hand(&self, name: &str, tags: Value) {
        let properties = json!({"vmSize": "Standard_DS3_v2", "scaleSettings": {"maxNodeCount": 2}});
        let properties = json!({"computeType": "AmlCompute", "properties": properties});
        let body = json!({"location": "westeurope", "tags": tags, "properties": properties});
        let answer = self.env.sim.arm().await.unwrap().put(&compute_id(name), body).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
    }

    /// A cluster as Azure has it once it is done with it.
    pub async fn settled(&self, name: &str) -> Value {
        let arm = self.env.sim.arm().await.unwrap();
        let settled = async {
            loop {
                let has = arm.get(&compute_id(name)).await.unwrap().body;
                if has["properties"]["provisioningState"] == "Succeeded" {
                    return has;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(LONG, settled).await.unwrap_or_else(|_| panic!("azure-sim doesn't settle {name}"))
    }

    /// What isn't ours is as it was, and no finalizer went before its cluster.
    pub async fn nothing_else_was_touched(&self) {
        assert_eq!(self.settled(BYSTANDER).await, self.bystander);
        assert_eq!(self.gate.objections(), [""; 0], "finalizers that went too early");
    }

    /// What happened last, for a failure.
    pub async fn account(&self) -> String {
        let log = self.env.plane.dir().path().join("azureml-operator.log");
        let requests = self.env.sim.requests().await.unwrap_or_default();
        let requests = last(requests.iter().filter(|request| request.is_write()));
        let writes = self.gate.writes();
        let writes = last(writes.iter());
        format!(
            "\n--- the operator's log:\n{}\n--- writes at the gate:{writes}\n--- writes in Azure:{requests}",
            tail(&log, 40)
        )
    }
}

fn last<T: std::fmt::Display>(all: impl Iterator<Item = T>) -> String {
    let all: Vec<String> = all.map(|one| format!("\n{one:.240}")).collect();
    all[all.len().saturating_sub(60)..].concat()
}

/// The demo's world. Azure takes long enough over a write that a new operator finds it at work.
fn world(azure: Azure, dir: &RunDir) -> std::path::PathBuf {
    let text = std::fs::read_to_string(SimOptions::default().world).unwrap();
    let delay = match azure {
        Azure::Prompt => "0s",
        // A second and a half on the wall: shorter than the consistency window, as promised.
        Azure::Late => "90s",
    };
    let changes = json!({
        "timings": {"clusterCreate": "120s", "clusterUpdate": "90s", "clusterDelete": "90s"},
        "consistency": {"readAfterWrite": delay},
    });
    let world = laid(serde_yaml_ng::from_str(&text).unwrap(), changes);
    let path = dir.path().join("world.yaml");
    std::fs::write(&path, world.to_string()).unwrap();
    path
}

/// Whenever a finalizer of ours is about to go, Azure mustn't have the cluster any more.
fn keep_an_eye_on_finalizers(env: &Environment, gate: &Gate) {
    let sim = Arc::new(SimClient::new(env.sim.url(), env.sim.ca()).unwrap());
    let goes = |write: &Write| {
        let is_cluster = write.side == Side::Kubernetes && write.plural == "computeclusters";
        is_cluster && write.lacks_finalizer(FINALIZER)
    };
    gate.inspect(goes, move |write| {
        let sim = sim.clone();
        async move {
            let state = sim.state().await.ok()?;
            let id = compute_id(super::lane::azure_name(&write.name)).to_lowercase();
            state["computes"].get(&id).map(|has| format!("Azure still has {has}"))
        }
        .boxed()
    });
}

/// Follows all clusters until the test ends.
fn record(client: Client) -> watch::Receiver<Objects> {
    let (send, receive) = watch::channel(Objects::new());
    tokio::spawn(async move {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("azureml.dev", "v1alpha1", "ComputeCluster"));
        let all: Api<DynamicObject> = Api::all_with(client, &resource);
        let mut events = std::pin::pin!(watcher::watcher(all, watcher::Config::default()).default_backoff());
        while let Some(event) = events.next().await {
            let key = |object: &DynamicObject| {
                let metadata = &object.metadata;
                (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
            };
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => send.send_modify(|objects| {
                    objects.insert(key(&object), serde_json::to_value(&object).unwrap());
                }),
                Ok(Event::Delete(object)) => send.send_modify(|objects| {
                    objects.remove(&key(&object));
                }),
                // A break of the watch is tried again.
                Ok(Event::Init | Event::InitDone) | Err(_) => {}
            }
        }
    });
    receive
}
