//! Argo CD's own code (`tests/argo`) on what a real API server holds: the health of objects in each state, and that nothing
//! that was applied as Argo CD does is out of sync.

use std::path::PathBuf;

use azureml_tests::operator::NAMESPACE;
use azureml_tests::team::{Team, WORKSPACE, brisk};
use azureml_tests::{Environment, OperatorStart, Result, Until, chart, checkout, golang};
use serde_json::{Value, json};

fn module() -> PathBuf {
    checkout().join("tests/argo")
}

fn examples() -> PathBuf {
    checkout().join("deploy/gitops/argo-cd")
}

#[test]
fn the_go_sources_are_formatted_and_vetted() {
    let faults = golang::faults(&module()).unwrap();
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn the_applications_are_what_argo_cd_reads() {
    let folder = examples().display().to_string();
    let passed = golang::test(&module(), &["-run", "^TestExamples$", "."], &[("EXAMPLES", &folder)]);
    passed.unwrap_or_else(|error| panic!("{error}"));
}

/// One object, and what Argo CD is to say of it: see `tests/argo/captured_test.go`.
struct Captured(Vec<Value>);

impl Captured {
    /// The object is to have this health, with these words in its message.
    async fn health(
        &mut self,
        team: &Team<'_>,
        kind: &str,
        name: &str,
        until: Until,
        want: (&str, &str),
    ) -> Result<()> {
        let live = team.wait_any(kind, name, until).await?;
        let what = format!("{kind} {name}");
        self.0.push(json!({"name": what, "live": live, "health": want.0, "message": want.1}));
        Ok(())
    }

    /// Runs the Go test on it.
    fn judge(&self, env: &Environment, test: &str) -> usize {
        let file = env.plane.dir().path().join(format!("{test}.json"));
        std::fs::write(&file, Value::Array(self.0.clone()).to_string()).unwrap();
        let config = env.plane.kubeconfig();
        let variables = [("CAPTURED", file.to_str().unwrap()), ("KUBECONFIG", config.to_str().unwrap())];
        golang::test(&module(), &["-run", &format!("^{test}$"), "."], &variables)
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn argo_cd_sees_what_is_so() {
    let mut env = Environment::start(azureml_tests::EnvOptions { start: OperatorStart::Later, ..brisk() })
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    argo_cd_is_configured(&env).unwrap_or_else(|error| panic!("{error}"));
    let healths = healths(&mut env).await.unwrap_or_else(|error| panic!("{error}"));
    let in_sync = in_sync(&mut env).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = healths.judge(&env, "TestCapturedHealth") + in_sync.judge(&env, "TestCapturedInSync");
    azureml_promises::held("argo_cd::argo_cd_sees_what_is_so", cases);
}

/// Argo CD's namespace as its installation makes it, and the scripts laid over its ConfigMap as the page says.
fn argo_cd_is_configured(env: &Environment) -> Result<()> {
    let labels = json!({"app.kubernetes.io/part-of": "argocd"});
    let of = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "argocd", "labels": labels}});
    env.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}}).to_string())?;
    env.apply(&of("ConfigMap", "argocd-cm").to_string())?;
    env.apply(&of("Secret", "argocd-secret").to_string())?;
    let patch = examples().join("argocd-cm.yaml").display().to_string();
    env.plane.kubectl(&["-n", "argocd", "patch", "configmap", "argocd-cm", "--patch-file", &patch])?;
    // The other way that the page names makes the same of it.
    let folder = env.plane.dir().path().join("kustomized");
    std::fs::create_dir_all(&folder).unwrap();
    let parts: PathBuf = folder.components().skip(1).map(|_| "..").collect();
    let component = parts.join(examples().canonicalize().unwrap().strip_prefix("/").unwrap());
    let kustomization = json!({"resources": ["argocd-cm.json"], "components": [component]});
    std::fs::write(folder.join("kustomization.yaml"), kustomization.to_string()).unwrap();
    std::fs::write(folder.join("argocd-cm.json"), of("ConfigMap", "argocd-cm").to_string()).unwrap();
    let built = env.plane.kubectl(&["kustomize", folder.to_str().unwrap()])?;
    let patched = env.plane.kubectl(&["-n", "argocd", "get", "configmap", "argocd-cm", "-o", "json"])?;
    let patched: Value = serde_json::from_str(&patched).unwrap();
    assert_eq!(chart::documents(&built)?[0]["data"], patched["data"]);
    assert!(!patched["data"].is_null());
    Ok(())
}

