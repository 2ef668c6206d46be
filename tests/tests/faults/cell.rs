//! One cell: a fault at a step, from a cluster's creation until it has healed.

use std::sync::Arc;
use std::time::Instant;

use azureml_tests::sim::demo;
use azureml_tests::team::condition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use reqwest::Method;
use serde_json::{Value, json};

use super::expected::{self, Shown};
use super::log::Entry;
use super::rows::{Effect, Fault, Felt, MAX_NODES, On};
use super::stage::{self, LONG, NAMESPACE, Stage};
use super::steps::{Family, Step, Wish};

/// How often something is looked at again.
const ASK_EVERY: std::time::Duration = std::time::Duration::from_millis(200);
/// Clocks and logs are this exact.
const CLOCK: std::time::Duration = std::time::Duration::from_millis(20);

type Said<T> = Result<T, String>;

/// A cell while it is played.
pub struct Cell<'a> {
    stage: &'a Stage,
    fault: Fault,
    step: Step,
    /// The name of its objects, and of its rule.
    name: String,
    workspace: String,
    principal: String,
    region: String,
}

impl<'a> Cell<'a> {
    pub fn new(stage: &'a Stage, at: usize, fault: Fault, step: Step) -> Self {
        let workspace = stage::workspace(at);
        Self {
            stage,
            fault,
            step,
            name: workspace.clone(),
            workspace,
            principal: stage::principal(at),
            region: stage::region(at),
        }
    }

    pub async fn play(self) -> Said<()> {
        let before_it_exists = self.step.wish() == Wish::Create;
        if !before_it_exists {
            self.open().await?;
            self.healed(Wish::Create).await?;
        }
        if self.step == Step::SecondPage {
            self.second_cluster().await?;
        }
        if self.step == Step::Subscription {
            self.take_away(&self.workspace_id()).await?;
        }
        let said = self.stage.history.end(&self.name);
        let mark = self.stage.log.of(&self.principal).len();
        self.arm().await?;
        match self.step.wish() {
            Wish::Create => self.open().await?,
            Wish::Nothing => {}
            Wish::Patch => self.edit(json!({"scale": {"maxNodes": 2}})).await?,
            Wish::Put => self.edit(json!({"tags": {"team": "a"}})).await?,
            Wish::Delete => self.delete().await?,
        }
        self.struck(mark, expected::strikes(&self.fault, self.step)).await?;
        self.told(said).await?;
        let struck = self.disarm().await?;
        if self.fault.felt == Felt::Endless {
            self.cut_short().await?;
        }
        if expected::needs_correction(&self.fault, self.step) {
            self.edit(json!({"scale": {"maxNodes": 3}})).await?;
        }
        self.healed(self.step.wish()).await?;
        self.in_azure().await?;
        let requests = self.requests().await?;
        self.check(&requests, mark, struck)?;
        self.close().await;
        Ok(())
    }

    /// The credential, the Workspace and the cluster.
    async fn open(&self) -> Said<()> {
        let texts = json!({
            "AZURE_TENANT_ID": demo::TENANT, "AZURE_CLIENT_ID": self.principal, "AZURE_CLIENT_SECRET": stage::SECRET,
        });
        self.create(&self.stage.secrets, json!({"apiVersion": "v1", "kind": "Secret", "stringData": texts})).await?;
        let workspace = json!({
            "subscriptionId": demo::SUBSCRIPTION, "resourceGroup": demo::RESOURCE_GROUP,
            "azureName": self.workspace, "credentialRef": {"name": self.name}, "observeInterval": "1s",
        });
        let group = "azureml.dev/v1alpha1";
        let object = json!({"apiVersion": group, "kind": "Workspace", "spec": workspace});
        self.create(&self.stage.workspaces, object).await?;
        let cluster = json!({
            "workspaceRef": {"name": self.name}, "azureName": "gpu", "vmSize": "Standard_DS3_v2",
            "scale": {"maxNodes": 4},
        });
        self.create(&self.stage.clusters, json!({"apiVersion": group, "kind": "ComputeCluster", "spec": cluster})).await
    }

