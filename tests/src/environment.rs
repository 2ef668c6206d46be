//! Control plane, azure-sim and operator together, with the definitions and rights of this checkout.

use std::time::Duration;

use serde_json::{Value, json};

use crate::operator::{Operator, OperatorOptions};
use crate::sim::{Sim, SimOptions, demo};
use crate::wait::{self, Until};
use crate::{ControlPlane, Controllers, Error, Options, Result, cargo, chart, files, operator, secrets};

/// How many of azure-sim's last requests a failed wait shows.
const REQUESTS_SHOWN: usize = 30;
/// How many of the operator's last log lines a failed wait shows.
const LINES_SHOWN: usize = 40;
/// The Secret that [`Environment::namespace`] makes.
pub const CREDENTIAL: &str = "azure-sp";

/// Whether the operator runs from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OperatorStart {
    /// At once.
    #[default]
    Now,
    /// When [`Environment::start_operator`] is called.
    Later,
}

/// How the operator is installed: its rights, and the arguments that it runs with.
#[derive(Debug, Clone, Default)]
pub enum Install {
    /// `kubectl apply -k deploy/base`.
    #[default]
    Base,
    /// By the test, before it starts the operator.
    Nothing,
    /// `kubectl apply -k` of another folder under `deploy`.
    Kustomize(&'static str),
    /// `helm install` of the chart as release `azureml-operator`, with these values.
    Chart(Value),
    /// `helm install` of a packed chart, as release `azureml-operator`.
    Packed(String),
}

/// How an environment is started.
#[derive(Debug, Clone)]
pub struct EnvOptions {
    /// azure-sim's world, speed and so on.
    pub sim: SimOptions,
    /// How the operator is installed.
    pub install: Install,
    /// The operator's flags and variables.
    pub operator: OperatorOptions,
    /// Whether the operator runs from the start.
    pub start: OperatorStart,
    /// The controllers of Kubernetes: without them a deleted namespace never ends.
    pub controllers: Controllers,
}

impl Default for EnvOptions {
    /// All of it, with the defaults of each.
    fn default() -> Self {
        EnvOptions {
            sim: SimOptions::default(),
            install: Install::default(),
            operator: OperatorOptions::default(),
            start: OperatorStart::default(),
            controllers: Controllers::Basic,
        }
    }
}

/// A running environment. Dropping it ends all of it.
pub struct Environment {
    // In the order of their end.
    operator: Option<Operator>,
    /// azure-sim.
    pub sim: Sim,
    /// Kubernetes.
    pub plane: ControlPlane,
    options: OperatorOptions,
    /// How often it was started here.
    starts: usize,
}

impl Drop for Environment {
    /// No secret got out in all that time.
    fn drop(&mut self) {
        // A test that has failed already says what matters, and a folder that is kept is somebody's own.
        if std::thread::panicking() {
            return;
        }
        // What it serves last is searched, too.
        drop(self.operator.take());
        let mut known = secrets::Known::default();
        let secret = |name: &str| name.contains("SECRET") || name.contains("PASSWORD");
        for (name, value) in self.options.env.iter().filter(|(name, _)| secret(name)) {
            known.add(name, value);
        }
        let searched = secrets::search(self.plane.dir().path(), &mut known);
        assert!(
            searched.is_ok(),
            "a secret got out: {}",
            searched.as_ref().err().map(ToString::to_string).unwrap_or_default()
        );
        assert!(
            self.starts == 0 || searched.is_ok_and(|places| places > 0),
            "an operator ran, and nothing was searched"
        );
    }
}

impl Environment {
    /// Starts a control plane and azure-sim, installs the definitions and the operator, and starts it.
    ///
    /// # Errors
    /// If a part doesn't become ready, or the API server refuses what is applied.
    pub async fn start(options: EnvOptions) -> Result<Self> {
        // First of all: a fault in our own code should be told before anything is started.
        let built = tokio::task::spawn_blocking(|| {
            cargo::binary("azure-sim", "azure-sim")?;
            cargo::binary("azureml-operator", "azureml-operator")
        });
        built.await.map_err(|error| Error::Invalid(format!("the build broke off: {error}")))??;
        let controllers = options.controllers;
        let plane = ControlPlane::start(Options { controllers, ..Options::default() }).await?;
        let sim = Sim::start(&options.sim, plane.dir()).await?;
        match &options.install {
            Install::Nothing => {}
            Install::Base => apply_folder(&plane, "base")?,
            Install::Kustomize(folder) => apply_folder(&plane, folder)?,
            Install::Packed(file) => {
                chart::install_from(&plane, file, operator::NAME, operator::NAMESPACE, &json!({}))?;
            }
            Install::Chart(values) => {
                // A Role needs its namespace.
                for namespace in values.pointer("/rbac/namespaces").and_then(Value::as_array).into_iter().flatten() {
                    plane.kubectl(&["create", "namespace", namespace.as_str().unwrap_or_default()])?;
                }
                chart::install(&plane, operator::NAME, operator::NAMESPACE, values)?;
            }
        }
        if !matches!(options.install, Install::Nothing) {
            plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
        }
        let mut this = Environment { operator: None, sim, plane, options: options.operator, starts: 0 };
        if options.start == OperatorStart::Now {
            this.start_operator().await?;
        }
        Ok(this)
    }

