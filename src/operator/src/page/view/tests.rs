//! The view model, as tables.

use serde_json::json;

use super::*;

fn object(kind: &'static str, name: &str, spec: Value, status: Value) -> Arc<Object> {
    let raw = json!({
        "apiVersion": "azureml.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "ml", "resourceVersion": "1"}, "spec": spec, "status": status
    });
    Arc::new(Object::new(kind, serde_json::from_value(raw).unwrap()))
}

fn cluster(conditions: &[(&str, &str, &str)]) -> Arc<Object> {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(kind, status, reason)| {
            json!({"type": kind, "status": status, "reason": reason, "message": format!("says {kind}"),
                   "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1})
        })
        .collect();
    object("ComputeCluster", "gpu", json!({"workspaceRef": {"name": "w"}}), json!({"conditions": conditions}))
}

fn only(objects: &[Arc<Object>]) -> Row {
    rows(objects, |_| vec![(7, 2)], None).0.remove(0)
}

#[test]
fn each_situation_is_told_in_one_word_with_what_to_do() {
    type Conditions = &'static [(&'static str, &'static str, &'static str)];
    type Told = Option<(&'static str, &'static str)>;
    let rows: [(Conditions, State, Told); 18] = [
        (&[], State::Working, None),
        (&[("Ready", "True", "Available"), ("InSync", "True", "AsPlanned")], State::Ready, None),
        (&[("Ready", "True", "Available")], State::Ready, None),
        (&[("Ready", "Unknown", "Pending"), ("Reconciling", "True", "Pending")], State::Working, None),
        (&[("Ready", "False", "Creating"), ("Reconciling", "True", "Creating")], State::Working, None),
        (&[("Ready", "False", "WaitingForBudget"), ("Reconciling", "True", "WaitingForBudget")], State::Working, None),
        (
            &[("Ready", "False", "QuotaExceeded"), ("Reconciling", "True", "QuotaExceeded")],
            State::Retrying,
            Some(("Ready", "QuotaExceeded")),
        ),
        (
            &[("Ready", "False", "InvalidManifest"), ("Stalled", "True", "InvalidManifest")],
            State::Stalled,
            Some(("Stalled", "InvalidManifest")),
        ),
        (
            &[
                ("Ready", "True", "Available"),
                ("InSync", "False", "ReplacementRequired"),
                ("Stalled", "True", "ReplacementRequired"),
            ],
            State::Stalled,
            Some(("Stalled", "ReplacementRequired")),
        ),
        (
            &[("Ready", "True", "Available"), ("InSync", "False", "Drifted")],
            State::Differs,
            Some(("InSync", "Drifted")),
        ),
        (&[("Ready", "True", "Available"), ("InSync", "False", "Updating")], State::Working, None),
        (
            &[("Ready", "True", "Available"), ("InSync", "Unknown", "ObservationStale")],
            State::Retrying,
            Some(("InSync", "ObservationStale")),
        ),
        (
            &[("Ready", "True", "Available"), ("InSync", "False", "Updating"), ("Paused", "True", "Paused")],
            State::Paused,
            None,
        ),
        (
            &[
                ("Ready", "True", "Available"),
                ("InSync", "False", "Updating"),
                ("AwaitingApproval", "True", "AwaitingApproval"),
            ],
            State::Approval,
            Some(("AwaitingApproval", "AwaitingApproval")),
        ),
        (&[("Ready", "False", "FromAnotherRelease")], State::Working, None),
        (
            &[("Ready", "True", "Available"), ("InSync", "True", "AsPlanned"), ("Limited", "True", "Forbidden")],
            State::Limited,
            Some(("Limited", "Forbidden")),
        ),
        (
            &[("Ready", "False", "Forbidden"), ("Reconciling", "True", "Forbidden"), ("Limited", "True", "Forbidden")],
            State::Retrying,
            Some(("Ready", "Forbidden")),
        ),
        (&[("Ready", "True", "Available"), ("Limited", "False", "Forbidden")], State::Ready, None),
    ];
    let cases = rows.len();
    for (conditions, state, expected) in rows {
        let row = only(&[cluster(conditions)]);
        assert_eq!(row.state, state, "{conditions:?}");
        let told = row.problem.as_ref().map(|problem| (problem.condition.as_str(), problem.reason.as_str()));
        assert_eq!(told, expected, "{conditions:?}");
        if let Some(problem) = row.problem {
            assert_eq!(problem.message, format!("says {}", problem.condition));
            assert!(!problem.cause.is_empty() && !problem.cure.is_empty(), "{problem:?}");
        }
    }
    azureml_promises::held(
        "src/operator/src/page/view/tests.rs::each_situation_is_told_in_one_word_with_what_to_do",
        cases,
    );
}

