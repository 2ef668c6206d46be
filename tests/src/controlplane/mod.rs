//! etcd, kube-apiserver and, where a test needs them, the controllers: the real ones, on loopback.

pub(crate) mod keys;
pub(crate) mod kubeconfig;
pub mod kubectl;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::prelude::*;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use self::keys::Keys;
use crate::process::{Spec, Supervised};
use crate::secrets::{AUDIT_LOG, AUDIT_POLICY};
use crate::tools::Tool;
use crate::{Error, Result, RunDir};

/// How long each process may take until it is ready. A loaded two-core machine needs about ten seconds.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How often the start is tried again when a port was taken between its choice and its use.
const PORT_ATTEMPTS: usize = 5;
/// The life of the tokens that [`ControlPlane::service_account_kubeconfig`] asks for.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;
/// On SIGTERM the API server closes its port at once, and then waits up to a minute for its clients to hang up.
/// That minute is of no use here.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// What kubeadm gives, and what the demo's world trusts.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// A user with every right; the token is fresh for each control plane.
const ADMIN: &str = "admin";

/// Whether kube-controller-manager runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Controllers {
    /// Objects only: a deleted namespace stays `Terminating`, and no service account is made for a namespace.
    #[default]
    None,
    /// Namespaces end, service accounts and their tokens are made, dependents are collected as garbage.
    Basic,
}

/// How a control plane is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether kube-controller-manager runs.
    pub controllers: Controllers,
    /// Flags that are added to the API server's, such as `--feature-gates=X=true`.
    pub apiserver_flags: Vec<String>,
}

/// A running control plane. Dropping it ends its processes and removes its folder.
pub struct ControlPlane {
    // In the order of their end: the ones that use another first, the folder last.
    controller_manager: Option<Supervised>,
    apiserver: Option<Supervised>,
    _etcd: Supervised,
    apiserver_flags: Vec<String>,
    etcd_port: u16,
    port: u16,
    keys: Keys,
    kubectl: PathBuf,
    client: kube::Client,
    dir: RunDir,
}

/// The file with the rules of the audit log.
const AUDIT_POLICY_FILE: &str = "audit-policy.yaml";

impl ControlPlane {
    /// Starts a control plane in a fresh folder, and returns once it answers as ready.
    ///
    /// # Errors
    /// If a program can't be had or doesn't become ready; the error holds the end of its log.
    pub async fn start(options: Options) -> Result<Self> {
        let tools = find_tools(options.controllers).await?;
        let dir = RunDir::new("control-plane")?;
        let keys = Keys::make(dir.path())?;
        let (etcd, etcd_port) = start_etcd(&tools.etcd, &dir).await?;
        let token = write_admin_token(&dir)?;
        crate::files::write_atomically(&dir.path().join(AUDIT_POLICY_FILE), AUDIT_POLICY)?;
        let flags = options.apiserver_flags;
        let (apiserver, port) = start_apiserver(&tools.apiserver, &dir, &keys, etcd_port, None, &flags).await?;
        let kubeconfig = dir.path().join("kubeconfig");
        kubeconfig::write(&kubeconfig, &server(port), &keys.ca, ADMIN, &token, "default")?;
        let client = client_for(&kubeconfig).await?;
        let mut this = ControlPlane {
            controller_manager: None,
            apiserver: Some(apiserver),
            _etcd: etcd,
            apiserver_flags: flags,
            etcd_port,
            port,
            keys,
            kubectl: tools.kubectl,
            client,
            dir,
        };
        this.wait_ready().await?;
        if let Some(program) = tools.controller_manager {
            this.start_controllers(&program).await?;
        }
        Ok(this)
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    /// A client with the administrator's rights.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The API server's address.
    pub fn url(&self) -> String {
        server(self.port)
    }

    /// The certificate that the API server's clients must trust, as a PEM file.
    pub fn ca(&self) -> &Path {
        &self.keys.ca
    }

    /// The folder of this run, with the logs; other processes of the same environment may live in it.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Puts an object of our group into the store as it is, as the API server of long ago did: with its uid, its times, its
    /// status and, if it is on its way out, its deletion.
    ///
    /// # Errors
    /// If etcd doesn't take it.
    pub async fn store(&self, plural: &str, object: &Value) -> Result<()> {
        let text = |member: &str| object["metadata"][member].as_str().unwrap_or_default().to_owned();
        let key = format!("/registry/azureml.dev/{plural}/{}/{}", text("namespace"), text("name"));
        let body = json!({"key": BASE64_STANDARD.encode(key), "value": BASE64_STANDARD.encode(object.to_string())});
        let failed = |error: reqwest::Error| Error::Http(format!("etcd, {plural} {}: {error}", text("name")));
        let http = reqwest::Client::builder().no_proxy().build().map_err(failed)?;
        let url = format!("http://127.0.0.1:{}/v3/kv/put", self.etcd_port);
        let answer = http.post(url).json(&body).send().await.map_err(failed)?;
        answer.error_for_status().map(drop).map_err(failed)
    }

    /// The kubectl that [`Self::kubectl`] runs.
    pub fn kubectl_program(&self) -> &Path {
        &self.kubectl
    }

    /// Runs kubectl as the administrator in the checkout's root, and gives what it printed on stdout. Blocks this thread.
    ///
    /// # Errors
    /// [`Error::Command`] with what it printed on stderr, if it ends with an error.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl_with_input(arguments, "")
    }

