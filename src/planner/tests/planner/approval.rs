//! What holds a plan back, and the hash that lets it go.

use std::collections::BTreeSet;

use azureml_api::common::{AdoptionPolicy, ApplyPolicy, DriftPolicy, ManagementPolicy, ReplacementPolicy};
use azureml_api::status::Origin;
use azureml_planner::{Action, Hold, Lifecycle};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use crate::support::{Case, arm_id, failed, in_sync, live, new_object};

fn approved_policy(case: Case) -> Case {
    case.with(|case| case.policies.apply_policy = ApplyPolicy::Approved)
}

fn approve(case: Case, hash: &str) -> Case {
    case.with(|case| case.approved = Some(hash.to_owned()))
}

fn scale() -> Case {
    in_sync().edit("spec.scale.maxNodes", json!(9))
}

fn stillborn() -> Case {
    in_sync().with(|case| {
        case.observed = failed(live());
        case.applied = None;
        let azure = case.azure.as_mut().unwrap();
        azure.provisioned_on = None;
        azure.origin = Some(Origin::Created);
    })
}

#[test]
fn writes_wait_for_their_hash() {
    let rows = [
        ("creation", new_object(), Action::Create),
        ("update", scale(), Action::Update),
        ("made anew", stillborn(), Action::Replace),
        ("deletion", in_sync().with(|case| case.lifecycle = Lifecycle::Deleted), Action::Delete),
    ];
    for (name, case, action) in rows {
        let automatic = case.plan();
        assert_eq!((automatic.action, automatic.hold), (action, None), "{name}");
        let case = approved_policy(case);
        let waiting = case.plan();
        assert_eq!((waiting.action, waiting.hold), (action, Some(Hold::AwaitingApproval)), "{name}");
        assert_eq!(waiting.hash, automatic.hash, "{name}: policies aren't part of what is approved");
        assert_eq!(approve(case.clone(), &waiting.hash).plan().hold, None, "{name}");
        for wrong in ["", "0000000000000000", &waiting.hash[1..], &waiting.hash.to_uppercase()] {
            if wrong != waiting.hash {
                assert_eq!(approve(case.clone(), wrong).plan().hold, Some(Hold::AwaitingApproval), "{name} {wrong}");
            }
        }
    }
}

#[test]
fn an_approval_is_for_one_plan() {
    let first = approved_policy(scale()).plan();
    let next = approve(approved_policy(in_sync().edit("spec.scale.maxNodes", json!(10))), &first.hash).plan();
    assert_eq!(next.hold, Some(Hold::AwaitingApproval));
}

#[test]
fn what_writes_nothing_needs_no_approval() {
    let rows = [
        in_sync(),
        in_sync().edit("spec.vmSize", json!("Standard_NC6")),
        scale().with(|case| case.policies.management_policy = ManagementPolicy::Observe),
        new_object().with(|case| case.lifecycle = Lifecycle::Deleted),
    ];
    for case in rows {
        let plan = approved_policy(case).plan();
        assert_eq!((plan.writes(), plan.hold), (false, None), "{plan:?}");
    }
}

#[test]
fn paused_objects_are_planned_and_held() {
    for case in [new_object(), scale(), in_sync(), in_sync().with(|case| case.lifecycle = Lifecycle::Deleted)] {
        let free = case.plan();
        let mut paused = case.with(|case| case.policies.paused = true).plan();
        assert_eq!(paused.hold, Some(Hold::Paused));
        paused.hold = None;
        assert_eq!(paused, free, "what is previewed is what happens");
    }
    let both = approved_policy(scale()).with(|case| case.policies.paused = true);
    assert_eq!(both.plan().hold, Some(Hold::Paused));
}

#[test]
fn different_plans_have_different_hashes() {
    let rows = [
        new_object(),
        new_object().with(|case| case.id = arm_id("other")),
        new_object().edit("spec.scale.maxNodes", json!(9)),
        new_object().edit("spec.description", json!("d")),
        new_object().edit("spec.ssh.sshPublicKey", json!("k")),
        in_sync(),
        scale(),
        in_sync().edit("spec.scale.maxNodes", json!(10)),
        scale().drift("properties.properties.scaleSettings.maxNodeCount", json!(5)),
        scale().edit("spec.tags", json!({"a": "b"})),
        stillborn(),
        stillborn().edit("spec.ssh.sshPublicKey", json!("k")),
        stillborn().edit("spec.ssh.adminPasswordSecretRef", json!({"name": "a", "key": "b"})),
        in_sync().with(|case| case.lifecycle = Lifecycle::Deleted),
        in_sync().edit("spec.vmSize", json!("Standard_NC6")),
    ];
    let hashes: BTreeSet<String> = rows.iter().map(|case| case.plan().hash).collect();
    assert_eq!(hashes.len(), rows.len());
    assert!(hashes.iter().all(|hash| hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit())));
}

