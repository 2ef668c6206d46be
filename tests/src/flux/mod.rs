//! Flux's kustomize-controller as a process, and what stands for its source-controller: trees of files, packed and served on
//! loopback, and told in the status of a source as source-controller tells it.

mod artifacts;
mod tree;

use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use self::artifacts::Artifacts;
pub use self::tree::Tree;
use crate::controlplane::{free_port, still_starting};
use crate::definitions;
use crate::process::{Spec, Supervised};
use crate::sim::unreachable;
use crate::tools::Tool;
use crate::wait::{self, Until};
use crate::{ControlPlane, Error, Result, files};

/// Where Flux is installed.
pub const NAMESPACE: &str = "flux-system";
/// The controller, its service account and its field manager.
pub const NAME: &str = "kustomize-controller";
/// What [`wait`](crate::wait) calls a Kustomization.
pub const KUSTOMIZATION: &str = "kustomize.toolkit.fluxcd.io/Kustomization";
/// What [`wait`](crate::wait) calls a GitRepository.
pub const GIT_REPOSITORY: &str = "source.toolkit.fluxcd.io/GitRepository";
/// The annotation with which a person asks Flux to look now.
pub const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";

/// Flux at work. Dropping it ends the process.
pub struct Flux {
    _process: Supervised,
    artifacts: Artifacts,
    client: kube::Client,
}

impl Flux {
    /// Installs Flux's definitions and the controller's rights, starts it, and returns once it says that it is ready.
    ///
    /// # Errors
    /// If it can't be built or doesn't become ready; the error holds the end of its log.
    pub async fn start(plane: &ControlPlane) -> Result<Self> {
        let (program, folders) = tokio::task::spawn_blocking(|| {
            let folders = definitions::FLUX.iter().map(definitions::Module::find_or_fetch);
            Ok::<_, Error>((Tool::KustomizeController.find_or_build()?, folders.collect::<Result<Vec<_>>>()?))
        })
        .await
        .map_err(|error| Error::Invalid(format!("the search for Flux broke off: {error}")))??;
        for folder in folders {
            plane.kubectl(&["apply", "--server-side", "-f", &folder.display().to_string()])?;
        }
        plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
        plane.kubectl_with_input(&["apply", "-f", "-"], &rights().to_string())?;
        let kubeconfig = plane.service_account_kubeconfig(NAMESPACE, NAME).await?;
        let health = format!("127.0.0.1:{}", free_port()?);
        let scratch = plane.dir().path().join(NAME);
        files::create_dir_all(&scratch)?;
        let spec = Spec::new(NAME, program)
            .arg("--watch-all-namespaces=true")
            .arg("--metrics-addr=0")
            .arg(format!("--health-addr={health}"))
            // Some tests leave a Kustomization waiting.
            .arg("--concurrent=8")
            .arg("--requeue-dependency=2s")
            .env("RUNTIME_NAMESPACE", NAMESPACE)
            .env("TMPDIR", scratch)
            .env("KUBECONFIG", kubeconfig);
        let mut process = Supervised::start(&spec, plane.dir())?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build();
        let http = http.map_err(|error| Error::Invalid(format!("cannot make an HTTP client: {error}")))?;
        let started = Instant::now();
        loop {
            let answer = http.get(format!("http://{health}/readyz")).send().await;
            match answer.map_err(|error| unreachable("GET /readyz of the kustomize-controller", &error)) {
                Ok(answer) if answer.status().is_success() => break,
                Ok(answer) => still_starting(&mut process, started, &format!("/readyz: {}", answer.status()))?,
                Err(error) => still_starting(&mut process, started, &error.to_string())?,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let artifacts = Artifacts::serve(&plane.dir().path().join("artifacts")).await?;
        Ok(Flux { _process: process, artifacts, client: plane.client() })
    }

    /// Puts a tree up as the newest revision of a GitRepository, and gives that revision.
    ///
    /// # Errors
    /// If there is no such GitRepository, or the tree can't be packed.
    pub async fn commit(&self, namespace: &str, repository: &str, tree: &Tree) -> Result<String> {
        let packed = self.artifacts.pack(&format!("gitrepository/{namespace}/{repository}"), tree)?;
        let api = self.api(GIT_REPOSITORY, namespace).await?;
        let source = api.get(repository).await.map_err(Error::kube(format!("read the GitRepository {repository}")))?;
        let generation = source.metadata.generation;
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let message = format!("stored artifact for revision '{}'", packed.revision);
        let condition = |kind: &str| {
            json!({
                "type": kind, "status": "True", "reason": "Succeeded", "message": message,
                "observedGeneration": generation, "lastTransitionTime": now,
            })
        };
        let status = json!({
            "observedGeneration": generation,
            "artifact": {
                "path": packed.path, "url": packed.url, "revision": packed.revision, "digest": packed.digest,
                "size": packed.size, "lastUpdateTime": now,
            },
            "conditions": [condition("Ready"), condition("ArtifactInStorage")],
        });
        let patch = Patch::Merge(json!({"status": status}));
        let patched = api.patch_status(repository, &PatchParams::default(), &patch).await;
        patched.map_err(Error::kube(format!("write the status of the GitRepository {repository}")))?;
        Ok(packed.revision)
    }

    /// Asks Flux to look at a Kustomization now, and waits until it has done so.
    ///
    /// # Errors
    /// [`Error::TimedOut`] if it doesn't.
    pub async fn reconcile(&self, namespace: &str, name: &str, token: &str, within: Duration) -> Result<Value> {
        let api = self.api(KUSTOMIZATION, namespace).await?;
        let patch = Patch::Merge(json!({"metadata": {"annotations": {REQUESTED_AT: token}}}));
        let patched = api.patch(name, &PatchParams::default(), &patch).await;
        patched.map_err(Error::kube(format!("annotate the Kustomization {name}")))?;
        let until = Until::field("/status/lastHandledReconcileAt", token);
        Ok(wait::wait_for(&self.client, KUSTOMIZATION, namespace, name, &until, within).await?.unwrap_or_default())
    }

    async fn api(&self, kind: &str, namespace: &str) -> Result<Api<DynamicObject>> {
        wait::api(&self.client, kind, namespace).await
    }
}

/// Namespace, service account and rights of the controller, as Flux's own installation has them.
fn rights() -> Value {
    let account = json!({"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "cluster-reconciler"}, "roleRef": role, "subjects": [account],
        },
    ]})
}
