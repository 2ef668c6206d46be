//! A write that comes through the gate.

use std::fmt;

use http::request::Parts;
use hyper::body::Bytes;
use serde_json::Value;

/// To whom it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The API server.
    Kubernetes,
    /// azure-sim.
    Azure,
}

/// A write of the operator's. Reads, requests for tokens and for rights, and leases aren't writes here: those of a lease
/// come by the clock, and say nothing of any object.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// 1 for the first, whichever side.
    pub seq: usize,
    /// To whom it goes.
    pub side: Side,
    /// The verb, in capitals.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What it is about: the plural of a kind, `events`, or `computes` and their like in Azure.
    pub plural: String,
    /// The namespace of what it is about; empty in Azure.
    pub namespace: String,
    /// The name of what it is about. An event is about the object that it tells of.
    pub name: String,
    /// The body; null if it is no JSON.
    pub body: Value,
    /// The answer's status, as soon as the server has answered.
    pub status: Option<u16>,
}

impl Write {
    /// The write that a request is, if it is one.
    pub(super) fn of(side: Side, request: &Parts, body: &Bytes) -> Option<Self> {
        let path = request.uri.path();
        let is_read = matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS");
        let is_aside = path.ends_with("/token") || path.contains("/authorization.k8s.io/") || path.contains("/leases");
        if is_read || is_aside {
            return None;
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let [namespace, plural, name] = match side {
            Side::Kubernetes => of_kubernetes(path, &body),
            Side::Azure => of_azure(path),
        };
        let (method, path) = (request.method.as_str().to_string(), path.to_string());
        Some(Write { seq: 0, side, method, path, plural, namespace, name, body, status: None })
    }

    /// Whether it is about a cluster of that name, on either side, its events included.
    pub fn is_about(&self, cluster: &str) -> bool {
        let kind = matches!(self.plural.as_str(), "computeclusters" | "computes" | "events");
        kind && self.name.eq_ignore_ascii_case(cluster)
    }

    /// Whether it takes this finalizer off an object of our kinds, or leaves it off.
    pub fn lacks_finalizer(&self, finalizer: &str) -> bool {
        let left = self.body.pointer("/metadata/finalizers").and_then(Value::as_array);
        self.side == Side::Kubernetes && left.is_some_and(|left| left.iter().all(|name| name != finalizer))
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.map_or("unanswered".to_string(), |status| status.to_string());
        write!(f, "{} {:?} {} {} -> {status}", self.seq, self.side, self.method, self.path)?;
        if self.plural == "events" { write!(f, " ({} of {})", self.body["reason"], self.name) } else { Ok(()) }
    }
}

/// Namespace, plural and name.
fn of_kubernetes(path: &str, body: &Value) -> [String; 3] {
    let mut parts = path.split('/').skip_while(|part| *part != "namespaces").skip(1);
    let mut next = || parts.next().unwrap_or_default().to_string();
    let [namespace, plural, name] = [next(), next(), next()];
    if plural != "events" {
        return [namespace, plural, name];
    }
    let told = |member: &str| body["regarding"][member].as_str().unwrap_or_default().to_string();
    [told("namespace"), plural, told("name")]
}

fn of_azure(path: &str) -> [String; 3] {
    let mut parts = path.trim_end_matches('/').rsplit('/');
    let name = parts.next().unwrap_or_default().to_string();
    [String::new(), parts.next().unwrap_or_default().to_lowercase(), name]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn write(side: Side, method: &str, path: &str, body: &Value) -> Option<Write> {
        let (parts, ()) = http::Request::builder().method(method).uri(path).body(()).unwrap().into_parts();
        Write::of(side, &parts, &Bytes::from(body.to_string()))
    }

    #[test]
    fn writes_tell_what_they_are_about() {
        let event = json!({"regarding": {"namespace": "ml", "name": "gpu"}});
        let (kubernetes, azure) = (Side::Kubernetes, Side::Azure);
        let of = "/apis/azureml.dev/v1alpha1/namespaces/ml/computeclusters";
        for (side, method, path, body, want) in [
            (kubernetes, "PATCH", &format!("{of}/gpu")[..], &json!({}), Some(["ml", "computeclusters", "gpu"])),
            (kubernetes, "PUT", &format!("{of}/gpu/status"), &json!({}), Some(["ml", "computeclusters", "gpu"])),
            (kubernetes, "GET", &format!("{of}/gpu"), &json!({}), None),
            (kubernetes, "POST", "/apis/events.k8s.io/v1/namespaces/ml/events", &event, Some(["ml", "events", "gpu"])),
            (kubernetes, "PUT", "/apis/coordination.k8s.io/v1/namespaces/s/leases/l", &json!({}), None),
            (kubernetes, "POST", "/api/v1/namespaces/s/serviceaccounts/a/token", &json!({}), None),
            (azure, "PUT", "/subscriptions/s/x/workspaces/w/computes/Gpu", &json!({}), Some(["", "computes", "Gpu"])),
            (azure, "POST", "/t/oauth2/v2.0/token", &json!({}), None),
        ] {
            let found = write(side, method, path, body);
            let found = found.as_ref().map(|write| [&write.namespace[..], &write.plural, &write.name]);
            assert_eq!(found, want, "{method} {path}");
        }
    }

    #[test]
    fn finalizers_that_go_are_told_from_those_that_stay() {
        for (body, want) in [
            (json!({"metadata": {"finalizers": []}}), true),
            (json!({"metadata": {"finalizers": ["other"]}}), true),
            (json!({"metadata": {"finalizers": ["other", "ours"]}}), false),
            (json!({"metadata": {}}), false),
        ] {
            let path = "/apis/azureml.dev/v1alpha1/namespaces/ml/computeclusters/gpu";
            let write = write(Side::Kubernetes, "PATCH", path, &body).unwrap();
            assert_eq!(write.lacks_finalizer("ours"), want, "{body}");
        }
    }
}