/// A value can't be written so that one plan reads like another to the one who approves.
#[test]
fn values_can_not_imitate_other_changes() {
    let tags = |tags| in_sync().edit("spec.tags", tags).plan();
    let two = tags(json!({"a": "1", "b": "2"}));
    let one = tags(json!({"a": "1\nspec.tags[b] (none) -> 2"}));
    assert_eq!((two.changes.len(), one.changes.len()), (2, 1));
    assert_ne!(two.hash, one.hash);
    let arrow = tags(json!({"a] (none) -> (none)": "1"}));
    let plain = tags(json!({"a": "(none)] (none) -> 1"}));
    assert_ne!(arrow.hash, plain.hash);
}

#[test]
fn policies_and_time_are_not_part_of_the_hash() {
    let plain = new_object().plan().hash;
    let case = new_object().with(|case| {
        case.owner.generation = 7;
        case.set_manifest("spec.driftPolicy", json!("Report"));
        case.set_manifest("spec.paused", json!(true));
        case.set_manifest("spec.deletionProtection", json!(true));
        case.policies.adoption_policy = AdoptionPolicy::Adopt;
        case.policies.drift_policy = DriftPolicy::Report;
        case.policies.replacement_policy = ReplacementPolicy::WhenIdle;
        case.id = case.id.to_uppercase().replace("GPU", "gpu");
    });
    assert_eq!(case.plan().hash, plain);
}

/// A change was approved once. That somebody else undid it is another plan.
#[test]
fn an_approval_of_a_change_does_not_approve_its_repair() {
    let change = approved_policy(in_sync().drift("properties.properties.scaleSettings.maxNodeCount", json!(9)))
        .with(|case| case.applied = None)
        .plan();
    let repair = approved_policy(in_sync().drift("properties.properties.scaleSettings.maxNodeCount", json!(9)));
    let told = repair.plan();
    assert_eq!((change.drift, told.drift), (false, true));
    assert_eq!(change.changes, told.changes);
    assert_eq!(approve(repair.clone(), &change.hash).plan().hold, Some(Hold::AwaitingApproval));
    assert_eq!(approve(repair, &told.hash).plan().hold, None);
}

/// A repair was approved once. That somebody undoes it again is another plan, though it reads the same.
#[test]
fn an_approval_of_one_repair_does_not_approve_the_next() {
    let drifted = approved_policy(in_sync().drift("properties.properties.scaleSettings.maxNodeCount", json!(9)));
    let hash = drifted.plan().hash;
    let written = |text: &str| Some(Time(text.parse().unwrap()));
    let again = approve(drifted, &hash)
        .with(|case| case.applied.as_mut().unwrap().last_write = written("2026-11-20T10:00:00Z"));
    assert_eq!(again.plan().hold, Some(Hold::AwaitingApproval));
    let (once, twice) = (
        again.clone().plan().hash,
        again.with(|case| {
            case.applied.as_mut().unwrap().last_write = written("2026-11-20T10:05:00Z");
        }),
    );
    assert_ne!(once, twice.plan().hash);
}

/// A failed creation is deleted and made again: two writes, one plan, one approval. The next failure is another plan.
#[test]
fn making_anew_is_approved_once() {
    let case = approved_policy(stillborn().edit("spec.vmSize", json!("Standard_NC6")));
    let anew = case.plan();
    assert_eq!((anew.action, anew.hold), (Action::Replace, Some(Hold::AwaitingApproval)));
    let deleted = approve(case.clone(), &anew.hash).with(|case| case.observed = azureml_planner::Observed::Absent);
    let create = deleted.plan();
    assert_eq!((create.action, create.hold), (Action::Create, None), "{create:?}");
    let again = approve(case, &anew.hash)
        .with(|case| case.azure.as_mut().unwrap().created_on = Some("2026-11-02T10:00:00.0000000+00:00".into()))
        .drift("properties.createdOn", json!("2026-11-02T10:00:00.0000000+00:00"))
        .plan();
    assert_eq!((again.action, again.hold), (Action::Replace, Some(Hold::AwaitingApproval)), "{again:?}");
}

/// What is asked for, or has happened.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wish {
    Create,
    Update,
    Drift,
    Replacement,
    /// The creation has failed: it is made anew.
    Anew,
    Delete,
    /// Only a policy changed.
    Policy,
}

/// The annotation that approves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Approval {
    NotAsked,
    Missing,
    Wrong,
    Right,
}

