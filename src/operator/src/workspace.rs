//! One look at a Workspace: its credential, its connection to Azure, its health; and its deletion, after its dependents'.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use azureml_api::condition::{ConditionType, Reason, Wanted, merge};
use azureml_api::workspace::{WorkspaceAzureStatus, WorkspaceSpec, WorkspaceStatus};
use azureml_arm::{ArmClient, Credential, CredentialConfig, ResourceId};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Resource, ResourceExt};
use serde::Deserialize;
use serde_json::Value;

use crate::context::Context;
use crate::engine::request;
use crate::failure::{Problem, ProblemKind};
use crate::index::{Key, Object};
use crate::kubernetes;
use crate::observe::gaps::Gap;
use crate::observe::source::Source;
use crate::reconcile::{Next, undecodable};
use crate::report::events::{Tone, publish, publish_on};
use crate::report::workspace as conditions;
use crate::resolve::ResolveError;
use crate::resolve::credential;

/// How soon a Workspace that waits for its dependents is looked at again, if none of them wakes it.
const IN_USE: Duration = Duration::from_secs(60);

/// Looks at one Workspace.
///
/// # Errors
/// When the API server fails; the look is repeated later.
pub async fn reconcile(ctx: &Arc<Context>, object: Arc<Object>) -> Result<Next, kube::Error> {
    let key = &object.key.clone();
    if object.is_deleting() && !object.has_finalizer() {
        return Ok(Next::OnChange);
    }
    let decoded = WorkspaceSpec::deserialize(object.spec()).and_then(|spec| Ok((spec, object.status_as()?)));
    let (spec, mut status): (_, WorkspaceStatus) = match decoded {
        Ok(decoded) => decoded,
        Err(error) => return undecodable(ctx, &object, &error.to_string()).await,
    };
    if object.is_deleting() {
        let waiting = dependents(ctx, key);
        if waiting.is_empty() {
            return release(ctx, &object, &spec).await;
        }
        // The dependents still need the connection to reach Azure; what is wrong with it they tell themselves, too.
        let connected = keep_connected(ctx, key, &spec).await?;
        return report_in_use(ctx, &object, status, &waiting, connected).await;
    }
    let object = if object.has_finalizer() { object } else { kubernetes::add_finalizer(ctx, &object).await? };
    let named = spec.credential_ref.as_ref().map(|reference| reference.name.clone());
    if let Some(before) = status.held_secret.take().filter(|before| named.as_ref() != Some(before)) {
        let_go(ctx, key, &before).await?;
    }
    status.held_secret = named;
    let connected = keep_connected(ctx, key, &spec).await?;
    report(ctx, &object, &spec, status, connected).await
}

/// The objects that still need this Workspace to reach Azure.
fn dependents(ctx: &Context, key: &Key) -> Vec<Key> {
    let holds = |key: &Key| ctx.index.get(key).is_some_and(|object| object.has_finalizer());
    let mut all: Vec<Key> = ctx.index.dependents(key).into_iter().filter(holds).collect();
    all.sort();
    all
}

/// An open connection.
struct Connected {
    source: Arc<Source>,
    /// The Secret that it was opened with, if that is being deleted: our finalizer holds it.
    leaving: Option<Secret>,
}

/// Reads the credential and opens, renews or breaks off the connection.
async fn keep_connected(
    ctx: &Arc<Context>,
    key: &Key,
    spec: &WorkspaceSpec,
) -> Result<Result<Connected, Problem>, kube::Error> {
    let connected = match connect(ctx, key, spec).await {
        Ok(connected) => Ok(connected),
        Err(ResolveError::Problem(problem)) => Err(problem),
        Err(ResolveError::Kubernetes(error)) => return Err(error),
    };
    if let Err(problem) = &connected
        && ctx.connections.break_off(key, problem.clone())
    {
        ctx.wake_dependents(key);
    }
    Ok(connected)
}

async fn connect(ctx: &Arc<Context>, key: &Key, spec: &WorkspaceSpec) -> Result<Connected, ResolveError> {
    let found = credential::resolve(ctx, key, spec).await?;
    if let Some(secret) = &found.secret {
        kubernetes::hold_secret(ctx, secret, true).await?;
    }
    let leaving = found.secret.filter(|secret| secret.metadata.deletion_timestamp.is_some());
    let interval = Duration::from_secs(spec.observe_interval_seconds());
    if let Some(source) = ctx.connections.is_open(key, &found.fingerprint, interval) {
        return Ok(Connected { source, leaving });
    }
    let id = ResourceId::parse(&spec.arm_id(&key.name))
        .map_err(|error| Problem::stalled(Reason::InvalidManifest, error.to_string()))?;
    let client = match ctx.connections.client(&found.fingerprint) {
        Some(client) => client,
        None => client(ctx, found.config)?,
    };
    let source = ctx.connections.open(ctx, key, id, &found.fingerprint, client, interval);
    ctx.wake_dependents(key);
    Ok(Connected { source, leaving })
}

