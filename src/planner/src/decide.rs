//! From what is wanted and what Azure has to the plan.

use azureml_api::common::{AdoptionPolicy, DriftPolicy, ManagementPolicy, ReplacementPolicy};
use azureml_api::condition::Reason;
use azureml_api::fields::{Change, Field, lookup};
use azureml_api::status::{Applied, Origin, Verb};
use azureml_catalog::{names, nearest};
use serde_json::Value;

use crate::approval::{self, manifest_hash};
use crate::diff::{self, FieldChange, Presence};
use crate::input::{Failure, Input, Lifecycle, Observed};
use crate::operation::{Judgement, is_transitional, judge, provisioning_state};
use crate::ownership::{Ownership, accepted_creation, ownership, written};
use crate::plan::{Action, Plan, Step};
use crate::{body, deletion};

/// Makes the plan.
pub fn plan(input: &Input<'_>) -> Plan {
    let mut plan = match input.lifecycle {
        Lifecycle::Deleted => deletion::plan(input),
        Lifecycle::Wanted => wanted(input),
    };
    plan.hash = approval::hash(input, &plan);
    plan.hold = approval::hold(input, &plan);
    plan
}

fn wanted(input: &Input<'_>) -> Plan {
    match &input.observed {
        Observed::Unknown => match input.memory.operation {
            Some(operation) => judged(input, judge(input, operation, &[]), Vec::new()),
            None => Plan::wait(Reason::Pending, "Azure has not been looked at yet"),
        },
        Observed::Absent | Observed::Gone => match input.memory.operation {
            Some(operation) => judged(input, judge(input, operation, &[]), Vec::new()),
            None => absent(input),
        },
        Observed::Present { live, .. } => present(input, live),
    }
}

/// Goes on from what became of the write under way.
fn judged(input: &Input<'_>, judgement: Judgement, changes: Vec<FieldChange>) -> Plan {
    let mut plan = match &judgement {
        Judgement::Ongoing(reason, message) => Plan::wait(*reason, message.clone()),
        Judgement::DetailNeeded(reason, message) => {
            Plan::new(Action::Wait, vec![Step::WaitForDetail(*reason, message.clone())])
        }
        Judgement::Failed(_) | Judgement::Lost | Judgement::Forgotten | Judgement::Done { .. } => {
            absent(&Input { memory: crate::Memory { operation: None, ..input.memory }, ..input.clone() })
        }
    };
    plan.failure = plan.failure.or(judgement.failure());
    if plan.changes.is_empty() {
        plan.changes = changes;
    }
    plan.judgement = Some(judgement);
    plan
}

fn absent(input: &Input<'_>) -> Plan {
    let noun = input.table.noun;
    let lost = input.memory.applied.is_some_and(|applied| applied.generation.is_some())
        && input.memory.azure.is_some_and(|azure| azure.provisioned_on.is_some());
    if input.policies.management_policy == ManagementPolicy::Observe {
        return Plan::refuse(
            Reason::NotInAzure,
            format!("Azure has no {noun} {}, and managementPolicy is Observe", input.id),
        );
    }
    if lost && input.policies.drift_policy == DriftPolicy::Report {
        let mut plan = Plan::refuse(
            Reason::NotInAzure,
            format!("the {noun} was deleted in Azure, and driftPolicy Report doesn't create it again"),
        );
        plan.drift = true;
        return plan;
    }
    if let Some((reason, message)) = unknown_here(input).or_else(|| forbidden(input)) {
        return Plan::refuse(reason, message);
    }
    let mut plan = Plan::new(Action::Create, vec![Step::Create(body::create(input))]);
    plan.drift = lost;
    if lost {
        plan.side_effects.push(format!("the {noun} was deleted in Azure; jobs and node data of the old one are lost"));
    }
    plan.side_effects.extend(billed(input));
    plan
}

/// Fields that the api-version of this cloud doesn't have: Azure would drop them, or refuse the whole.
fn unknown_here(input: &Input<'_>) -> Option<(Reason, String)> {
    let version = input.facts.api_version.as_deref()?;
    let is_missing = |field: &&Field| field.since > version && lookup(input.manifest, field.manifest).is_some();
    let missing: Vec<String> = input
        .table
        .fields
        .iter()
        .filter(is_missing)
        .map(|field| format!("{} (since {})", field.manifest, field.since))
        .collect();
    (!missing.is_empty()).then(|| {
        let message = format!(
            "this cloud offers the api-version {version} of Azure Machine Learning, which doesn't have {}: leave that out",
            missing.join(", ")
        );
        (Reason::FieldNotSupported, message)
    })
}

