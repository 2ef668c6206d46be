//! The Kubernetes cluster, where there is one: reads, and dry runs.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use azureml_api::{GROUP, VERSION};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, Request, Status};
use kube::{Api, Client, Config, Resource};
use serde_json::Value;

use crate::args::PlanArgs;
use crate::manifests::{Key, Manifest, texts};

/// Who asks for dry runs.
const FIELD_MANAGER: &str = "kubectl-azureml";
/// How long the first answer may take before the cluster counts as away.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long any later answer may take.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);

/// A cluster that answers.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

/// Where a cluster is looked for.
pub struct Settings {
    /// How to reach it; `None` with the reason why there is none.
    pub config: Result<Config, String>,
    /// Namespace of objects that name none.
    pub namespace: String,
}

/// No way to the cluster that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig doesn't say how.
    #[error("{what}: {reason}")]
    Kubeconfig {
        /// Which kubeconfig or context.
        what: String,
        /// Why.
        reason: String,
    },
    /// It doesn't answer.
    #[error("the cluster {server} doesn't answer: {reason}; --without-cluster plans from the files and Azure alone")]
    Away {
        /// Its URL.
        server: String,
        /// Why.
        reason: String,
    },
}

/// Finds the cluster that kubectl would use.
///
/// # Errors
/// When a context or kubeconfig was named and can't be used.
pub async fn settings(args: &PlanArgs) -> Result<Settings, ClusterError> {
    let none = |why: &str| Settings { config: Err(why.to_owned()), namespace: "default".to_owned() };
    let found = if args.without_cluster { none("--without-cluster is set") } else { find(args).await? };
    Ok(Settings { namespace: args.namespace.clone().unwrap_or(found.namespace), ..found })
}

async fn find(args: &PlanArgs) -> Result<Settings, ClusterError> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let read = match args.kubeconfig.as_deref().map(Kubeconfig::read_from) {
        Some(Ok(kubeconfig)) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
        Some(Err(error)) => Err(error),
        None => Config::from_kubeconfig(&options).await,
    };
    let wanted = args.context.is_some() || args.kubeconfig.is_some() || std::env::var_os("KUBECONFIG").is_some();
    let config = match read {
        Ok(mut config) => {
            config.proxy_url = azureml_arm::heeding_no_proxy(config.proxy_url.take(), &config.cluster_url);
            config
        }
        Err(error) if wanted => return Err(unusable(args, &error)),
        // As kubectl: in a pod without a kubeconfig, the pod's own service account.
        Err(error) => match Config::incluster() {
            Ok(config) => config,
            Err(_) => {
                let why = match &error {
                    KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath => "there is no kubeconfig".to_owned(),
                    other => format!("the kubeconfig can't be used: {}", chain(other)),
                };
                return Ok(Settings { config: Err(why), namespace: "default".to_owned() });
            }
        },
    };
    Ok(Settings { namespace: config.default_namespace.clone(), config: Ok(config) })
}

fn unusable(args: &PlanArgs, error: &KubeconfigError) -> ClusterError {
    let file = args.kubeconfig.as_deref().map(Path::display).map(|path| format!("kubeconfig {path}"));
    let context = args.context.as_ref().map(|context| format!("context {context}"));
    let what: Vec<String> = file.into_iter().chain(context).collect();
    let what = if what.is_empty() { "KUBECONFIG".to_owned() } else { what.join(", ") };
    ClusterError::Kubeconfig { what, reason: chain(error) }
}

/// What the API server says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It would take it.
    Accepted,
    /// It would not, and why.
    Refused(Vec<String>),
    /// It doesn't say, and why.
    Untold(String),
}

