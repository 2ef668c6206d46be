//! Flux's kustomize-controller beside the operator: from a commit to Ready, over commits that can't work, to an empty Azure.
//! Flux installs the operator, too, from the examples under `deploy/gitops/flux`.

use azureml_tests::chart;
use azureml_tests::environment::{CREDENTIAL, Install};
use azureml_tests::flux::{self, Flux, KUSTOMIZATION, Tree};
use azureml_tests::operator;
use azureml_tests::sim::demo;
use azureml_tests::team::{LONG, Team, VM_SIZE, WORKSPACE, brisk, condition, laid};
use azureml_tests::{EnvOptions, Environment, OperatorStart, Result, Until};
use serde_json::{Value, json};

/// The team's repository and its Kustomization in the example.
const TEAM: &str = "ml-compute";
/// The examples, and the page that tells of them.
const EXAMPLES: &str = "deploy/gitops/flux";
const PAGE: &str = "docs/how-to/flux.md";
/// What the page has Flux do only where a person wants it.
const STRICT: &str = "healthCheckExprs";
/// How Flux's events and messages call a healthy end of a reconcile.
const SUCCEEDED: &str = "ReconciliationSucceeded";

#[tokio::test(flavor = "multi_thread")]
async fn flux_brings_manifests_to_azure_and_back() {
    let options = EnvOptions { install: Install::Nothing, start: OperatorStart::Later, ..brisk() };
    let mut env = Environment::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    let flux = Flux::start(&env.plane).await.unwrap_or_else(|error| panic!("{error}"));
    the_operator_is_installed(&mut env, &flux).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = async {
        tokio::try_join!(
            from_a_commit_to_an_empty_azure(&env, &flux),
            what_waited_for_the_operator_goes_on(&env),
            a_namespace_goes_with_all_that_flux_put_there(&env, &flux),
            force_deletes_nothing_that_is_protected(&env, &flux),
            flux_waits_for_an_approval_where_it_is_told_to(&env, &flux),
        )
    };
    cases.await.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("flux::flux_brings_manifests_to_azure_and_back", 17);
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "azureml.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn workspace() -> Value {
    let spec = json!({
        "subscriptionId": demo::SUBSCRIPTION,
        "resourceGroup": demo::RESOURCE_GROUP,
        "azureName": demo::WORKSPACE,
        "credentialRef": {"name": CREDENTIAL},
        "observeInterval": "1s",
    });
    object("Workspace", WORKSPACE, spec)
}

fn cluster(name: &str, spec: Value) -> Value {
    let usual = json!({"workspaceRef": {"name": WORKSPACE}, "vmSize": VM_SIZE, "scale": {"maxNodes": 4}});
    object("ComputeCluster", name, laid(usual, spec))
}

/// A repository with a Workspace and these clusters.
fn repository(clusters: &[(&str, Value)]) -> Tree {
    let tree = Tree::default().with_object("workspace.yaml", &workspace());
    clusters.iter().fold(tree, |tree, (name, spec)| {
        tree.with_object(&format!("clusters/{name}.yaml"), &cluster(name, spec.clone()))
    })
}

/// A GitRepository and a Kustomization of the same name in a namespace; `spec` is laid over the usual one.
fn follow(env: &Environment, namespace: &str, name: &str, spec: Value) -> Result<()> {
    let metadata = json!({"name": name, "namespace": namespace});
    let source = json!({"url": "https://git.invalid/repository", "interval": "1h"});
    let usual = json!({
        "sourceRef": {"kind": "GitRepository", "name": name},
        "path": "./",
        "targetNamespace": namespace,
        "interval": "1h",
        "retryInterval": "5s",
        "timeout": "10m",
        "wait": true,
        "prune": true,
    });
    env.apply(
        &json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": metadata, "spec": source},
            {
                "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": metadata,
                "spec": laid(usual, spec),
            },
        ]})
        .to_string(),
    )
}

/// Flux has applied that revision and found all of it healthy.
fn healthy(revision: &str) -> Until {
    let wanted = revision.to_string();
    Until::json(format!("{SUCCEEDED} for {revision}"), move |object| {
        let ready = condition(object, "Ready");
        ready["status"] == "True" && ready["reason"] == SUCCEEDED && object["status"]["lastAppliedRevision"] == *wanted
    })
}