/// One combination of the product.
#[derive(Clone, Copy, Debug)]
struct Combination {
    wish: Wish,
    management: ManagementPolicy,
    protected: bool,
    paused: bool,
    approval: Approval,
}

const WISHES: [Wish; 7] =
    [Wish::Create, Wish::Update, Wish::Drift, Wish::Replacement, Wish::Anew, Wish::Delete, Wish::Policy];
const APPROVALS: [Approval; 4] = [Approval::NotAsked, Approval::Missing, Approval::Wrong, Approval::Right];

impl Combination {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for wish in WISHES {
            for management in [ManagementPolicy::Manage, ManagementPolicy::Observe] {
                for (protected, paused) in [(false, false), (false, true), (true, false), (true, true)] {
                    for approval in APPROVALS {
                        all.push(Self { wish, management, protected, paused, approval });
                    }
                }
            }
        }
        all
    }

    fn case(&self) -> Case {
        let case = match self.wish {
            Wish::Create => new_object(),
            Wish::Update => scale(),
            Wish::Drift => in_sync().drift("properties.properties.scaleSettings.maxNodeCount", json!(7)),
            Wish::Replacement => in_sync().edit("spec.vmSize", json!("Standard_NC6")),
            Wish::Anew => stillborn(),
            Wish::Delete => in_sync().with(|case| case.lifecycle = Lifecycle::Deleted),
            Wish::Policy => in_sync().with(|case| {
                case.owner.generation += 1;
                case.policies.adoption_policy = AdoptionPolicy::Adopt;
            }),
        };
        let case = case.with(|case| {
            case.policies.management_policy = self.management;
            case.policies.deletion_protection = self.protected;
            case.policies.paused = self.paused;
        });
        match self.approval {
            Approval::NotAsked => case,
            Approval::Missing => approved_policy(case),
            Approval::Wrong => approve(approved_policy(case), "0123456789abcdef"),
            Approval::Right => {
                let case = approved_policy(case);
                let hash = case.plan().hash;
                approve(case, &hash)
            }
        }
    }

    /// What has to come of it, in the words of the policies' descriptions.
    fn expected(&self) -> (Action, Option<Hold>) {
        let managed = self.management == ManagementPolicy::Manage;
        let action = match (self.wish, managed, self.protected) {
            // Observed: looked at, never touched.
            (Wish::Create, false, _) => Action::Refuse,
            (Wish::Update | Wish::Drift | Wish::Replacement, false, _) => Action::Report,
            (Wish::Anew | Wish::Policy, false, _) => Action::None,
            (Wish::Delete, false, _) => Action::Release,
            // Protected: nothing is deleted, to be made anew neither.
            (Wish::Delete | Wish::Anew, true, true) => Action::Refuse,
            (Wish::Create, true, _) => Action::Create,
            (Wish::Update | Wish::Drift, true, _) => Action::Update,
            (Wish::Replacement, true, _) => Action::Refuse,
            (Wish::Anew, true, false) => Action::Replace,
            (Wish::Delete, true, false) => Action::Delete,
            (Wish::Policy, true, _) => Action::None,
        };
        let writes = matches!(action, Action::Create | Action::Update | Action::Replace | Action::Delete);
        let asks = writes && matches!(self.approval, Approval::Missing | Approval::Wrong);
        let hold = if self.paused { Some(Hold::Paused) } else { asks.then_some(Hold::AwaitingApproval) };
        (action, hold)
    }
}

/// Every combination of the policies that hold a plan back, with every change.
#[test]
fn every_combination_of_policies() {
    let all = Combination::all();
    let free = |wish: Wish| {
        let one = Combination {
            wish,
            management: ManagementPolicy::Manage,
            protected: false,
            paused: false,
            approval: Approval::NotAsked,
        };
        one.case().plan()
    };
    for one in &all {
        let plan = one.case().plan();
        assert_eq!((plan.action, plan.hold), one.expected(), "{one:?}: {plan:?}");
        assert_eq!(plan.hash.len(), 16, "{one:?}");
        if plan.writes() {
            // What is shown is what is approved and what happens, whatever holds it back.
            let free = free(one.wish);
            assert_eq!((&plan.hash, &plan.steps, &plan.changes), (&free.hash, &free.steps, &free.changes), "{one:?}");
            let told = plan.status().unwrap();
            assert_eq!((told.hash, told.action), (plan.hash.clone(), format!("{:?}", plan.action)), "{one:?}");
        }
    }
    assert_eq!(all.len(), 7 * 2 * 4 * 4);
    azureml_promises::held("src/planner/tests/planner/approval.rs::every_combination_of_policies", all.len());
}
