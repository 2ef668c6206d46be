//! The plan of one object that stands for a compute.

use std::collections::BTreeMap;
use std::time::Duration;

use azureml_api::condition::Reason;
use azureml_api::fields::{Compare, Field, lookup};
use azureml_api::registry::{Common, Kind};
use azureml_api::{APPROVE_ANNOTATION, OWNER_TAG, TAKE_OVER_ANNOTATION, UID_TAG};
use azureml_arm::ResourceId;
use azureml_planner::diff::wanted_tags;
use azureml_planner::input::OperationDetail;
use azureml_planner::plan::{Action, Plan, Step};
use azureml_planner::{Facts, Input, Lifecycle, Memory, Observed, Owner, plan as ask};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::claims::{Claims, arm_id};
use super::entry::{Entry, Hash, NewField};
use super::memory::{self, KNOWN_AFTER_APPLY, Object, Stored, Uid};
use super::workspace::{self, Place};
use super::{Lookup, World, secret, stored, try_api_server};
use crate::azure;
use crate::credential;
use crate::manifests::Manifest;
use crate::problem::Problem;

/// The operator's default for how long Azure may answer with old data after a write.
const CONSISTENCY_WINDOW: Duration = Duration::from_secs(60);

/// What the planner is asked about one object.
struct Question<'a> {
    kind: &'static Kind,
    common: Common,
    id: String,
    owner: Owner,
    manifest: Value,
    hashes: BTreeMap<String, String>,
    object: Object,
    facts: Facts,
    observed: Observed,
    detail: Option<OperationDetail>,
    place: &'a Place,
}

/// Plans one object.
pub async fn plan(
    world: &World,
    place: Option<&Result<Place, Problem>>,
    claims: &Claims,
    manifest: &Manifest,
    kind: &'static Kind,
    mut entry: Entry,
) -> Entry {
    let stored = stored(world, &manifest.key).await.unwrap_or_else(|note| {
        entry.notes.push(note);
        Stored::Unknown
    });
    let object = memory::object(manifest, &stored);
    let is_deleting = object.as_ref().is_ok_and(|object| object.lifecycle == Lifecycle::Deleted);
    let planned = match (object, place) {
        (Err(error), _) => {
            let message = format!("the cluster's object doesn't have the shape of its kind: {error}");
            Err(Problem::refused(Reason::Undecodable, message))
        }
        (_, Some(Err(problem))) => Err(problem.clone()),
        (_, None) => Err(Problem::refused(Reason::InvalidManifest, "spec.workspaceRef.name is missing")),
        (Ok(object), Some(Ok(place))) => think(world, place, claims, manifest, kind, object, &mut entry).await,
    };
    if let Err(problem) = planned {
        entry.problems.push(problem);
    }
    if is_deleting {
        entry.notes.push("it is being deleted in the cluster; applying the manifest doesn't stop that".to_owned());
    } else {
        try_api_server(world, manifest, stored.object(), &mut entry).await;
    }
    entry
}