/// A client that has no token yet.
fn client(ctx: &Context, config: CredentialConfig) -> Result<ArmClient, Problem> {
    let credential = Credential::new(config, &ctx.cloud, ctx.http.clone())
        .map_err(|error| Problem::blocked(Reason::CredentialRejected, error.to_string()))?;
    let (http, cloud, budget) = (ctx.http.clone(), ctx.cloud.clone(), ctx.budget.clone());
    let client = ArmClient::new(http, cloud, Arc::new(credential), budget, ctx.observer());
    Ok(client.with_versions(ctx.api_versions.clone()))
}

/// What is seen of the workspace through its source.
fn seen(source: &Source) -> Result<Option<WorkspaceAzureStatus>, Problem> {
    let view = source.view();
    if let Some(trouble) = view.trouble.as_deref() {
        let problem = Problem::of_read(trouble);
        if problem.kind != ProblemKind::Unseen || source.staleness().is_some() {
            return Err(problem);
        }
    }
    let text = |path: &str| view.workspace_text(path).map(str::to_owned);
    Ok(view.workspace.is_some().then(|| WorkspaceAzureStatus {
        id: text("id").unwrap_or_else(|| source.workspace().to_string()),
        workspace_id: text("properties.workspaceId"),
        location: text("location"),
        provisioning_state: text("properties.provisioningState"),
    }))
}

async fn report(
    ctx: &Arc<Context>,
    object: &Arc<Object>,
    spec: &WorkspaceSpec,
    mut status: WorkspaceStatus,
    connected: Result<Connected, Problem>,
) -> Result<Next, kube::Error> {
    let (connected, leaving) = split(connected);
    let source = connected.as_ref().ok().cloned();
    let seen = connected.and_then(|source| seen(&source));
    let unseen = match &seen {
        Ok(azure) => azure.is_none(),
        Err(problem) => problem.kind == ProblemKind::Unseen,
    };
    // What stands as it was speaks of the manifest that it was made for.
    let generation = status.observed_generation.filter(|seen| unseen && *seen >= 0).unwrap_or(object.generation());
    let mut wanted = match seen {
        Ok(Some(azure)) => {
            let wanted = conditions::of_state(azure.provisioning_state.as_deref());
            status.azure = Some(azure);
            wanted
        }
        Ok(None) => conditions::before_first(&status),
        Err(problem) => conditions::of_problem(&problem, &status),
    };
    if let Some(source) = &source {
        wanted.extend(limits(ctx, source, &object.key, &status.conditions));
        if let Some(computes) = source.view().computes {
            status.computes = u32::try_from(computes.len()).ok();
        }
        let before = status.last_handled_reconcile_at.as_deref();
        if let Some(asked) = request::answer(ctx, object, source, before) {
            status.last_handled_reconcile_at = Some(asked);
        }
    }
    write(ctx, object, status, generation, wanted, leaving.as_ref()).await?;
    // The Secret is read again every interval.
    Ok(Next::After(Duration::from_secs(spec.observe_interval_seconds())))
}

/// What is told late or less precisely for want of a right. What an earlier process said stands until this one has asked.
fn limits(ctx: &Context, source: &Source, key: &Key, before: &[Condition]) -> Option<Wanted> {
    let (client, subscription) = (source.client(), source.workspace().subscription());
    let view = source.view();
    let region = view.workspace_text("location");
    let said = before.iter().find(|condition| condition.type_ == ConditionType::Limited.as_str());
    let gaps = [ctx.facts.readable(client, subscription), ctx.gaps.operations(client, subscription)];
    let is_open = gaps.iter().any(|gap| matches!(gap, Gap::Open(_)));
    if let Some(region) = region.filter(|_| is_open || said.is_some()) {
        if gaps[0] == Gap::Unknown {
            ctx.facts.sizes(client, subscription, region, key);
        }
        ctx.facts.look_again(client, subscription);
        ctx.gaps.look_again(client, subscription, region);
    }
    match said {
        Some(said) if gaps.contains(&Gap::Unknown) => Some(conditions::limited(&said.message)),
        _ => {
            let told =
                gaps.iter().filter_map(|gap| if let Gap::Open(words) = gap { Some(words.as_str()) } else { None });
            is_open.then(|| conditions::limited(&told.collect::<Vec<_>>().join("; ")))
        }
    }
}

fn split(connected: Result<Connected, Problem>) -> (Result<Arc<Source>, Problem>, Option<Secret>) {
    match connected {
        Ok(Connected { source, leaving }) => (Ok(source), leaving),
        Err(problem) => (Err(problem), None),
    }
}

