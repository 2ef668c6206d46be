//! The operator as a process outside the cluster, with the rights, flags and variables that its manifests give it.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::controlplane::{free_port, still_starting};
use crate::process::{Spec, Supervised};
use crate::sim::{Sim, unreachable};
use crate::{ControlPlane, Error, Result, cargo, secrets};

/// Where the base installs the operator.
pub const NAMESPACE: &str = "azureml-system";
/// Its service account, Deployment and container.
pub const NAME: &str = "azureml-operator";

/// Variables of this process that would lead the operator away from azure-sim.
const HIDDEN: [&str; 18] = [
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_SUBSCRIPTION_ID",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "RUST_LOG",
    "SSL_CERT_DIR",
];

/// How the operator is started.
#[derive(Debug, Clone, Default)]
pub struct OperatorOptions {
    /// What tells it from others in the same environment: the name of its log and its HOSTNAME. Default: [`NAME`].
    pub replica: Option<String>,
    /// The Deployment that it is run as. Default: [`NAME`].
    pub release: Option<String>,
    /// Flags that replace the manifest's of the same name, or are added: `("--owner-id", "test")`.
    pub flags: Vec<(String, String)>,
    /// Variables that are set besides the manifest's.
    pub env: Vec<(String, String)>,
}

/// A running operator. Dropping it kills it.
pub struct Operator {
    process: Supervised,
    admin: String,
    http: reqwest::Client,
    log: PathBuf,
}

impl Operator {
    /// Starts the operator as the service account of the base, which must be applied already, and returns once it says
    /// that it is ready.
    ///
    /// # Errors
    /// If it can't be built, or doesn't become ready; the error holds the end of its log.
    pub async fn start(options: &OperatorOptions, plane: &ControlPlane, sim: &Sim) -> Result<Self> {
        let program = tokio::task::spawn_blocking(|| cargo::binary("azureml-operator", "azureml-operator")).await;
        let program =
            program.map_err(|error| Error::Invalid(format!("the build of the operator broke off: {error}")))??;
        let name = options.release.as_deref().unwrap_or(NAME);
        let container = container(&plane.kubectl(&["-n", NAMESPACE, "get", "deployment", name, "-o", "json"])?)?;
        let kubeconfig = plane.service_account_kubeconfig(NAMESPACE, &container.service_account).await?;
        let admin = format!("127.0.0.1:{}", free_port()?);
        let mut flags = vec![
            ("--admin-listen".to_string(), admin.clone()),
            ("--log-format".into(), "text".into()),
            // Most tests have one operator. What follows a kill would only wait for the lease to run out.
            ("--leader-elect".into(), "false".into()),
        ];
        flags.extend(options.flags.iter().cloned());
        let replica = options.replica.as_deref().unwrap_or(NAME);
        let mut spec = Spec::new(replica, program).args(with_flags(&container.args, &flags));
        spec.env_remove = HIDDEN.map(String::from).to_vec();
        spec.env = container.env.iter().filter_map(EnvVar::value).collect();
        for (name, value) in environment(sim) {
            spec = spec.env(name, value);
        }
        // All that it could say, so that a secret in it would be found.
        spec = spec.env("RUST_LOG", "info,azureml_operator=debug,azureml_arm=debug,kube=debug,azure=debug");
        // Its log is a file here.
        spec = spec.env("HOSTNAME", replica).env("NO_COLOR", "1").env("KUBECONFIG", kubeconfig);
        for (name, value) in &options.env {
            spec = spec.env(name, value);
        }
        let process = Supervised::start(&spec, plane.dir())?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build();
        let http = http.map_err(|error| Error::Invalid(format!("cannot make an HTTP client: {error}")))?;
        let log = process.log().to_path_buf();
        let mut operator = Operator { process, admin, http, log };
        operator.wait_ready().await?;
        Ok(operator)
    }

    /// Everything that it logged, over all its lives in this environment.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The address of healthz, readyz and metrics.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Ends it at once with SIGKILL, as a lost node would.
    ///
    /// # Errors
    /// If the operating system doesn't tell its end.
    pub fn kill(mut self) -> Result<ExitStatus> {
        secrets::keep_metrics(&self.log, &self.admin);
        self.process.kill()
    }

    /// Ends it with SIGTERM, as a rollout does; kills it after 30 s.
    ///
    /// # Errors
    /// If the operating system doesn't tell its end.
    pub fn stop(mut self) -> Result<ExitStatus> {
        secrets::keep_metrics(&self.log, &self.admin);
        self.process.stop(Duration::from_secs(30))
    }

    /// Stops it where it is with SIGSTOP, as a node does that has no time for it.
    pub fn freeze(&mut self) {
        self.process.freeze();
    }

    /// Lets a frozen one go on.
    pub fn thaw(&mut self) {
        self.process.thaw();
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// If the operating system doesn't tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.ended()
    }

    /// Its metrics, as text.
    ///
    /// # Errors
    /// If it doesn't answer.
    pub async fn metrics(&self) -> Result<String> {
        let what = "GET /metrics of the operator";
        let answer = self.http.get(format!("http://{}/metrics", self.admin)).send().await;
        let answer = answer.map_err(|error| unreachable(what, &error))?;
        answer.text().await.map_err(|error| unreachable(what, &error))
    }

