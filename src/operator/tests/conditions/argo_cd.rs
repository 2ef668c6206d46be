//! What ships for Argo CD: its scripts' own test data from the operator's own report, and every reason at every place,
//! run by Argo CD's own Lua engine (`tests/argo`).
//!
//! `AZUREML_GENERATE=write` brings up to date what is made here.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use azureml_api::condition::{ConditionType, Reason, Truth, Wanted, merge};
use azureml_api::status::TargetStatus;
use azureml_api::workspace::WorkspaceStatus;
use azureml_api::{GROUP, registry};
use azureml_operator::failure::Problem;
use azureml_operator::report::{status, workspace};
use azureml_planner::{Action, Lifecycle};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::rows::{Health, Row, changing, held, plan, rows, wait};

/// The health of an object that isn't Ready for this reason, while the operator tries again by itself. What it has given
/// up on is Degraded whatever the reason.
fn while_not_ready(reason: Reason) -> Health {
    use Reason::*;
    match reason {
        // It passes.
        Pending | Creating | Updating | Deleting | WaitingForAzure | WaitingForBudget | Verifying | Throttled
        | AzureUnavailable | InUse => Health::Progressing,
        // Another object of the same commit may bring it.
        WorkspaceNotFound | WorkspaceNotReady | SecretNotFound => Health::Progressing,
        // Never the reason of Ready=False; as with one of a later release, nobody is alarmed.
        Available | AsPlanned | Drifted | NotHonoured | ObservationStale | Unobserved | Paused | AwaitingApproval => {
            Health::Progressing
        }
        OperationOverdue
        | OperationFailed
        | QuotaExceeded
        | CapacityUnavailable
        | WorkspaceNotAllowed
        | WorkspaceMissingInAzure
        | WorkspaceChanged
        | KubernetesForbidden
        | CredentialMissing
        | CredentialRejected
        | Forbidden
        | AccessToLinkedResourceDenied
        | SubscriptionNotFound
        | ScopeLocked
        | PolicyDenied
        | InvalidManifest
        | InvalidName
        | VmSizeNotAvailable
        | FieldNotSupported
        | ApiVersionNotOffered
        | RejectedByAzure
        | NameClaimed
        | NotOwned
        | OwnedByAnother
        | NameUnavailable
        | ReplacementRequired
        | SecretWouldBeLost
        | DeletionProtected
        | NotInAzure
        | ProvisioningFailed
        | Undecodable => Health::Degraded,
    }
}

/// One object, and the health that it has.
struct Case {
    name: String,
    object: Value,
    health: Health,
    message: String,
}

fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sample(kind: &str) -> Value {
    let (name, spec) = match kind {
        "Workspace" => (
            "research",
            json!({"subscriptionId": "00000000-0000-0000-0000-000000000001", "resourceGroup": "ml-rg",
                   "credentialRef": {"name": "azure-sp"}}),
        ),
        _ => (
            "gpu-train",
            json!({"workspaceRef": {"name": "research"}, "vmSize": "Standard_NC24ads_A100_v4", "scale": {"maxNodes": 8}}),
        ),
    };
    let metadata = json!({"name": name, "namespace": "ml", "generation": 2});
    json!({"apiVersion": format!("{GROUP}/v1alpha1"), "kind": kind, "metadata": metadata, "spec": spec})
}

fn now() -> Timestamp {
    Timestamp::from_second(1_780_000_000).unwrap()
}

fn object(kind: &str, lifecycle: Lifecycle, status: Value) -> Value {
    let mut object = sample(kind);
    if lifecycle == Lifecycle::Deleted {
        object["metadata"]["deletionTimestamp"] = json!("2026-05-28T20:00:00Z");
        object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        object["metadata"]["finalizers"] = json!(["azureml.dev/azure-resource"]);
    }
    object["status"] = status;
    object
}

/// The words of a condition, as the script tells them.
fn words(object: &Value, kind: &str) -> String {
    let all = object["status"]["conditions"].as_array().unwrap();
    let condition = all.iter().find(|c| c["type"] == kind).unwrap_or_else(|| panic!("no {kind}: {object}"));
    let text = |member: &str| condition[member].as_str().unwrap().to_owned();
    format!("{}: {}", text("reason"), text("message"))
}

