//! The planner as a whole: whatever stands in the manifest, in Azure and in memory, there is one plan, and it keeps the
//! promises.

use std::collections::BTreeMap;

use azureml_api::common::{AdoptionPolicy, DeletionPolicy, ManagementPolicy, Policies};
use azureml_api::compute_cluster::TABLE;
use azureml_api::fields::{lookup, set};
use azureml_api::status::{Phase, PlanStatus, TargetStatus, Verb};
use azureml_api::{APPROVE_ANNOTATION, OWNER_TAG, TAKE_OVER_ANNOTATION};
use azureml_planner::input::OperationDetail;
use azureml_planner::ownership::short_hash;
use azureml_planner::{Action, Hold, Lifecycle, Observed, Plan, Step};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure;
use crate::model::{self, Case, OWNER, new_object};
use crate::reader::texts;

/// The input is a JSON object: `object` as the API server holds it, `live` as Azure does (or `absent`, `gone`), what the
/// operation's URL says in `detail`, the region's `sizes` and `location`, and `hashes` of write-only values.
pub fn check(data: &[u8]) {
    let Ok(input) = serde_json::from_slice::<Value>(data) else { return };
    let case = case(&input);
    let plan = case.plan();
    assert_eq!(plan, case.clone().plan(), "one question, one answer");
    well_formed(&case, &plan);
    writes(&case, &plan);
    hashes(&case, &plan);
    secrets(case, data);
}

fn case(input: &Value) -> Case {
    let object = input.get("object").unwrap_or(&Value::Null);
    let spec = object.get("spec").cloned().unwrap_or(Value::Null);
    let status = object.get("status").cloned().unwrap_or(Value::Null);
    let status = TargetStatus::deserialize(status).unwrap_or_default();
    let annotations = texts(object, "/metadata/annotations");
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    new_object().with(|case| {
        case.policies = Policies::deserialize(&spec).unwrap_or_default();
        case.manifest = json!({"spec": spec});
        case.owner.generation = generation.unwrap_or(1);
        case.lifecycle = match object.pointer("/metadata/deletionTimestamp") {
            Some(_) => Lifecycle::Deleted,
            None => Lifecycle::Wanted,
        };
        case.approved = annotations.get(APPROVE_ANNOTATION).cloned();
        case.take_over_from = annotations.get(TAKE_OVER_ANNOTATION).cloned();
        case.observed = observed(input.get("live"));
        (case.applied, case.azure, case.operation) = (status.applied, status.azure, status.operation);
        case.detail = match input.get("detail").and_then(Value::as_str) {
            Some("running") => Some(OperationDetail::Running),
            Some("succeeded") => Some(OperationDetail::Succeeded),
            Some("failed") => Some(OperationDetail::Failed(model::failure())),
            Some(_) => Some(OperationDetail::NotAvailable),
            None => None,
        };
        let sizes = input.get("sizes").and_then(Value::as_array);
        case.facts.vm_sizes =
            sizes.map(|sizes| sizes.iter().take(30).filter_map(|size| Some(size.as_str()?.to_owned())).collect());
        case.facts.workspace_location = input.get("location").and_then(Value::as_str).map(str::to_owned);
        case.hashes = texts(input, "/hashes");
    })
}

fn observed(live: Option<&Value>) -> Observed {
    match live {
        None => Observed::Unknown,
        Some(Value::String(text)) if text == "absent" => Observed::Absent,
        Some(Value::String(text)) if text == "gone" => Observed::Gone,
        Some(live) => Observed::Present { live: live.clone(), failure: failure::of_live(live) },
    }
}

fn is_write(step: &Step) -> bool {
    matches!(step, Step::Create(_) | Step::Put(_) | Step::Patch(_) | Step::Delete)
}

fn well_formed(case: &Case, plan: &Plan) {
    assert_eq!(plan.writes(), plan.steps.iter().any(is_write), "{plan:?}");
    assert!(!plan.writes() || plan.steps.iter().all(is_write), "{plan:?}");
    assert!(plan.steps.len() <= 16 && plan.side_effects.len() <= 16);
    let ends = matches!(plan.action, Action::Delete | Action::Release);
    assert!(!ends || case.lifecycle == Lifecycle::Deleted);
    assert!(!(matches!(plan.action, Action::Create | Action::Update) && case.lifecycle == Lifecycle::Deleted));
    if case.policies.paused {
        assert_eq!(plan.hold, Some(Hold::Paused));
    }
    if let Some(status) = plan.status() {
        let written = json!(status);
        assert_eq!(PlanStatus::deserialize(&written).expect("as it was written"), status);
        assert!(status.changes.len() <= 64 && !status.hash.is_empty());
    }
    for body in model::bodies(plan) {
        let has = |path: &str| lookup(&body.json, path).is_some();
        assert!(model::azure::READ_ONLY.iter().all(|path| !has(path)), "{}", body.json);
        assert!(!has("properties.properties.userAccountCredentials.adminUserPassword"), "{}", body.json);
    }
}

