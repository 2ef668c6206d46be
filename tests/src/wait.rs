//! Waits for what an object will look like, on a watch rather than by asking again and again.

use std::time::Duration;

use futures::StreamExt;
use kube::Api;
use kube::api::DynamicObject;
use kube::discovery::{ApiCapabilities, ApiResource, Scope};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use serde_json::Value;

use crate::{Error, Result};

/// The group of a kind that is named without one.
const DEFAULT_GROUP: &str = "azureml.dev";

/// How long to wait before the kind is looked up again while the API server is away.
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// A question to an object as it is; `None` is one that isn't there.
type Question = Box<dyn Fn(Option<&Value>) -> bool + Send + Sync>;

/// What is waited for.
pub struct Until {
    what: String,
    holds: Question,
}

impl Until {
    /// The condition has this status, and was set for the manifest as it is now: its observedGeneration, or else the
    /// status's, is no older than the object's generation. `kubectl wait` looks at the same.
    pub fn condition(kind: &str, status: &str) -> Self {
        let (wanted_kind, wanted) = (kind.to_string(), status.to_string());
        Self::json(format!("condition {kind}={status}"), move |object| {
            condition(object, &wanted_kind).is_some_and(|found| found["status"] == *wanted && is_current(object, found))
        })
    }

    /// `Ready=True`.
    pub fn ready() -> Self {
        Self::condition("Ready", "True")
    }

    /// The condition has this reason, for the manifest as it is now.
    pub fn reason(kind: &str, reason: &str) -> Self {
        let (wanted_kind, wanted) = (kind.to_string(), reason.to_string());
        Self::json(format!("condition {kind} with the reason {reason}"), move |object| {
            condition(object, &wanted_kind).is_some_and(|found| found["reason"] == *wanted && is_current(object, found))
        })
    }

    /// The object is not there.
    pub fn gone() -> Self {
        Until { what: "its end".into(), holds: Box::new(|object| object.is_none()) }
    }

    /// The object is there and the predicate holds; `what` says in words what that is.
    pub fn json(what: impl Into<String>, predicate: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        Until { what: what.into(), holds: Box::new(move |object| object.is_some_and(&predicate)) }
    }