impl Cluster {
    /// Reaches a cluster.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub async fn reach(config: Config) -> Result<Self, ClusterError> {
        let server = config.cluster_url.to_string();
        let away = |reason: String| ClusterError::Away { server: server.clone(), reason };
        let mut config = config;
        config.connect_timeout = Some(PATIENCE);
        config.read_timeout = Some(LONGEST_ANSWER);
        config.reset_reader_on_write = true;
        let client = Client::try_from(config).map_err(|error| away(words(&error)))?;
        match tokio::time::timeout(PATIENCE, client.apiserver_version()).await {
            // A refusal is an answer too: what is asked of it later says what isn't allowed.
            Ok(Ok(_) | Err(kube::Error::Api(_))) => Ok(Self { client }),
            Ok(Err(error)) => Err(away(words(&error))),
            Err(_) => Err(away(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    /// An object as the cluster has it; `None` if it hasn't.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn get(&self, key: &Key, plural: &str) -> Result<Option<DynamicObject>, kube::Error> {
        let resource = resource(&key.kind, plural);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &key.namespace, &resource);
        match api.get_opt(&key.name).await {
            // A cluster without the kind says it differently than one without the object.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            answer => answer,
        }
    }

    /// All objects of a kind, page by page.
    ///
    /// # Errors
    /// When they can't be listed. A cluster without the kind has none.
    pub async fn list(&self, kind: &str, plural: &str) -> Result<Vec<DynamicObject>, kube::Error> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource(kind, plural));
        let mut objects = Vec::new();
        let mut parameters = ListParams::default().limit(500);
        loop {
            let page = match api.list(&parameters).await {
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
                page => page?,
            };
            objects.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(objects),
            }
        }
    }

    /// A Secret.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, kube::Error> {
        Api::namespaced(self.client.clone(), namespace).get_opt(name).await
    }

    /// A namespace's labels.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn labels(&self, namespace: &str) -> Result<BTreeMap<String, String>, kube::Error> {
        let found: Option<Namespace> = Api::all(self.client.clone()).get_opt(namespace).await?;
        Ok(found.and_then(|namespace| namespace.metadata.labels).unwrap_or_default())
    }

    /// The operator's default owner id: the uid of kube-system.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn owner_id(&self) -> Result<Option<String>, kube::Error> {
        let found: Namespace = Api::all(self.client.clone()).get("kube-system").await?;
        Ok(found.metadata.uid)
    }

    /// Asks the API server whether it would take an object in place of the stored one, and stores nothing. The file is
    /// taken for the whole truth, as the planner takes it: a field that it drops is dropped.
    pub async fn dry_run(&self, manifest: &Manifest, plural: &str, stored: Option<&DynamicObject>) -> Verdict {
        let url = DynamicObject::url_path(&resource(&manifest.key.kind, plural), Some(&manifest.key.namespace));
        let parameters = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
        let (request, body) = (Request::new(url), candidate(manifest, stored));
        let Ok(body) = serde_json::to_vec(&body) else {
            return Verdict::Untold("the object can't be sent".to_owned());
        };
        let built = match stored {
            Some(_) => request.replace(&manifest.key.name, &parameters, body),
            None => request.create(&parameters, body),
        };
        let Ok(mut request) = built else { return Verdict::Untold("the request can't be built".to_owned()) };
        // Strict: fields that the cluster's definitions don't have are told rather than dropped.
        if let Ok(uri) = format!("{}&fieldValidation=Strict", request.uri()).parse() {
            *request.uri_mut() = uri;
        }
        match self.client.request::<DynamicObject>(request).await {
            Ok(_) => Verdict::Accepted,
            Err(kube::Error::Api(status)) => judge(&status),
            Err(error) => Verdict::Untold(words(&error)),
        }
    }
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), plural)
}

/// The object that the API server would be asked to store: the file's, with the stored one's metadata below it.
fn candidate(manifest: &Manifest, stored: Option<&DynamicObject>) -> Value {
    let mut object = manifest.object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    let Some(stored) = stored.and_then(|stored| serde_json::to_value(&stored.metadata).ok()) else { return object };
    let mut metadata = stored;
    if let Some(map) = metadata.as_object_mut() {
        map.remove("managedFields");
        for member in ["annotations", "labels"] {
            let mut merged = texts(&Value::Object(map.clone()), &format!("/{member}"));
            merged.extend(texts(&object, &format!("/metadata/{member}")));
            map.insert(member.to_owned(), serde_json::json!(merged));
        }
    }
    object["metadata"] = metadata;
    object
}