/// Flux tells of that revision that it isn't well, for that reason.
fn unwell(revision: &str, reason: &'static str) -> Until {
    let wanted = revision.to_string();
    Until::json(format!("{reason} for {revision}"), move |object| {
        let ready = condition(object, "Ready");
        let attempted = object["status"]["lastAttemptedRevision"] == *wanted;
        attempted && ready["status"] == "False" && ready["reason"] == reason
    })
}

async fn kustomization(env: &Environment, namespace: &str, name: &str, until: Until) -> Result<Value> {
    let found = env.wait_for(KUSTOMIZATION, namespace, name, until, LONG).await?;
    Ok(found.unwrap_or_default())
}

/// What a condition's message says.
fn message(object: &Value, kind: &str) -> String {
    condition(object, kind)["message"].as_str().unwrap_or_default().to_string()
}

/// The examples are applied as they are. Flux installs the operator from this checkout's tree; what depends on it waits.
async fn the_operator_is_installed(env: &mut Environment, flux: &Flux) -> Result<()> {
    env.namespace("ml")?;
    env.plane.kubectl(&["-n", "ml", "create", "secret", "generic", "sops-age"])?;
    env.plane.kubectl(&["apply", "--server-side", "-k", "deploy/gitops/flux"])?;
    let tree = repository(&[("train", json!({}))]);
    flux.commit("ml", TEAM, &tree).await?;
    let waiting = Until::reason("Ready", "DependencyNotReady");
    let waiting = kustomization(env, "ml", TEAM, waiting).await?;
    assert!(message(&waiting, "Ready").contains("flux-system/azureml-operator"), "{}", waiting["status"]);

    let revision = flux.commit(flux::NAMESPACE, operator::NAME, &Tree::of_checkout(&["crds", "deploy"])?).await?;
    let there = Until::json("the Deployment", |_| true);
    env.wait_for("apps/Deployment", operator::NAMESPACE, operator::NAME, there, LONG).await?;
    // Without the operator, nothing is Ready: what nobody has looked at isn't taken for whole.
    env.namespace("early")?;
    follow(env, "early", "early", json!({"timeout": "6s"}))?;
    let early = flux.commit("early", "early", &repository(&[("early", json!({}))])).await?;
    let unseen = kustomization(env, "early", "early", unwell(&early, "HealthCheckFailed")).await?;
    for words in ["Workspace/early/research status: 'InProgress'", "ComputeCluster/early/early status: 'InProgress'"] {
        assert!(message(&unseen, "Ready").contains(words), "{}", unseen["status"]);
    }

    // In the place of the kubelet and of the controller of Deployments, which don't run here.
    env.start_operator().await?;
    let conditions = json!([
        {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
    ]);
    let running = json!({"status": {
        "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
        "conditions": conditions,
    }});
    let patch = running.to_string();
    let (namespace, name) = (operator::NAMESPACE, operator::NAME);
    env.plane.kubectl(&[
        "-n",
        namespace,
        "patch",
        "deployment",
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ])?;
    kustomization(env, flux::NAMESPACE, operator::NAME, healthy(&revision)).await?;
    // No commit takes the definitions away, and with them every object.
    let kept = env.plane.kubectl(&["get", "crd", "workspaces.azureml.dev", "-o", "json"])?;
    assert!(kept.contains("\"kustomize.toolkit.fluxcd.io/prune\": \"disabled\""), "{kept}");
    // The other way to install it fits Flux's definitions, too.
    let example = "deploy/gitops/flux/operator-helm.yaml";
    env.plane.kubectl(&["apply", "--server-side", "--dry-run=server", "-f", example])?;
    Ok(())
}

async fn what_waited_for_the_operator_goes_on(env: &Environment) -> Result<()> {
    let team = Team { env, namespace: "early".into() };
    team.wait("early", Until::ready()).await?;
    kustomization(env, "early", "early", Until::ready()).await?;
    Ok(())
}

/// The example's Kustomization, with the team's own rights.
async fn from_a_commit_to_an_empty_azure(env: &Environment, flux: &Flux) -> Result<()> {
    let team = Team { env, namespace: "ml".into() };
    let good = repository(&[("train", json!({}))]);
    let revision = flux.commit("ml", TEAM, &good).await?;
    kustomization(env, "ml", TEAM, healthy(&revision)).await?;
    let train = team.get("train")?;
    assert_eq!(condition(&train, "Ready")["status"], "True", "{}", train["status"]);
    assert_eq!(env.sim.verbs_to("train").await?, ["PUT"]);

    // What the API server refuses is told by Flux in our words.
    let refused = repository(&[("train", json!({"scale": {"minNodes": 8}}))]);
    let revision = flux.commit("ml", TEAM, &refused).await?;
    let unwell_now = kustomization(env, "ml", TEAM, unwell(&revision, "ReconciliationFailed")).await?;
    for words in ["ComputeCluster/ml/train", "minNodes"] {
        assert!(message(&unwell_now, "Ready").contains(words), "{}", unwell_now["status"]);
    }

    // What only Azure's region tells is told by the object, and Flux names the object.
    let impossible = repository(&[("train", json!({})), ("gpu", json!({"vmSize": "Standard_NC999_v9"}))]);
    let revision = flux.commit("ml", TEAM, &impossible).await?;
    let unwell_now = kustomization(env, "ml", TEAM, unwell(&revision, "HealthCheckFailed")).await?;
    let told = message(&unwell_now, "Ready");
    assert!(told.contains("stalled") && told.contains("ComputeCluster/ml/gpu status: 'Failed'"), "{told}");
    assert!(!told.contains("ComputeCluster/ml/train"), "{told}");
    let gpu = team.wait("gpu", Until::reason("Stalled", "VmSizeNotAvailable")).await?;
    let cause = message(&gpu, "Stalled");
    assert!(cause.contains("Standard_NC999_v9") && cause.contains("westeurope"), "{cause}");
    assert_eq!(env.sim.verbs_to("gpu").await?, [""; 0]);

    let good = repository(&[("train", json!({})), ("gpu", json!({}))]);
    let revision = flux.commit("ml", TEAM, &good).await?;
    kustomization(env, "ml", TEAM, healthy(&revision)).await?;
    assert_eq!(env.sim.verbs_to("gpu").await?, ["PUT"]);

    nothing_is_written_when_nothing_changed(&team, flux, TEAM, &["train", "gpu"]).await?;

    // An edit by hand is taken back, in Azure as well.
    team.edit("train", json!({"scale": {"maxNodes": 2}}))?;
    team.wait("train", Until::field("/status/effectiveScale/max", 2)).await?;
    team.wait("train", Until::condition("InSync", "True")).await?;
    flux.reconcile("ml", TEAM, "after-an-edit", LONG).await?;
    team.wait("train", Until::field("/spec/scale/maxNodes", 4)).await?;
    team.wait("train", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.verbs_to("train").await?, ["PUT", "PATCH", "PATCH"]);

    let revision = flux.commit("ml", TEAM, &good.without("clusters/gpu.yaml")).await?;
    kustomization(env, "ml", TEAM, healthy(&revision)).await?;
    team.wait("gpu", Until::gone()).await?;
    assert_eq!(env.sim.live("gpu").await?["error"]["code"], "ResourceNotFound");
    assert_eq!(env.sim.verbs_to("train").await?, ["PUT", "PATCH", "PATCH"]);

    // It stays until Azure is empty.
    team.delete("kustomizations.kustomize.toolkit.fluxcd.io", TEAM)?;
    kustomization(env, "ml", TEAM, Until::gone()).await?;
    assert_eq!(env.sim.live("train").await?["error"]["code"], "ResourceNotFound");
    let left = team.kubectl(&["get", "azureml", "-o", "name"])?;
    assert_eq!(left.trim(), "", "of what Flux applied");
    Ok(())
}

/// Flux looks again and again: neither it nor the operator finds anything to write.
async fn nothing_is_written_when_nothing_changed(
    team: &Team<'_>,
    flux: &Flux,
    name: &str,
    clusters: &[&str],
) -> Result<()> {
    let env = team.env;
    let cluster = clusters[0];
    // A person's annotation is no drift, unless its manager is called kubectl: that is what Flux takes back.
    let asked = "azureml.dev/reconcile-requested-at=by-hand";
    team.kubectl(&["annotate", "amlcc", cluster, asked, "--field-manager=person"])?;
    team.wait(cluster, Until::field("/status/lastHandledReconcileAt", "by-hand")).await?;
    let (before, mark) = (versions(team)?, env.sim.mark().await?);
    for turn in ["first", "second", "third"] {
        let seen = flux.reconcile(&team.namespace, name, turn, LONG).await?;
        assert_eq!(condition(&seen, "Ready")["status"], "True", "{}", seen["status"]);
        env.sim.wait_for_a_few_lists().await?;
    }
    assert_eq!(versions(team)?, before);
    let requests = env.sim.since(mark).await?;
    let ours = |name: &&str| requests.iter().any(|request| request.is_write() && request.is_about(name));
    assert_eq!(clusters.iter().find(|name| ours(name)), None, "{requests:?}");
    let kept = team.get(cluster)?;
    assert_eq!(kept["metadata"]["annotations"]["azureml.dev/reconcile-requested-at"], "by-hand");
    Ok(())
}

/// Each cluster and Secret by name with its resourceVersion; and Workspaces with their generation, since they count in their
/// status what other cases make.
fn versions(team: &Team<'_>) -> Result<String> {
    let of = |kinds: &str, version: &str| {
        let each = format!(
            "-o=jsonpath={{range .items[*]}}{{.kind}} {{.metadata.name}} {{.metadata.{version}}}{{'; '}}{{end}}"
        );
        team.kubectl(&["get", kinds, &each])
    };
    Ok(of("amlcc,secrets", "resourceVersion")? + &of("amlws", "generation")?)
}

/// Secret, Workspace, clusters and Flux's own objects, all in one namespace, in whatever order they are deleted.
async fn a_namespace_goes_with_all_that_flux_put_there(env: &Environment, flux: &Flux) -> Result<()> {
    env.plane.kubectl(&["create", "namespace", "sweep"])?;
    follow(env, "sweep", "sweep", json!({"deletionPolicy": "WaitForTermination"}))?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": CREDENTIAL},
        "stringData": {
            "AZURE_TENANT_ID": demo::TENANT, "AZURE_CLIENT_ID": demo::CLIENT, "AZURE_CLIENT_SECRET": demo::CLIENT_SECRET,
        },
    });
    let names = ["sweep-a", "sweep-b"];
    let tree =
        repository(&names.map(|name| (name, json!({"scale": {"minNodes": 1}})))).with_object("secret.yaml", &secret);
    let revision = flux.commit("sweep", "sweep", &tree).await?;
    kustomization(env, "sweep", "sweep", healthy(&revision)).await?;
    // The Secret bears the operator's finalizer, and that is no drift either.
    let team = Team { env, namespace: "sweep".into() };
    let held = Until::json("our finalizer", |object| object["metadata"]["finalizers"].is_array());
    team.wait_any("core/Secret", CREDENTIAL, held).await?;
    nothing_is_written_when_nothing_changed(&team, flux, "sweep", &names).await?;
    env.plane.kubectl(&["delete", "namespace", "sweep", "--wait=false"])?;
    env.wait_for("core/Namespace", "", "sweep", Until::gone(), LONG).await?;
    for name in names {
        assert_eq!(env.sim.live(name).await?["error"]["code"], "ResourceNotFound", "{name}");
        assert_eq!(env.sim.verbs_to(name).await?, ["PUT", "DELETE"], "{name}");
    }
    Ok(())
}