    /// What `/healthz` says: nothing, or what a restart would mend.
    ///
    /// # Errors
    /// If it doesn't answer.
    pub async fn health(&self) -> Result<std::result::Result<(), String>> {
        let what = "GET /healthz of the operator";
        let answer = self.http.get(format!("http://{}/healthz", self.admin)).send().await;
        let answer = answer.map_err(|error| unreachable(what, &error))?;
        if answer.status().is_success() {
            return Ok(Ok(()));
        }
        Ok(Err(answer.text().await.map_err(|error| unreachable(what, &error))?))
    }

    /// Whether `/readyz` answers with success.
    pub async fn ready(&self) -> bool {
        let answer = self.http.get(format!("http://{}/readyz", self.admin)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while !self.ready().await {
            still_starting(&mut self.process, started, "/readyz does not answer with success")?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if matches!(self.process.ended(), Ok(None)) {
            secrets::keep_metrics(&self.log, &self.admin);
        }
    }
}

/// The variables that lead a program to azure-sim.
pub fn environment(sim: &Sim) -> Vec<(String, String)> {
    [
        ("AZURE_AUTHORITY_HOST", sim.url().to_string()),
        ("AZURE_RESOURCE_MANAGER_ENDPOINT", sim.url().to_string()),
        ("AZURE_RESOURCE_MANAGER_AUDIENCE", sim.url().to_string()),
        ("SSL_CERT_FILE", sim.ca().display().to_string()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .to_vec()
}

/// What a Deployment says of its container, as far as a process can have it.
#[derive(Debug, Default, Deserialize)]
struct Container {
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<EnvVar>,
    /// Its pod's.
    #[serde(skip)]
    service_account: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvVar {
    name: String,
    value: Option<String>,
    value_from: Option<Value>,
}

impl EnvVar {
    /// The variable as the kubelet would set it. What only a kubelet knows is left out.
    fn value(&self) -> Option<(String, std::ffi::OsString)> {
        let field = || self.value_from.as_ref()?.pointer("/fieldRef/fieldPath")?.as_str();
        let value = match (&self.value, field()) {
            (Some(value), _) => value.clone(),
            (None, Some("metadata.namespace")) => NAMESPACE.to_string(),
            (None, Some("metadata.name")) => format!("{NAME}-local"),
            (None, _) => return None,
        };
        Some((self.name.clone(), value.into()))
    }
}

/// The operator's container, as a Deployment has it.
fn container(deployment: &str) -> Result<Container> {
    let wrong = |error: serde_json::Error| Error::Invalid(format!("the operator's Deployment: {error}"));
    let object: Value = serde_json::from_str(deployment).map_err(wrong)?;
    let pod = object.pointer("/spec/template/spec").cloned().unwrap_or_default();
    let mut container: Container =
        serde_json::from_value(pod.pointer("/containers/0").cloned().unwrap_or_default()).map_err(wrong)?;
    container.service_account = pod["serviceAccountName"].as_str().unwrap_or("default").to_string();
    Ok(container)
}

/// The arguments with these flags set: one that is there (`--flag=value` or `--flag value`) is replaced.
fn with_flags(args: &[String], flags: &[(String, String)]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut rest = args.iter().peekable();
    while let Some(arg) = rest.next() {
        let name = arg.split('=').next().unwrap_or(arg);
        if !flags.iter().any(|(flag, _)| flag == name) {
            kept.push(arg.clone());
        } else if !arg.contains('=') {
            rest.next_if(|value| !value.starts_with("--"));
        }
    }
    // A later override wins over an earlier one of the same name.
    for (at, (flag, value)) in flags.iter().enumerate() {
        if !flags[at + 1..].iter().any(|(later, _)| later == flag) {
            kept.push(format!("{flag}={value}"));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn flags_replace_those_of_the_manifest() {
        let flags = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        for (args, set, want) in [
            (&["run", "--a=1"][..], &[("--a", "2")][..], &["run", "--a=2"][..]),
            (&["run", "--a", "1", "--b"], &[("--a", "2")], &["run", "--b", "--a=2"]),
            (&["run", "--a", "--b=1"], &[("--a", "2")], &["run", "--b=1", "--a=2"]),
            (&["run", "--ab=1"], &[("--a", "2")], &["run", "--ab=1", "--a=2"]),
            (&["run"], &[("--a", "1"), ("--a", "2")], &["run", "--a=2"]),
        ] {
            assert_eq!(with_flags(&strings(args), &flags(set)), strings(want), "{args:?} {set:?}");
        }
    }

    #[test]
    fn the_container_is_the_deployments() {
        let deployment = serde_json::json!({"spec": {"template": {"spec": {
            "serviceAccountName": "robot",
            "containers": [{"args": ["run", "--a=1"], "env": [
                {"name": "A", "value": "x"},
                {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                {"name": "H", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            ]}],
        }}}});
        let container = container(&deployment.to_string()).unwrap();
        assert_eq!(
            (container.args.as_slice(), container.service_account.as_str()),
            (&strings(&["run", "--a=1"])[..], "robot")
        );
        let env: Vec<_> = container.env.iter().filter_map(EnvVar::value).collect();
        assert_eq!(env, [("A".into(), "x".into()), ("N".into(), "azureml-system".into())]);
        super::container("{}").unwrap_err();
    }
}
