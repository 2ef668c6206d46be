//! A gate between the operator and everything that it writes to: the API server and azure-sim.
//!
//! It passes requests and answers on as they are, and numbers the writes of both sides in one sequence. A write can be
//! held there: before it is forwarded, or after the server has answered it and before any of that is passed on. Whoever
//! holds it may kill the operator at that very instant, so that nothing hangs on time. The gate can also keep watch
//! events back, and answer a list with an older one, as a cache of the API server may.

mod ledger;
mod proxy;
mod stream;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

pub use self::ledger::{Hold, Moment};
use self::proxy::{Door, Route};
pub use self::stream::Watching;
pub use self::write::{Side, Write};
use crate::controlplane::{keys::Keys, kubeconfig};
use crate::operator::{NAME, NAMESPACE};
use crate::{ControlPlane, Error, OperatorOptions, Result, Sim, files};

/// An open gate. Dropping it closes both its doors.
pub struct Gate {
    route: Arc<Route>,
    kubernetes: Door,
    azure: Door,
    ca: PathBuf,
    kubeconfig: PathBuf,
}

impl Gate {
    /// Opens a gate for the operator in front of that API server and that azure-sim. Its own certificates and the
    /// operator's kubeconfig go into a folder of that name in the control plane's.
    ///
    /// # Errors
    /// If it can't listen, or the operator's service account gets no token.
    pub async fn open(name: &str, plane: &ControlPlane, sim: &Sim) -> Result<Self> {
        let dir = plane.dir().path().join(name);
        std::fs::create_dir_all(&dir).map_err(Error::io(format!("make {}", dir.display())))?;
        let keys = Keys::make(&dir)?;
        let route = Arc::new(Route::default());
        let kubernetes = Door::open(Side::Kubernetes, &plane.url(), plane.ca(), &keys, route.clone()).await?;
        let azure = Door::open(Side::Azure, sim.url(), sim.ca(), &keys, route.clone()).await?;
        let kubeconfig = dir.join("kubeconfig");
        let token = token(&plane.service_account_kubeconfig(NAMESPACE, NAME).await?)?;
        kubeconfig::write(&kubeconfig, kubernetes.url(), &keys.ca, NAME, &token, NAMESPACE)?;
        Ok(Gate { route, kubernetes, azure, ca: keys.ca, kubeconfig })
    }

    /// Those options, for an operator that goes through this gate.
    pub fn lead(&self, options: &OperatorOptions) -> OperatorOptions {
        let mut options = options.clone();
        let azure = self.azure.url();
        let (ca, kubeconfig) = (self.ca.display().to_string(), self.kubeconfig.display().to_string());
        let env = [
            ("AZURE_AUTHORITY_HOST", azure),
            ("AZURE_RESOURCE_MANAGER_ENDPOINT", azure),
            ("AZURE_RESOURCE_MANAGER_AUDIENCE", azure),
            ("SSL_CERT_FILE", &ca),
            ("KUBECONFIG", &kubeconfig),
        ];
        options.env.extend(env.map(|(name, value)| (name.to_string(), value.to_string())));
        options
    }

    /// The addresses that the operator is led to: the API server's and Azure's.
    pub fn urls(&self) -> [&str; 2] {
        [self.kubernetes.url(), self.azure.url()]
    }

    /// Holds the n-th write from now on (1 for the next) of which `which` is true.
    pub fn hold(&self, nth: usize, moment: Moment, which: impl Fn(&Write) -> bool + Send + Sync + 'static) -> Hold {
        self.route.ledger.hold(nth, moment, which)
    }

    /// Has each write of which `which` is true looked at before it is forwarded. What `look` objects to is forwarded all
    /// the same, and told by [`Self::objections`].
    pub fn inspect(
        &self,
        which: impl Fn(&Write) -> bool + Send + Sync + 'static,
        look: impl Fn(Write) -> BoxFuture<'static, Option<String>> + Send + Sync + 'static,
    ) {
        self.route.ledger.inspect(which, look);
    }

    /// What those who looked at writes objected to, as far as the server has carried them out.
    pub fn objections(&self) -> Vec<String> {
        self.route.ledger.objections()
    }

    /// All writes, in the order in which they came.
    pub fn writes(&self) -> Vec<Write> {
        self.route.ledger.writes()
    }

    /// How many writes came so far.
    pub fn count(&self) -> usize {
        self.route.ledger.count()
    }

    /// What becomes of the events of watches on our own kinds. What was kept back comes when it is [`Watching::Live`].
    pub fn watching(&self, watching: Watching) {
        self.route.watching.send_replace(watching);
    }

    /// Answers lists of a kind over all namespaces (`computeclusters`) with this one; `None` asks the API server again.
    pub fn answer_lists(&self, plural: &str, list: Option<Value>) {
        self.route.answer_lists(plural, list);
    }
}

/// The token in a kubeconfig file.
fn token(kubeconfig: &std::path::Path) -> Result<String> {
    let broken = |why: String| Error::Invalid(format!("{}: {why}", kubeconfig.display()));
    let config: Value =
        serde_yaml_ng::from_str(&files::read(kubeconfig)?).map_err(|error| broken(error.to_string()))?;
    let token = config.pointer("/users/0/user/token").and_then(Value::as_str);
    token.map(str::to_string).ok_or_else(|| broken("it holds no token".to_string()))
}
