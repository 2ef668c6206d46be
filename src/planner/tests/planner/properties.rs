//! What holds of every plan, tried on random ones.

use std::collections::BTreeMap;

use azureml_api::common::{AdoptionPolicy, ApplyPolicy, DeletionPolicy, DriftPolicy, ManagementPolicy, Policies};
use azureml_api::compute_cluster::TABLE;
use azureml_api::condition::Reason;
use azureml_api::fields::{Change, Compare, Field, lookup, set};
use azureml_api::status::{Phase, Verb};
use azureml_planner::input::OperationDetail;
use azureml_planner::{Action, Lifecycle, Observed, Step, diff};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::azure::{WRITABLE, carry_out};
use crate::support::samples::{of, optional, plain_rows, write_only_rows};
use crate::support::{Case, OWNER, body, brief, failure, in_sync, live, new_object, present, write};

/// Which of a row's two samples a manifest or Azure has, row by row.
type Picks = Vec<Option<bool>>;

fn picks() -> impl Strategy<Value = Picks> {
    prop::collection::vec(option::of(any::<bool>()), TABLE.fields.len())
}

fn tags() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[a-d]", "[a-c]{0,2}", 0..4)
}

fn sample(field: &Field, second: bool) -> (Value, Value) {
    let (a, b) = of(field);
    if second { b } else { a }
}

/// Lays the picks into the manifest: fields without a pick are left out.
fn wish(case: &mut Case, picks: &Picks, tags: &BTreeMap<String, String>) {
    case.manifest = new_object().manifest;
    case.hashes.clear();
    for (field, pick) in TABLE.fields.iter().zip(picks) {
        if let Some(second) = pick.filter(|_| field.compare != Compare::PerKey) {
            case.set_manifest(field.manifest, sample(field, second).0);
        }
    }
    if !tags.is_empty() {
        case.set_manifest("spec.tags", json!(tags));
    }
}

/// Changes in the manifest, in place, what the picks name; what they don't is dropped.
fn wish_in_place(case: &mut Case, picks: &Picks, tags: &BTreeMap<String, String>) {
    case.owner.generation += 1;
    for (field, pick) in TABLE.fields.iter().zip(picks).filter(|(field, _)| field.change != Change::Replace) {
        match pick {
            Some(second) if field.compare != Compare::PerKey => {
                case.set_manifest(field.manifest, sample(field, *second).0);
            }
            _ if optional(field) => azureml_api::fields::remove(&mut case.manifest, field.manifest),
            _ => {}
        }
    }
    if !tags.is_empty() {
        case.set_manifest("spec.tags", json!(tags));
    }
}

/// Lets somebody else change in Azure what the picks name.
fn tamper(case: &mut Case, picks: &Picks, rows: impl Fn(&Field) -> bool) {
    for (field, pick) in TABLE.fields.iter().zip(picks).filter(|(field, _)| rows(field)) {
        if let Some(second) = pick.filter(|_| !field.is_write_only() && field.compare != Compare::PerKey) {
            set(case.live_mut(), field.wire, sample(field, second).1);
        }
    }
}

/// Plans, carries out and plans again: nothing may be left to do, and nothing that needs a replacement may have moved.
fn settle(case: &mut Case) -> Result<(), TestCaseError> {
    let plan = case.plan();
    if brief(&plan).2 == Some(Reason::SecretWouldBeLost) {
        let port = lookup(case.live(), "properties.properties.remoteLoginPortPublicAccess");
        prop_assert_eq!(port, Some(&json!("Enabled")));
        prop_assert!(lookup(&case.manifest, "spec.ssh.adminUserName").is_none());
        return Ok(());
    }
    let before = matches!(case.observed, Observed::Present { .. }).then(|| case.live().clone());
    let wanted = if before.is_none() {
        Action::Create
    } else if plan.changes.is_empty() {
        Action::None
    } else {
        Action::Update
    };
    prop_assert_eq!(plan.action, wanted, "{:?}", plan);
    carry_out(case, &plan);
    for field in plain_rows().filter(|field| field.change == Change::Replace) {
        let at = |live: &Value| lookup(live, field.wire).cloned().unwrap_or(field.default_on_wire(Some("westeurope")));
        if let Some(before) = &before {
            prop_assert!(diff::equal(field.compare, &at(before), &at(case.live())), "{} moved", field.manifest);
        }
    }
    let again = case.plan();
    prop_assert_eq!(again.action, Action::None, "{:?}", again);
    prop_assert!(again.changes.is_empty() && again.status().is_none());
    Ok(())
}

fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "P?T?[0-9]{0,20}[A-Zhms.]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(
                prop_oneof![
                    ".{0,6}",
                    Just("properties".to_owned()),
                    Just("tags".to_owned()),
                    Just("spec".to_owned()),
                    Just("azureml.dev-owner".to_owned()),
                    Just("type".to_owned()),
                    Just("userAssignedIdentities".to_owned()),
                ],
                inner,
                0..4
            )
            .prop_map(|map| json!(map)),
        ]
    })
}

/// The base with arbitrary values at some of the table's paths, or something else altogether.
fn mangled(base: Value, wire: bool) -> impl Strategy<Value = Value> {
    let rows = prop::collection::vec((0..TABLE.fields.len(), arbitrary_json()), 0..4);
    let mended = rows.prop_map(move |rows| {
        let mut value = base.clone();
        for (row, new) in rows {
            let field = &TABLE.fields[row];
            set(&mut value, if wire { field.wire } else { field.manifest }, new);
        }
        value
    });
    prop_oneof![4 => mended, 1 => arbitrary_json()]
}

fn policies() -> impl Strategy<Value = Policies> {
    prop::array::uniform7(any::<bool>()).prop_map(|[observe, adopt, orphan, report, approved, protected, paused]| {
        let or = |flag: bool| flag.then_some(());
        Policies {
            management_policy: or(observe).map_or(ManagementPolicy::Manage, |()| ManagementPolicy::Observe),
            adoption_policy: or(adopt).map_or(AdoptionPolicy::Refuse, |()| AdoptionPolicy::Adopt),
            deletion_policy: or(orphan).map_or(DeletionPolicy::Delete, |()| DeletionPolicy::Orphan),
            drift_policy: or(report).map_or(DriftPolicy::Correct, |()| DriftPolicy::Report),
            apply_policy: or(approved).map_or(ApplyPolicy::Automatic, |()| ApplyPolicy::Approved),
            deletion_protection: protected,
            paused,
            ..Policies::default()
        }
    })
}

fn observed() -> impl Strategy<Value = Observed> {
    let states = prop::sample::select(vec!["Succeeded", "Creating", "Updating", "Deleting", "Failed"]);
    let resource = (mangled(live(), true), states, any::<bool>()).prop_map(|(mut live, state, broken)| {
        if live.pointer("/properties/properties").is_some() {
            set(&mut live, "properties.provisioningState", json!(state));
        }
        Observed::Present { live, failure: broken.then(failure) }
    });
    prop_oneof![
        1 => Just(Observed::Unknown),
        1 => Just(Observed::Absent),
        1 => Just(Observed::Gone),
        5 => resource,
    ]
}

/// A case with anything in it.
fn anything() -> impl Strategy<Value = Case> {
    let verbs = prop::sample::select(vec![Verb::Create, Verb::Put, Verb::Patch, Verb::Delete]);
    let phases = prop::sample::select(vec![Phase::Intended, Phase::Running]);
    let operation = option::of((verbs, phases, -10..200_i64, any::<bool>()));
    let details = prop::sample::select(vec![
        OperationDetail::Running,
        OperationDetail::Succeeded,
        OperationDetail::Failed(failure()),
        OperationDetail::NotAvailable,
    ]);
    let memory = (any::<[bool; 4]>(), operation, option::of(details));
    (observed(), mangled(new_object().manifest, false), policies(), memory, tags()).prop_map(
        |(observed, manifest, policies, ([applied, azure, worked, deleted], operation, detail), dropped)| {
            in_sync().with(|case| {
                case.policies = policies;
                case.manifest = manifest;
                case.observed = observed;
                case.detail = detail;
                let remembered = case.applied.as_mut().unwrap();
                remembered.tags.extend(dropped.into_keys());
                remembered.fields = TABLE.fields.iter().map(|field| field.manifest.to_owned()).collect();
                case.applied = case.applied.take().filter(|_| applied);
                case.azure = case.azure.take().filter(|_| azure);
                if let Some(azure) = case.azure.as_mut().filter(|_| !worked) {
                    azure.provisioned_on = None;
                }
                case.lifecycle = if deleted { Lifecycle::Deleted } else { Lifecycle::Wanted };
                case.operation = operation.map(|(verb, phase, age, all)| {
                    let fields: Vec<&str> = TABLE.fields.iter().map(|field| field.manifest).filter(|_| all).collect();
                    write(verb, phase, age, &fields)
                });
            })
        },
    )
}