/// Objects in every state that they can be brought to here.
async fn healths(env: &mut Environment) -> Result<Captured> {
    let mut seen = Captured(Vec::new());
    {
        let team = Team::new(env, "health")?;
        team.cluster("rests", json!({}))?;
        let new = || Until::json("there", |_| true);
        let words = "azureml-operator has not looked at it yet";
        seen.health(&team, "Workspace", WORKSPACE, new(), ("Progressing", words)).await?;
        seen.health(&team, "ComputeCluster", "rests", new(), ("Progressing", words)).await?;
    }
    env.start_operator().await?;
    let team = Team { env, namespace: "health".to_string() };
    apply_all(&team)?;
    let ready = || Until::condition("InSync", "True");
    seen.health(&team, "Workspace", WORKSPACE, ready(), ("Healthy", "the workspace exists")).await?;
    seen.health(&team, "ComputeCluster", "rests", ready(), ("Healthy", "the cluster is provisioned")).await?;
    for name in ["paused", "protected", "drifts"] {
        team.wait(name, ready()).await?;
    }
    team.edit("paused", json!({"paused": true, "scale": {"maxNodes": 5}}))?;
    team.delete("amlcc", "protected")?;
    env.sim.change_by_hand("drifts", json!({"tags": {"team": "b"}})).await?;
    let by = |kind: &str, reason: &str| Until::reason(kind, reason);
    for (name, until, want) in [
        ("paused", by("Paused", "Paused"), ("Suspended", "Paused: spec.paused is true")),
        ("asks", by("AwaitingApproval", "AwaitingApproval"), ("Suspended", "azureml.dev/approve=")),
        ("drifts", by("InSync", "Drifted"), ("Healthy", "Drifted: spec.tags")),
        ("protected", by("Ready", "DeletionProtected"), ("Progressing", "Pending deletion")),
        ("orphan", by("Ready", "WorkspaceNotFound"), ("Progressing", "WorkspaceNotFound: ")),
        ("nonsense", by("Stalled", "VmSizeNotAvailable"), ("Degraded", "VmSizeNotAvailable: ")),
    ] {
        seen.health(&team, "ComputeCluster", name, until, want).await?;
    }
    for (name, reason, health) in
        [("no-secret", "SecretNotFound", "Progressing"), ("no-credential", "CredentialMissing", "Degraded")]
    {
        seen.health(&team, "Workspace", name, by("Ready", reason), (health, reason)).await?;
    }
    env.stop_operator()?;
    let team = Team { env, namespace: "health".to_string() };
    team.edit("rests", json!({"scale": {"maxNodes": 6}}))?;
    let words = "azureml-operator has not acted on this change yet";
    seen.health(&team, "ComputeCluster", "rests", Until::field("/spec/scale/maxNodes", 6), ("Progressing", words))
        .await?;
    env.start_operator().await?;
    Ok(seen)
}

fn apply_all(team: &Team<'_>) -> Result<()> {
    for (name, spec) in [
        ("paused", json!({})),
        ("protected", json!({"deletionProtection": true})),
        ("drifts", json!({"driftPolicy": "Report", "tags": {"team": "a"}})),
        ("asks", json!({"applyPolicy": "Approved"})),
        ("orphan", json!({"workspaceRef": {"name": "none"}})),
        ("nonsense", json!({"vmSize": "Standard_Nonsense"})),
    ] {
        team.cluster(name, spec)?;
    }
    team.workspace("no-secret", json!({"credentialRef": {"name": "none"}}))?;
    team.workspace("no-credential", json!({"credentialRef": null}))
}

/// Everything that ships, applied as Argo CD applies it in either way, and seen by the operator.
async fn in_sync(env: &mut Environment) -> Result<Captured> {
    let mut seen = Captured(Vec::new());
    for side in ["Client", "Server"] {
        let namespace = format!("sync-{}", side.to_lowercase());
        let team = Team::without_workspace(env, &namespace)?;
        let mut targets = of_team(&namespace);
        targets.extend(of_chart()?);
        let base = chart::documents(&env.plane.kubectl(&["kustomize", "deploy/base"])?)?;
        // The definitions are the chart's, of which there can be one only.
        targets.extend(base.into_iter().filter(|object| object["kind"] != "CustomResourceDefinition"));
        for target in &mut targets {
            tracked(target);
            apply(env, side, target)?;
        }
        team.wait_any("Workspace", "all", Until::ready()).await?;
        for name in ["least", "all"] {
            team.wait(name, Until::condition("InSync", "True")).await?;
        }
        // What people set on the side.
        team.annotate("all", "azureml.dev/reconcile-requested-at", "now")?;
        team.wait("all", Until::field("/status/lastHandledReconcileAt", "now")).await?;
        for target in targets {
            let live = current(env, &target)?;
            let name = format!("{side} {} {}", text(&target, "/kind"), text(&target, "/metadata/name"));
            seen.0.push(json!({"name": name, "live": live, "target": target, "side": side}));
        }
    }
    Ok(seen)
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string()
}

