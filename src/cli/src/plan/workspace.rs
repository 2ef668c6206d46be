//! Workspaces: found, read, and whom they let in.

use std::collections::BTreeMap;

use azureml_api::condition::Reason;
use azureml_api::workspace::{NamespacesFrom, WorkspaceSpec};
use azureml_arm::{ArmClient, CredentialConfig, ResourceId};
use serde::Deserialize;
use serde_json::Value;

use super::entry::UsedWorkspace;
use super::memory::Stored;
use super::{Lookup, World, secret, stored};
use crate::azure;
use crate::credential::{Chosen, Found, choose};
use crate::kubernetes::words;
use crate::manifests::Key;
use crate::problem::Problem;

/// A workspace that can be read.
pub struct Place {
    /// The Workspace object.
    pub key: Key,
    /// Its spec.
    pub spec: WorkspaceSpec,
    /// ARM id of the workspace.
    pub arm_id: String,
    /// Reads Azure.
    pub client: ArmClient,
    /// What Azure says of the workspace.
    pub body: Value,
}

impl Place {
    /// A text of the workspace.
    pub fn text(&self, pointer: &str) -> Option<String> {
        self.body.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
    }
}

/// Finds a Workspace, chooses its credential, and reads it in Azure.
pub async fn resolve(world: &World, key: Key) -> (UsedWorkspace, Result<Place, Problem>) {
    let mut used = UsedWorkspace {
        key: key.clone(),
        azure_id: None,
        location: None,
        credential: None,
        problem: None,
        notes: Vec::new(),
    };
    let place = connect(world, key, &mut used).await;
    match &place {
        Ok(place) => used.location = place.text("/location"),
        Err(problem) => used.problem = Some(problem.clone()),
    }
    (used, place)
}

async fn connect(world: &World, key: Key, used: &mut UsedWorkspace) -> Result<Place, Problem> {
    let spec = spec(world, &key).await?;
    let arm_id = spec.arm_id(&key.name);
    used.azure_id = Some(arm_id.clone());
    let chosen = credential(world, &key, &spec).await.map_err(|problem| named(&key, problem))?;
    used.credential = Some(chosen.words.clone());
    used.notes.extend(chosen.note.clone());
    let id = ResourceId::parse(&arm_id)
        .map_err(|error| Problem::refused(Reason::InvalidManifest, format!("{key}: {error}")))?;
    let client = world.azure.client(&chosen).map_err(|problem| named(&key, problem))?;
    let body = azure::read(&client, &id).await.map_err(|error| {
        let problem = named(&key, Problem::of_read(&error));
        match (&chosen.config, problem.reason) {
            // Likely nobody meant it: nothing else was set.
            (CredentialConfig::ManagedIdentity { .. }, Reason::CredentialRejected | Reason::AzureUnavailable) => {
                let others = "Set AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH or AZURE_FEDERATED_TOKEN_FILE, or use \
                              --credential cli or secret.";
                Problem { message: format!("{} {others}", problem.message), ..problem }
            }
            _ => problem,
        }
    })?;
    Ok(Place { key, spec, arm_id, client, body })
}

fn named(key: &Key, problem: Problem) -> Problem {
    Problem { message: format!("{key}: {}", problem.message), ..problem }
}

/// The Workspace's spec: the files' goes before the cluster's, since it is the one that would be applied.
async fn spec(world: &World, key: &Key) -> Result<WorkspaceSpec, Problem> {
    if let Some(manifest) = world.files.get(key) {
        if !manifest.faults.is_empty() {
            let message = format!("{key} in {} isn't valid", manifest.origin);
            return Err(Problem::refused(Reason::WorkspaceNotReady, message));
        }
        return decode(key, &manifest.spec);
    }
    if let Err(why) = &world.cluster {
        let message = format!("{key} isn't in the files, and no cluster was asked ({why}): give its manifest with -f");
        return Err(Problem::no_access(Reason::WorkspaceNotFound, message));
    }
    match stored(world, key).await {
        Ok(Stored::Object(stored)) => decode(key, stored.data.get("spec").unwrap_or(&Value::Null)),
        Ok(Stored::Nothing | Stored::Unknown) => {
            let message =
                format!("{key} is neither in the files nor in the cluster: create it, or correct workspaceRef");
            Err(Problem::refused(Reason::WorkspaceNotFound, message))
        }
        Err(why) => Err(Problem::no_access(Reason::WorkspaceNotFound, format!("{key} isn't in the files, and {why}"))),
    }
}

fn decode(key: &Key, spec: &Value) -> Result<WorkspaceSpec, Problem> {
    WorkspaceSpec::deserialize(spec)
        .map_err(|error| Problem::refused(Reason::WorkspaceNotReady, format!("{key} can't be read: {error}")))
}

async fn credential(world: &World, key: &Key, spec: &WorkspaceSpec) -> Result<Chosen, Problem> {
    let found = match &spec.credential_ref {
        None => Found::NotNamed,
        Some(reference) => match secret(world, &key.namespace, &reference.name).await {
            Lookup::Here(secret) => {
                Found::Secret { place: format!("Secret {}/{}", key.namespace, reference.name), secret }
            }
            Lookup::Absent(why) | Lookup::Unreadable(why) => Found::Unreadable(why),
        },
    };
    choose(world.credential, &found, |name| std::env::var(name).ok())
}

/// Whether a Workspace lets a namespace's objects refer to it.
///
/// # Errors
/// When it doesn't, or when that can't be told.
pub async fn admit(world: &World, place: &Place, namespace: &str) -> Result<(), Problem> {
    let rule = place.spec.allowed_namespaces.clone().unwrap_or_default();
    if place.key.namespace == namespace {
        return Ok(());
    }
    let labels = match (&rule.from, world.files.namespaces.get(namespace), &world.cluster) {
        (NamespacesFrom::Same | NamespacesFrom::All, ..) => BTreeMap::new(),
        (NamespacesFrom::Selector, Some(labels), _) => labels.clone(),
        (NamespacesFrom::Selector, None, Ok(cluster)) => cluster.labels(namespace).await.map_err(|error| {
            let message = format!("the labels of namespace {namespace} can't be read: {}", words(&error));
            Problem::no_access(Reason::WorkspaceNotAllowed, message)
        })?,
        (NamespacesFrom::Selector, None, Err(why)) => {
            let message = format!("the labels of namespace {namespace} aren't known: no cluster was asked ({why})");
            return Err(Problem::no_access(Reason::WorkspaceNotAllowed, message));
        }
    };
    if rule.admits(&labels) {
        return Ok(());
    }
    let message = format!("{} doesn't let namespace {namespace} refer to it: set its allowedNamespaces", place.key);
    Err(Problem::refused(Reason::WorkspaceNotAllowed, message))
}