    async fn create(&self, api: &kube::Api<kube::api::DynamicObject>, mut object: Value) -> Said<()> {
        object["metadata"] = json!({"name": self.name, "namespace": NAMESPACE});
        let object = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.map(drop).map_err(|error| error.to_string())
    }

    async fn edit(&self, spec: Value) -> Said<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        let edited = self.stage.clusters.patch(&self.name, &PatchParams::default(), &patch).await;
        edited.map(drop).map_err(|error| error.to_string())
    }

    async fn delete(&self) -> Said<()> {
        let deleted = self.stage.clusters.delete(&self.name, &DeleteParams::default()).await;
        deleted.map(drop).map_err(|error| error.to_string())
    }

    /// Somebody else's cluster, on another page of the list.
    async fn second_cluster(&self) -> Said<()> {
        let properties = json!({"vmSize": "Standard_DS3_v2", "scaleSettings": {"maxNodeCount": 1}});
        let body = json!({"location": self.region,
            "properties": {"computeType": "AmlCompute", "properties": properties}});
        let arm = self.stage.sim.arm().await.map_err(|error| error.to_string())?;
        let answer = arm.put(&self.id("other"), body).await.map_err(|error| error.to_string())?;
        if answer.status == 201 { Ok(()) } else { Err(format!("{answer:?}")) }
    }

    /// A person ends what never would. A deletion can't be deleted.
    async fn cut_short(&self) -> Said<()> {
        let id = self.id("gpu");
        if self.step == Step::Delete {
            return self.take_away(&id).await;
        }
        let arm = self.stage.sim.arm().await.map_err(|error| error.to_string())?;
        let answer = arm.delete(&format!("{id}?underlyingResourceAction=Delete")).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status == 202 { Ok(()) } else { Err(format!("{answer:?}")) }
    }

    /// Takes something away in Azure at once.
    async fn take_away(&self, id: &str) -> Said<()> {
        let taken = self.stage.sim.call(Method::DELETE, &format!("compute{id}"), None).await;
        taken.map(drop).map_err(|error| error.to_string())
    }

    fn workspace_id(&self) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}",
            demo::SUBSCRIPTION,
            demo::RESOURCE_GROUP,
            self.workspace
        )
    }

    fn id(&self, name: &str) -> String {
        format!("{}/computes/{name}", self.workspace_id())
    }

    async fn arm(&self) -> Said<()> {
        let matches = self.step.matches(&self.workspace, &self.principal);
        // An operation fails once, or nothing would ever come of it.
        let times = if self.fault.felt == Felt::Failed { 1 } else { -1 };
        let mut rules = vec![json!({"name": self.name, "match": matches, "times": times, "fault": self.fault.fault})];
        if self.step == Step::Operation {
            // Azure keeps its own value: then the operation is asked how it ended.
            let patch = Step::Patch.matches(&self.workspace, &self.principal);
            rules.push(json!({"match": patch, "times": 1, "fault": {"notHonoured": {"field": MAX_NODES}}}));
        }
        self.stage.sim.fault(json!(rules)).await.map(drop).map_err(|error| error.to_string())
    }

    /// Ends the fault, and says how often it struck.
    async fn disarm(&self) -> Said<usize> {
        let answer = self.stage.sim.call(Method::DELETE, &format!("faults/{}", self.name), None).await;
        let answer = answer.map_err(|error| error.to_string())?;
        Ok(answer["value"][0]["struck"].as_u64().unwrap_or_default() as usize)
    }

    /// Waits until the fault has struck so often since a place in the log.
    async fn struck(&self, mark: usize, times: usize) -> Said<()> {
        let what = format!("{times} requests that the fault strikes");
        let after = self.step.after();
        let found = |requests: &[Entry]| {
            let first = |entry: &Entry| after.is_none_or(|method| is_write(entry, method));
            let from = requests.iter().skip(mark).position(first).map_or(usize::MAX, |at| mark + at);
            requests.iter().skip(from).filter(|entry| self.step.is_it(entry, &self.workspace)).count() >= times
        };
        self.until(&what, || async { self.stage.log.look(&self.principal, found) }).await
    }

    /// What the table expects is seen, at some moment since the fault began.
    async fn told(&self, since: usize) -> Said<()> {
        let shown = expected::shown(&self.fault, self.step);
        let what = format!("{shown:?} with {:?}", self.fault.words);
        self.until(&what, || async {
            shown == Shown::Nothing
                || self.stage.history.since(&self.name, since).iter().any(|object| self.shows(object, &shown))
        })
        .await
    }

    fn shows(&self, object: &Value, shown: &Shown) -> bool {
        let says = |found: &Value| {
            let message = found["message"].as_str().unwrap_or_default();
            self.is_silent() || message.contains(self.fault.words)
        };
        match shown {
            Shown::Nothing => true,
            Shown::Kept => {
                let sync = condition(object, "InSync");
                condition(object, "Ready")["status"] == "True"
                    && sync["status"] == "False"
                    && sync["reason"] == "NotHonoured"
            }
            Shown::Stale => {
                let (ready, sync) = (condition(object, "Ready"), condition(object, "InSync"));
                // What nobody has looked at yet has nothing old to show: why it isn't seen is told at once.
                let never_seen = object["status"]["azure"].is_null() && sync["reason"] == "Unobserved";
                let told = if never_seen { ready } else { sync };
                let old = sync["reason"] == "ObservationStale" || (never_seen && ready["status"] == "Unknown");
                sync["status"] == "Unknown" && old && says(told)
            }
            Shown::Told { reason, beside } => {
                let (ready, beside) = (condition(object, "Ready"), condition(object, beside));
                ready["status"] != "True"
                    && ready["reason"] == *reason
                    && beside["status"] == "True"
                    && beside["reason"] == *reason
                    && says(ready)
            }
        }
    }

    /// Whether Azure's words don't come through: an operation's that is only waited for, ARM's of a token.
    fn is_silent(&self) -> bool {
        match self.step.family() {
            Family::Detail => true,
            Family::Token => self.fault.on != On::Entra,
            _ => false,
        }
    }

    /// It is as wanted, for the manifest as it is.
    async fn healed(&self, wish: Wish) -> Said<()> {
        let operation = self.step == Step::Operation && wish == Wish::Patch;
        self.until("its end", || async {
            let object: Arc<Value> = self.stage.history.last(&self.name);
            if wish == Wish::Delete {
                return object.is_null() && self.stage.history.end(&self.name) > 0;
            }
            let is = |kind: &str, status: &str| {
                let found = condition(&object, kind);
                found["status"] == status && found["observedGeneration"] == object["metadata"]["generation"]
            };
            let kept = operation && condition(&object, "InSync")["reason"] == "NotHonoured" && is("InSync", "False");
            is("Ready", "True") && (is("InSync", "True") || kept)
        })
        .await
    }

    async fn until<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) -> Said<()> {
        let began = Instant::now();
        while !holds().await {
            if began.elapsed() > LONG {
                let object = self.stage.history.last(&self.name);
                let requests = self.stage.log.of(&self.principal);
                let last: Vec<String> = requests.iter().rev().take(6).rev().map(brief).collect();
                let status =
                    json!({"conditions": object["status"]["conditions"], "operation": object["status"]["operation"]});
                return Err(format!("waited for {what}; it is {status}; requests: {last:#?}"));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    /// Azure has what the manifest says.
    async fn in_azure(&self) -> Said<()> {
        let nodes = match self.step.wish() {
            _ if self.step == Step::Operation => return Ok(()),
            Wish::Delete => None,
            _ if expected::needs_correction(&self.fault, self.step) => Some(3),
            Wish::Patch => Some(2),
            Wish::Create | Wish::Nothing | Wish::Put => Some(4),
        };
        let arm = self.stage.sim.arm().await.map_err(|error| error.to_string())?;
        let answer = arm.get(&self.id("gpu")).await.map_err(|error| error.to_string())?;
        let has = answer.body["properties"]["properties"]["scaleSettings"]["maxNodeCount"].as_u64();
        let right = has == nodes && (answer.status == 404) == nodes.is_none();
        if right { Ok(()) } else { Err(format!("Azure has {has:?} ({}), not {nodes:?}", answer.status)) }
    }

    async fn requests(&self) -> Said<Vec<Entry>> {
        let answer = self.stage.sim.call(Method::GET, "requests?since=18446744073709551615", None).await;
        let last = answer.map_err(|error| error.to_string())?["last"].as_u64().unwrap_or_default();
        self.stage.log.reaches(last).await;
        Ok(self.stage.log.of(&self.principal))
    }

    /// One effective write, and no more requests than the retry policy allows.
    fn check(&self, requests: &[Entry], mark: usize, struck: usize) -> Said<()> {
        let begun = match self.step.after() {
            Some(method) => {
                let found = requests[mark..].iter().position(|entry| is_write(entry, method));
                mark + found.ok_or("the step's request never came")? + 1
            }
            None => mark,
        };
        let is_it = |entry: &&Entry| self.step.is_it(entry, &self.workspace);
        let tries: Vec<&Entry> = requests[begun..].iter().filter(is_it).take(struck).collect();
        let failed = |entry: &Entry| tries.iter().any(|it| it.seq == entry.seq);

        let took_effect = |entry: &&Entry| {
            let done =
                if failed(entry) { self.fault.effect == Effect::Done } else { (200..300).contains(&entry.status) };
            entry.is_write() && entry.is_about("/computes/gpu") && done
        };
        let writes: Vec<&str> = requests.iter().filter(took_effect).map(|entry| entry.method.as_str()).collect();
        let expected = expected::writes(&self.fault, self.step);
        let again = self.step == Step::Operation && writes == ["PUT", "PATCH", "PATCH"];
        if writes != expected && !again {
            let all: Vec<String> = requests.iter().filter(|e| e.is_write()).map(brief).collect();
            return Err(format!("effective writes {writes:?}, not {expected:?}: {all:#?}"));
        }
        let waits = tries.windows(2).enumerate().map(|(at, pair)| {
            let waited = pair[1].real.duration_since(pair[0].real).unsigned_abs();
            (at + 1, waited, expected::least_wait(&self.fault, self.step, at + 1))
        });
        for (n, waited, least) in waits {
            if waited + CLOCK < least {
                return Err(format!("try {n} was followed after {waited:?}, the policy says {least:?}"));
            }
        }
        let Some(last) = tries.last().map(|entry| entry.seq) else { return Ok(()) };
        let lasted = tries.first().zip(tries.last()).map(|(a, b)| b.real.duration_since(a.real).unsigned_abs());
        let most = expected::most_lists(lasted.unwrap_or_default());
        if self.step.is_list() && tries.len() > most {
            return Err(format!("{} failed lists in {lasted:?}, at most {most}", tries.len()));
        }
        let is_list = |entry: &&Entry| {
            entry.seq <= last
                && entry.method == "GET"
                && entry.path.ends_with("/computes")
                && !entry.query.contains("skip=")
        };
        let lists = requests[begun..].iter().filter(is_list).count();
        if let Some(most) = expected::most_after_lists(self.step, lists).filter(|most| tries.len() > *most) {
            return Err(format!("{} failed tries while the list was read {lists} times: at most {most}", tries.len()));
        }
        let own = |entry: &&Entry| entry.seq <= last && entry.is_about("/computes/gpu");
        let asked = requests[mark..].iter().filter(own).count();
        let most = expected::most_requests(tries.len());
        // What is read after lists is bounded by them.
        let by_tries = matches!(self.step.family(), Family::Write | Family::Before);
        if asked > most && by_tries {
            return Err(format!("{asked} requests for {} failed tries, at most {most}", tries.len()));
        }
        Ok(())
    }

    /// What isn't needed any more isn't looked at any more.
    async fn close(&self) {
        let orphan = Patch::Merge(json!({"spec": {"deletionPolicy": "Orphan"}}));
        let _ = self.stage.clusters.patch(&self.name, &PatchParams::default(), &orphan).await;
        let _ = self.stage.clusters.delete(&self.name, &DeleteParams::default()).await;
        let _ = self.stage.workspaces.delete(&self.name, &DeleteParams::default()).await;
        self.stage.history.forget(&self.name);
    }
}

fn is_write(entry: &Entry, method: &str) -> bool {
    entry.method == method && entry.is_about("/computes/gpu")
}

fn brief(entry: &Entry) -> String {
    format!(
        "{} {} {} {}",
        entry.real,
        entry.status,
        entry.method,
        entry.path.rsplit("/workspaces/").next().unwrap_or_default()
    )
}