/// What is certain to fail, known before the write.
fn forbidden(input: &Input<'_>) -> Option<(Reason, String)> {
    let name = input.id.rsplit('/').next().unwrap_or_default();
    if input.table.compute_type == "AmlCompute" && !names::is_cluster_name(name) {
        let rule = names::CLUSTER_NAME_RULE;
        return Some((Reason::InvalidName, format!("Azure doesn't allow the name {name:?} for a new cluster: {rule}")));
    }
    let size = lookup(input.manifest, "spec.vmSize")?.as_str()?;
    let sizes = input.facts.vm_sizes.as_ref()?;
    if sizes.is_empty() || sizes.iter().any(|offered| offered.eq_ignore_ascii_case(size)) {
        return None;
    }
    let location = lookup(input.manifest, "spec.location").and_then(Value::as_str);
    let location = location.or(input.facts.workspace_location.as_deref()).unwrap_or("the workspace's region");
    let near = nearest::nearest(size, sizes.iter().map(String::as_str), 3);
    let hint =
        if near.is_empty() { String::new() } else { format!("; the nearest that it offers: {}", near.join(", ")) };
    Some((Reason::VmSizeNotAvailable, format!("{location} doesn't offer the VM size {size}{hint}")))
}

fn billed(input: &Input<'_>) -> Option<String> {
    let nodes = lookup(input.manifest, "spec.scale.minNodes").and_then(Value::as_u64).filter(|n| *n > 0)?;
    let kept =
        if nodes == 1 { "one node that runs and is".to_owned() } else { format!("{nodes} nodes that run and are") };
    Some(format!("minNodes: {nodes} means {kept} billed at all times"))
}

fn present(input: &Input<'_>, live: &Value) -> Plan {
    if let Some(refusal) = refuse_others(input, live) {
        return refused(input, refusal);
    }
    let changes = diff::diff(input, live);
    let mut judgement = None;
    if let Some(operation) = input.memory.operation {
        match judge(input, operation, &changes) {
            open @ (Judgement::Ongoing(..) | Judgement::DetailNeeded(..)) => return judged(input, open, changes),
            ended => judgement = Some(ended),
        }
    } else if is_transitional(live) {
        let mut plan = Plan::wait(
            Reason::WaitingForAzure,
            format!("Azure says {}, by somebody else's doing", provisioning_state(live)),
        );
        plan.changes = changes;
        return plan;
    }
    let mut plan = settled(input, live, changes, judgement.as_ref());
    plan.judgement = judgement;
    plan
}

/// What isn't ours isn't touched; a write of ours that was under way still has to end.
fn refused(input: &Input<'_>, refusal: Plan) -> Plan {
    let Some(operation) = input.memory.operation else { return refusal };
    match judge(input, operation, &[]) {
        open @ (Judgement::Ongoing(..) | Judgement::DetailNeeded(..)) => judged(input, open, Vec::new()),
        _ => Plan { judgement: Some(Judgement::Forgotten), ..refusal },
    }
}

/// Refuses what isn't ours to touch. Observed objects look at anything.
fn refuse_others(input: &Input<'_>, live: &Value) -> Option<Plan> {
    if input.policies.management_policy == ManagementPolicy::Observe {
        return None;
    }
    let noun = input.table.noun;
    match ownership(input.owner, input.id, written(input.memory), live) {
        Ownership::Ours => None,
        // Our own creation may show before its tags do.
        Ownership::Nobodys if accepted_creation(input.memory.operation) => None,
        Ownership::Nobodys if input.policies.adoption_policy == AdoptionPolicy::Adopt => None,
        Ownership::Nobodys => Some(Plan::refuse(
            Reason::NotOwned,
            format!(
                "Azure already has a {noun} of this name that this object doesn't own: set adoptionPolicy: Adopt to \
                 take it over, or choose another azureName"
            ),
        )),
        Ownership::AnotherOperator { owner_id, .. } if input.take_over_from == Some(owner_id.as_str()) => None,
        Ownership::AnotherObject(_) if input.take_over_from == Some(input.owner.owner_id.as_str()) => None,
        Ownership::AnotherObject(tag) | Ownership::AnotherOperator { tag, .. } => Some(Plan::refuse(
            Reason::OwnedByAnother,
            format!(
                "the {noun} belongs to {tag:?} (tag azureml.dev-owner): to take it over, set the annotation \
                 azureml.dev/take-over-from: {}",
                tag.split('/').next().unwrap_or_default()
            ),
        )),
    }
}