/// Reads the API server's answer.
fn judge(status: &Status) -> Verdict {
    let details = status.details.as_ref();
    let not_permitted = ["cannot create resource", "cannot update resource", "cannot patch resource"];
    match status.code {
        403 if not_permitted.iter().any(|words| status.message.contains(words)) => {
            Verdict::Untold("you may not write such objects, so the API server's own rules aren't tried".to_owned())
        }
        404 if details.is_some_and(|details| details.kind == "namespaces") => {
            Verdict::Untold("its namespace doesn't exist yet, so the API server's own rules aren't tried".to_owned())
        }
        404 => Verdict::Untold(
            "the cluster doesn't have this kind: install the custom resource definitions first".to_owned(),
        ),
        400 | 403 | 422 => {
            let causes = details.into_iter().flat_map(|details| &details.causes);
            let told: Vec<String> = causes.map(|cause| cause_words(&cause.field, &cause.message)).collect();
            Verdict::Refused(if told.is_empty() { vec![status.message.clone()] } else { told })
        }
        _ => Verdict::Untold(status.message.clone()),
    }
}

/// Rules on the whole object have no field of their own, and their messages name it.
fn cause_words(field: &str, message: &str) -> String {
    let message = message.strip_prefix("Invalid value: ").unwrap_or(message);
    // The API server puts the offending value, which may be the whole object, before a rule's message.
    let message = message.strip_prefix("\"object\": ").unwrap_or(message);
    if field.is_empty() || field == "<nil>" || message.contains(field) {
        message.to_owned()
    } else {
        format!("{field}: {message}")
    }
}

/// An error of the API server, in words.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        // Only what caused it says anything.
        kube::Error::Service(cause) => chain(cause.as_ref()),
        other => chain(other),
    }
}

/// An error with what caused it, each said once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        at = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_read() {
        let refused = |words: &str| Verdict::Refused(vec![words.to_owned()]);
        let rows = [
            (
                json!({"code": 422, "message": "long", "details": {"causes": [
                    {"field": "spec.scale", "message": "Invalid value: \"object\": spec.scale.minNodes can't be above"}]}}),
                refused("spec.scale.minNodes can't be above"),
            ),
            (
                json!({"code": 422, "message": "long", "details": {"causes": [
                    {"field": "spec.paused", "message": "Invalid value: \"string\": must be boolean"}]}}),
                refused("spec.paused: \"string\": must be boolean"),
            ),
            (
                json!({"code": 400, "message": "strict decoding error: unknown field \"spec.x\""}),
                refused("strict decoding error: unknown field \"spec.x\""),
            ),
            (json!({"code": 403, "message": "denied by policy p"}), refused("denied by policy p")),
        ];
        for (status, expected) in rows {
            assert_eq!(judge(&serde_json::from_value(status).unwrap()), expected);
        }
        let untold = [
            json!({"code": 403, "message": "User \"x\" cannot update resource \"computeclusters\""}),
            json!({"code": 404, "message": "namespaces \"ml\" not found", "details": {"kind": "namespaces"}}),
            json!({"code": 404, "message": "the server could not find the requested resource"}),
            json!({"code": 409, "message": "the object has been modified"}),
        ];
        for status in untold {
            let verdict = judge(&serde_json::from_value(status.clone()).unwrap());
            assert!(matches!(verdict, Verdict::Untold(_)), "{status} gave {verdict:?}");
        }
    }

    #[test]
    fn a_replacement_keeps_the_stored_metadata() {
        let manifest = Manifest {
            key: Key::workspace("ml", "w"),
            origin: String::new(),
            object: json!({"metadata": {"name": "w", "annotations": {"b": "2"}}, "spec": {"a": 1}, "status": {}}),
            spec: Value::Null,
            faults: Vec::new(),
        };
        let stored = serde_json::from_value(json!({"metadata": {"name": "w", "resourceVersion": "7",
            "finalizers": ["f"], "annotations": {"a": "1", "b": "1"}, "managedFields": []}}))
        .unwrap();
        let body = candidate(&manifest, Some(&stored));
        assert_eq!(body["metadata"]["resourceVersion"], "7");
        assert_eq!(body["metadata"]["finalizers"], json!(["f"]));
        assert_eq!(body["metadata"]["annotations"], json!({"a": "1", "b": "2"}));
        assert_eq!(body["metadata"].get("managedFields"), None);
        assert_eq!(candidate(&manifest, None), json!({"metadata": manifest.object["metadata"], "spec": {"a": 1}}));
    }
}
