//! Objects that a former release stored are read and gone on with, and a release's own can be recorded for those to come.

use std::path::Path;

use azureml_tests::chart::{self, CHART};
use azureml_tests::environment::{CREDENTIAL, Install};
use azureml_tests::gate::{Gate, Moment, Side};
use azureml_tests::operator::{NAME, NAMESPACE as SYSTEM};
use azureml_tests::sim::arm::{compute_id, workspace_id};
use azureml_tests::team::{LONG, Team, WORKSPACE, brisk, brisk_operator, condition};
use azureml_tests::wait::eventually;
use azureml_tests::{
    EnvOptions, Environment, Error, Operator, OperatorOptions, OperatorStart, Result, Until, checkout,
};
use serde_json::{Value, json};

use super::stored::{Compute, FILE, NAMESPACE, OWNER, PASSWORD, Stored, releases};

/// What a killed operator left: before its PUT, after Azure's answer to it, and before its DELETE.
const INTENDED: &str = "intended";
const ANSWERED: &str = "answered";
const LEAVING: &str = "leaving";

fn options() -> OperatorOptions {
    let mut options = brisk_operator();
    options.flags.push(("--owner-id".into(), OWNER.into()));
    options
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

async fn environment(install: Install) -> Environment {
    let options = EnvOptions { install, start: OperatorStart::Later, operator: options(), ..brisk() };
    Environment::start(options).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Run before a release, with `--ignored`: keeps its chart, and what its operator leaves, in `tests/releases/VERSION/`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes tests/releases"]
async fn record_this_release() {
    let folder = checkout().join("tests/releases").join(env!("CARGO_PKG_VERSION"));
    std::fs::create_dir_all(&folder).unwrap();
    let env = environment(Install::Chart(json!({}))).await;
    let stored = recorded(&env).await.unwrap_or_else(|error| panic!("{error}"));
    std::fs::write(folder.join(FILE), format!("{}\n", serde_json::to_string_pretty(&stored).unwrap())).unwrap();
    let destination = folder.display().to_string();
    chart::helm(env.plane.dir().path(), None, &["package", CHART, "--destination", &destination]).unwrap();
}

async fn recorded(env: &Environment) -> Result<Stored> {
    let gate = Gate::open("gate", &env.plane, &env.sim).await?;
    let operator = Operator::start(&gate.lead(&options()), &env.plane, &env.sim).await?;
    let team = Team::new(env, NAMESPACE)?;
    let password = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "nodes", "namespace": NAMESPACE},
        "stringData": {"password": PASSWORD}});
    env.apply(&password.to_string())?;
    let ssh = json!({"adminUserName": "azureuser", "adminPasswordSecretRef": {"name": "nodes", "key": "password"}});
    for (name, spec) in [
        ("steady", json!({"tags": {"team": "vision"}, "identity": {"type": "SystemAssigned"}})),
        ("secret", json!({"ssh": ssh})),
        ("paused", json!({})),
        ("protected", json!({"deletionProtection": true})),
        (LEAVING, json!({})),
    ] {
        team.ready_cluster(name, spec).await?;
    }
    team.edit("paused", json!({"paused": true, "scale": {"maxNodes": 6}}))?;
    team.wait("paused", Until::condition("Paused", "True")).await?;
    team.edit("protected", json!({"tags": {"team": "speech"}, "applyPolicy": "Approved"}))?;
    team.wait("protected", Until::condition("AwaitingApproval", "True")).await?;
    team.cluster("mistaken", json!({"vmSize": "Standard_DS3_v3"}))?;
    team.wait("mistaken", Until::condition("Stalled", "True")).await?;

    let write_of = |name: &'static str, method: &'static str| {
        move |write: &azureml_tests::gate::Write| {
            write.side == Side::Azure && write.method == method && write.name == name
        }
    };
    let mut held = [
        gate.hold(1, Moment::Before, write_of(INTENDED, "PUT")),
        gate.hold(1, Moment::After, write_of(ANSWERED, "PUT")),
        gate.hold(1, Moment::Before, write_of(LEAVING, "DELETE")),
    ];
    team.cluster(INTENDED, json!({}))?;
    team.cluster(ANSWERED, json!({}))?;
    team.delete("amlcc", LEAVING)?;
    for hold in &mut held {
        hold.reached().await;
    }
    operator.kill()?;
    stored(env, &team).await
}

async fn stored(env: &Environment, team: &Team<'_>) -> Result<Stored> {
    let objects = listed(team.kubectl(&["get", "azureml", "-o", "json", "--show-managed-fields"])?);
    let mut azure = std::collections::BTreeMap::new();
    for name in objects.iter().filter_map(|object| object["metadata"]["name"].as_str()) {
        let live = env.sim.live(name).await?;
        let Some(created_on) = live.pointer("/properties/createdOn").and_then(Value::as_str) else { continue };
        let puts = env.sim.requests().await?;
        let put = puts.into_iter().find(|request| request.method == "PUT" && request.is_about(name)).unwrap();
        azure.insert(name.to_owned(), Compute { body: put.body, created_on: created_on.to_owned() });
    }
    let key = env.plane.kubectl(&["-n", SYSTEM, "get", "secret", "azureml-operator-hash-key", "-o", "json"])?;
    let mut applied = listed(team.kubectl(&["get", "secrets", "-o", "json"])?);
    applied.push(json_of(&key));
    for object in &mut applied {
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.retain(|member, _| ["name", "namespace", "finalizers"].contains(&member.as_str()));
    }
    let workspace = env.sim.arm().await?.get(&workspace_id()).await?.body;
    let workspace = workspace.pointer("/properties/workspaceId").and_then(Value::as_str).unwrap().to_owned();
    Ok(Stored { applied, objects, azure, workspace })
}