/// The plan for a resource that is ours (or observed), with no write under way.
fn settled(input: &Input<'_>, live: &Value, changes: Vec<FieldChange>, judgement: Option<&Judgement>) -> Plan {
    let (changes, not_honoured) = honoured(input, changes, judgement);
    let changes = without_tags_at_a_secrets_cost(input, live, changes);
    let shown = match &input.observed {
        Observed::Present { failure, .. } => failure.clone(),
        _ => None,
    };
    let failure = judgement.and_then(Judgement::failure).or(shown);
    let applied = input.memory.applied.is_some_and(|applied| is_applied(input, applied));
    let finished = matches!(judgement, Some(Judgement::Done { .. }));
    // Nobody sees a write-only value in Azure: when it differs, the Secret has changed.
    let visible = |change: &FieldChange| !input.table.field(change.row).is_some_and(Field::is_write_only);
    let drift = applied && !finished && changes.iter().any(visible);
    let mut plan = decide(input, live, &changes, failure.as_ref(), drift);
    plan.drift = drift;
    plan.changes = changes;
    plan.not_honoured = not_honoured;
    plan.failure = failure;
    plan
}

fn decide(input: &Input<'_>, live: &Value, changes: &[FieldChange], failure: Option<&Failure>, drift: bool) -> Plan {
    // The resource itself has to be in a failed state: a write can fail on one that works.
    let failed_state = matches!(&input.observed, Observed::Present { failure: Some(_), .. });
    let never_worked = failed_state && is_our_creation(input) && !has_nodes(live);
    if input.policies.management_policy == ManagementPolicy::Observe {
        return Plan::new(if changes.is_empty() { Action::None } else { Action::Report }, Vec::new());
    }
    if let Some((reason, message)) = unknown_here(input) {
        return Plan::refuse(reason, message);
    }
    if drift && input.policies.drift_policy == DriftPolicy::Report {
        return Plan::new(Action::Report, Vec::new());
    }
    if never_worked && ours_for_certain(input, live) {
        return failed_creation(input);
    }
    if changes.is_empty() {
        return match failure {
            Some(_) => in_place(input, live, changes),
            None => Plan::new(Action::None, Vec::new()),
        };
    }
    if changes.iter().any(|change| change.change == Change::Replace) {
        return replacement(input, changes);
    }
    in_place(input, live, changes)
}

/// Whether Azure was made equal to this very manifest before, its policies aside.
fn is_applied(input: &Input<'_>, applied: &Applied) -> bool {
    applied.generation == Some(input.owner.generation)
        || applied.manifest.as_deref() == Some(manifest_hash(input.manifest).as_str())
}

/// Whether this object had the resource made, and it never worked. One that was adopted may have worked for its former
/// owner.
fn is_our_creation(input: &Input<'_>) -> bool {
    let creating = input.memory.operation.is_some_and(|operation| operation.verb == Verb::Create);
    match input.memory.azure {
        Some(azure) => azure.provisioned_on.is_none() && (creating || azure.origin == Some(Origin::Created)),
        None => creating,
    }
}

/// A cluster with nodes has worked, though nobody may have seen it do so.
fn has_nodes(live: &Value) -> bool {
    let nodes = live.pointer("/properties/properties/currentNodeCount").and_then(Value::as_u64);
    nodes.is_some_and(|nodes| nodes > 0)
}

/// Only what carries our tag is deleted without the manifest's deletion.
fn ours_for_certain(input: &Input<'_>, live: &Value) -> bool {
    ownership(input.owner, input.id, written(input.memory), live) == Ownership::Ours
}

/// A creation that failed left nothing that could be lost: it is deleted and made again, whatever the replacement
/// policy, since that is the only way in which a corrected manifest can come true.
fn failed_creation(input: &Input<'_>) -> Plan {
    if let Some((reason, message)) = forbidden(input) {
        return Plan::refuse(reason, message);
    }
    if input.policies.deletion_protection {
        return Plan::refuse(
            Reason::DeletionProtected,
            format!(
                "the {}'s creation failed; making it anew deletes it first, which deletionProtection forbids",
                input.table.noun
            ),
        );
    }
    let mut plan = Plan::new(Action::Replace, vec![Step::Delete, Step::Create(body::create(input))]);
    plan.side_effects
        .push(format!("the {} whose creation failed is deleted first; it holds nothing", input.table.noun));
    plan
}

