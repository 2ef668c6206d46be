//! Every command of the documentation runs, page by page, on a real API server with azure-sim; what doesn't run says why.

use std::path::PathBuf;

use azureml_tests::environment::Install;
use azureml_tests::operator::{NAME, NAMESPACE};
use azureml_tests::sim::arm::{compute_id, workspace_id};
use azureml_tests::team::brisk;
use azureml_tests::{EnvOptions, Environment, OperatorStart, Result, RunDir};
use serde_json::{Value, json};

use super::page::{Block, Page, chapters, others};
use super::session::{Session, shown};

/// Why commands of a page aren't run. A reason that stands here only is none; one that isn't here is a mistake.
const NOT_RUN: [&str; 10] = [
    "shows a bad day, which other tests make",
    "needs the Azure CLI and a subscription",
    "needs values of your own",
    "needs Terraform",
    "needs Azure Service Operator",
    "needs Crossplane",
    "needs Flux in the cluster",
    "needs Argo CD in the cluster",
    "needs pods that run",
    "builds the project or starts an environment, as the other tests do",
];
/// A principal of the demo's world that trusts the operator's service account.
const FEDERATED: &str = "00000000-0000-0000-0000-0000000000c2";
/// Our kinds.
const KINDS: &str = "computeclusters.azureml.dev,workspaces.azureml.dev";
/// For whom the operator's service account token is.
const AUDIENCE: &str = "api://AzureADTokenExchange";

/// What a page's commands begin with: `<!-- begins with: … -->`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// The operator at work, as after `make up`.
    Operator,
    /// A cluster with nothing in it.
    EmptyCluster,
}

fn begin(page: &Page) -> Begin {
    match page.notes.get("begins with").map(String::as_str) {
        None => Begin::Operator,
        Some("an empty cluster") => Begin::EmptyCluster,
        Some(other) => panic!("{}: begins with {other}?", page.path.display()),
    }
}

/// Whether a block is run, from its comments.
fn is_run(page: &Page, block: &Block) -> bool {
    match (block.language.as_str(), block.notes.get("not run")) {
        ("sh" | "console", Some(reason)) => {
            assert!(NOT_RUN.contains(&reason.as_str()), "{}: not run: {reason}?", page.at(block.line));
            false
        }
        ("sh", None) => true,
        // What a console shows without a command is an output only.
        ("console", None) => !shown(&block.text).is_empty(),
        (_, None) => false,
        (language, Some(_)) => panic!("{}: {language} is never run", page.at(block.line)),
    }
}