/// With `force: true`, Flux deletes what the API server refuses to change, and makes it anew.
async fn force_deletes_nothing_that_is_protected(env: &Environment, flux: &Flux) -> Result<()> {
    let team = Team { env, namespace: "forced".into() };
    env.namespace("forced")?;
    follow(env, "forced", "forced", json!({"force": true}))?;
    let guarded = |spec: Value| repository(&[("guarded", laid(json!({"deletionProtection": true}), spec))]);
    let revision = flux.commit("forced", "forced", &guarded(json!({}))).await?;
    kustomization(env, "forced", "forced", healthy(&revision)).await?;
    let before = env.sim.live("guarded").await?;

    flux.commit("forced", "forced", &guarded(json!({"vmSize": "Standard_D2s_v3"}))).await?;
    let held = team.wait("guarded", Until::reason("Ready", "DeletionProtected")).await?;
    assert!(held["metadata"]["deletionTimestamp"].is_string(), "{}", held["metadata"]);
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("guarded").await?, ["PUT"]);

    // The way back: the commit is taken back, and the object let go without its cluster.
    let revision = flux.commit("forced", "forced", &guarded(json!({}))).await?;
    team.edit("guarded", json!({"deletionPolicy": "Orphan", "deletionProtection": false}))?;
    kustomization(env, "forced", "forced", healthy(&revision)).await?;
    let again = team.wait("guarded", Until::condition("InSync", "True")).await?;
    assert_ne!(again["metadata"]["uid"], held["metadata"]["uid"]);
    let after = env.sim.live("guarded").await?;
    let made = "/properties/createdOn";
    assert_eq!(after.pointer(made), before.pointer(made));
    assert!(!env.sim.verbs_to("guarded").await?.contains(&"DELETE".to_string()));
    Ok(())
}

