//! What `docs/security.md` says of the pod, of people's roles and of the way to Azure, and that each of its lines has a test.

use std::path::Path;

use azureml_tests::environment::Install;
use azureml_tests::operator::{NAME, NAMESPACE};
use azureml_tests::team::{Team, WORKSPACE, brisk, condition};
use azureml_tests::{
    ControlPlane, Controllers, EnvOptions, Environment, OperatorStart, Options, Result, Until, binary, chart, checkout,
};
use serde_json::{Value, json};

/// Values that make each sort of pod.
fn pods() -> Vec<Value> {
    let azure = json!({"tenantId": "t", "clientId": "c", "clientSecretName": "azure-own"});
    vec![json!({}), json!({"azure": azure}), json!({"azure": {"workloadIdentity": {"enabled": true}, "clientId": "c"}})]
}

fn deployment(values: &Value) -> Value {
    let all = chart::render(NAME, NAMESPACE, values).unwrap();
    all.into_iter().find(|object| object["kind"] == "Deployment").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn its_pod_is_taken_where_pods_are_restricted() {
    let plane = ControlPlane::start(Options { controllers: Controllers::Basic, ..Options::default() }).await.unwrap();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "strict",
        "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    plane.kubectl_with_input(&["apply", "-f", "-"], &namespace.to_string()).unwrap();
    let taken = |spec: &Value| {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator", "namespace": "strict"}, "spec": spec});
        plane.kubectl_with_input(&["create", "--dry-run=server", "-f", "-"], &pod.to_string())
    };
    let mut cases = 0;
    for values in pods() {
        let deployment = deployment(&values);
        let mut spec = deployment.pointer("/spec/template/spec").unwrap().clone();
        spec["serviceAccountName"] = json!("default");
        taken(&spec).unwrap_or_else(|error| panic!("{values}: {error}"));
        let container = &spec["containers"][0];
        assert_eq!(container.pointer("/securityContext/readOnlyRootFilesystem"), Some(&json!(true)));
        assert!(container.pointer("/resources/limits/memory").is_some(), "{container}");
        // What isn't so is refused there: the check is one that can fail.
        for (pointer, wrong) in [("/securityContext", json!({})), ("/containers/0/securityContext", json!({}))] {
            let mut loose = spec.clone();
            *loose.pointer_mut(pointer).unwrap() = wrong;
            let told = taken(&loose).unwrap_err().to_string();
            assert!(told.contains("violates PodSecurity"), "{told}");
            cases += 1;
        }
    }
    azureml_promises::held("security::its_pod_is_taken_where_pods_are_restricted", cases);
}

/// No flag and no argument holds a secret: whoever lists processes or reads the Deployment sees none.
#[test]
fn no_secret_stands_in_an_argument() {
    for values in pods() {
        let deployment = deployment(&values);
        let container = deployment.pointer("/spec/template/spec/containers/0").unwrap();
        let secret =
            container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == "AZURE_CLIENT_SECRET");
        assert_eq!(secret.is_some(), values.pointer("/azure/clientSecretName").is_some());
        assert!(
            secret
                .is_none_or(|secret| secret["value"].is_null() && secret.pointer("/valueFrom/secretKeyRef").is_some())
        );
    }
    let program = binary("azureml-operator", "azureml-operator").unwrap();
    let help = std::process::Command::new(program).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags: Vec<&str> = help
        .lines()
        .filter_map(|line| line.trim().split([' ', '=', ',']).find(|word| word.starts_with("--")))
        .collect();
    assert!(flags.contains(&"--owner-id"), "{help}");
    for flag in flags {
        for word in ["secret", "password", "key", "assertion"] {
            assert!(!flag.contains(word), "{flag} would hold a secret");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_the_network_get_what_they_should() {
    let options = EnvOptions { install: Install::Chart(json!({})), start: OperatorStart::Later, ..brisk() };
    let mut env = Environment::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = roles_of_people(&env).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = cases + a_stranger_gets_no_credential(&mut env).await.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("security::people_and_the_network_get_what_they_should", cases);
}

/// Kubernetes' own roles, bound in a namespace, with the chart's additions.
async fn roles_of_people(env: &Environment) -> Result<usize> {
    let rows: [(&str, &str, &str, bool); 16] = [
        ("view", "get", "computeclusters", true),
        ("view", "watch", "workspaces", true),
        ("view", "patch", "computeclusters", false),
        ("view", "delete", "computeclusters", false),
        ("view", "create", "workspaces", false),
        ("view", "get", "secrets", false),
        ("edit", "create", "computeclusters", true),
        ("edit", "delete", "computeclusters", true),
        // A Workspace says which credential is used, and who may use it.
        ("edit", "create", "workspaces", false),
        ("edit", "patch", "workspaces", false),
        ("edit", "update", "computeclusters/status", false),
        ("edit", "update", "workspaces/status", false),
        ("admin", "create", "workspaces", true),
        ("admin", "delete", "workspaces", true),
        ("admin", "update", "computeclusters/status", false),
        ("admin", "patch", "workspaces/status", false),
    ];
    env.plane.kubectl(&["create", "namespace", "people"])?;
    for role in ["view", "edit", "admin"] {
        let (of, user) = (format!("--clusterrole={role}"), format!("--user={role}er"));
        env.plane.kubectl(&["-n", "people", "create", "rolebinding", role, &of, &user])?;
    }
    for (role, verb, resource, may) in rows {
        let (group, sub) =
            resource.split_once('/').map_or((resource, String::new()), |(all, sub)| (all, sub.to_owned()));
        let group = if group == "secrets" { group.to_owned() } else { format!("{group}.azureml.dev") };
        let (asked, sub) = (format!("--as={role}er"), format!("--subresource={sub}"));
        // It ends with an error where the answer is no.
        let answer = env.plane.kubectl(&["-n", "people", "auth", "can-i", verb, &group, &asked, &sub]);
        assert_eq!(answer.is_ok(), may, "{role} {verb} {resource}: {answer:?}");
    }
    Ok(rows.len())
}

/// Somebody who answers for Azure with a certificate that nobody vouches for learns nothing.
async fn a_stranger_gets_no_credential(env: &mut Environment) -> Result<usize> {
    env.namespace("stranger")?;
    let authority = env.plane.ca().display().to_string();
    env.options().env.push(("SSL_CERT_FILE".into(), authority));
    env.start_operator().await?;
    let team = Team { env, namespace: "stranger".into() };
    team.workspace(WORKSPACE, json!({}))?;
    let told = team.wait_any(
        "Workspace",
        WORKSPACE,
        Until::json("a word of the certificate", |object| {
            condition(object, "Ready")["message"].as_str().is_some_and(|message| message.contains("certificate"))
        }),
    );
    let told = told.await?;
    assert_ne!(condition(&told, "Ready")["status"], "True");
    assert_eq!(env.sim.requests().await?, vec![], "not even a token was asked for");
    Ok(1)
}

/// Each line of the check list names tests, and those are there.
#[test]
fn each_line_of_the_check_list_has_its_test() {
    let page = std::fs::read_to_string(checkout().join("docs/security.md")).unwrap();
    let list = page.split("## Check list").nth(1).unwrap();
    let rows: Vec<&str> = list.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what")).collect();
    assert!(rows.len() > 20, "{rows:#?}");
    for row in rows {
        let proof = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names.into_iter().filter(|name| !name.starts_with("make ")) {
            let (file, function) = name.rsplit_once("::").unwrap_or_else(|| panic!("{name} is no test"));
            let places = match file.contains('/') {
                true => vec![checkout().join(file)],
                false => {
                    let tests = checkout().join("tests/tests");
                    vec![tests.join(format!("{file}.rs")), tests.join(file)]
                }
            };
            let there = places.iter().any(|place| holds(place, &format!("fn {function}(")));
            assert!(there, "{name} isn't there: {row}");
        }
    }
}

fn holds(place: &Path, words: &str) -> bool {
    match std::fs::read_dir(place) {
        Ok(entries) => entries.flatten().any(|entry| holds(&entry.path(), words)),
        Err(_) => std::fs::read_to_string(place).is_ok_and(|text| text.contains(words)),
    }
}
