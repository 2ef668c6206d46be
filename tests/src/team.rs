//! A team's namespace with its Workspace: short words for what end-to-end tests do and look at over and over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::environment::CREDENTIAL;
use crate::operator::OperatorOptions;
use crate::sim::demo;
use crate::{EnvOptions, Environment, Error, Result, Until};

/// The Workspace that each team has.
pub const WORKSPACE: &str = "research";
/// A VM size that the demo's world has cores for.
pub const VM_SIZE: &str = "Standard_DS3_v2";
/// How long a wait may take on a machine that is busy with other things. Waits end as soon as they can.
pub const LONG: Duration = Duration::from_secs(150);
/// How often events are read again.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Options for an environment whose operator waits seconds where it would wait minutes in earnest.
pub fn brisk() -> EnvOptions {
    EnvOptions { operator: brisk_operator(), ..EnvOptions::default() }
}

/// The operator's part of [`brisk`].
pub fn brisk_operator() -> OperatorOptions {
    let flags =
        [("--consistency-window", "3s"), ("--retry-base", "2s"), ("--retry-longest", "30s"), ("--fastest-poll", "1s")];
    let flags = flags.map(|(flag, value)| (flag.to_string(), value.to_string()));
    OperatorOptions { flags: flags.to_vec(), ..OperatorOptions::default() }
}

/// A namespace with the demo's credential and a Workspace for the demo's workspace.
pub struct Team<'a> {
    /// Where it lives.
    pub env: &'a Environment,
    /// Its name.
    pub namespace: String,
}

/// An event, as `kubectl get events` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Normal or Warning.
    pub tone: String,
    /// The reason.
    pub reason: String,
    /// The words.
    pub note: String,
}

impl<'a> Team<'a> {
    /// Makes the namespace, its credential and its Workspace, which looks at Azure every second.
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn new(env: &'a Environment, namespace: &str) -> Result<Self> {
        let team = Self::without_workspace(env, namespace)?;
        team.workspace(WORKSPACE, json!({}))?;
        Ok(team)
    }

    /// Makes the namespace with its credential only.
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn without_workspace(env: &'a Environment, namespace: &str) -> Result<Self> {
        env.namespace(namespace)?;
        Ok(Team { env, namespace: namespace.to_string() })
    }

    /// Applies a Workspace for the demo's workspace; `spec` is laid over the usual one.
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn workspace(&self, name: &str, spec: Value) -> Result<()> {
        let usual = json!({
            "subscriptionId": demo::SUBSCRIPTION,
            "resourceGroup": demo::RESOURCE_GROUP,
            "azureName": demo::WORKSPACE,
            "credentialRef": {"name": CREDENTIAL},
            "observeInterval": "1s",
        });
        self.apply("Workspace", name, laid(usual, spec))
    }

    /// Applies a cluster of up to four nodes; `spec` is laid over the usual one, where null takes a member away.
    ///
    /// # Errors
    /// If the API server refuses; the error holds its words.
    pub fn cluster(&self, name: &str, spec: Value) -> Result<()> {
        let usual = json!({"workspaceRef": {"name": WORKSPACE}, "vmSize": VM_SIZE, "scale": {"maxNodes": 4}});
        self.apply("ComputeCluster", name, laid(usual, spec))
    }