    /// The operator.
    ///
    /// # Errors
    /// If it doesn't run.
    pub fn operator(&mut self) -> Result<&mut Operator> {
        self.operator.as_mut().ok_or_else(|| Error::Invalid("the operator doesn't run; call start_operator".into()))
    }

    /// What the operator is started with the next time.
    pub fn options(&mut self) -> &mut OperatorOptions {
        &mut self.options
    }

    /// Starts the operator if it doesn't run, and waits until it is ready.
    ///
    /// # Errors
    /// If it doesn't become ready.
    pub async fn start_operator(&mut self) -> Result<()> {
        if self.operator.is_none() {
            self.operator = Some(Operator::start(&self.options, &self.plane, &self.sim).await?);
            self.starts += 1;
        }
        Ok(())
    }

    /// Kills the operator with SIGKILL, as a lost node would. Does nothing if it doesn't run.
    ///
    /// # Errors
    /// If the operating system doesn't tell its end.
    pub fn kill_operator(&mut self) -> Result<()> {
        self.operator.take().map_or(Ok(()), |operator| operator.kill().map(drop))
    }

    /// Stops the operator with SIGTERM, as a rollout does. Does nothing if it doesn't run.
    ///
    /// # Errors
    /// If it didn't end by itself with success.
    pub fn stop_operator(&mut self) -> Result<()> {
        let Some(operator) = self.operator.take() else { return Ok(()) };
        let log = operator.log().to_path_buf();
        let status = operator.stop()?;
        if status.success() {
            return Ok(());
        }
        let tail = files::tail(&log, LINES_SHOWN);
        let problem = format!("ended with {status} on SIGTERM");
        Err(Error::NotReady { what: crate::operator::NAME.into(), problem, log, tail })
    }

    /// Stops azure-sim and starts it again on the same port, with the state that it had.
    ///
    /// # Errors
    /// If it doesn't come back.
    pub async fn restart_sim(&mut self) -> Result<()> {
        self.sim.restart(self.plane.dir()).await
    }

    /// Starts azure-sim again after `sim.stop()`.
    ///
    /// # Errors
    /// If it doesn't come back.
    pub async fn start_sim(&mut self) -> Result<()> {
        self.sim.start_again(self.plane.dir()).await
    }

    /// Makes a namespace that holds the demo principal's credential as the Secret [`CREDENTIAL`].
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn namespace(&self, name: &str) -> Result<()> {
        let secret = json!({
            "AZURE_TENANT_ID": demo::TENANT,
            "AZURE_CLIENT_ID": demo::CLIENT,
            "AZURE_CLIENT_SECRET": demo::CLIENT_SECRET,
        });
        self.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string())?;
        let metadata = json!({"name": CREDENTIAL, "namespace": name});
        self.apply(
            &json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": secret}).to_string(),
        )
    }

    /// Applies YAML or JSON documents, with `kubectl apply`.
    ///
    /// # Errors
    /// If the API server refuses; the error holds its words.
    pub fn apply(&self, documents: &str) -> Result<()> {
        self.plane.kubectl_with_input(&["apply", "-f", "-"], documents).map(drop)
    }

    /// [`wait::wait_for`]; what it says on a timeout tells besides the operator's last log lines and azure-sim's last
    /// requests.
    ///
    /// # Errors
    /// As [`wait::wait_for`].
    pub async fn wait_for(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        until: Until,
        within: Duration,
    ) -> Result<Option<Value>> {
        match wait::wait_for(&self.plane.client(), kind, namespace, name, &until, within).await {
            Err(Error::TimedOut(text)) => Err(Error::TimedOut(format!("{text}{}", self.account().await))),
            other => other,
        }
    }

    /// What the operator logged and asked of Azure last.
    async fn account(&self) -> String {
        let log = self.plane.dir().path().join(format!("{}.log", crate::operator::NAME));
        let requests = match self.sim.requests().await {
            Ok(requests) => requests[requests.len().saturating_sub(REQUESTS_SHOWN)..]
                .iter()
                .map(|request| format!("\n{request}"))
                .collect(),
            Err(error) => format!("\n({error})"),
        };
        format!(
            "\n--- the operator's last lines ({}):\n{}\n--- azure-sim's last requests:{requests}",
            log.display(),
            files::tail(&log, LINES_SHOWN)
        )
    }
}

/// The definitions first: what comes with them may be of a kind that they define.
fn apply_folder(plane: &ControlPlane, folder: &str) -> Result<()> {
    plane.kubectl(&["apply", "--server-side", "-k", "crds"])?;
    plane.kubectl(&["apply", "--server-side", "-k", &format!("deploy/{folder}")]).map(drop)
}