/// What the script has to say: by the reason that is to be read, and no more.
fn message(object: &Value, health: Health) -> String {
    let conditions = object["status"]["conditions"].as_array().unwrap();
    let is = |kind: &str, status: &str| conditions.iter().any(|c| c["type"] == kind && c["status"] == status);
    match health {
        Health::Suspended => {
            let kind = if is("Paused", "True") { "Paused" } else { "AwaitingApproval" };
            let trouble = if is("Ready", "False") { format!("; {}", words(object, "Ready")) } else { String::new() };
            words(object, kind) + &trouble
        }
        Health::Healthy if is("InSync", "True") => {
            words(object, "Ready").split_once(": ").map(|(_, message)| message.to_owned()).unwrap()
        }
        Health::Healthy => words(object, "InSync"),
        Health::Progressing | Health::Degraded => words(object, "Ready"),
    }
}

fn case(name: &str, health: Health, object: Value) -> Case {
    let message = message(&object, health);
    Case { name: format!("{health:?} {name}").to_lowercase().replace([' ', '/'], "_"), object, health, message }
}

fn of_row(kind: &str, row: &Row) -> Case {
    let status = status::render(TargetStatus::default(), &row.situation(), 2, json!({}), now());
    let mut status = status;
    // What was told before stands for the generation that it was made for; here it is the same manifest.
    same_generation(&mut status);
    case(row.name, row.health, object(kind, row.lifecycle, status))
}

fn same_generation(status: &mut Value) {
    status["observedGeneration"] = json!(2);
    for condition in status["conditions"].as_array_mut().unwrap() {
        condition["observedGeneration"] = json!(2);
    }
}

/// What no report says: the object before the operator has come to it, and after it was changed again.
fn unreported(kind: &str) -> Vec<Case> {
    let fresh = Case {
        name: "progressing_new".into(),
        object: sample(kind),
        health: Health::Progressing,
        message: "azureml-operator has not looked at it yet".into(),
    };
    let mut changed = fresh_and_ready(kind);
    changed["metadata"]["generation"] = json!(3);
    let mut half = fresh_and_ready(kind);
    half["status"]["conditions"][0]["observedGeneration"] = json!(1);
    let not_yet = |name: &str, object| Case {
        name: name.into(),
        object,
        health: Health::Progressing,
        message: "azureml-operator has not acted on this change yet".into(),
    };
    let mut later = fresh_and_ready(kind);
    let ready = &mut later["status"]["conditions"][0];
    (ready["status"], ready["reason"], ready["message"]) = (json!("False"), json!("OfTomorrow"), json!("m"));
    vec![
        fresh,
        not_yet("progressing_changed", changed),
        not_yet("progressing_condition_of_before", half),
        case("reason of a later release", Health::Progressing, later),
    ]
}

fn fresh_and_ready(kind: &str) -> Value {
    let rows = rows();
    let row = rows.iter().find(|row| row.name == "as the manifest says").unwrap();
    of_row(kind, row).object
}

fn of_workspace(name: &str, health: Health, lifecycle: Lifecycle, wanted: &[Wanted]) -> Case {
    let status = WorkspaceStatus {
        observed_generation: Some(2),
        conditions: merge(&[], wanted, 2, now()),
        ..WorkspaceStatus::default()
    };
    case(name, health, object("Workspace", lifecycle, serde_json::to_value(status).unwrap()))
}

fn workspaces() -> Vec<Case> {
    use Health::{Degraded, Healthy, Progressing};
    let none = WorkspaceStatus::default();
    let problem = |problem: Problem| workspace::of_problem(&problem, &none);
    let rows = [
        ("not seen yet", Progressing, workspace::before_first(&none)),
        ("as Azure has it", Healthy, workspace::of_state(Some("Succeeded"))),
        ("at work", Progressing, workspace::of_state(Some("Creating"))),
        ("failed", Degraded, workspace::of_state(Some("Failed"))),
        ("no credential", Degraded, problem(Problem::stalled(Reason::CredentialMissing, "no credential is named"))),
        ("no secret", Progressing, problem(Problem::blocked(Reason::SecretNotFound, "Secret azure-sp is missing"))),
        ("forbidden", Degraded, problem(Problem::blocked(Reason::Forbidden, "it may not read the workspace"))),
        (
            "unseen before the first look",
            Progressing,
            problem(Problem::unseen(Reason::AzureUnavailable, "Azure answers 503")),
        ),
    ];
    let mut cases: Vec<Case> =
        rows.iter().map(|(name, health, wanted)| of_workspace(name, *health, Lifecycle::Wanted, wanted)).collect();
    let in_use = workspace::in_use("the deletion waits for ComputeCluster ml/gpu-train");
    cases.push(of_workspace("deleted while in use", Progressing, Lifecycle::Deleted, &in_use));
    cases.extend(unreported("Workspace"));
    cases
}