/// Names of languages are few, so that a mistyped `sh` isn't passed over.
#[test]
fn every_block_says_what_it_is() {
    const LANGUAGES: [&str; 13] =
        ["sh", "console", "yaml", "text", "json", "", "toml", "promql", "hcl", "http", "rust", "lua", "diff"];
    for path in chapters().into_iter().chain(others()) {
        let page = Page::read(&path);
        for block in &page.blocks {
            let language = block.language.as_str();
            assert!(LANGUAGES.contains(&language), "{}: {language:?}", page.at(block.line));
            // An indented block is for words; commands are to be run.
            let command = ["$ ", "kubectl ", "helm ", "az ", "make "];
            let hidden = ["", "text"].contains(&language) && command.iter().any(|c| block.text.starts_with(c));
            assert!(!hidden, "{}: a command that no test runs: make it a block of sh", page.at(block.line));
            if language == "sh" {
                let checked = std::process::Command::new("bash").args(["-n", "-c", &block.text]).output().unwrap();
                assert!(
                    checked.status.success(),
                    "{}: {}",
                    page.at(block.line),
                    String::from_utf8_lossy(&checked.stderr)
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_runs() {
    let only = std::env::var("AZUREML_BOOK_PAGE").ok();
    let pages: Vec<Page> = chapters().into_iter().chain(others()).map(|path: PathBuf| Page::read(&path)).collect();
    let with_commands = pages.iter().filter(|page| page.blocks.iter().any(|block| is_run(page, block)));
    let wanted = |page: &&Page| {
        only.as_ref().is_none_or(|only| only.split(",").any(|one| page.path.display().to_string().contains(one)))
    };
    let (full, empty): (Vec<&Page>, Vec<&Page>) =
        with_commands.filter(wanted).partition(|page| begin(page) == Begin::Operator);
    let mut faults = Vec::new();
    let mut count = 0;
    if !full.is_empty() {
        let mut options = brisk();
        options.operator.flags.push(("--default-identity-namespaces".into(), "*".into()));
        let mut environment = Environment::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        for page in full {
            count += read(&mut environment, page, &mut faults).await;
            clean(&environment).await.unwrap_or_else(|error| panic!("after {}: {error}", page.path.display()));
        }
    }
    for page in empty {
        let options = EnvOptions { install: Install::Nothing, start: OperatorStart::Later, ..brisk() };
        let mut environment = Environment::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        count += read(&mut environment, page, &mut faults).await;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    if only.is_none() {
        azureml_promises::held("book::every_command_runs", count);
    }
}

/// Runs a page's commands in their order; the first that fails ends the page. Gives how many blocks ran.
async fn read(environment: &mut Environment, page: &Page, faults: &mut Vec<String>) -> usize {
    let run = RunDir::new("book").unwrap();
    let mut session = Session::new(page, &environment.plane, &environment.sim, &run);
    if begin(page) == Begin::EmptyCluster {
        session.set("AZURE_CLIENT_ID", FEDERATED);
    }
    if let Some(name) = page.notes.get("azure has") {
        made_by_hand(environment, name).await;
    }
    let (mut count, mut deployed) = (0, Value::Null);
    for block in &page.blocks {
        if let Some(file) = block.notes.get("file") {
            session.save(file, &block.text);
        }
        if !is_run(page, block) {
            continue;
        }
        let ran = match block.language.as_str() {
            "console" => session.run_shown(block).map(drop),
            _ => session.run(&block.text).map(drop),
        };
        let followed = match ran {
            Ok(()) => follow(environment, &mut deployed).await.map_err(|error| error.to_string()),
            error => error,
        };
        if let Err(told) = followed {
            let objects = environment.plane.kubectl(&["get", KINDS, "-A", "--ignore-not-found"]);
            let told = format!("{told}\n{}", objects.unwrap_or_else(|error| error.to_string()));
            faults.push(format!("{}: {}\n{told}", page.at(block.line), block.text));
            break;
        }
        count += 1;
    }
    count
}

/// A cluster that somebody made in Azure without this operator.
async fn made_by_hand(environment: &Environment, name: &str) {
    let properties = json!({"vmSize": "Standard_DS3_v2", "vmPriority": "Dedicated",
        "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT120S"}});
    let body = json!({"location": "westeurope", "tags": {"made-by": "hand"},
        "properties": {"computeType": "AmlCompute", "computeLocation": "westeurope", "properties": properties}});
    let arm = environment.sim.arm().await.unwrap();
    let answer = arm.put(&compute_id(name), body).await.unwrap();
    assert!(answer.status.is_success(), "{}: {}", answer.status, answer.body);
    // Its creation is long past when the page begins.
    environment.sim.advance("1h").await.unwrap();
}

/// What a kubelet would do: the operator's pod runs once there is a Deployment, which then says that it is available, and
/// is another one when that has changed.
async fn follow(environment: &mut Environment, deployed: &mut Value) -> Result<()> {
    let deployment = ["-n", NAMESPACE, "get", "deployment", NAME, "-o", "json", "--ignore-not-found"];
    let found = environment.plane.kubectl(&deployment)?;
    if found.trim().is_empty() {
        return environment.stop_operator();
    }
    let object: Value = serde_json::from_str(&found).unwrap_or_default();
    let before = std::mem::replace(deployed, object["metadata"]["generation"].clone());
    if environment.operator().is_ok() {
        // Where the page began with an operator at work, this is what it was started from.
        if before.is_null() || before == *deployed {
            return Ok(());
        }
        environment.stop_operator()?;
    }
    let label = object.pointer("/spec/template/metadata/labels/azure.workload.identity~1use");
    if label.and_then(Value::as_str) == Some("true") {
        as_the_webhook_does(environment)?;
    }
    environment.start_operator().await?;
    let (generation, replicas) = (&object["metadata"]["generation"], &object["spec"]["replicas"]);
    let status = json!({"status": {
        "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
        "readyReplicas": replicas, "availableReplicas": replicas,
        "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": ""}],
    }});
    let patch = status.to_string();
    let arguments =
        ["-n", NAMESPACE, "patch", "deployment", NAME, "--subresource=status", "--type=merge", "-p", &patch];
    environment.plane.kubectl(&arguments).map(drop)
}

/// What Azure's webhook puts into pods with its label: a token of the service account, and whom it stands for.
fn as_the_webhook_does(environment: &mut Environment) -> Result<()> {
    let account = environment.plane.kubectl(&["-n", NAMESPACE, "get", "serviceaccount", NAME, "-o", "json"])?;
    let account: Value = serde_json::from_str(&account).unwrap_or_default();
    let audience = format!("--audience={AUDIENCE}");
    let token = environment.plane.kubectl(&["create", "token", NAME, "-n", NAMESPACE, &audience, "--duration=2h"])?;
    let file = environment.plane.dir().path().join("azure-identity-token");
    std::fs::write(&file, token).unwrap_or_else(|error| panic!("the token's file: {error}"));
    let mut set = vec![("AZURE_FEDERATED_TOKEN_FILE", file.display().to_string())];
    for (variable, annotation) in [("AZURE_TENANT_ID", "tenant-id"), ("AZURE_CLIENT_ID", "client-id")] {
        let value = &account["metadata"]["annotations"][format!("azure.workload.identity/{annotation}")];
        set.push((variable, value.as_str().unwrap_or_default().to_string()));
    }
    let env = &mut environment.options().env;
    env.retain(|(known, _)| set.iter().all(|(name, _)| name != known));
    env.extend(set.into_iter().map(|(name, value)| (name.to_string(), value)));
    Ok(())
}

/// Takes away what a page left: its namespaces with their objects, and what those orphaned in Azure.
async fn clean(environment: &Environment) -> Result<()> {
    let plane = &environment.plane;
    let unprotect = r#"{"spec":{"deletionProtection":false,"paused":false,"applyPolicy":"Automatic"}}"#;
    let names = ["get", "namespaces", "-o", "jsonpath={.items[*].metadata.name}"];
    for namespace in plane.kubectl(&names)?.split_whitespace() {
        if namespace == NAMESPACE || namespace.starts_with("kube-") {
            continue;
        }
        for cluster in plane.kubectl(&["-n", namespace, "get", "amlcc", "-o", "name"])?.split_whitespace() {
            plane.kubectl(&["-n", namespace, "patch", cluster, "--type=merge", "-p", unprotect])?;
        }
        if namespace == "default" {
            plane.kubectl(&["-n", namespace, "delete", KINDS, "--all", "--timeout=120s"])?;
        } else {
            plane.kubectl(&["delete", "namespace", namespace, "--timeout=120s"])?;
        }
    }
    let arm = environment.sim.arm().await?;
    let list = arm.get(&format!("{}/computes", workspace_id())).await?;
    for compute in list.body["value"].as_array().into_iter().flatten() {
        let id = compute_id(compute["name"].as_str().unwrap_or_default());
        arm.delete(&format!("{id}?underlyingResourceAction=Delete")).await?;
    }
    Ok(())
}