/// Whether the resource carries our tag, or none while status holds its id and creation time and that we wrote it.
fn is_ours(case: &Case, live: &Value) -> bool {
    if let Some(tag) = owner_tag(live) {
        return tag == OWNER;
    }
    let accepted = case.operation.as_ref().is_some_and(|operation| operation.phase == Phase::Running);
    let written = case.azure.as_ref().filter(|_| accepted || case.applied.is_some());
    let created = live.pointer("/properties/createdOn").and_then(Value::as_str);
    written.is_some_and(|azure| {
        azure.id.eq_ignore_ascii_case(&case.id) && azure.created_on.as_deref() == created && created.is_some()
    })
}

/// The owner's tag. Azure's tag names have no case; of several, one that isn't ours.
fn owner_tag(live: &Value) -> Option<&str> {
    let tags = live.get("tags")?.as_object()?.iter().filter(|(name, _)| name.eq_ignore_ascii_case(OWNER_TAG));
    let mut owners: Vec<&str> = tags.filter_map(|(_, value)| value.as_str()).collect();
    owners.sort_by_key(|owner| *owner == OWNER);
    owners.first().copied()
}

fn writes(case: &Case, plan: &Plan) {
    let deletes = plan.steps.contains(&Step::Delete);
    if case.policies.management_policy == ManagementPolicy::Observe {
        assert!(!plan.writes(), "{plan:?}");
    }
    assert!(!(deletes && case.policies.deletion_protection), "{plan:?}");
    if case.lifecycle == Lifecycle::Deleted && case.policies.deletion_policy == DeletionPolicy::Orphan {
        assert!(!plan.writes(), "{plan:?}");
    }
    let Observed::Present { live, .. } = &case.observed else {
        // What can't be seen isn't changed or deleted, and what isn't known isn't created.
        assert!(!plan.writes() || plan.action == Action::Create && case.observed != Observed::Unknown, "{plan:?}");
        return;
    };
    if is_ours(case, live) || !plan.writes() {
        return;
    }
    assert!(!deletes && case.lifecycle == Lifecycle::Wanted, "deletes what isn't ours: {plan:?}");
    let allowed = match owner_tag(live) {
        Some(tag) => case.take_over_from.as_deref() == tag.split('/').next(),
        None => {
            let creating = case.operation.as_ref();
            let creating = creating.is_some_and(|op| op.verb == Verb::Create && op.phase == Phase::Running);
            creating || case.policies.adoption_policy == AdoptionPolicy::Adopt
        }
    };
    assert!(allowed, "writes to what isn't ours: {plan:?}");
}

/// The hash names the plan: approving or pausing it doesn't change it.
fn hashes(case: &Case, plan: &Plan) {
    assert!(plan.hash.len() == 16 && plan.hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let approved = case.clone().with(|case| case.approved = Some(plan.hash.clone())).plan();
    assert_eq!(approved.hash, plan.hash);
    assert_ne!(approved.hold, Some(Hold::AwaitingApproval));
    let paused = case.clone().with(|case| case.policies.paused = !case.policies.paused).plan();
    assert_eq!((paused.hash, paused.action, &paused.changes), (plan.hash.clone(), plan.action, &plan.changes));
}

/// With a text that nothing else holds in every place for secrets, no word of the plan holds it.
fn secrets(case: Case, data: &[u8]) {
    let secret = format!("secret-{}", short_hash(data));
    let case = case.with(|case| {
        let hash = BTreeMap::from_iter(TABLE.fields.iter().filter(|field| field.is_write_only()).map(|field| {
            set(&mut case.manifest, field.manifest, json!(secret));
            (field.manifest.to_owned(), format!("k:{secret}"))
        }));
        case.hashes = hash;
        if let Observed::Present { live, .. } = &mut case.observed {
            for field in TABLE.fields.iter().filter(|field| field.is_write_only()) {
                set(live, field.wire, json!(secret));
            }
        }
    });
    let plan = case.plan();
    let words: String = plan.steps.iter().map(Step::words).collect();
    let told = (plan.status(), &plan.changes, &plan.not_honoured, &plan.judgement, &plan.failure, &plan.side_effects);
    let told = format!("{words} {told:?}");
    assert!(!told.contains(&secret), "{told}");
}