/// Whether the live resource carries our tag, or none while status holds its id and creation time and that it was
/// written.
fn ours(case: &Case) -> bool {
    let Observed::Present { live, .. } = &case.observed else { return true };
    match live.pointer("/tags/azureml.dev-owner").and_then(Value::as_str) {
        Some(tag) => tag == OWNER,
        None => {
            let created = live.pointer("/properties/createdOn").and_then(Value::as_str);
            let written = case.azure.as_ref().filter(|_| case.applied.is_some());
            written.is_some_and(|azure| azure.created_on.as_deref() == created && created.is_some())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_question_has_the_same_answer(case in anything()) {
        let plan = case.plan();
        prop_assert_eq!(&plan, &case.clone().plan());
        prop_assert_eq!(plan.hash.len(), 16);
    }

    #[test]
    fn a_plan_is_well_formed(case in anything()) {
        let plan = case.plan();
        let writes = |step: &Step| matches!(step, Step::Create(_) | Step::Put(_) | Step::Patch(_) | Step::Delete);
        prop_assert_eq!(plan.writes(), plan.steps.iter().any(writes), "{:?}", plan);
        prop_assert!(!plan.writes() || plan.steps.iter().all(writes));
        prop_assert_eq!(plan.action == Action::Delete || plan.action == Action::Release,
            case.lifecycle == Lifecycle::Deleted && !matches!(plan.action, Action::Wait | Action::Refuse));
        prop_assert_eq!(case.policies.paused, plan.hold == Some(azureml_planner::Hold::Paused));
    }

    #[test]
    fn nothing_is_written_under_observe(case in anything()) {
        let plan = case.with(|case| case.policies.management_policy = ManagementPolicy::Observe).plan();
        prop_assert!(!plan.writes(), "{:?}", plan);
    }

    #[test]
    fn nothing_is_written_to_what_is_not_ours(case in anything(), tag in option::of("(prod|dev|[a-z]{0,3})(/[a-z]{0,2}){0,4}")) {
        let case = case.with(|case| {
            case.policies.adoption_policy = AdoptionPolicy::Refuse;
            case.operation = None;
            if let (Observed::Present { live, .. }, Some(tag)) = (&mut case.observed, tag) {
                set(live, "tags", json!({"azureml.dev-owner": tag}));
            }
        });
        prop_assume!(!ours(&case));
        let plan = case.plan();
        prop_assert!(!plan.writes(), "{:?}", plan);
    }

    #[test]
    fn while_a_young_intent_is_open_nothing_else_is_created(case in anything(), age in 0..60_i64) {
        let case = case.with(|case| {
            case.operation = Some(write(Verb::Create, Phase::Intended, age, &[]));
            if matches!(case.observed, Observed::Present { .. }) {
                case.observed = Observed::Absent;
            }
        });
        prop_assert!(!case.plan().writes());
    }

    #[test]
    fn a_plan_that_is_carried_out_leaves_nothing_to_do(
        first in picks(), second in picks(), third in picks(),
        tags_first in tags(), tags_second in tags(), foreign in tags(),
    ) {
        let mut case = new_object().with(|case| wish(case, &first, &tags_first));
        settle(&mut case)?;
        for (key, value) in foreign {
            set(case.live_mut(), &format!("tags.foreign-{key}"), json!(value));
        }
        wish_in_place(&mut case, &second, &tags_second);
        settle(&mut case)?;
        tamper(&mut case, &third, |field| field.change != Change::Replace);
        settle(&mut case)?;
    }

    #[test]
    fn foreign_tags_survive_every_update(second in picks(), tags_first in tags(), tags_second in tags(), foreign in tags()) {
        let mut case = in_sync().with(|case| {
            case.set_manifest("spec.tags", json!(tags_first));
            for (key, value) in tags_first.iter().map(|(key, value)| (key.clone(), value)).chain(
                foreign.iter().map(|(key, value)| (format!("foreign-{key}"), value))) {
                set(case.live_mut(), &format!("tags.{key}"), json!(value));
            }
            case.remember_applied();
        });
        wish_in_place(&mut case, &second, &tags_second);
        let plan = case.plan();
        if !plan.steps.iter().any(|step| matches!(step, Step::Put(_))) {
            return Ok(());
        }
        let sent = body(&plan)["tags"].as_object().unwrap();
        for (key, value) in &foreign {
            prop_assert_eq!(&sent[&format!("foreign-{key}")], value);
        }
        for key in tags_first.keys().filter(|key| !tags_second.contains_key(*key)) {
            prop_assert!(!sent.contains_key(key), "{} was dropped", key);
        }
        prop_assert_eq!(&sent["azureml.dev-owner"], OWNER);
    }

    #[test]
    fn a_put_drops_nothing_that_the_manifest_leaves_to_others(picks in picks(), tags in tags()) {
        let case = in_sync().edit("spec.tags", json!(tags)).with(|case| {
            tamper(case, &picks, |_| true);
            let port = "properties.properties.remoteLoginPortPublicAccess";
            set(case.live_mut(), port, json!("Disabled"));
            set(case.live_mut(), "sku", json!({"name": "Basic"}));
            // Only tags are wanted: the required fields follow Azure, and everything else is left to others.
            let at = |wire| lookup(case.live(), wire).unwrap().clone();
            let (size, max) = (at("properties.properties.vmSize"), at("properties.properties.scaleSettings.maxNodeCount"));
            set(&mut case.manifest, "spec.vmSize", size);
            set(&mut case.manifest, "spec.scale.maxNodes", max);
            set(&mut case.manifest, "spec.tags.one", json!("more"));
        });
        let plan = case.plan();
        prop_assert_eq!(brief(&plan), (Action::Update, vec!["put"], None));
        for (path, _) in WRITABLE.iter().filter(|(path, _)| *path != "tags" && *path != "identity") {
            prop_assert_eq!(lookup(body(&plan), path), lookup(case.live(), path), "{}", path);
        }
        let identity = |at: &Value| lookup(at, "identity").map(|identity| identity["type"].clone());
        prop_assert_eq!(identity(body(&plan)), identity(case.live()));
    }

    #[test]
    fn hashes_are_equal_when_plans_are(first in picks(), second in picks(), tags_first in tags(), tags_second in tags()) {
        let with = |picks: &Picks, tags: &BTreeMap<String, String>, base: Case| {
            base.with(|case| {
                case.owner.generation += 1;
                wish(case, picks, tags);
            })
        };
        let (a, b) = (with(&first, &tags_first, in_sync()).plan(), with(&second, &tags_second, in_sync()).plan());
        prop_assert_eq!(a.hash == b.hash, a.action == b.action && a.changes == b.changes);
        let (x, y) = (with(&first, &tags_first, new_object()), with(&second, &tags_second, new_object()));
        prop_assert_eq!(x.plan().hash == y.plan().hash, x.manifest == y.manifest);
    }

    #[test]
    fn no_plan_tells_a_secret(case in anything(), known in any::<bool>()) {
        const SECRET: &str = "hunter2hunter2";
        let case = case.with(|case| {
            for field in write_only_rows() {
                if known {
                    set(&mut case.manifest, field.manifest, json!(SECRET));
                    case.hashes.insert(field.manifest.to_owned(), SECRET.to_owned());
                }
                if let Observed::Present { live, .. } = &mut case.observed {
                    set(live, field.wire, json!(SECRET));
                }
            }
        });
        let plan = case.plan();
        let mut told = format!("{:?} {:?} {:?} {:?}", plan.status(), plan.changes, plan.not_honoured, plan.judgement);
        for step in &plan.steps {
            told.push_str(&step.words());
            if let Step::Create(body) | Step::Put(body) | Step::Patch(body) = step {
                // An account's name and public key stand in the manifest for all to read; its password never does.
                prop_assert_eq!(lookup(&body.json, "properties.properties.userAccountCredentials.adminUserPassword"), None);
            }
        }
        prop_assert!(!told.contains(SECRET), "{}", told);
    }

    #[test]
    fn an_unchanged_cluster_is_left_alone_whatever_it_holds(picks in picks(), foreign in tags()) {
        // What the manifest never managed is other people's.
        let case = in_sync().with(|case| {
            tamper(case, &picks, optional);
            for (key, value) in &foreign {
                set(case.live_mut(), &format!("tags.{key}"), json!(value));
            }
        });
        prop_assert_eq!(case.plan().action, Action::None);
        prop_assert_eq!(case.clone().with(|case| case.observed = present(case.live().clone())).plan(), case.plan());
    }
}
