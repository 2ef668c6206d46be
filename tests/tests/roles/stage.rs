//! A world in which each case has a workspace, a principal and the shipped role definitions, as its own copies.

use std::path::PathBuf;

use azureml_tests::sim::demo;
use azureml_tests::team::{LONG, Team, WORKSPACE, brisk_operator, condition};
use azureml_tests::{EnvOptions, Environment, RunDir, Sim, SimOptions, SimRequest, Until};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The size that cases take.
pub const SIZE: &str = "Standard_DS3_v2";
/// The secret of every case's principal, which is good for nothing else.
const SECRET: &str = "demo-only-not-a-secret-either";

/// A role that ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Workspace,
    Subscription,
}

impl Role {
    pub const ALL: [Role; 2] = [Role::Workspace, Role::Subscription];

    /// The file that it ships in.
    pub fn file(self) -> PathBuf {
        let name = match self {
            Role::Workspace => "workspace.json",
            Role::Subscription => "subscription.json",
        };
        azureml_tests::checkout().join("deploy/azure/roles").join(name)
    }
}

/// A definition as it ships: in the form that `az role definition create --role-definition` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Definition {
    pub name: String,
    pub is_custom: bool,
    pub description: String,
    pub actions: Vec<String>,
    pub not_actions: Vec<String>,
    pub data_actions: Vec<String>,
    pub not_data_actions: Vec<String>,
    pub assignable_scopes: Vec<String>,
}

/// The definition of a role, from its file.
pub fn shipped(role: Role) -> Definition {
    let file = role.file();
    let text = std::fs::read_to_string(&file).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// An environment of these cases.
pub struct Stage {
    env: Environment,
    cases: &'static [&'static str],
    _world: RunDir,
}

impl Stage {
    pub async fn start(cases: &'static [&'static str]) -> Self {
        let dir = RunDir::new("world").unwrap();
        let world = dir.path().join("world.yaml");
        std::fs::write(&world, world_of(cases).to_string()).unwrap();
        let mut operator = brisk_operator();
        // What may not be read is asked for again after that time, too.
        operator.flags.retain(|(flag, _)| flag != "--retry-longest");
        operator.flags.push(("--retry-longest".into(), "5s".into()));
        let sim = SimOptions { world, ..SimOptions::default() };
        let env = Environment::start(EnvOptions { sim, operator, ..EnvOptions::default() }).await;
        Stage { env: env.unwrap_or_else(|error| panic!("{error}")), cases, _world: dir }
    }

    pub async fn restart_operator(&mut self) {
        self.env.stop_operator().unwrap_or_else(|error| panic!("{error}"));
        self.env.start_operator().await.unwrap_or_else(|error| panic!("{error}"));
    }

    pub fn case(&self, name: &'static str) -> Case<'_> {
        let at = self.cases.iter().position(|case| *case == name).unwrap_or_else(|| panic!("no case {name}"));
        Case { team: Team { env: &self.env, namespace: name.to_string() }, name, client: client(at) }
    }
}

fn client(at: usize) -> String {
    format!("00000000-0000-0000-0002-{at:012}")
}

fn subscription() -> String {
    format!("/subscriptions/{}", demo::SUBSCRIPTION)
}

fn workspace_id(case: &str) -> String {
    let group = demo::RESOURCE_GROUP;
    format!(
        "{}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices/workspaces/{case}-ws",
        subscription()
    )
}

/// A case's copy of a shipped role: its name ends with the case's, and the placeholder is filled in as the README says.
fn own(case: &str, role: Role) -> Definition {
    let mut definition = shipped(role);
    definition.name = format!("{} ({case})", definition.name);
    for scope in &mut definition.assignable_scopes {
        *scope = scope.replace("SUBSCRIPTION_ID", demo::SUBSCRIPTION);
    }
    definition
}

fn assignments(case: &str) -> Value {
    json!([
        {"scope": workspace_id(case), "role": own(case, Role::Workspace).name},
        {"scope": subscription(), "role": own(case, Role::Subscription).name},
    ])
}

/// The demo's world with a workspace, a principal and its roles for each case.
fn world_of(cases: &[&str]) -> Value {
    let text = std::fs::read_to_string(SimOptions::default().world).unwrap();
    let mut world: Value = serde_yaml_ng::from_str(&text).unwrap();
    world["roleDefinitions"] = json!([]);
    let mut add = |to: &str, what: Value| world[to].as_array_mut().unwrap().push(what);
    for (at, case) in cases.iter().enumerate() {
        add(
            "workspaces",
            json!({
                "subscription": demo::SUBSCRIPTION, "resourceGroup": demo::RESOURCE_GROUP, "name": format!("{case}-ws"),
                "location": "westeurope",
            }),
        );
        Role::ALL.into_iter().for_each(|role| add("roleDefinitions", json!(own(case, role))));
        add(
            "principals",
            json!({
                "clientId": client(at), "tenant": demo::TENANT, "name": case, "secret": SECRET,
                "roles": assignments(case),
            }),
        );
    }
    world
}

/// One case.
pub struct Case<'a> {
    pub team: Team<'a>,
    name: &'static str,
    client: String,
}