/// The cases that ship as the scripts' own test data.
fn shipped(kind: &str) -> Vec<Case> {
    if kind == "Workspace" {
        return workspaces();
    }
    rows().iter().map(|row| of_row(kind, row)).chain(unreported(kind)).collect()
}

/// Every reason, in every way in which it can stand in an object's way, of each kind.
fn every_reason(kind: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let update = changing(Action::Update);
    for reason in Reason::ALL.iter().copied() {
        let name = reason.as_str();
        let ways: [(&str, Problem, Health); 2] = [
            ("blocked", Problem::blocked(reason, reason.cause()), while_not_ready(reason)),
            ("stalled", Problem::stalled(reason, reason.cause()), Health::Degraded),
        ];
        for (way, problem, health) in &ways {
            if kind == "Workspace" {
                let wanted = workspace::of_problem(problem, &WorkspaceStatus::default());
                cases.push(of_workspace(&format!("{way} {name}"), *health, Lifecycle::Wanted, &wanted));
                continue;
            }
            let row = Row {
                plan: Some(update.clone()),
                problem: Some(problem.clone()),
                name: "",
                previous: Vec::new(),
                lifecycle: Lifecycle::Wanted,
                observed: crate::rows::there(),
                stale: None,
                told: "",
                health: *health,
            };
            let Case { object, .. } = of_row(kind, &row);
            cases.push(case(&format!("{way} {name}"), *health, object.clone()));
            // Held, it is Suspended whatever the reason; the trouble is told besides.
            let mut paused = object;
            let hold = Wanted {
                condition: ConditionType::Paused,
                truth: Truth::True,
                reason: Reason::Paused,
                message: "spec.paused is true".to_owned(),
            };
            let hold = serde_json::to_value(merge(&[], &[hold], 2, now())).unwrap();
            paused["status"]["conditions"].as_array_mut().unwrap().extend(hold.as_array().unwrap().clone());
            cases.push(case(&format!("paused {way} {name}"), Health::Suspended, paused));
        }
        if kind != "Workspace" {
            // A wait that tells Pending leaves things as they were.
            let told = plan(Action::Wait, wait(reason).steps);
            let row = Row {
                plan: Some(if reason == Reason::Pending {
                    held(azureml_planner::plan::Hold::Paused, told)
                } else {
                    told
                }),
                problem: None,
                name: "",
                previous: crate::rows::was_ready(),
                lifecycle: Lifecycle::Wanted,
                observed: crate::rows::there(),
                stale: None,
                told: "",
                health: if reason == Reason::Pending { Health::Suspended } else { while_not_ready(reason) },
            };
            let Case { object, .. } = of_row(kind, &row);
            cases.push(case(&format!("waits {name}"), row.health, object));
        }
    }
    cases
}

fn kinds() -> Vec<&'static str> {
    std::iter::once("Workspace").chain(registry::KINDS.iter().map(|kind| kind.kind)).collect()
}

fn customizations() -> PathBuf {
    checkout().join("deploy/gitops/argo-cd/resource_customizations").join(GROUP)
}

/// The files of one kind, in the layout of Argo CD's repository.
fn files(cases: &[Case]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut tests = Vec::new();
    for Case { name, object, health, message } in cases {
        let path = format!("testdata/{name}.yaml");
        let status = json!({"status": format!("{health:?}"), "message": message});
        tests.push(json!({"inputPath": path, "healthStatus": status}));
        assert!(files.insert(path, serde_yaml_ng::to_string(object).unwrap()).is_none(), "{name} twice");
    }
    files.insert("health_test.yaml".into(), serde_yaml_ng::to_string(&json!({"tests": tests})).unwrap());
    files
}

fn write(folder: &Path, files: &BTreeMap<String, String>) {
    let _ = std::fs::remove_dir_all(folder.join("testdata"));
    std::fs::create_dir_all(folder.join("testdata")).unwrap();
    for (path, text) in files {
        std::fs::write(folder.join(path), text).unwrap();
    }
}

fn is_to_write() -> bool {
    std::env::var("AZUREML_GENERATE").is_ok_and(|value| value == "write")
}

/// Compares a file with what it is made from, or writes it.
fn generated(file: &Path, text: &str) {
    if is_to_write() {
        std::fs::write(file, text).unwrap();
    }
    let there = std::fs::read_to_string(file).unwrap_or_default();
    assert!(there == text, "{} isn't up to date: AZUREML_GENERATE=write makes it so", file.display());
}