fn replacement(input: &Input<'_>, changes: &[FieldChange]) -> Plan {
    let fields: Vec<String> = changes
        .iter()
        .filter(|change| change.change == Change::Replace)
        .map(|change| format!("{} (Azure has {}, the manifest says {})", change.path, change.from, change.to))
        .collect();
    let policy = match input.policies.replacement_policy {
        ReplacementPolicy::Never => "replacementPolicy is Never".to_owned(),
        other => format!("this release doesn't carry out replacementPolicy {other:?} yet"),
    };
    Plan::refuse(
        Reason::ReplacementRequired,
        format!(
            "Azure can't change {} in place, and {policy}: set it back, or delete the object and create it again",
            fields.join(", ")
        ),
    )
}

fn in_place(input: &Input<'_>, live: &Value, changes: &[FieldChange]) -> Plan {
    let objects: Vec<&str> = changes
        .iter()
        .filter_map(|change| match change.change {
            Change::Patch { object } => Some(object),
            Change::Put | Change::Replace => None,
        })
        .collect();
    let step = match objects.split_first() {
        Some((first, rest)) if objects.len() == changes.len() && rest.iter().all(|object| object == first) => {
            Step::Patch(body::patch(input, first, live))
        }
        _ => {
            if let Some(path) = secret_at_risk(input, live) {
                return Plan::refuse(
                    Reason::SecretWouldBeLost,
                    format!(
                        "updating the {} would wipe {path} in Azure, which the manifest doesn't hold",
                        input.table.noun
                    ),
                );
            }
            Step::Put(body::put(input, live))
        }
    };
    let put = matches!(step, Step::Put(_));
    let mut plan = Plan::new(Action::Update, vec![step]);
    if put {
        plan.side_effects.push("Azure shows the resource as Creating again while it takes the update".to_owned());
    }
    if changes.iter().any(|change| change.path == "spec.identity" && change.from.contains("SystemAssigned")) {
        plan.side_effects.push("the system-assigned identity goes, and role assignments to it with it".to_owned());
    }
    plan.side_effects.extend(billed(input).filter(|_| changes.iter().any(|c| c.path == "spec.scale.minNodes")));
    plan
}

/// Our own tags are no reason to wipe a secret: where only a PUT could put them and it would, ownership stays in status.
fn without_tags_at_a_secrets_cost(input: &Input<'_>, live: &Value, mut changes: Vec<FieldChange>) -> Vec<FieldChange> {
    if secret_at_risk(input, live).is_some() {
        let own = input.owner.tags().map(|(key, _)| format!("spec.tags[{key}]"));
        changes.retain(|change| !own.contains(&change.path) || change.in_azure == Presence::Shown);
    }
    changes
}

/// A PUT without the account's credentials would wipe them. Azure never gives them back, so an account's name, or an
/// open SSH port, without credentials in the manifest is taken as the sign that there are some.
fn secret_at_risk(input: &Input<'_>, live: &Value) -> Option<&'static str> {
    let open = lookup(live, "properties.properties.remoteLoginPortPublicAccess").and_then(Value::as_str);
    let open = open.is_some_and(|state| state.eq_ignore_ascii_case("Enabled"));
    let account = lookup(live, "properties.properties.userAccountCredentials.adminUserName").is_some();
    let held = lookup(input.manifest, "spec.ssh.adminUserName").is_some();
    ((open || account) && !held).then_some("spec.ssh")
}

/// Takes out the changes that Azure has shown not to keep for this generation. What only a replacement could change and
/// Azure never shows stays out for good: a later generation can't try it again, and must not be stopped by it.
fn honoured(
    input: &Input<'_>,
    changes: Vec<FieldChange>,
    judgement: Option<&Judgement>,
) -> (Vec<FieldChange>, Vec<(String, String, String)>) {
    let known = |change: &FieldChange| {
        input.memory.applied.is_some_and(|applied| {
            let lasting = change.change == Change::Replace && change.in_azure == Presence::NotShown;
            (lasting || applied.generation == Some(input.owner.generation))
                && applied.not_honoured.get(&change.path) == Some(&change.from)
        })
    };
    let fresh: &[(String, String)] = match judgement {
        Some(Judgement::Done { not_honoured })
            if input.memory.operation.is_some_and(|op| op.generation == input.owner.generation) =>
        {
            not_honoured
        }
        _ => &[],
    };
    let ignored = |change: &FieldChange| {
        known(change) || fresh.iter().any(|(path, has)| *path == change.path && *has == change.from)
    };
    let (ignored, open): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| ignored(change));
    (open, ignored.into_iter().map(|change| (change.path, change.to, change.from)).collect())
}
