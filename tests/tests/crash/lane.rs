//! The lives of clusters in which the operator is killed: what comes before, what is changed, how it has to end.

use azureml_tests::gate::{Moment, Write};
use azureml_tests::team::{VM_SIZE, WORKSPACE, condition, laid};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use super::scene::{GUEST, NAMESPACE, OWN, Objects, Scene};

/// A phase of a cluster's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It is made.
    Create,
    /// Its scale is changed: a PATCH.
    Scale,
    /// Its tags are changed: a PUT.
    Tags,
    /// It is deleted.
    Delete,
    /// One that a person made is taken over: a PUT.
    Adopt,
    /// Its creation fails in Azure; it is deleted and made anew.
    Anew,
    /// Two objects for one cluster are made at once: one has the claim.
    Twins,
    /// Of two objects for one cluster the one that has the claim is deleted: the other takes it up.
    Heir,
}

/// One cluster in Azure, and at which of the writes about it the operator is killed.
#[derive(Debug, Clone)]
pub struct Lane {
    pub phase: Phase,
    pub nth: usize,
    pub moment: Moment,
}

/// The cluster in Azure that an object of that name stands for.
pub fn azure_name(object: &str) -> &str {
    object.trim_end_matches(SECOND)
}

/// What the second object of a name adds to it.
const SECOND: &str = "-y";

impl Phase {
    pub const ALL: [Phase; 8] =
        [Phase::Create, Phase::Scale, Phase::Tags, Phase::Delete, Phase::Adopt, Phase::Anew, Phase::Twins, Phase::Heir];

    /// The writes that Azure gets in the whole of the cluster's life, with its answers.
    pub fn writes(self) -> &'static [&'static str] {
        match self {
            Phase::Create | Phase::Twins => &["PUT 201"],
            Phase::Scale => &["PUT 201", "PATCH 200"],
            Phase::Tags | Phase::Adopt => &["PUT 201", "PUT 201"],
            Phase::Delete => &["PUT 201", "DELETE 202"],
            Phase::Anew | Phase::Heir => &["PUT 201", "DELETE 202", "PUT 201"],
        }
    }
}

impl Lane {
    /// The name in Azure, and of the first object.
    pub fn name(&self) -> String {
        let moment = if self.moment == Moment::Before { 'b' } else { 'a' };
        format!("{}-{}{moment}", format!("{:?}", self.phase).to_lowercase(), self.nth)
    }

    /// Whether a write is about this cluster, whichever object it comes from.
    pub fn matcher(&self) -> impl Fn(&Write) -> bool + Send + Sync + 'static {
        let (name, second) = (self.name(), self.second_name());
        move |write| write.is_about(&name) || write.is_about(&second)
    }

    /// As [`Self::matcher`], less the events: the operator never reads one, so a kill at an event leaves the same world as
    /// a kill after the write before it.
    pub fn steps(&self) -> impl Fn(&Write) -> bool + Send + Sync + 'static {
        let is_it = self.matcher();
        move |write| write.plural != "events" && is_it(write)
    }

    fn second_name(&self) -> String {
        format!("{}{SECOND}", self.name())
    }

    fn key(&self) -> (String, String) {
        (NAMESPACE.to_string(), self.name())
    }

    /// Where the second object lives, and how it spells what it stands for.
    fn second(&self) -> (&'static str, Value) {
        let name = self.name();
        match self.nth % 3 {
            0 => (GUEST, json!({"azureName": name.to_uppercase(), "workspaceRef": {"namespace": NAMESPACE}})),
            1 => (NAMESPACE, json!({"azureName": name.to_uppercase()})),
            _ => (OWN, json!({"azureName": name})),
        }
    }

    fn second_key(&self) -> (String, String) {
        (self.second().0.to_string(), self.second_name())
    }

    fn first_object(&self, spec: Value) -> Value {
        cluster(NAMESPACE, &self.name(), spec)
    }

    fn second_object(&self) -> Value {
        let (namespace, spec) = self.second();
        cluster(namespace, &self.second_name(), spec)
    }

    /// The objects that there are before.
    fn before(&self) -> Vec<Value> {
        match self.phase {
            Phase::Scale | Phase::Tags | Phase::Delete => vec![self.first_object(json!({}))],
            Phase::Heir => vec![self.first_object(json!({}))],
            Phase::Create | Phase::Adopt | Phase::Anew | Phase::Twins => Vec::new(),
        }
    }

    fn is_prepared(&self, objects: &Objects) -> bool {
        match self.phase {
            Phase::Scale | Phase::Tags | Phase::Delete => rests(objects.get(&self.key())),
            Phase::Heir => rests(objects.get(&self.key())) && is_claimed(objects.get(&self.second_key())),
            Phase::Create | Phase::Adopt | Phase::Anew | Phase::Twins => true,
        }
    }

    /// Changes what is to be changed.
    async fn begin(&self, scene: &Scene) {
        let name = self.name();
        match self.phase {
            Phase::Create | Phase::Twins => {}
            Phase::Scale => edit(scene, &name, json!({"scale": {"maxNodes": 2}})).await,
            Phase::Tags => edit(scene, &name, json!({"tags": {"team": "a"}})).await,
            Phase::Delete | Phase::Heir => {
                api(scene, NAMESPACE).delete(&name, &DeleteParams::default()).await.unwrap();
            }
            Phase::Adopt => {
                scene.by_hand(&name, json!({"made-by": "hand"})).await;
                scene.settled(&name).await;
            }
            Phase::Anew => {
                let failure = json!({"operationFails": {"code": "InternalServerError", "message": "try again"}});
                let matches = json!({"method": "PUT", "pathContains": format!("/computes/{name}")});
                scene.env.sim.fault(json!({"match": matches, "fault": failure})).await.unwrap();
            }
        }
        let objects = match self.phase {
            Phase::Create | Phase::Anew => vec![self.first_object(json!({}))],
            Phase::Adopt => vec![self.first_object(json!({"adoptionPolicy": "Adopt"}))],
            Phase::Twins => vec![self.first_object(json!({})), self.second_object()],
            Phase::Scale | Phase::Tags | Phase::Delete | Phase::Heir => Vec::new(),
        };
        apply(scene, &objects).await;
    }

    /// Whether all is as it has to be in the end.
    pub fn has_ended(&self, objects: &Objects) -> bool {
        let (first, second) = (objects.get(&self.key()), objects.get(&self.second_key()));
        match self.phase {
            Phase::Create | Phase::Adopt | Phase::Anew => rests(first),
            Phase::Scale => rests(first) && first.is_some_and(|first| first["spec"]["scale"]["maxNodes"] == 2),
            Phase::Tags => rests(first) && first.is_some_and(|first| first["spec"]["tags"]["team"] == "a"),
            Phase::Delete => first.is_none(),
            Phase::Twins => rests(first) && is_claimed(second) || rests(second) && is_claimed(first),
            Phase::Heir => first.is_none() && rests(second),
        }
    }

    /// Compares Azure with what the life had to come to.
    pub fn judge(&self, scene: &Scene, requests: &[azureml_tests::SimRequest], azure: &Value) {
        let name = self.name();
        assert_eq!(scene.writes_to(&name, requests), self.phase.writes(), "{name}: {self:?}");
        let id = azureml_tests::sim::arm::compute_id(&name).to_lowercase();
        let is_there = azure.get(&id).is_some();
        assert_eq!(is_there, self.phase != Phase::Delete, "{name}: whether Azure has it: {azure:#}");
    }
}