    /// [`Self::kubectl`] with a text on stdin, for `-f -`.
    ///
    /// # Errors
    /// As [`Self::kubectl`].
    pub fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        kubectl::run(&self.kubectl, &self.kubeconfig(), arguments, input)
    }

    /// Stops the API server; the data stay. Does nothing if it is stopped.
    ///
    /// # Errors
    /// If the operating system doesn't tell its end.
    pub fn stop_apiserver(&mut self) -> Result<()> {
        if let Some(mut apiserver) = self.apiserver.take() {
            apiserver.stop(STOP_GRACE)?;
        }
        Ok(())
    }

    /// Starts the API server again, on the same port and data. Does nothing if it runs.
    ///
    /// # Errors
    /// If it doesn't become ready.
    pub async fn start_apiserver(&mut self) -> Result<()> {
        if self.apiserver.is_none() {
            let program = Tool::KubeApiserver.find_or_build()?;
            let port = Some(self.port);
            let started =
                start_apiserver(&program, &self.dir, &self.keys, self.etcd_port, port, &self.apiserver_flags).await?;
            self.apiserver = Some(started.0);
        }
        self.wait_ready().await?;
        self.wait_definitions_served().await
    }

    /// Waits until the kinds that are defined are served: readyz doesn't tell that of a restarted API server.
    async fn wait_definitions_served(&mut self) -> Result<()> {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let defined = definitions.list(&ListParams::default()).await.map_err(Error::kube("list the definitions"))?;
        let started = Instant::now();
        for definition in &defined.items {
            for version in definition.spec.versions.iter().filter(|version| version.served) {
                let path = format!("/apis/{}/{}/{}", definition.spec.group, version.name, definition.spec.names.plural);
                while let Err(problem) = get(&self.client, &path).await {
                    if let Some(apiserver) = &mut self.apiserver {
                        still_starting(apiserver, started, &format!("{path}: {problem}"))?;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        Ok(())
    }

    /// Writes a kubeconfig with which a process is that service account, with its rights and no others.
    /// Its token lives for a day.
    ///
    /// # Errors
    /// If there is no such service account.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let spec = TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let answer: TokenRequest =
            accounts
                .create_subresource("token", name, &PostParams::default(), &request)
                .await
                .map_err(Error::kube(format!("ask for a token of the service account {namespace}/{name}")))?;
        let token = answer
            .status
            .and_then(|status| status.token)
            .ok_or_else(|| Error::Invalid(format!("the API server answered without a token for {namespace}/{name}")))?;
        let path = self.dir.path().join(format!("kubeconfig-{namespace}-{name}"));
        kubeconfig::write(&path, &self.url(), &self.keys.ca, name, &token, namespace)?;
        Ok(path)
    }

    /// Waits until the API server says that it is ready, and has made the namespace `default`.
    async fn wait_ready(&mut self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let started = Instant::now();
        loop {
            let problem = match get(&self.client, "/readyz").await {
                Ok(()) => match namespaces.get("default").await {
                    Ok(_) => return Ok(()),
                    Err(error) => error.to_string(),
                },
                Err(problem) => problem,
            };
            if let Some(apiserver) = &mut self.apiserver {
                still_starting(apiserver, started, &problem)?;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn start_controllers(&mut self, program: &Path) -> Result<()> {
        let controllers = [
            "namespace-controller",
            "serviceaccount-controller",
            "serviceaccount-token-controller",
            "garbage-collector-controller",
            "clusterrole-aggregation-controller",
        ];
        let spec = Spec::new("kube-controller-manager", program)
            .arg("--secure-port=0")
            .arg("--leader-elect=false")
            .arg(format!("--controllers={}", controllers.join(",")))
            .arg(format!("--kubeconfig={}", self.kubeconfig().display()))
            .arg(format!("--service-account-private-key-file={}", self.keys.accounts_key.display()))
            .arg(format!("--root-ca-file={}", self.keys.ca.display()));
        let manager = self.controller_manager.insert(Supervised::start(&spec, &self.dir)?);
        // It serves nothing that could be asked; its first work is the proof that it works.
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), "default");
        let started = Instant::now();
        while let Err(error) = accounts.get("default").await {
            still_starting(manager, started, &error.to_string())?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

struct Tools {
    etcd: PathBuf,
    apiserver: PathBuf,
    controller_manager: Option<PathBuf>,
    kubectl: PathBuf,
}

async fn find_tools(controllers: Controllers) -> Result<Tools> {
    let found = tokio::task::spawn_blocking(move || {
        Ok(Tools {
            etcd: Tool::Etcd.find_or_build()?,
            apiserver: Tool::KubeApiserver.find_or_build()?,
            controller_manager: match controllers {
                Controllers::None => None,
                Controllers::Basic => Some(Tool::KubeControllerManager.find_or_build()?),
            },
            kubectl: Tool::Kubectl.find_or_build()?,
        })
    });
    found.await.map_err(|error| Error::Invalid(format!("the search for tools broke off: {error}")))?
}

fn server(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    Ok(listener.map_err(Error::io("find a free port on 127.0.0.1"))?.port())
}

fn write_admin_token(dir: &RunDir) -> Result<String> {
    let random = rcgen::KeyPair::generate().map_err(|error| Error::Invalid(format!("cannot make a token: {error}")))?;
    let token: String = random.public_key_raw().iter().take(24).map(|byte| format!("{byte:02x}")).collect();
    crate::files::write_atomically(&dir.path().join("tokens.csv"), &format!("{token},{ADMIN},1,system:masters\n"))?;
    Ok(token)
}

/// Whether a process failed because its port was in use.
fn port_taken(process: &Supervised) -> bool {
    crate::tail(process.log(), 50).contains("address already in use")
}

async fn start_etcd(program: &Path, dir: &RunDir) -> Result<(Supervised, u16)> {
    for attempt in 1.. {
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        let spec = Spec::new("etcd", program)
            .arg(format!("--data-dir={}", dir.path().join("etcd").display()))
            .arg(format!("--listen-client-urls={url}"))
            .arg(format!("--advertise-client-urls={url}"))
            .arg("--listen-peer-urls=http://127.0.0.1:0")
            // The data live no longer than the run: a power cut may take them.
            .arg("--unsafe-no-fsync")
            .arg("--log-level=warn");
        let mut etcd = Supervised::start(&spec, dir)?;
        match listening(&mut etcd, port).await {
            Ok(()) => return Ok((etcd, port)),
            Err(_) if attempt < PORT_ATTEMPTS && port_taken(&etcd) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Invalid("etcd was not started".into()))
}

async fn start_apiserver(
    program: &Path,
    dir: &RunDir,
    keys: &Keys,
    etcd_port: u16,
    fixed_port: Option<u16>,
    flags: &[String],
) -> Result<(Supervised, u16)> {
    for attempt in 1.. {
        let port = fixed_port.map_or_else(free_port, Ok)?;
        let spec = apiserver_spec(program, dir, keys, etcd_port, port).args(flags);
        let mut apiserver = Supervised::start(&spec, dir)?;
        match listening(&mut apiserver, port).await {
            Ok(()) => return Ok((apiserver, port)),
            Err(_) if attempt < PORT_ATTEMPTS && port_taken(&apiserver) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Invalid("kube-apiserver was not started".into()))
}

fn apiserver_spec(program: &Path, dir: &RunDir, keys: &Keys, etcd_port: u16, port: u16) -> Spec {
    Spec::new("kube-apiserver", program)
        .arg(format!("--etcd-servers=http://127.0.0.1:{etcd_port}"))
        .arg("--bind-address=127.0.0.1")
        .arg("--advertise-address=127.0.0.1")
        .arg(format!("--secure-port={port}"))
        .arg(format!("--cert-dir={}", dir.path().display()))
        .arg(format!("--tls-cert-file={}", keys.serving.display()))
        .arg(format!("--tls-private-key-file={}", keys.serving_key.display()))
        .arg(format!("--token-auth-file={}", dir.path().join("tokens.csv").display()))
        .arg("--authorization-mode=RBAC")
        .arg(format!("--service-account-issuer={ISSUER}"))
        .arg(format!("--service-account-signing-key-file={}", keys.accounts_key.display()))
        .arg(format!("--service-account-key-file={}", keys.accounts_public.display()))
        .arg("--service-cluster-ip-range=10.0.0.0/24")
        .arg("--endpoint-reconciler-type=none")
        .arg("--profiling=false")
        .arg(format!("--audit-policy-file={}", dir.path().join(AUDIT_POLICY_FILE).display()))
        .arg(format!("--audit-log-path={}", dir.path().join(AUDIT_LOG).display()))
}

/// Waits until something accepts connections on the port, or the process has ended.
async fn listening(process: &mut Supervised, port: u16) -> Result<()> {
    let started = Instant::now();
    while let Err(error) = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        still_starting(process, started, &format!("port {port}: {error}"))?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Another program may have the port, and ours end because of it a moment later.
    match process.ended()? {
        Some(status) => Err(process.failure(format!("ended ({status}) while it started"))),
        None => Ok(()),
    }
}

/// An error if the process has ended or takes too long.
pub(crate) fn still_starting(process: &mut Supervised, started: Instant, problem: &str) -> Result<()> {
    if let Some(status) = process.ended()? {
        return Err(process.failure(format!("ended ({status}) before it was ready")));
    }
    if started.elapsed() > READY_WITHIN {
        return Err(process.failure(format!("was not ready after {} s ({problem})", READY_WITHIN.as_secs())));
    }
    Ok(())
}

async fn get(client: &kube::Client, path: &str) -> Result<(), String> {
    let request = http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    client.request_text(request).await.map(drop).map_err(|error| error.to_string())
}

/// A client for a kubeconfig file.
///
/// # Errors
/// If the file is not a good kubeconfig.
pub async fn client_for(kubeconfig: &Path) -> Result<kube::Client> {
    let broken = |error: &dyn std::fmt::Display| Error::Invalid(format!("{}: {error}", kubeconfig.display()));
    let parsed = Kubeconfig::read_from(kubeconfig).map_err(|error| broken(&error))?;
    let context = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(parsed, &context).await.map_err(|error| broken(&error))?;
    kube::Client::try_from(config).map_err(|error| broken(&error))
}