/// Resolve, observe, plan.
async fn think(
    world: &World,
    place: &Place,
    claims: &Claims,
    manifest: &Manifest,
    kind: &'static Kind,
    mut object: Object,
    entry: &mut Entry,
) -> Result<(), Problem> {
    let common = (kind.decode)(&manifest.spec)
        .map_err(|error| Problem::refused(Reason::InvalidManifest, format!("spec: {error}")))?;
    let id = arm_id(&place.arm_id, &manifest.spec, &manifest.key.name);
    entry.azure_id = Some(id.clone());
    let wanted = object.lifecycle == Lifecycle::Wanted;
    if wanted {
        workspace::admit(world, place, &manifest.key.namespace).await?;
        claimed(claims, manifest, &id)?;
        same_workspace(&object, &id)?;
        secrets_exist(world, manifest, &common, entry).await?;
    }
    let resource =
        ResourceId::parse(&id).map_err(|error| Problem::refused(Reason::InvalidManifest, error.to_string()))?;
    let observed = azure::observe(&place.client, &resource).await.map_err(|error| Problem::of_read(&error))?;
    object.forget_a_lost_world(place.text("/properties/workspaceId").as_deref());
    let (hashes, unsure) = memory::hashes(kind.table, &manifest.spec, &object);
    let mut question = Question {
        kind,
        common,
        id,
        owner: owner(world, manifest, &object, &observed),
        manifest: json!({"spec": manifest.spec}),
        hashes,
        object,
        facts: Facts {
            workspace_location: place.text("/location"),
            workspace_id: place.text("/properties/workspaceId"),
            vm_sizes: None,
            api_version: Some(place.client.version(resource.as_str(), azureml_api::ML_API_VERSION)),
        },
        observed,
        detail: None,
        place,
    };
    let plan = question.ask(world, &resource, entry).await?;
    entry.hash = question.hash(&plan, &unsure);
    if plan.steps.iter().any(|step| matches!(step, Step::Create(_))) {
        entry.new_fields = question.new_fields();
    } else {
        entry.notes.extend(unsure.iter().map(|path| {
            format!("{path} is write-only and was written before: whether it changed can't be compared here")
        }));
    }
    entry.plan = Some(plan);
    Ok(())
}

/// One object a resource: the oldest has it.
fn claimed(claims: &Claims, manifest: &Manifest, id: &str) -> Result<(), Problem> {
    match claims.holder(id) {
        Some(holder) if *holder != manifest.key => Err(Problem::refused(
            Reason::NameClaimed,
            format!("{holder} stands for the same resource {id} and goes first: leave one of the two out"),
        )),
        _ => Ok(()),
    }
}

/// The resource that status names lives in the workspace that the Workspace object names.
fn same_workspace(object: &Object, id: &str) -> Result<(), Problem> {
    match &object.status.azure {
        Some(azure) if !azure.id.eq_ignore_ascii_case(id) => Err(Problem::refused(
            Reason::WorkspaceChanged,
            format!(
                "this object's resource is {}, and the manifest would make it {id}: point the Workspace back, or \
                 delete this object",
                azure.id
            ),
        )),
        _ => Ok(()),
    }
}

/// The Secrets that the manifest takes values from. Their values are looked at only to see that they are there.
async fn secrets_exist(world: &World, manifest: &Manifest, common: &Common, entry: &mut Entry) -> Result<(), Problem> {
    for used in &common.secrets {
        match secret(world, &manifest.key.namespace, &used.name).await {
            Lookup::Here(secret) if credential::value(&secret, &used.key).is_some_and(|value| !value.is_empty()) => {}
            Lookup::Here(_) => {
                let place = format!("Secret {}/{}", manifest.key.namespace, used.name);
                let message = format!("{}: {place} has no text under key {}", used.path, used.key);
                return Err(Problem::refused(Reason::SecretNotFound, message));
            }
            Lookup::Absent(why) => {
                let message = format!("{}: {why}: create it", used.path);
                return Err(Problem::refused(Reason::SecretNotFound, message));
            }
            Lookup::Unreadable(why) => entry.notes.push(format!("{}: {why}", used.path)),
        }
    }
    Ok(())
}

/// The owner as the operator knows it. What isn't known here, the owner id or the uid, is taken from the resource's tags.
fn owner(world: &World, manifest: &Manifest, object: &Object, observed: &Observed) -> Owner {
    let tagged = |tag: &str| match observed {
        Observed::Present { live, .. } => live.get("tags")?.get(tag)?.as_str().map(str::to_owned),
        _ => None,
    };
    let owner_id = match &world.owner_id {
        Ok(id) => Some(id.clone()),
        Err(_) => tagged(OWNER_TAG).and_then(|tag| tag.split('/').next().map(str::to_owned)),
    };
    let uid = match &object.uid {
        Uid::Known(uid) => Some(uid.clone()),
        Uid::AfterApply => None,
        Uid::Unknown => tagged(UID_TAG),
    };
    Owner {
        owner_id: owner_id.unwrap_or_else(|| KNOWN_AFTER_APPLY.to_owned()),
        kind: manifest.key.kind.clone(),
        namespace: manifest.key.namespace.clone(),
        name: manifest.key.name.clone(),
        uid: uid.unwrap_or_else(|| KNOWN_AFTER_APPLY.to_owned()),
        generation: object.generation,
    }
}

