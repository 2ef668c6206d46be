//! Start and stop: from settings to running tasks, and back.

use std::sync::Arc;
use std::time::Duration;

use azureml_arm::{ApiVersions, Budget, BudgetConfig, Cloud, HttpClient};
use k8s_openapi::api::core::v1::Namespace;
use kube::client::ClientBuilder;
use kube::{Api, Client};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::connections::Connections;
use crate::context::Context;
use crate::engine::pulse::{Pulse, PulseLayer};
use crate::engine::queue::Queue;
use crate::engine::retry::RetryPolicy;
use crate::engine::run;
use crate::engine::scratch::Scratches;
use crate::engine::watch::{self, Watches};
use crate::hashing::HashKey;
use crate::leadership::{Election, Leadership, Lost};
use crate::observe::facts::Facts;
use crate::observe::gaps::Gaps;
use crate::report::events::Recorder;
use crate::settings::{IdentityNamespaces, Settings, names};
use crate::shard::Shard;
use crate::{admin, kubernetes};

/// How soon what may not be read in Azure is asked for again.
const LONGEST_UNREAD: Duration = Duration::from_secs(300);

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
    /// Another replica works now.
    #[error(transparent)]
    Lost(#[from] Lost),
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
/// When it can't start, can't serve its admin port, or another replica has taken over.
pub async fn operator(settings: Settings) -> Result<(), StartError> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let ctx = Arc::new(context(settings).await?);
    tracing::info!(owner_id = ctx.owner_id, version = env!("CARGO_PKG_VERSION"), "azureml-operator starts");
    let watching = tokio::spawn(watch::run(ctx.clone(), stop.clone()));
    let working = tokio::spawn(work_when_it_leads(ctx.clone(), stop.clone()));
    // The admin port outlives the workers' stop only by as long as they need.
    let served = admin::serve(ctx.settings.admin_listen, ctx.clone(), stop.clone()).await;
    stop.cancel();
    let (_, worked) = tokio::join!(watching, working);
    worked.unwrap_or(Ok(()))?;
    tracing::info!("azureml-operator has stopped");
    served.map_err(|source| StartError::Io { what: format!("serving {}", ctx.settings.admin_listen), source })
}

async fn context(settings: Settings) -> Result<Context, StartError> {
    let mut config = kube::Config::infer().await?;
    config.proxy_url = azureml_arm::heeding_no_proxy(config.proxy_url.take(), &config.cluster_url);
    let pulse = Arc::new(Pulse::default());
    let client = ClientBuilder::try_from(config)?.with_layer(&PulseLayer(pulse.clone())).build();
    let cloud = Cloud::from_settings(
        settings.authority_host.as_deref(),
        settings.resource_manager_endpoint.as_deref(),
        settings.resource_manager_audience.as_deref(),
    )?;
    let queue = Arc::new(Queue::default());
    let controller = kubernetes::FIELD_MANAGER;
    let instance = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let again = settings.retry_longest.min(LONGEST_UNREAD);
    Ok(Context {
        leadership: Leadership::default(),
        shard: Shard::new(settings.shard.as_deref()),
        watches: Watches::new(&names(&settings.namespaces)),
        pulse,
        owner_id: owner_id(&client, &settings).await?,
        http: HttpClient::new()?,
        api_versions: ApiVersions::default(),
        budget: Budget::new(BudgetConfig::with_share(settings.arm_budget_share)?),
        identity_namespaces: IdentityNamespaces::new(&settings.default_identity_namespaces),
        index: Arc::default(),
        facts: Facts::new(queue.clone(), again),
        gaps: Gaps::new(again),
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

/// Works while this replica leads. Whoever stands by has its watches, so that it can go on at once.
async fn work_when_it_leads(ctx: Arc<Context>, stop: CancellationToken) -> Result<(), Lost> {
    if !listed(&ctx.watches, &stop).await {
        return Ok(());
    }
    if !ctx.settings.leader_elect {
        ctx.leadership.alone();
        work(ctx, stop).await;
        return Ok(());
    }
    let election = election(&ctx);
    let Some(lease) = ctx.leadership.acquire(&ctx.client, &election, &stop).await else { return Ok(()) };
    // The lease is let go when the last work has ended.
    let release = CancellationToken::new();
    let mut keeping = std::pin::pin!(ctx.leadership.keep(&ctx.client, &election, lease, release.clone()));
    let kept = tokio::select! {
        kept = &mut keeping => kept,
        () = work(ctx.clone(), stop.clone()) => {
            release.cancel();
            keeping.await
        }
    };
    stop.cancel();
    kept
}

async fn work(ctx: Arc<Context>, stop: CancellationToken) {
    tokio::join!(run::dispatch_budget(ctx.clone(), stop.clone()), run::run(ctx, stop));
}

fn election(ctx: &Context) -> Election {
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    Election {
        name: ctx.shard.lease(&ctx.settings.lease_name),
        namespace: ctx.settings.namespace.clone(),
        // A container that starts again in its pod isn't the one that had the lease.
        identity: format!("{}_{}", host.unwrap_or_else(|| kubernetes::FIELD_MANAGER.to_owned()), Uuid::new_v4()),
        duration: ctx.settings.lease_duration,
    }
}

/// Waits for the first lists: decisions need the whole picture, who refers to whom and who claims what. Says whether it
/// has come, or the stop before.
async fn listed(watches: &Watches, stop: &CancellationToken) -> bool {
    let mut waited = Duration::ZERO;
    let pause = Duration::from_millis(50);
    while !watches.missing().is_empty() {
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(pause) => waited += pause,
        }
        if waited.as_millis().is_multiple_of(10_000) {
            tracing::info!(missing = ?watches.missing(), "waiting for the first lists: are the CRDs installed?");
        }
    }
    true
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