fn listed(list: String) -> Vec<Value> {
    json_of(&list)["items"].as_array_mut().map(std::mem::take).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_former_releases_stored_is_gone_on_with() {
    let mut cases = 0;
    for release in releases() {
        cases += gone_on_with(&release).await.unwrap_or_else(|error| panic!("{}: {error}", release.display()));
    }
    azureml_promises::held("upgrade::what_former_releases_stored_is_gone_on_with", cases);
}

async fn gone_on_with(release: &Path) -> Result<usize> {
    let stored: Stored = serde_json::from_str(&std::fs::read_to_string(release.join(FILE)).unwrap()).unwrap();
    let version = release.file_name().and_then(|name| name.to_str()).unwrap();
    let packed = release.join(format!("{NAME}-{version}.tgz")).display().to_string();
    let env = environment(Install::Packed(packed)).await;
    let team = restored(&env, &stored).await?;
    let mark = env.sim.mark().await?;
    chart::install(&env.plane, NAME, SYSTEM, &json!({}))?;
    let operator = Operator::start(&options(), &env.plane, &env.sim).await?;

    for name in ["steady", "secret", INTENDED, ANSWERED] {
        team.wait(name, Until::ready()).await?;
        team.wait(name, Until::condition("InSync", "True")).await?;
    }
    team.wait(LEAVING, Until::gone()).await?;
    env.sim.wait_for_a_few_lists().await?;
    for (name, kind) in [("paused", "Paused"), ("protected", "AwaitingApproval"), ("mistaken", "Stalled")] {
        let object = team.get(name)?;
        assert_eq!(condition(&object, kind)["status"], "True", "{name}: {object}");
    }
    for object in &stored.objects {
        let name = object["metadata"]["name"].as_str().unwrap();
        let verbs: Vec<_> = env.sim.writes_of(name, mark).await?.into_iter().map(|write| write.method).collect();
        let wanted: &[&str] = match name {
            INTENDED => &["PUT"],
            LEAVING => &["DELETE"],
            _ => &[],
        };
        assert_eq!(verbs, wanted, "{name}");
    }
    // And it goes on from there: what waited is carried out once it may be.
    team.edit("paused", json!({"paused": false}))?;
    team.edit("protected", json!({"applyPolicy": null}))?;
    team.edit("mistaken", json!({"vmSize": "Standard_DS3_v2"}))?;
    for name in ["paused", "protected", "mistaken"] {
        team.wait(name, Until::ready()).await?;
        team.wait(name, Until::condition("InSync", "True")).await?;
        assert_eq!(env.sim.writes_of(name, mark).await?.len(), 1, "{name}");
    }
    assert!(operator.stop()?.success());
    Ok(stored.objects.len())
}

/// Azure and the API server as they were then: Azure's times, and the id of its workspace, are those of now.
async fn restored<'e>(env: &'e Environment, stored: &Stored) -> Result<Team<'e>> {
    let team = Team::without_workspace(env, NAMESPACE)?;
    for object in &stored.applied {
        env.apply(&object.to_string())?;
    }
    assert!(stored.applied.iter().any(|object| object["metadata"]["name"] == CREDENTIAL));
    let arm = env.sim.arm().await?;
    let workspace = arm.get(&workspace_id()).await?.body;
    let mut renamed = vec![(stored.workspace.clone(), text(&workspace, "/properties/workspaceId"))];
    for (name, compute) in &stored.azure {
        let body = compute.body.to_string().replace("(redacted)", PASSWORD);
        let answer = arm.put(&compute_id(name), json_of(&body)).await?;
        assert!(answer.status.is_success(), "{name}: {answer:?}");
        let live = eventually("a compute as it was", LONG, async || {
            let live = env.sim.live(name).await?;
            Ok((text(&live, "/properties/provisioningState") == "Succeeded").then_some(live))
        })
        .await?;
        renamed.push((compute.created_on.clone(), text(&live, "/properties/createdOn")));
    }
    for object in &stored.objects {
        let object = renamed.iter().fold(object.to_string(), |text, (before, now)| text.replace(before, now));
        let mut object = json_of(&object);
        object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        let plural = if object["kind"] == "Workspace" { "workspaces" } else { "computeclusters" };
        env.plane.store(plural, &object).await?;
    }
    let stands = json_of(&team.kubectl(&["get", "amlws", WORKSPACE, "-o", "json"])?);
    if stands["status"]["conditions"].is_null() {
        return Err(Error::Invalid(format!("the store lost the status: {stands}")));
    }
    Ok(team)
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