fn script(kind: &str) -> String {
    std::fs::read_to_string(customizations().join(kind).join("health.lua")).unwrap()
}

#[test]
fn the_test_data_of_the_scripts_is_what_the_operator_reports() {
    // The conditions of all kinds mean the same: one script, in each kind's folder.
    let script = script("ComputeCluster");
    for kind in kinds() {
        let folder = customizations().join(kind);
        let wanted = files(&shipped(kind));
        if is_to_write() {
            write(&folder, &wanted);
        }
        generated(&folder.join("health.lua"), &script);
        for (path, text) in &wanted {
            generated(&folder.join(path), text);
        }
        let there = std::fs::read_dir(folder.join("testdata")).unwrap().count();
        assert_eq!(there, wanted.len() - 1, "{kind}: test data that nothing makes");
    }
}

#[test]
fn the_config_map_holds_the_scripts() {
    let mut text = String::from(
        "# Health of this operator's kinds for Argo CD: laid over the ConfigMap that Argo CD is configured by. Made from\n\
         # resource_customizations.\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\n  namespace: argocd\ndata:\n",
    );
    for kind in kinds() {
        writeln!(text, "  resource.customizations.health.{GROUP}_{kind}: |").unwrap();
        for line in script("ComputeCluster").lines() {
            writeln!(text, "{}", format!("    {line}").trim_end()).unwrap();
        }
    }
    generated(&checkout().join("deploy/gitops/argo-cd/argocd-cm.yaml"), &text);
}

/// The page states what becomes of each reason.
#[test]
fn the_page_states_the_health_of_every_reason() {
    const MARKS: [&str; 2] = ["<!-- reasons -->\n", "<!-- /reasons -->\n"];
    let file = checkout().join("docs/how-to/argo-cd.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(MARKS[0]).unwrap();
    let (_, after) = rest.split_once(MARKS[1]).unwrap();
    let mut table = String::from("\n| health | reasons of `Ready=False` or `Unknown` |\n|---|---|\n");
    for health in [Health::Progressing, Health::Degraded] {
        let never = [
            Reason::Available,
            Reason::AsPlanned,
            Reason::Drifted,
            Reason::NotHonoured,
            Reason::ObservationStale,
            Reason::Unobserved,
            Reason::Paused,
            Reason::AwaitingApproval,
        ];
        let of_ready = Reason::ALL.iter().filter(|reason| !never.contains(reason));
        let names: Vec<String> = of_ready
            .filter(|reason| while_not_ready(**reason) == health)
            .map(|reason| format!("`{}`", reason.as_str()))
            .collect();
        writeln!(table, "| {health:?} | {} |", names.join(", ")).unwrap();
    }
    generated(&file, &format!("{before}{}{table}\n{}{after}", MARKS[0], MARKS[1]));
}

/// Argo CD's own engine reads the ConfigMap and runs its scripts on all of that.
#[test]
fn argo_cds_own_engine_sees_the_health_of_every_reason() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("argo-cd-{}", std::process::id()));
    let mut cases = 0;
    for kind in kinds() {
        let all = every_reason(kind);
        cases += all.len() + shipped(kind).len();
        let place = folder.join(GROUP).join(kind);
        std::fs::create_dir_all(&place).unwrap();
        write(&place, &files(&all));
    }
    let deploy = checkout().join("deploy/gitops/argo-cd");
    let output = Command::new("go")
        .args(["test", "-count=1", "-run", "^TestHealth$", "-v", "."])
        .current_dir(checkout().join("tests/argo"))
        .env("ARGOCD_CM", deploy.join("argocd-cm.yaml").canonicalize().unwrap())
        .env(
            "HEALTH_TESTS",
            format!(
                "{}:{}",
                deploy.join("resource_customizations").canonicalize().unwrap().display(),
                folder.display()
            ),
        )
        .output()
        .expect("go has to be on the PATH, from Go 1.26 or newer (https://go.dev/dl)");
    let printed = [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat();
    let ran = printed.lines().filter(|line| line.trim_start().starts_with("--- PASS: TestHealth/")).count();
    assert!(output.status.success() && ran == cases, "{ran} of {cases} passed:\n{printed}");
    std::fs::remove_dir_all(&folder).unwrap();
    azureml_promises::held(
        "src/operator/tests/conditions/argo_cd.rs::argo_cds_own_engine_sees_the_health_of_every_reason",
        cases,
    );
}