impl Case<'_> {
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn sim(&self) -> &Sim {
        &self.team.env.sim
    }

    /// What a role is called in this case.
    pub fn name_of(&self, role: Role) -> String {
        own(self.name, role).name
    }

    /// The ARM id of its workspace.
    pub fn workspace_id(&self) -> String {
        workspace_id(self.name)
    }

    /// The ARM id of a cluster.
    pub fn id(&self, cluster: &str) -> String {
        format!("{}/computes/{cluster}", self.workspace_id())
    }

    /// Takes these actions off the case's roles.
    pub async fn without(&self, lacking: &[(Role, &str)]) {
        for (role, action) in lacking {
            let mut definition = own(self.name, *role);
            let before = definition.actions.len();
            definition.actions.retain(|granted| granted != action);
            assert_eq!(definition.actions.len(), before - 1, "{role:?} doesn't grant {action}");
            self.sim().post("roles", json!(definition)).await.unwrap();
        }
    }

    /// Grants what ships, and nothing else.
    pub async fn grant(&self) {
        for role in Role::ALL {
            self.sim().post("roles", json!(own(self.name, role))).await.unwrap();
        }
    }

    /// Assigns a further role beside the case's own.
    pub async fn assign(&self, role: &str, scope: &str) {
        let mut roles = assignments(self.name);
        roles.as_array_mut().unwrap().push(json!({"scope": scope, "role": role}));
        self.sim().post(&format!("principals/{}", self.client), json!({"roles": roles})).await.unwrap();
    }

    /// Makes the namespace with its credential and its Workspace.
    pub fn open(&self) {
        let namespace = &self.team.namespace;
        let texts = json!({
            "AZURE_TENANT_ID": demo::TENANT, "AZURE_CLIENT_ID": self.client, "AZURE_CLIENT_SECRET": SECRET,
        });
        let objects = [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "azure-sp", "namespace": namespace},
                "stringData": texts}),
        ];
        objects.iter().for_each(|object| self.team.env.apply(&object.to_string()).unwrap());
        self.team.workspace(WORKSPACE, json!({"azureName": format!("{}-ws", self.name)})).unwrap();
    }

    pub async fn ready(&self, cluster: &str, spec: Value) -> Value {
        self.team.ready_cluster(cluster, spec).await.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    pub async fn in_sync(&self, cluster: &str) {
        self.until("ComputeCluster", cluster, Until::condition("InSync", "True")).await;
    }

    pub async fn gone(&self, cluster: &str) {
        self.until("ComputeCluster", cluster, Until::gone()).await;
    }

    pub async fn until(&self, kind: &str, name: &str, until: Until) -> Value {
        self.team.wait_any(kind, name, until).await.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// A condition has this reason and a message with all these words.
    pub async fn tells(&self, kind: &str, name: &str, of: &str, reason: &str, words: &[&str]) -> Value {
        let (wanted, told) = (of.to_string(), reason.to_string());
        let parts: Vec<String> = words.iter().map(ToString::to_string).collect();
        let holds = move |object: &Value| {
            let found = condition(object, &wanted);
            let message = found["message"].as_str().unwrap_or_default();
            found["reason"] == *told && parts.iter().all(|part| message.contains(part.as_str()))
        };
        self.until(kind, name, Until::json(format!("{of} to tell {reason} with {words:?}"), holds)).await
    }

    /// As [`Self::tells`], of the case's Workspace.
    pub async fn workspace_tells(&self, of: &str, reason: &str, words: &[&str]) -> Value {
        self.tells("Workspace", WORKSPACE, of, reason, words).await
    }

    /// Nothing is told late or less precisely any more.
    pub async fn nothing_is_limited(&self) {
        let free =
            |object: &Value| condition(object, "Ready")["status"] == "True" && condition(object, "Limited").is_null();
        self.until("Workspace", WORKSPACE, Until::json("Ready and no condition Limited", free)).await;
    }

    /// Operations that these writes of a cluster begin fail.
    pub async fn fault(&self, method: &str, cluster: &str, times: i64) {
        let fails = json!({"operationFails": {"code": "SomethingBroke", "message": "A disk of ours is full."}});
        let matches = json!({"method": method, "pathEnds": format!("/{}-ws/computes/{cluster}", self.name)});
        let rule = json!({"name": self.name, "match": matches, "times": times, "fault": fails});
        self.sim().fault(rule).await.unwrap();
    }

    pub async fn end_faults(&self) {
        self.sim().call(Method::DELETE, &format!("faults/{}", self.name), None).await.unwrap();
    }

    /// Takes the workspace away in Azure, and all that is in it and at it.
    pub async fn remove_workspace(&self) {
        self.sim().call(Method::DELETE, &format!("compute{}", self.workspace_id()), None).await.unwrap();
    }

    /// The operator has read this workspace's list so many times more.
    pub async fn lists(&self, count: usize) {
        let mark = self.sim().mark().await.unwrap();
        let path = format!("/{}-ws/computes", self.name);
        let is_list = |request: &SimRequest| request.method == "GET" && request.path.ends_with(&path);
        self.sim().wait_for_requests("looks at the list", mark, count, LONG, is_list).await.unwrap();
    }

    /// What this case's principal has asked Azure Resource Manager for.
    pub async fn asked(&self) -> Vec<SimRequest> {
        let all = self.sim().requests().await.unwrap();
        all.into_iter().filter(|request| request.principal.as_deref() == Some(&*self.client)).collect()
    }
}