/// A team's manifests: as short and as long as they get, each policy left out and set.
fn of_team(namespace: &str) -> Vec<Value> {
    let of = |kind: &str, name: &str, spec: Value| {
        let metadata = json!({"name": name, "namespace": namespace, "labels": {"team": "a"}});
        json!({"apiVersion": "azureml.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
    };
    let workspace = json!({
        "subscriptionId": azureml_tests::sim::demo::SUBSCRIPTION,
        "resourceGroup": azureml_tests::sim::demo::RESOURCE_GROUP,
        "azureName": azureml_tests::sim::demo::WORKSPACE,
        "managementPolicy": "Observe",
        "credentialRef": {"name": azureml_tests::environment::CREDENTIAL},
        "allowedNamespaces": {"from": "Same"},
        "observeInterval": "60s",
    });
    let least = json!({"workspaceRef": {"name": "all"}, "vmSize": "Standard_DS3_v2", "scale": {"maxNodes": 1},
        "azureName": format!("{namespace}-a")});
    let all = json!({
        "workspaceRef": {"name": "all"},
        "azureName": format!("{namespace}-b"),
        "location": "West Europe",
        "vmSize": "STANDARD_DS3_V2",
        "vmPriority": "LowPriority",
        "scale": {"minNodes": 0, "maxNodes": 2, "idleBeforeScaleDown": "90m"},
        "osType": "Linux",
        "localAuth": true,
        "ssh": {"adminUserName": "azureuser", "publicAccess": "Disabled",
            "adminPasswordSecretRef": {"name": "nodes", "key": "password"}},
        "identity": {"type": "SystemAssigned"},
        "description": "words",
        "tags": {"team": "a", "cost-centre": "4711"},
        "managementPolicy": "Manage",
        "adoptionPolicy": "Refuse",
        "deletionPolicy": "Delete",
        "replacementPolicy": "Never",
        "driftPolicy": "Correct",
        "applyPolicy": "Automatic",
        "deletionProtection": false,
        "paused": false,
    });
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "nodes", "namespace": namespace},
        "data": {"password": "QXJnby1UZXN0LVBhc3N3b3JkLTE="}});
    vec![
        secret,
        of("Workspace", "all", workspace),
        of("ComputeCluster", "least", least),
        of("ComputeCluster", "all", all),
    ]
}

/// What Argo CD renders from the chart, with the values of the example; rendered again, it is the same.
fn of_chart() -> Result<Vec<Value>> {
    let example = std::fs::read_to_string(examples().join("operator.yaml")).unwrap();
    let example = chart::documents(&example)?.remove(0);
    let source = &example["spec"]["source"];
    assert_eq!(source["path"], chart::CHART);
    let values = azureml_tests::team::laid(
        source["helm"]["valuesObject"].clone(),
        json!({
            "networkPolicy": {"enabled": true, "managedIdentity": true},
            "metrics": {"dashboard": {"enabled": true}},
            "page": {"enabled": true},
        }),
    );
    // Of another name than what runs here.
    let rendered = chart::render("azureml-argo", NAMESPACE, &values)?;
    assert_eq!(rendered, chart::render("azureml-argo", NAMESPACE, &values)?);
    Ok(rendered)
}

/// By default Argo CD tells what is its own by an annotation.
fn tracked(target: &mut Value) {
    let id = format!("test:{}/{}", text(target, "/kind"), text(target, "/metadata/name"));
    let annotations = &mut target["metadata"]["annotations"];
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations["argocd.argoproj.io/tracking-id"] = json!(id);
}

fn apply(env: &Environment, side: &str, target: &Value) -> Result<()> {
    let how: &[&str] = match side {
        "Server" => &["--server-side", "--force-conflicts", "--field-manager=argocd-controller"],
        _ => &["--field-manager=argocd-controller"],
    };
    env.plane.kubectl_with_input(&[&["apply", "-f", "-"], how].concat(), &target.to_string()).map(drop)
}

/// The object as it is, with its managed fields, as Argo CD reads it.
fn current(env: &Environment, target: &Value) -> Result<Value> {
    let arguments = ["get", "-f", "-", "-o", "json", "--show-managed-fields"];
    let text = env.plane.kubectl_with_input(&arguments, &target.to_string())?;
    // Read by a file, even one object comes as a list.
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    Ok(list["items"][0].clone())
}
