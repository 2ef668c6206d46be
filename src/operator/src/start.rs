//! Start and stop: from settings to running tasks, and back.

use std::sync::Arc;
use std::time::Duration;

use azureml_arm::{Budget, BudgetConfig, Cloud, HttpClient};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::connections::Connections;
use crate::context::Context;
use crate::engine::queue::Queue;
use crate::engine::retry::RetryPolicy;
use crate::engine::run;
use crate::engine::scratch::Scratches;
use crate::engine::watch::{self, Watches};
use crate::hashing::HashKey;
use crate::observe::facts::Facts;
use crate::report::events::Recorder;
use crate::settings::{IdentityNamespaces, Settings};
use crate::{admin, kubernetes};

/// Why the operator can't run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No way to the API server.
    #[error("the Kubernetes API server can't be reached: {0}")]
    Kubernetes(#[from] kube::Error),
    /// No configuration for the API server.
    #[error("no configuration for the Kubernetes API server (in a pod, or by KUBECONFIG): {0}")]
    Config(#[from] kube::config::InferConfigError),
    /// The cloud's settings don't fit.
    #[error("the settings of the cloud (AZURE_AUTHORITY_HOST, AZURE_RESOURCE_MANAGER_ENDPOINT, …): {0}")]
    Cloud(#[from] azureml_arm::InvalidCloud),
    /// HTTP can't be set up.
    #[error("HTTPS can't be set up (SSL_CERT_FILE, HTTPS_PROXY): {0}")]
    Http(#[from] azureml_arm::HttpClientError),
    /// A setting is out of range.
    #[error("--arm-budget-share: {0}")]
    Share(#[from] azureml_arm::InvalidShare),
    /// No owner id.
    #[error("--owner-id is not set, and the uid of namespace kube-system, its default, can't be read: {0}")]
    OwnerId(kube::Error),
    /// The owner id can't go into a tag.
    #[error("--owner-id {0:?}: it has to be 1 to 100 letters, digits, dots, hyphens or underscores")]
    InvalidOwnerId(String),
    /// The admin port, or signals.
    #[error("{what}: {source}")]
    Io {
        /// What failed.
        what: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When it can't start, or can't serve its admin port.
pub async fn operator(settings: Settings) -> Result<(), StartError> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let ctx = Arc::new(context(settings).await?);
    tracing::info!(owner_id = ctx.owner_id, version = env!("CARGO_PKG_VERSION"), "azureml-operator starts");
    let watches = Arc::new(Watches::default());
    let watching = tokio::spawn(watch::run(ctx.clone(), watches.clone(), stop.clone()));
    let budget = tokio::spawn(run::dispatch_budget(ctx.clone(), stop.clone()));
    let working = tokio::spawn(work_when_listed(ctx.clone(), watches.clone(), stop.clone()));
    // The admin port outlives the workers' stop only by as long as they need.
    let served = admin::serve(ctx.settings.admin_listen, ctx.clone(), watches, stop.clone()).await;
    stop.cancel();
    let _ = tokio::join!(watching, budget, working);
    tracing::info!("azureml-operator has stopped");
    served.map_err(|source| StartError::Io { what: format!("serving {}", ctx.settings.admin_listen), source })
}

async fn context(settings: Settings) -> Result<Context, StartError> {
    let config = kube::Config::infer().await?;
    let client = Client::try_from(config)?;
    let cloud = Cloud::from_settings(
        settings.authority_host.as_deref(),
        settings.resource_manager_endpoint.as_deref(),
        settings.resource_manager_audience.as_deref(),
    )?;
    let queue = Arc::new(Queue::default());
    let controller = kubernetes::FIELD_MANAGER;
    let instance = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    Ok(Context {
        started_at: Timestamp::now(),
        owner_id: owner_id(&client, &settings).await?,
        http: HttpClient::new()?,
        budget: Budget::new(BudgetConfig::with_share(settings.arm_budget_share)?),
        identity_namespaces: IdentityNamespaces::new(&settings.default_identity_namespaces),
        index: Arc::default(),
        facts: Facts::new(queue.clone()),
        queue,
        scratches: Scratches::default(),
        connections: Connections::default(),
        retry: RetryPolicy { base: settings.retry_base, longest: settings.retry_longest },
        recorder: Recorder::new(client.clone(), controller, instance.as_deref().unwrap_or(controller)),
        metrics: Arc::default(),
        hash_key: HashKey::default(),
        cloud,
        client,
        settings,
    })
}

async fn owner_id(client: &Client, settings: &Settings) -> Result<String, StartError> {
    let id = match &settings.owner_id {
        Some(id) => id.clone(),
        None => {
            let api: Api<Namespace> = Api::all(client.clone());
            let namespace = api.get("kube-system").await.map_err(StartError::OwnerId)?;
            namespace.metadata.uid.unwrap_or_default()
        }
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if id.is_empty() || id.len() > 100 || !id.chars().all(fits) {
        return Err(StartError::InvalidOwnerId(id));
    }
    Ok(id)
}

/// Decisions need the whole picture: who refers to whom, and who claims what.
async fn work_when_listed(ctx: Arc<Context>, watches: Arc<Watches>, stop: CancellationToken) {
    let mut waited = Duration::ZERO;
    let pause = Duration::from_millis(50);
    while !watches.missing().is_empty() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => waited += pause,
        }
        if waited.as_millis().is_multiple_of(10_000) {
            tracing::info!(missing = ?watches.missing(), "waiting for the first lists: are the CRDs installed?");
        }
    }
    run::run(ctx, stop).await;
}

fn stop_on_signal(stop: CancellationToken) -> Result<(), StartError> {
    let io = |source| StartError::Io { what: "signals can't be received".to_owned(), source };
    let mut terminate = signal(SignalKind::terminate()).map_err(io)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop: what is under way is let end");
        stop.cancel();
    });
    Ok(())
}