/// Puts down what has to be there before, for many lanes at once.
pub async fn prepare(scene: &Scene, lanes: &[Lane]) {
    apply(scene, &lanes.iter().flat_map(Lane::before).collect::<Vec<_>>()).await;
}

/// Waits until what has to be there before is there.
pub async fn prepared(scene: &Scene, lanes: &[Lane]) {
    // The older object has to be the one that has the claim, also where both are made within a second.
    let heirs: Vec<&Lane> = lanes.iter().filter(|lane| lane.phase == Phase::Heir).collect();
    scene.until("the first of two objects", |objects| heirs.iter().all(|lane| rests(objects.get(&lane.key())))).await;
    apply(scene, &heirs.iter().map(|lane| lane.second_object()).collect::<Vec<_>>()).await;
    scene.until("what has to be there before", |objects| lanes.iter().all(|lane| lane.is_prepared(objects))).await;
}

pub async fn begin(scene: &Scene, lanes: &[Lane]) {
    futures::future::join_all(lanes.iter().map(|lane| lane.begin(scene))).await;
}

/// Ready and as the manifest says, for the manifest as it is now, with nothing under way.
fn rests(object: Option<&Value>) -> bool {
    let holds = |object: &Value, kind: &str| {
        let found = condition(object, kind);
        found["status"] == "True" && found["observedGeneration"] == object["metadata"]["generation"]
    };
    object.is_some_and(|object| {
        holds(object, "Ready") && holds(object, "InSync") && object["status"]["operation"].is_null()
    })
}

fn is_claimed(object: Option<&Value>) -> bool {
    object.is_some_and(|object| condition(object, "Ready")["reason"] == "NameClaimed")
}

fn cluster(namespace: &str, name: &str, spec: Value) -> Value {
    let usual = json!({"workspaceRef": {"name": WORKSPACE}, "vmSize": VM_SIZE, "scale": {"maxNodes": 4}});
    let metadata = json!({"name": name, "namespace": namespace});
    json!({"apiVersion": "azureml.dev/v1alpha1", "kind": "ComputeCluster", "metadata": metadata,
        "spec": laid(usual, spec)})
}

fn api(scene: &Scene, namespace: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("azureml.dev", "v1alpha1", "ComputeCluster"));
    Api::namespaced_with(scene.env.plane.client(), namespace, &resource)
}

async fn apply(scene: &Scene, objects: &[Value]) {
    for object in objects {
        let text = |member: &str| object["metadata"][member].as_str().unwrap();
        let parameters = PatchParams::apply("a-person").force();
        let applied = api(scene, text("namespace")).patch(text("name"), &parameters, &Patch::Apply(object)).await;
        applied.unwrap_or_else(|error| panic!("{object}: {error}"));
    }
}

async fn edit(scene: &Scene, name: &str, spec: Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    api(scene, NAMESPACE).patch(name, &PatchParams::default(), &patch).await.unwrap();
}