/// The part of the page that has Flux wait until Azure equals the commit.
fn strict() -> Value {
    let page = std::fs::read_to_string(azureml_tests::checkout().join(PAGE)).unwrap();
    let block = blocks(&page).into_iter().find(|block| block.contains(STRICT)).unwrap();
    chart::documents(block).unwrap().remove(0)
}

/// By the page's own expressions: a change that nobody has approved isn't healthy, though the cluster is Ready.
async fn flux_waits_for_an_approval_where_it_is_told_to(env: &Environment, flux: &Flux) -> Result<()> {
    let team = Team { env, namespace: "asked".into() };
    env.namespace("asked")?;
    follow(env, "asked", "asked", laid(json!({"timeout": "20s"}), strict()))?;
    let revision = flux.commit("asked", "asked", &repository(&[("asked", json!({}))])).await?;
    kustomization(env, "asked", "asked", healthy(&revision)).await?;

    let change = json!({"applyPolicy": "Approved", "scale": {"maxNodes": 6}});
    let revision = flux.commit("asked", "asked", &repository(&[("asked", change)])).await?;
    let waiting = team.wait("asked", Until::condition("AwaitingApproval", "True")).await?;
    assert_eq!(condition(&waiting, "Ready")["status"], "True", "{}", waiting["status"]);
    let unwell_now = kustomization(env, "asked", "asked", unwell(&revision, "HealthCheckFailed")).await?;
    let told = message(&unwell_now, "Ready");
    assert!(told.contains("ComputeCluster/asked/asked status: 'InProgress'"), "{told}");
    assert_eq!(env.sim.verbs_to("asked").await?, ["PUT"]);

    let approved = format!("azureml.dev/approve={}", waiting["status"]["plan"]["hash"].as_str().unwrap());
    team.kubectl(&["annotate", "amlcc", "asked", &approved, "--field-manager=approval"])?;
    kustomization(env, "asked", "asked", healthy(&revision)).await?;
    assert_eq!(env.sim.verbs_to("asked").await?, ["PUT", "PATCH"]);

    // What can't work ends the wait by those expressions, too.
    let impossible = [("asked", json!({"scale": {"maxNodes": 6}})), ("never", json!({"vmSize": "Standard_NC999_v9"}))];
    let revision = flux.commit("asked", "asked", &repository(&impossible)).await?;
    let unwell_now = kustomization(env, "asked", "asked", unwell(&revision, "HealthCheckFailed")).await?;
    let told = message(&unwell_now, "Ready");
    assert!(told.contains("ComputeCluster/asked/never status: 'Failed'"), "{told}");
    Ok(())
}