async fn write(
    ctx: &Arc<Context>,
    object: &Arc<Object>,
    mut status: WorkspaceStatus,
    generation: i64,
    mut wanted: Vec<Wanted>,
    leaving: Option<&Secret>,
) -> Result<(), kube::Error> {
    let held = leaving.map(|secret| held_words(object, secret));
    if let (Some(held), Some(ready)) = (&held, wanted.iter_mut().find(|w| w.condition == ConditionType::Ready)) {
        // A message that was kept from before may hold it already.
        if !ready.message.contains(held) {
            ready.message = format!("{}; {held}", ready.message);
        }
    }
    let before = std::mem::take(&mut status.conditions);
    status.conditions = merge(&before, &wanted, generation, Timestamp::now());
    status.observed_generation = Some(generation);
    let ready = |all: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]| {
        all.iter().find(|c| c.type_ == "Ready").map(|c| (c.status.clone(), c.reason.clone(), c.message.clone()))
    };
    let (was, is) = (ready(&before), ready(&status.conditions));
    let whole = serde_json::to_value(&status).unwrap_or(Value::Null);
    let written = kubernetes::write_status(ctx, object, &whole).await?;
    if let (Some(secret), Some(held)) = (leaving, &held)
        && was.as_ref().is_none_or(|(_, _, message)| !message.contains(held))
    {
        publish_on(ctx, &secret.object_ref(&()), Tone::Warning, Reason::InUse.as_str(), "Delete", held).await;
    }
    let limited = |all: &[Condition]| {
        let told = all.iter().find(|c| c.type_ == ConditionType::Limited.as_str() && c.status == "True");
        told.map(|c| c.message.clone())
    };
    if let (None, Some(message)) = (limited(&before), limited(&status.conditions)) {
        publish(ctx, &written, Tone::Warning, ConditionType::Limited.as_str(), "Observe", &message).await;
    }
    let told =
        |of: &Option<(String, String, String)>| of.as_ref().map(|(status, reason, _)| (status.clone(), reason.clone()));
    if told(&was) != told(&is) {
        ctx.wake_dependents(&object.key);
        match is {
            Some((status, _, message)) if status == "True" => {
                publish(ctx, &written, Tone::Normal, "Ready", "Observe", &message).await;
            }
            Some((status, reason, message)) if status == "False" => {
                publish(ctx, &written, Tone::Warning, &reason, "Observe", &message).await;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a Secret that is being deleted waits for, as it is told on both.
fn held_words(object: &Object, secret: &Secret) -> String {
    let (namespace, name) = (&object.key.namespace, secret.name_any());
    format!("the deletion of Secret {namespace}/{name} waits for {}, which needs it to reach Azure", object.key)
}

async fn report_in_use(
    ctx: &Arc<Context>,
    object: &Arc<Object>,
    status: WorkspaceStatus,
    waiting: &[Key],
    connected: Result<Connected, Problem>,
) -> Result<Next, kube::Error> {
    let (connected, leaving) = split(connected);
    let names: Vec<String> = waiting.iter().take(5).map(ToString::to_string).collect();
    let more = waiting.len().saturating_sub(5);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let trouble = connected.err().map(|problem| format!("; {}", problem.message)).unwrap_or_default();
    let message = format!("the deletion waits for {}{rest}, which need it to reach Azure{trouble}", names.join(", "));
    let wanted = conditions::in_use(&message);
    write(ctx, object, status, object.generation(), wanted, leaving.as_ref()).await?;
    // Those who are being deleted go on; the rest hold it.
    Ok(Next::After(IN_USE))
}

/// The Workspace goes: its Secret is let go unless another Workspace needs it, then the finalizer.
async fn release(ctx: &Arc<Context>, object: &Arc<Object>, spec: &WorkspaceSpec) -> Result<Next, kube::Error> {
    ctx.connections.close(&object.key);
    let held = object.status_as::<WorkspaceStatus>().ok().and_then(|status| status.held_secret);
    let named = spec.credential_ref.as_ref().map(|reference| reference.name.clone());
    for secret in held.into_iter().chain(named).collect::<BTreeSet<_>>() {
        let_go(ctx, &object.key, &secret).await?;
    }
    kubernetes::remove_finalizer(ctx, object).await?;
    Ok(Next::OnChange)
}

/// Lets a Secret go that this Workspace no longer needs, unless another one does. Two that go at the same time may both let
/// it go, which is harmless.
async fn let_go(ctx: &Context, workspace: &Key, secret: &str) -> Result<(), kube::Error> {
    let needs = |other: &Key| {
        let leaving = ctx.index.get(other).is_none_or(|object| object.is_deleting());
        other != workspace && (!leaving || !dependents(ctx, other).is_empty())
    };
    if ctx.index.users_of_secret(&workspace.namespace, secret).iter().any(needs) {
        return Ok(());
    }
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &workspace.namespace);
    match api.get_opt(secret).await? {
        Some(secret) => kubernetes::hold_secret(ctx, &secret, false).await,
        None => Ok(()),
    }
}