#[test]
fn every_reason_is_either_work_or_trouble() {
    for reason in Reason::ALL {
        let row = only(&[cluster(&[("Ready", "False", reason.as_str())])]);
        assert_eq!(row.problem.is_none(), is_work(*reason), "{reason:?}");
    }
}

#[test]
fn of_a_status_only_what_is_named_is_shown() {
    let status = json!({
        "azure": {"id": "/subscriptions/s/resourceGroups/g/providers/P/workspaces/w/computes/gpu"},
        "operation": {"verb": "Create", "phase": "Running", "url": "https://signed/?t=secret-signature",
                      "id": "x", "startedAt": "2026-01-01T00:01:00Z", "generation": 1, "hashes": {"spec.ssh": "hash-of-it"}},
        "applied": {"hashes": {"spec.ssh": "hash-of-it"}},
        "nodes": {"current": 2, "idle": 1}, "effectiveScale": {"min": 0, "max": 4, "source": "spec.scale"}
    });
    let spec =
        json!({"workspaceRef": {"name": "w"}, "vmSize": "Standard_DS3_v2", "ssh": {"sshPublicKey": "secret-key"}});
    let row = only(&[object("ComputeCluster", "gpu", spec, status)]);
    let text = serde_json::to_string(&row).unwrap();
    assert!(!text.contains("secret") && !text.contains("hash-of-it"), "{text}");
    let operation = Operation { verb: "Create".into(), phase: "Running".into(), since: Some(1_767_225_660) };
    assert_eq!(row.operation, Some(operation));
    assert_eq!((row.workspace.as_str(), row.detail.as_str()), ("ml/w", "Standard_DS3_v2"));
    assert_eq!((row.nodes["current"], row.nodes["idle"], row.scale), (2, 1, Some((0, 4))));
    assert_eq!(row.history, [(7, 2)]);
}

#[test]
fn links_lead_to_the_clouds_own_pages_only() {
    let workspace = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w";
    let compute = format!("{workspace}/computes/gpu");
    let studio = format!("https://ml.azure.com/compute/gpu/details?wsid={workspace}");
    let portal = format!("https://portal.azure.us/#@/resource{workspace}");
    let rows = [
        (Some("management.azure.com"), "ComputeCluster", compute.as_str(), Some(studio.as_str())),
        (Some("management.usgovcloudapi.net"), "Workspace", workspace, Some(portal.as_str())),
        (Some("localhost"), "Workspace", workspace, None),
        (None, "Workspace", workspace, None),
        (Some("management.azure.com"), "Workspace", "", None),
        (Some("management.azure.com"), "Workspace", "javascript:alert(1)", None),
        (Some("management.azure.com"), "Workspace", "/subscriptions/s?x=\"><script>", None),
    ];
    for (host, kind, id, expected) in rows {
        let link = Sites::of(host).and_then(|sites| sites.link(kind, id));
        assert_eq!(link.as_deref(), expected, "{host:?} {id}");
    }
}

#[test]
fn too_many_are_cut_where_nothing_is_wrong() {
    let many = |n: usize, reason: &str| -> Vec<Arc<Object>> {
        let conditions = json!([{"type": "Ready", "status": if reason == "Available" { "True" } else { "False" },
            "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        let one = |i| {
            object(
                "ComputeCluster",
                &format!("{reason}-{i}").to_lowercase(),
                json!({}),
                json!({"conditions": conditions}),
            )
        };
        (0..n).map(one).collect()
    };
    let objects =
        [many(MOST_ROWS, "Available"), many(2, "QuotaExceeded"), vec![object(WORKSPACE, "w", json!({}), json!({}))]];
    let (rows, counts, omitted) = rows(&objects.concat(), |_| vec![], None);
    assert_eq!((rows.len(), omitted), (MOST_ROWS, 3));
    assert_eq!(counts, BTreeMap::from([(State::Retrying, 2), (State::Ready, MOST_ROWS)]));
    assert_eq!(rows.iter().filter(|row| row.state == State::Retrying).count(), 2);
    assert_eq!(rows.iter().filter(|row| row.kind == WORKSPACE).count(), 1);
}