    /// Applies an object of our group.
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn apply(&self, kind: &str, name: &str, spec: Value) -> Result<()> {
        let metadata = json!({"name": name, "namespace": self.namespace});
        let object = json!({"apiVersion": "azureml.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        self.env.apply(&object.to_string())
    }

    /// Merges a patch into the spec of a cluster, as an edit would.
    ///
    /// # Errors
    /// If the API server refuses; the error holds its words.
    pub fn edit(&self, cluster: &str, spec: Value) -> Result<()> {
        self.edit_any("amlcc", cluster, json!({"spec": spec}))
    }

    /// Merges a patch into an object.
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn edit_any(&self, kind: &str, name: &str, patch: Value) -> Result<()> {
        self.kubectl(&["patch", kind, name, "--type=merge", "-p", &patch.to_string()]).map(drop)
    }

    /// Sets an annotation of a cluster.
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn annotate(&self, cluster: &str, annotation: &str, value: &str) -> Result<()> {
        self.edit_any("amlcc", cluster, json!({"metadata": {"annotations": {annotation: value}}}))
    }

    /// Begins the deletion of an object, and doesn't wait for its end.
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn delete(&self, kind: &str, name: &str) -> Result<()> {
        self.kubectl(&["delete", kind, name, "--wait=false"]).map(drop)
    }

    /// kubectl in this namespace.
    ///
    /// # Errors
    /// If it ends with an error, which holds what it said.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.env.plane.kubectl(&[&["-n", &self.namespace], arguments].concat())
    }

    /// A cluster as it is.
    ///
    /// # Errors
    /// If there is none.
    pub fn get(&self, cluster: &str) -> Result<Value> {
        let text = self.kubectl(&["get", "amlcc", cluster, "-o", "json"])?;
        serde_json::from_str(&text).map_err(|error| Error::Invalid(format!("kubectl printed no JSON: {error}")))
    }

    /// Waits until a cluster is as wanted, and gives it as it is then; null if it is gone.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with all that is known.
    pub async fn wait(&self, cluster: &str, until: Until) -> Result<Value> {
        self.wait_any("ComputeCluster", cluster, until).await
    }

    /// Waits until an object is as wanted, and gives it as it is then; null if it is gone.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with all that is known.
    pub async fn wait_any(&self, kind: &str, name: &str, until: Until) -> Result<Value> {
        let found = self.env.wait_for(kind, &self.namespace, name, until, LONG).await?;
        Ok(found.unwrap_or(Value::Null))
    }

    /// Applies a cluster and waits until it is Ready and Azure equals its manifest.
    ///
    /// # Errors
    /// If it is refused, or doesn't become so.
    pub async fn ready_cluster(&self, name: &str, spec: Value) -> Result<Value> {
        self.cluster(name, spec)?;
        self.wait(name, Until::ready()).await?;
        self.wait(name, Until::condition("InSync", "True")).await
    }

    /// What was told about an object, the oldest first.
    ///
    /// # Errors
    /// If the API server doesn't answer.
    pub fn events(&self, name: &str) -> Result<Vec<Told>> {
        let of = format!("--field-selector=involvedObject.name={name}");
        let text = self.kubectl(&["get", "events", &of, "--sort-by=.metadata.creationTimestamp", "-o", "json"])?;
        let list: Value = serde_json::from_str(&text)
            .map_err(|error| Error::Invalid(format!("kubectl printed no JSON for events: {error}")))?;
        let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_string();
        let told = |event: &Value| Told {
            tone: text(event, "type"),
            reason: text(event, "reason"),
            note: text(event, "message"),
        };
        Ok(list["items"].as_array().into_iter().flatten().map(told).collect())
    }

    /// Waits for an event on an object with that reason and those words in it. Events follow what they tell of.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with the events that there are.
    pub async fn wait_told(&self, name: &str, reason: &str, words: &str) -> Result<Told> {
        let started = Instant::now();
        loop {
            let events = self.events(name)?;
            let found = events.iter().find(|event| event.reason == reason && event.note.contains(words));
            if let Some(found) = found {
                return Ok(found.clone());
            }
            if started.elapsed() > LONG {
                let namespace = &self.namespace;
                return Err(Error::TimedOut(format!(
                    "no event {reason} with {words:?} on {namespace}/{name}; there are: {events:#?}"
                )));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Each Workspace, cluster, Secret and event here by name, with its resourceVersion: equal when nothing was written.
    ///
    /// # Errors
    /// If the API server doesn't answer.
    pub fn versions(&self) -> Result<BTreeMap<String, String>> {
        let text = self.kubectl(&["get", "azureml,secrets,events", "-o", "json"])?;
        let list: Value =
            serde_json::from_str(&text).map_err(|error| Error::Invalid(format!("kubectl printed no JSON: {error}")))?;
        let text = |object: &Value, pointer: &str| {
            object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string()
        };
        let one = |object: &Value| {
            let name = format!("{} {}", text(object, "/kind"), text(object, "/metadata/name"));
            (name, text(object, "/metadata/resourceVersion"))
        };
        Ok(list["items"].as_array().into_iter().flatten().map(one).collect())
    }
}

/// A condition of an object, by type; null if it has none.
pub fn condition<'v>(object: &'v Value, kind: &str) -> &'v Value {
    const NONE: &Value = &Value::Null;
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == kind).unwrap_or(NONE)
}

/// The sum of a metric over all its labels, in Prometheus' text form; 0 where there is none of that name.
pub fn metric(text: &str, name: &str) -> f64 {
    let is_it = |line: &&str| line.split(['{', ' ']).next() == Some(name);
    text.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// JSON merge patch (RFC 7396): objects by key, null takes a member away, anything else replaces.
pub fn laid(mut base: Value, over: Value) -> Value {
    match (&mut base, over) {
        (Value::Object(members), Value::Object(over)) => {
            for (name, value) in over {
                if value.is_null() {
                    members.remove(&name);
                } else {
                    let below = members.remove(&name).unwrap_or(Value::Null);
                    members.insert(name, laid(below, value));
                }
            }
            base
        }
        (_, Value::Object(over)) => laid(json!({}), Value::Object(over)),
        (_, over) => over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_by_name() {
        let text = "# TYPE a counter\na_total{kind=\"x\"} 2\na_total{kind=\"y z\"} 3\na_total_more 7\nb 1.5\n# EOF\n";
        assert_eq!((metric(text, "a_total"), metric(text, "b"), metric(text, "c")), (5.0, 1.5, 0.0));
    }

    #[test]
    fn patches_are_laid_as_merge_patches_are() {
        let base = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        for (over, want) in [
            (json!({}), base.clone()),
            (json!({"a": {"b": null, "e": 3}}), json!({"a": {"c": 2, "e": 3}, "d": [1]})),
            (json!({"d": [2], "a": null}), json!({"d": [2]})),
            (json!({"f": {"g": null, "h": 1}}), json!({"a": {"b": 1, "c": 2}, "d": [1], "f": {"h": 1}})),
        ] {
            assert_eq!(laid(base.clone(), over.clone()), want, "{over}");
        }
    }
}