    /// The value at a JSON pointer (`/status/nodes/current`) is this one.
    pub fn field(pointer: &str, value: impl Into<Value>) -> Self {
        let (path, value) = (pointer.to_string(), value.into());
        Self::json(format!("{pointer} = {value}"), move |object| object.pointer(&path) == Some(&value))
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn is_current(object: &Value, condition: &Value) -> bool {
    let observed = condition["observedGeneration"].as_i64().or(object["status"]["observedGeneration"].as_i64());
    match (observed, object["metadata"]["generation"].as_i64()) {
        (Some(observed), Some(generation)) => observed >= generation,
        _ => true,
    }
}

/// Asks again and again until there is an answer; for what no watch tells.
///
/// # Errors
/// [`Error::TimedOut`] with what was waited for, and an error of the question at once.
pub async fn eventually<T>(what: &str, within: Duration, mut ask: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let started = std::time::Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if started.elapsed() > within {
            return Err(Error::TimedOut(format!("waited {within:?} for {what}")));
        }
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

/// The API of a kind: `ComputeCluster` of our own group, or `group/Kind`, where the core group is called `core`.
/// An empty namespace is for kinds that have none.
///
/// # Errors
/// If the API server doesn't know the kind.
pub async fn api(client: &kube::Client, kind: &str, namespace: &str) -> Result<Api<DynamicObject>> {
    let (group, kind) = kind.split_once('/').unwrap_or((DEFAULT_GROUP, kind));
    let group = if group == "core" { "" } else { group };
    let known = kube::discovery::group(client, group).await.map_err(Error::kube(format!("look up the kind {kind}")))?;
    let found: Option<(ApiResource, ApiCapabilities)> = known.recommended_kind(kind);
    let (resource, capabilities) =
        found.ok_or_else(|| Error::Invalid(format!("the API server knows no kind {kind} in the group {group:?}")))?;
    Ok(match capabilities.scope {
        Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
        Scope::Cluster => Api::all_with(client.clone(), &resource),
    })
}

/// Waits until an object is as wanted, and gives it as it is then (`None`: it is gone). The object need not exist yet;
/// a break of the watch, as when the API server restarts, is waited out.
///
/// # Errors
/// [`Error::TimedOut`] with the object as it was last seen, in YAML.
pub async fn wait_for(
    client: &kube::Client,
    kind: &str,
    namespace: &str,
    name: &str,
    until: &Until,
    within: Duration,
) -> Result<Option<Value>> {
    let mut seen: Option<Value> = None;
    let mut broken = None;
    let watch = async {
        let api = loop {
            match api(client, kind, namespace).await {
                Ok(api) => break api,
                // The API server may be away, or not serve a definition yet that it has just been given.
                Err(error) => broken = Some(error.to_string()),
            }
            tokio::time::sleep(RETRY_EVERY).await;
        };
        let mut objects = std::pin::pin!(watch_object(api, name).default_backoff());
        while let Some(object) = objects.next().await {
            match object {
                Ok(object) => (seen, broken) = (object.map(|object| to_json(&object, kind)).transpose()?, None),
                Err(error) => broken = Some(error.to_string()),
            }
            if broken.is_none() && (until.holds)(seen.as_ref()) {
                return Ok(());
            }
        }
        Err(Error::Invalid(format!("the watch of {kind} {namespace}/{name} ended")))
    };
    match tokio::time::timeout(within, watch).await {
        Ok(Ok(())) => return Ok(seen),
        Ok(Err(error)) => return Err(error),
        Err(_) => {}
    }
    let last = match &seen {
        Some(object) => yaml(object),
        None => "(it does not exist)".into(),
    };
    let broken = broken.map(|error| format!("\nit can't be watched: {error}")).unwrap_or_default();
    let (what, seconds) = (&until.what, within.as_secs());
    Err(Error::TimedOut(format!(
        "{kind} {namespace}/{name}: waited {seconds} s for {what}; last seen:\n{last}{broken}"
    )))
}

/// An object as JSON. The items of a list don't tell their kind themselves.
fn to_json(object: &DynamicObject, kind: &str) -> Result<Value> {
    let mut json = serde_json::to_value(object).map_err(|error| Error::Invalid(format!("{kind}: {error}")))?;
    if json["kind"].is_null() {
        json["kind"] = kind.rsplit('/').next().unwrap_or(kind).into();
    }
    Ok(json)
}

/// An object as YAML, without the noise of managedFields.
fn yaml(object: &Value) -> String {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    serde_yaml_ng::to_string(&object).unwrap_or_else(|_| object.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(generation: i64, top: Option<i64>, of_condition: Option<i64>) -> Value {
        json!({
            "metadata": {"generation": generation},
            "status": {
                "observedGeneration": top,
                "conditions": [{"type": "Ready", "status": "True", "reason": "Done", "observedGeneration": of_condition}],
            },
        })
    }

    #[test]
    fn a_condition_counts_only_for_the_manifest_as_it_is() {
        for (object, want) in [
            (object(2, Some(2), Some(2)), true),
            (object(2, Some(2), Some(1)), false),
            (object(2, Some(1), None), false),
            (object(2, Some(2), None), true),
            (object(2, None, None), true),
        ] {
            assert_eq!((Until::ready().holds)(Some(&object)), want, "{object}");
            assert_eq!((Until::reason("Ready", "Done").holds)(Some(&object)), want, "{object}");
        }
        let object = object(1, Some(1), Some(1));
        for until in [Until::condition("Ready", "False"), Until::condition("InSync", "True"), Until::gone()] {
            assert!(!(until.holds)(Some(&object)), "{}", until.what);
        }
    }

    #[test]
    fn fields_and_the_end_are_told_apart() {
        let object = json!({"status": {"nodes": {"current": 2}}});
        assert!((Until::field("/status/nodes/current", 2).holds)(Some(&object)));
        assert!(!(Until::field("/status/nodes/current", 3).holds)(Some(&object)));
        assert!(!(Until::field("/status/absent", 3).holds)(Some(&object)));
        assert!((Until::gone().holds)(None));
        assert!(!(Until::field("/status/nodes/current", 2).holds)(None));
    }
}