impl Question<'_> {
    fn input(&self) -> Input<'_> {
        let annotation = |name: &str| self.object.annotations.get(name).map(String::as_str);
        Input {
            owner: &self.owner,
            id: &self.id,
            table: self.kind.table,
            lifecycle: self.object.lifecycle,
            manifest: &self.manifest,
            hashes: &self.hashes,
            observed: &self.observed,
            memory: Memory {
                applied: self.object.status.applied.as_ref(),
                azure: self.object.status.azure.as_ref(),
                operation: self.object.status.operation.as_ref(),
                detail: self.detail.as_ref(),
            },
            facts: &self.facts,
            policies: &self.common.policies,
            approved: annotation(APPROVE_ANNOTATION),
            take_over_from: annotation(TAKE_OVER_ANNOTATION),
            now: Timestamp::now(),
            seen_at: Timestamp::now(),
            running_since: Timestamp::UNIX_EPOCH,
            consistency_window: CONSISTENCY_WINDOW,
        }
    }

    /// Asks the planner, and looks closer where its plan asks for that, as the operator does.
    async fn ask(&mut self, world: &World, id: &ResourceId, entry: &mut Entry) -> Result<Plan, Problem> {
        let mut plan = ask(&self.input());
        let operation = self.object.status.operation.as_ref().and_then(|operation| operation.url.clone());
        if let (Some(Step::WaitForDetail(..)), Some(url)) = (plan.steps.first(), operation) {
            let detail = azure::operation(&self.place.client, id, &url).await;
            self.detail = Some(detail.map_err(|error| Problem::of_read(&error))?);
            plan = ask(&self.input());
        }
        if matches!(plan.steps.first(), Some(Step::Create(_))) {
            let own = lookup(&self.manifest, "spec.location").and_then(Value::as_str).map(str::to_owned);
            let Some(region) = own.or_else(|| self.facts.workspace_location.clone()) else { return Ok(plan) };
            self.facts.vm_sizes = world.azure.sizes(&self.place.client, id.subscription(), &region).await;
            if self.facts.vm_sizes.is_none() {
                entry.notes.push(format!("the VM sizes of {region} can't be read, so the size isn't checked"));
            }
            plan = ask(&self.input());
        }
        Ok(plan)
    }

    /// Whether something goes into the plan's hash that only the operator knows.
    fn hash(&self, plan: &Plan, unsure: &[&str]) -> Hash {
        let marks = [OWNER_TAG, UID_TAG].map(|tag| format!("spec.tags[{tag}]"));
        let marked =
            plan.changes.iter().any(|change| marks.contains(&change.path) && change.to.contains(KNOWN_AFTER_APPLY));
        let secret = !unsure.is_empty() && plan.action != Action::Create;
        if marked || secret { Hash::Preliminary } else { Hash::Final }
    }

    /// What a creation sets, in the table's order.
    fn new_fields(&self) -> Vec<NewField> {
        self.kind.table.fields.iter().flat_map(|field| self.new_field(field)).collect()
    }

    fn new_field(&self, field: &Field) -> Vec<NewField> {
        if field.compare == Compare::PerKey {
            let tags = wanted_tags(&self.input(), field.manifest).into_iter();
            return tags.map(|(key, value)| NewField { path: format!("{}[{key}]", field.manifest), value }).collect();
        }
        let value = lookup(&self.manifest, field.manifest).map(|value| {
            if field.is_write_only() { "(secret)".to_owned() } else { field.words(&field.to_wire(value)) }
        });
        value.map(|value| NewField { path: field.manifest.to_owned(), value }).into_iter().collect()
    }
}
