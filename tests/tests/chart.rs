//! The chart: what it renders, refuses and installs, and that the operator's rights are those that it uses.

use std::collections::BTreeSet;

use azureml_tests::chart::{self, CHART, values};
use azureml_tests::environment::Install;
use azureml_tests::operator::{NAME, NAMESPACE};
use azureml_tests::team::{Team, brisk};
use azureml_tests::{EnvOptions, Environment, Operator, OperatorOptions, Result, RunDir, Until, secrets};
use serde_json::{Value, json};

/// What `deploy` holds of the chart: its folder, the release and whether it is one of several.
const RENDERED: [(&str, &str); 5] = [
    ("base", NAME),
    ("overlays/namespaced", NAME),
    ("overlays/workload-identity", NAME),
    ("overlays/sharded/rest", NAME),
    ("overlays/sharded/blue", "azureml-operator-blue"),
];
/// Labels that only helm sets.
const HELMS: [&str; 2] = ["helm.sh/chart", "app.kubernetes.io/managed-by"];

/// `deploy` is for who doesn't use helm; what it applies is what the chart installs. `AZUREML_GENERATE=write` brings it up
/// to date.
#[test]
fn what_deploy_applies_is_what_the_chart_installs() {
    for (folder, release) in RENDERED {
        let folder = azureml_tests::checkout().join("deploy").join(folder);
        let values = std::fs::read_to_string(folder.join("values.yaml")).unwrap();
        let values = chart::documents(&values).unwrap().remove(0);
        let mut text = String::from(
            "# Rendered by helm from charts/azureml-operator with values.yaml; see tests/tests/chart.rs.\n",
        );
        for mut object in chart::render(release, NAMESPACE, &values).unwrap() {
            for path in ["/metadata/labels", "/spec/template/metadata/labels"] {
                if let Some(labels) = object.pointer_mut(path).and_then(Value::as_object_mut) {
                    HELMS.iter().for_each(|label| drop(labels.remove(*label)));
                }
            }
            text.push_str("---\n");
            text.push_str(&serde_yaml_ng::to_string(&object).unwrap());
        }
        azureml_tests::generated(&folder.join("operator.yaml"), &text);
    }
}

/// Schema, README and the book's page say what `values.yaml` says.
#[test]
fn the_values_schema_and_readme_are_up_to_date() {
    const MARK: &str = "<!-- values -->\n";
    let chart = azureml_tests::checkout().join(CHART);
    let read = |name: &str| std::fs::read_to_string(chart.join(name)).unwrap_or_default();
    let entries = values::entries(&read("values.yaml")).unwrap();
    let schema = serde_json::to_string_pretty(&values::schema(&entries)).unwrap() + "\n";
    let readme = read("README.md");
    let (before, _) = readme.split_once(MARK).unwrap();
    let readme = format!("{before}{MARK}\n{}", values::table(&entries));
    let page = format!(
        "<!-- Generated from charts/azureml-operator/values.yaml. -->\n\n# Chart values\n\nWhat \
         `helm install --set NAME=VALUE` and a file of values may set in the chart `azureml-operator`. How it is \
         installed: [getting started](../getting-started/subscription.md).\n\n{}",
        values::table(&entries)
    );
    for (file, text) in [
        (chart.join("values.schema.json"), schema),
        (chart.join("README.md"), readme),
        (azureml_tests::checkout().join("docs/reference/chart.md"), page),
    ] {
        azureml_tests::generated(&file, &text);
    }
}

#[test]
fn values_that_can_not_work_are_refused_with_the_reason() {
    let rows = [
        (json!({"replicaCount": "two"}), "replicaCount"),
        (json!({"replicas": 3}), "replicas"),
        (json!({"operator": {"armBudgetShare": 0}}), "armBudgetShare"),
        (json!({"operator": {"concurrency": 0}}), "concurrency"),
        (json!({"operator": {"logFormat": "xml"}}), "logFormat"),
        (json!({"operator": {"leaseDuration": "soon"}}), "leaseDuration"),
        (json!({"image": {"pullPolicy": "Sometimes"}}), "pullPolicy"),
        (json!({"rbac": {"namespaces": ["ml"]}}), "operator.ownerId"),
        (json!({"serviceAccount": {"create": false}}), "serviceAccount.name"),
        (json!({"service": {"enabled": false}, "metrics": {"serviceMonitor": {"enabled": true}}}), "service.enabled"),
    ];
    for (values, words) in rows {
        let told = chart::render(NAME, NAMESPACE, &values).expect_err(&values.to_string()).to_string();
        assert!(told.contains(words), "{values}: {told}");
    }
}

#[test]
fn helm_finds_no_fault_in_the_chart() {
    let home = RunDir::new("lint").unwrap();
    chart::helm(home.path(), None, &["lint", "--strict", CHART]).unwrap();
}

