//! The plan: resolve, observe and ask the planner, as the operator does, and write nothing.

mod claims;
pub mod entry;
mod memory;
mod target;
mod workspace;

use std::collections::{BTreeSet, HashMap};

use azureml_api::condition::Reason;
use azureml_api::registry;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use crate::args::CredentialSource;
use crate::azure::Azure;
use crate::kubernetes::{Cluster, Verdict, words};
use crate::manifests::schema::Schemas;
use crate::manifests::{Files, Key, Manifest};
use crate::problem::Problem;
use claims::Claims;
use entry::{Entry, Report, UsedWorkspace};
use memory::Stored;
use workspace::Place;

/// How many objects are looked at at a time.
const AT_A_TIME: usize = 8;

/// Everything that is asked.
pub struct World {
    /// The manifests.
    pub files: Files,
    /// The kinds.
    pub schemas: Schemas,
    /// The cluster; where there is none, why.
    pub cluster: Result<Cluster, String>,
    /// Azure.
    pub azure: Azure,
    /// Whose eyes Azure is read with.
    pub credential: Option<CredentialSource>,
    /// The operator's owner id; where it isn't known, why.
    pub owner_id: Result<String, String>,
}

/// What is known of a Secret.
enum Lookup {
    /// It is in the files or the cluster.
    Here(Box<Secret>),
    /// It is in neither.
    Absent(String),
    /// It can't be read, and why.
    Unreadable(String),
}

/// Plans every object of the files.
pub async fn run(world: &World) -> Report {
    let (workspaces, places) = places(world).await;
    let (claims, note) = Claims::gather(world, &places).await;
    let entries = stream::iter(&world.files.manifests)
        .map(|manifest| entry(world, &places, &claims, manifest))
        .buffered(AT_A_TIME)
        .collect::<Vec<Entry>>()
        .await;
    let notes = world.files.notes.iter().cloned().chain(general_notes(world)).chain(note).collect();
    Report { workspaces, entries, notes }
}

fn general_notes(world: &World) -> Vec<String> {
    let mut notes = Vec::new();
    if let Err(why) = &world.cluster {
        notes.push(format!(
            "no cluster was asked ({why}): the API server's own rules aren't tried, and what the operator remembers \
             isn't known, so a field that a manifest drops isn't seen"
        ));
    }
    if let Err(why) = &world.owner_id {
        notes.push(format!(
            "whose a resource is can't be told for certain, since the operator's owner id isn't known ({why}): give \
             it with --owner-id"
        ));
    }
    notes
}

/// The Workspaces of the files, and those that the files' objects refer to.
async fn places(world: &World) -> (Vec<UsedWorkspace>, HashMap<Key, Result<Place, Problem>>) {
    let sound = world.files.manifests.iter().filter(|manifest| manifest.faults.is_empty());
    let keys: BTreeSet<Key> = sound.filter_map(workspace_of).collect();
    let found = stream::iter(keys)
        .map(|key| workspace::resolve(world, key))
        .buffered(AT_A_TIME)
        .collect::<Vec<(UsedWorkspace, Result<Place, Problem>)>>()
        .await;
    let (used, places): (Vec<_>, Vec<_>) =
        found.into_iter().map(|(used, place)| (used.clone(), (used.key, place))).unzip();
    (used, places.into_iter().collect())
}

/// The Workspace that a manifest is or refers to.
fn workspace_of(manifest: &Manifest) -> Option<Key> {
    if manifest.key.kind == "Workspace" {
        return Some(manifest.key.clone());
    }
    let reference = manifest.spec.get("workspaceRef")?;
    let text = |member: &str| reference.get(member).and_then(Value::as_str);
    Some(Key::workspace(text("namespace").unwrap_or(&manifest.key.namespace), text("name")?))
}

async fn entry(
    world: &World,
    places: &HashMap<Key, Result<Place, Problem>>,
    claims: &Claims,
    manifest: &Manifest,
) -> Entry {
    let mut entry = Entry::new(manifest.key.clone(), manifest.origin.clone());
    if !manifest.faults.is_empty() {
        let faults = manifest.faults.iter().map(ToString::to_string);
        entry.problems = faults.map(|fault| Problem::refused(Reason::InvalidManifest, fault)).collect();
        return entry;
    }
    let place = workspace_of(manifest).and_then(|key| places.get(&key));
    match registry::kind(&manifest.key.kind) {
        Some(kind) => target::plan(world, place, claims, manifest, kind, entry).await,
        None => of_workspace(world, place, manifest, entry).await,
    }
}

/// A Workspace is only observed: it is there, or it isn't.
async fn of_workspace(
    world: &World,
    place: Option<&Result<Place, Problem>>,
    manifest: &Manifest,
    mut entry: Entry,
) -> Entry {
    match place {
        Some(Ok(place)) => entry.azure_id = Some(place.arm_id.clone()),
        Some(Err(problem)) => entry.problems.push(problem.clone()),
        None => {}
    }
    match stored(world, &manifest.key).await {
        Ok(stored) => try_api_server(world, manifest, stored.object(), &mut entry).await,
        Err(note) => entry.notes.push(note),
    }
    entry
}

/// The stored object; a note where it may not be read.
async fn stored(world: &World, key: &Key) -> Result<Stored, String> {
    let Ok(cluster) = &world.cluster else { return Ok(Stored::Unknown) };
    match cluster.get(key, world.schemas.plural(&key.kind)).await {
        Ok(Some(object)) => Ok(Stored::Object(Box::new(object))),
        Ok(None) => Ok(Stored::Nothing),
        Err(error) => {
            let lost = "the cluster's object can't be read, so what the operator remembers isn't known";
            Err(format!("{lost}: {}", words(&error)))
        }
    }
}

async fn try_api_server(
    world: &World,
    manifest: &Manifest,
    stored: Option<&kube::core::DynamicObject>,
    entry: &mut Entry,
) {
    let Ok(cluster) = &world.cluster else { return };
    match cluster.dry_run(manifest, world.schemas.plural(&manifest.key.kind), stored).await {
        Verdict::Accepted => {}
        Verdict::Refused(reasons) => {
            entry.problems.extend(reasons.into_iter().map(|reason| {
                Problem::refused(Reason::InvalidManifest, format!("the API server refuses it: {reason}"))
            }))
        }
        Verdict::Untold(why) => entry.notes.push(format!("dry run: {why}")),
    }
}

/// Looks for a Secret in the files, then in the cluster.
async fn secret(world: &World, namespace: &str, name: &str) -> Lookup {
    let place = format!("Secret {namespace}/{name}");
    // An encrypted one in the files is no answer: the cluster may have it in clear.
    let known = world.files.secrets.get(&(namespace.to_owned(), name.to_owned()));
    if let Some(secret) = known.and_then(Option::as_ref) {
        return Lookup::Here(Box::new(secret.clone()));
    }
    match &world.cluster {
        Ok(cluster) => match cluster.secret(namespace, name).await {
            Ok(Some(secret)) => Lookup::Here(Box::new(secret)),
            Ok(None) => Lookup::Absent(format!("{place} is neither in the files nor in the cluster")),
            Err(error) => Lookup::Unreadable(format!("{place} can't be read: {}", words(&error))),
        },
        Err(why) => Lookup::Unreadable(format!("{place} isn't in the files, and no cluster was asked ({why})")),
    }
}