/// The chart takes the values of the example.
#[test]
fn the_helm_example_has_values_that_the_chart_takes() {
    let text = std::fs::read_to_string(azureml_tests::checkout().join(EXAMPLES).join("operator-helm.yaml")).unwrap();
    let objects = chart::documents(&text).unwrap();
    let release = objects.iter().find(|object| object["kind"] == "HelmRelease").unwrap();
    let rendered = chart::render(operator::NAME, operator::NAMESPACE, &release["spec"]["values"]).unwrap();
    let account = rendered.iter().find(|object| object["kind"] == "ServiceAccount").unwrap();
    assert!(account["metadata"]["annotations"]["azure.workload.identity/client-id"].is_string(), "{account}");
}

/// The YAML blocks of a page.
fn blocks(page: &str) -> Vec<&str> {
    page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// What stands in YAML on the page stands so in an example.
#[test]
fn the_page_shows_what_the_examples_hold() {
    let root = azureml_tests::checkout();
    let page = std::fs::read_to_string(root.join(PAGE)).unwrap();
    let examples: String = ["operator.yaml", "operator-helm.yaml", "team.yaml"]
        .map(|name| std::fs::read_to_string(root.join(EXAMPLES).join(name)).unwrap())
        .concat();
    // Comments stand between the lines of an example, and the page has none.
    let uncommented = |text: &str| -> String {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        lines.map(|line| format!("{line}\n")).collect()
    };
    let examples = uncommented(&examples);
    // One that isn't for everybody is tried as it stands on the page.
    let shown: Vec<&str> = blocks(&page).into_iter().filter(|block| !block.contains(STRICT)).collect();
    for block in &shown {
        assert!(examples.contains(&uncommented(block)), "no example holds\n{block}");
    }
    azureml_promises::held("flux::the_page_shows_what_the_examples_hold", shown.len());
}