/// Everything that can be switched on is taken by the API server, as it is; and what is installed does the work with no
/// right that it doesn't use.
#[tokio::test(flavor = "multi_thread")]
async fn the_installed_operator_works_with_the_least_rights() {
    let rows = [
        ("cluster-wide", json!({})),
        (
            "namespaced, with the page",
            json!({"rbac": {"namespaces": ["ml"]}, "operator": {"ownerId": "chart-test"}, "page": {"enabled": true}}),
        ),
    ];
    for (what, values) in rows {
        installed(values).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

async fn installed(values: Value) -> Result<()> {
    let page = values["page"]["enabled"] == true;
    let mut options = EnvOptions { install: Install::Chart(values), ..brisk() };
    options.operator.flags.push(("--leader-elect".into(), "true".into()));
    let standby = OperatorOptions { replica: Some("standby".into()), ..options.operator.clone() };
    let mut env = Environment::start(options).await?;
    let admin = env.operator()?.admin_url();
    let _standby = Operator::start(&standby, &env.plane, &env.sim).await?;
    let team = Team::new(&env, "ml")?;
    let password = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "nodes", "namespace": "ml"},
        "stringData": {"password": "Chart-Test-Password-1"}});
    env.apply(&password.to_string())?;
    let ssh = json!({"adminUserName": "azureuser", "adminPasswordSecretRef": {"name": "nodes", "key": "password"}});
    team.ready_cluster("gpu", json!({"ssh": ssh})).await?;
    team.edit("gpu", json!({"scale": {"maxNodes": 5}}))?;
    team.wait("gpu", Until::condition("InSync", "True")).await?;
    let token = team.kubectl(&["create", "token", "default"])?;
    let looked = reqwest::Client::builder().no_proxy().build().unwrap();
    let looked = looked.get(format!("{admin}/page/state")).bearer_auth(token.trim()).send().await.unwrap();
    assert_eq!(looked.status().as_u16(), if page { 403 } else { 404 }, "this account may list nothing");
    for kind in ["computecluster", "workspace"] {
        env.plane.kubectl(&["-n", "ml", "delete", kind, "--all", "--timeout=120s"])?;
    }
    let used = used(&env)?;
    let granted = granted(&env)?;
    assert_eq!(used.difference(&granted).collect::<Vec<_>>(), Vec::<&Right>::new(), "used without being granted");
    let unused: Vec<&Right> = granted.difference(&used).filter(|right| !is_for_conflicts(right)).collect();
    assert_eq!(unused, Vec::<&Right>::new(), "granted and never used");
    Ok(())
}

/// Group, resource with its subresource, verb.
type Right = (String, String, String);

/// What only an edit at the right instant makes it ask for: the tests of `crash` do.
fn is_for_conflicts((group, resource, verb): &Right) -> bool {
    group == "azureml.dev" && resource == "computeclusters" && verb == "get"
}

/// What the operator asked the API server for.
fn used(env: &Environment) -> Result<BTreeSet<Right>> {
    let text = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_string();
    let records = secrets::audit(env.plane.dir().path())?;
    let own = format!("system:serviceaccount:{NAMESPACE}:{NAME}");
    let ours = records.iter().filter(|record| text(record, "/user/username") == own);
    let asked = ours.filter(|record| record.get("objectRef").is_some());
    Ok(asked
        .map(|record| {
            let sub = text(record, "/objectRef/subresource");
            let resource = text(record, "/objectRef/resource");
            let resource = if sub.is_empty() { resource } else { format!("{resource}/{sub}") };
            (text(record, "/objectRef/apiGroup"), resource, text(record, "/verb"))
        })
        .collect())
}

/// What its roles grant.
fn granted(env: &Environment) -> Result<BTreeSet<Right>> {
    let kinds = "clusterroles,roles";
    let label = format!("app.kubernetes.io/instance={NAME}");
    let list = env.plane.kubectl(&["get", kinds, "-A", "-l", &label, "-o", "json"])?;
    let list: Value = serde_json::from_str(&list).unwrap();
    let aggregated = |role: &&Value| {
        let labels = role.pointer("/metadata/labels").and_then(Value::as_object);
        labels.is_some_and(|labels| labels.keys().any(|label| label.starts_with("rbac.authorization.k8s.io/aggregate")))
    };
    let texts = |rule: &Value, member: &str| -> Vec<String> {
        let all = rule[member].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_string).collect()
    };
    let roles = list["items"].as_array().unwrap();
    let mut granted = BTreeSet::new();
    for rule in roles.iter().filter(|role| !aggregated(role)).flat_map(|role| role["rules"].as_array().unwrap()) {
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                // Asked for by an admission plugin of some clusters, never by a request.
                if !resource.ends_with("/finalizers") {
                    granted
                        .extend(texts(rule, "verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
                }
            }
        }
    }
    Ok(granted)
}
