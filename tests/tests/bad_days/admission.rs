//! What the API server refuses by itself, and what it must not refuse.

use azureml_tests::team::laid;
use azureml_tests::wait::api;
use azureml_tests::{ControlPlane, Options};
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// What the API server is to say: yes, or no with these words.
type Verdict = Result<(), &'static [&'static str]>;

const YES: Verdict = Ok(());
const SUBNET: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n";
const IMAGE: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/win";

fn cluster() -> Value {
    json!({
        "apiVersion": "azureml.dev/v1alpha1", "kind": "ComputeCluster",
        "metadata": {"name": "cpu-train", "namespace": "default"},
        "spec": {"workspaceRef": {"name": "research"}, "vmSize": "Standard_DS3_v2", "scale": {"maxNodes": 4}},
    })
}

fn workspace() -> Value {
    json!({
        "apiVersion": "azureml.dev/v1alpha1", "kind": "Workspace",
        "metadata": {"name": "research", "namespace": "default"},
        "spec": {"subscriptionId": "00000000-0000-0000-0000-000000000001", "resourceGroup": "ml-rg"},
    })
}

async fn plane() -> ControlPlane {
    let plane = ControlPlane::start(Options::default()).await.unwrap_or_else(|error| panic!("{error}"));
    plane.kubectl(&["apply", "--server-side", "-k", "crds"]).unwrap();
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).unwrap();
    plane
}

/// The rows whose verdict isn't what the table says.
fn judge(row: &str, said: Result<DynamicObject, kube::Error>, want: &Verdict) -> Option<String> {
    match (said, want) {
        (Ok(_), Ok(())) => None,
        (Ok(_), Err(words)) => Some(format!("{row}: taken, though {words:?} was to be said")),
        (Err(error), Ok(())) => Some(format!("{row}: refused: {error}")),
        (Err(kube::Error::Api(status)), Err(words)) => {
            let refused = status.code == 422 && words.iter().all(|word| status.message.contains(word));
            (!refused).then(|| format!("{row}: {} instead of {words:?}: {}", status.code, status.message))
        }
        (Err(error), Err(_)) => Some(format!("{row}: {error}")),
    }
}

async fn creations(plane: &ControlPlane, kind: &str, base: Value, rows: Vec<(Value, Verdict)>) {
    let api = api(&plane.client(), kind, "default").await.unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let mut wrong = Vec::new();
    for (over, want) in rows {
        let object: DynamicObject = serde_json::from_value(laid(base.clone(), over.clone())).unwrap();
        let text = over.to_string();
        let row = text.chars().take(200).collect::<String>();
        wrong.extend(judge(&row, api.create(&dry, &object).await, &want));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Tries merge patches on an object that is there, without keeping what they do.
async fn changes(api: &Api<DynamicObject>, name: &str, rows: Vec<(Value, Verdict)>) {
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let mut wrong = Vec::new();
    for (spec, want) in rows {
        let said = api.patch(name, &dry, &Patch::Merge(json!({"spec": spec}))).await;
        wrong.extend(judge(&spec.to_string(), said, &want));
    }
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

fn spec(over: Value) -> Value {
    json!({"spec": over})
}

fn scale(over: Value) -> Value {
    spec(json!({"scale": over}))
}

fn named(name: &str) -> Value {
    spec(json!({"azureName": name}))
}

fn idle(text: &str) -> Value {
    scale(json!({"idleBeforeScaleDown": text}))
}

const NAME_RULE: &[&str] = &["Azure allows cluster names of 3 to 24", "set spec.azureName"];
const DURATION: &[&str] = &["spec.scale.idleBeforeScaleDown"];

#[tokio::test]
async fn clusters_are_taken_and_refused_at_creation() {
    let plane = plane().await;
    creations(&plane, "ComputeCluster", cluster(), shapes()).await;
    creations(&plane, "ComputeCluster", cluster(), names()).await;
    creations(&plane, "ComputeCluster", cluster(), unions()).await;
}

fn shapes() -> Vec<(Value, Verdict)> {
    let tags = |count: usize| {
        let all: serde_json::Map<String, Value> = (0..count).map(|n| (format!("t{n}"), json!("x"))).collect();
        spec(json!({"tags": all}))
    };
    vec![
        (json!({}), YES),
        (scale(json!({"minNodes": 4})), YES),
        (scale(json!({"minNodes": 0, "maxNodes": 0})), YES),
        (scale(json!({"maxNodes": 65000})), YES),
        (scale(json!({"minNodes": 5})), Err(&["spec.scale.minNodes can't be above spec.scale.maxNodes"])),
        (scale(json!({"maxNodes": 65001})), Err(&["spec.scale.maxNodes", "65000"])),
        (scale(json!({"minNodes": -1})), Err(&["spec.scale.minNodes", "greater than or equal to 0"])),
        (scale(json!({"maxNodes": -1})), Err(&["spec.scale.maxNodes"])),
        (scale(json!({"maxNodes": "4"})), Err(&["spec.scale.maxNodes", "integer"])),
        (scale(json!({"maxNodes": null, "minNodes": 1})), Err(&["spec.scale.maxNodes", "Required"])),
        (spec(json!({"scale": null})), Err(&["spec.scale", "Required"])),
        (spec(json!({"vmSize": null})), Err(&["spec.vmSize", "Required"])),
        (spec(json!({"vmSize": ""})), Err(&["spec.vmSize"])),
        (spec(json!({"vmSize": "x".repeat(65)})), Err(&["spec.vmSize", "64"])),
        (spec(json!({"workspaceRef": null})), Err(&["spec.workspaceRef", "Required"])),
        (spec(json!({"workspaceRef": {"name": ""}})), Err(&["spec.workspaceRef.name"])),
        (spec(json!({"workspaceRef": {"name": "a", "namespace": "b"}})), YES),
        (spec(json!({"workspaceRef": {"namespace": ""}})), Err(&["spec.workspaceRef.namespace"])),
        (spec(json!({"location": ""})), Err(&["spec.location"])),
        (spec(json!({"location": "northeurope", "description": "x".repeat(1024)})), YES),
        (spec(json!({"description": "x".repeat(1025)})), Err(&["spec.description", "1024"])),
        (spec(json!({"subnetId": SUBNET, "nodePublicIp": false, "isolatedNetwork": true, "localAuth": false})), YES),
        (spec(json!({"subnetId": ""})), Err(&["spec.subnetId"])),
        (spec(json!({"subnetId": "x".repeat(1025)})), Err(&["spec.subnetId"])),
        (spec(json!({"nodePublicIp": "no"})), Err(&["spec.nodePublicIp", "boolean"])),
        (spec(json!({"vmPriority": "LowPriority"})), YES),
        (spec(json!({"vmPriority": "Cheap"})), Err(&["spec.vmPriority", "LowPriority"])),
        (spec(json!({"osType": "Plan9"})), Err(&["spec.osType", "Windows"])),
        (spec(json!({"propertyBag": {"any": {"thing": [1, "two"]}}})), YES),
        (spec(json!({"propertyBag": "text"})), Err(&["spec.propertyBag", "object"])),
        (spec(json!({"tags": {"team": ""}})), YES),
        (spec(json!({"tags": {"team": 1}})), Err(&["spec.tags.team", "string"])),
        (tags(48), YES),
        (tags(49), Err(&["spec.tags", "48"])),
        (idle("90s"), YES),
        (idle("15m"), YES),
        (idle("1h30m"), YES),
        (idle("1h30m5s"), YES),
        (idle("0s"), YES),
        (idle("15"), Err(DURATION)),
        (idle("PT15M"), Err(DURATION)),
        (idle("15 m"), Err(DURATION)),
        (idle("1.5h"), Err(DURATION)),
        (idle("-5m"), Err(DURATION)),
        (idle("30m1h"), Err(DURATION)),
        (idle(""), Err(DURATION)),
        (idle("m"), Err(DURATION)),
        (spec(json!({"replacementPolicy": "Always"})), Err(&["spec.replacementPolicy", "WhenIdle"])),
        (spec(json!({"deletionPolicy": "Detach"})), Err(&["spec.deletionPolicy", "Orphan"])),
        (spec(json!({"driftPolicy": "Ignore"})), Err(&["spec.driftPolicy", "Report"])),
        (spec(json!({"applyPolicy": "Ask"})), Err(&["spec.applyPolicy", "Approved"])),
        (spec(json!({"adoptionPolicy": "Force"})), Err(&["spec.adoptionPolicy", "Refuse"])),
        (spec(json!({"paused": "yes"})), Err(&["spec.paused", "boolean"])),
    ]
}

fn names() -> Vec<(Value, Verdict)> {
    let meta = |name: &str| json!({"metadata": {"name": name}});
    let with = |name: &str, over: Value| laid(named(name), spec(over));
    let adopt = |name: &str| with(name, json!({"adoptionPolicy": "Adopt"}));
    let observe = |name: &str| with(name, json!({"managementPolicy": "Observe", "deletionPolicy": "Orphan"}));
    let longest = "a".repeat(24);
    vec![
        (named("abc"), YES),
        (named(&longest), YES),
        (named("gpu-v100x"), YES),
        (named("Gpu4"), YES),
        (named("a-1-b"), YES),
        (named("abc-"), YES),
        (named(&format!("{longest}a")), Err(NAME_RULE)),
        (named("ab"), Err(NAME_RULE)),
        (named("1abc"), Err(NAME_RULE)),
        (named("-abc"), Err(NAME_RULE)),
        (named("gpu-4"), Err(NAME_RULE)),
        (named("gpu-a-42"), Err(NAME_RULE)),
        (named("gpu_train"), Err(NAME_RULE)),
        (named("gpu.train"), Err(NAME_RULE)),
        (named("größe"), Err(NAME_RULE)),
        (named("a"), Err(&["spec.azureName"])),
        (named(&"a".repeat(33)), Err(&["spec.azureName", "32"])),
        // The object's own name counts where there is no other.
        (meta("gpu-4"), Err(NAME_RULE)),
        (meta("gpu.train"), Err(NAME_RULE)),
        (meta(&"a".repeat(25)), Err(NAME_RULE)),
        (laid(meta("gpu-4"), named("gpu4")), YES),
        // What exists already has the name that it has.
        (adopt(&"a".repeat(32)), YES),
        (adopt("gpu-4"), YES),
        (adopt("ab"), YES),
        (adopt(&"a".repeat(33)), Err(&["spec.azureName", "32"])),
        (observe("gpu-4"), YES),
        (observe(&"a".repeat(32)), YES),
    ]
}

fn unions() -> Vec<(Value, Verdict)> {
    const IDS: &[&str] = &["spec.identity.userAssignedIds goes with type: UserAssigned"];
    const ACCOUNT: &[&str] = &["spec.ssh.adminUserName goes with sshPublicKey or adminPasswordSecretRef"];
    let identity = |over: Value| spec(json!({"identity": over}));
    let ssh = |over: Value| spec(json!({"ssh": over}));
    let secret = json!({"name": "node-login", "key": "password"});
    vec![
        (identity(json!({"type": "SystemAssigned"})), YES),
        (identity(json!({"type": "None"})), YES),
        (identity(json!({"type": "UserAssigned", "userAssignedIds": ["/a/b", "/a/c"]})), YES),
        (identity(json!({"type": "UserAssigned"})), Err(IDS)),
        (identity(json!({"type": "UserAssigned", "userAssignedIds": []})), Err(IDS)),
        (identity(json!({"type": "SystemAssigned", "userAssignedIds": ["/a/b"]})), Err(IDS)),
        (identity(json!({"type": "None", "userAssignedIds": ["/a/b"]})), Err(IDS)),
        (identity(json!({"userAssignedIds": ["/a/b"]})), Err(&["spec.identity.type", "Required"])),
        (identity(json!({"type": "Both"})), Err(&["spec.identity.type", "SystemAssigned"])),
        (
            identity(json!({"type": "UserAssigned", "userAssignedIds": ["/a", "/a"]})),
            Err(&["userAssignedIds", "Duplicate"]),
        ),
        (identity(json!({"type": "UserAssigned", "userAssignedIds": [""]})), Err(&["userAssignedIds"])),
        (
            identity(
                json!({"type": "UserAssigned", "userAssignedIds": (0..17).map(|n| format!("/{n}")).collect::<Vec<_>>()}),
            ),
            Err(&["userAssignedIds", "16"]),
        ),
        (ssh(json!({})), YES),
        (ssh(json!({"adminUserName": "ops", "sshPublicKey": "ssh-ed25519 AAAA"})), YES),
        (ssh(json!({"adminUserName": "ops", "adminPasswordSecretRef": secret})), YES),
        (ssh(json!({"adminUserName": "ops", "sshPublicKey": "k", "publicAccess": "Enabled"})), YES),
        (ssh(json!({"publicAccess": "Disabled"})), YES),
        (ssh(json!({"adminUserName": "ops"})), Err(ACCOUNT)),
        (ssh(json!({"sshPublicKey": "k"})), Err(ACCOUNT)),
        (ssh(json!({"adminPasswordSecretRef": secret})), Err(ACCOUNT)),
        (ssh(json!({"publicAccess": "Enabled"})), Err(&["spec.ssh.publicAccess: Enabled needs an account"])),
        (ssh(json!({"publicAccess": "Open"})), Err(&["spec.ssh.publicAccess", "NotSpecified"])),
        (ssh(json!({"adminUserName": "ops", "adminPasswordSecretRef": {"name": "n"}})), Err(&["key", "Required"])),
        (spec(json!({"image": IMAGE, "osType": "Windows"})), YES),
        (spec(json!({"osType": "Windows"})), YES),
        (spec(json!({"image": IMAGE})), Err(&["spec.image is for osType: Windows only"])),
        (spec(json!({"image": IMAGE, "osType": "Linux"})), Err(&["spec.image is for osType: Windows only"])),
        (spec(json!({"managementPolicy": "Observe", "deletionPolicy": "Orphan"})), YES),
        (spec(json!({"managementPolicy": "Observe"})), Err(&["Observe never deletes", "deletionPolicy: Orphan"])),
        (
            spec(json!({"managementPolicy": "Observe", "deletionPolicy": "Delete"})),
            Err(&["Observe never deletes", "deletionPolicy: Orphan"]),
        ),
    ]
}

#[tokio::test]
async fn what_a_cluster_is_can_not_be_changed() {
    const REFERENCE: &[&str] = &["spec.workspaceRef can't be changed", "delete the object and create it again"];
    const NAME: &[&str] = &["spec.azureName can't be changed", "delete the object and create it again"];
    let plane = plane().await;
    let api = api(&plane.client(), "ComputeCluster", "default").await.unwrap();
    for (name, over) in [("plain", json!({})), ("named", json!({"azureName": "gpu4"}))] {
        let object = laid(cluster(), json!({"metadata": {"name": name}, "spec": over}));
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
    let mut rows = vec![
        (json!({"workspaceRef": {"name": "other"}}), Err(REFERENCE)),
        (json!({"workspaceRef": {"namespace": "other"}}), Err(REFERENCE)),
        (json!({"azureName": "else"}), Err(NAME)),
        (json!({"scale": {"minNodes": 9}}), Err(&["spec.scale.minNodes can't be above"][..])),
        (json!({"scale": {"minNodes": 9, "maxNodes": 9}}), YES),
        // Nothing is in Azure yet: everything else may change.
        (json!({"vmSize": "Standard_DS2_v2", "location": "northeurope", "description": "d"}), YES),
    ];
    changes(&api, "plain", rows.clone()).await;
    rows.push((json!({"azureName": null}), Err(NAME)));
    changes(&api, "named", rows).await;
}

/// A field that Azure can't change in place: what the manifest says, what Azure has, the same in other words, something
/// else, and whether it may be left out because what Azure has is Azure's default.
struct Fixed {
    path: &'static str,
    at: &'static str,
    manifest: Value,
    azure: &'static str,
    same: Value,
    other: Value,
    droppable: bool,
    refusal: &'static [&'static str],
}

/// A row: path in the manifest, name in `status.azure.fixed`, then the values.
macro_rules! fixed {
    ($path:literal, $at:literal, $manifest:expr, $azure:expr, $same:expr, $other:expr, $droppable:expr) => {
        Fixed {
            path: $path,
            at: $at,
            manifest: json!($manifest),
            azure: $azure,
            same: json!($same),
            other: json!($other),
            droppable: $droppable,
            refusal: &[concat!("spec.", $path, " can't be changed in place by Azure"), "set it back to what"],
        }
    };
}

fn fixed() -> Vec<Fixed> {
    vec![
        fixed!("location", "location", "westeurope", "westeurope", "WestEurope", "northeurope", false),
        fixed!("vmSize", "vmSize", "Standard_DS3_v2", "STANDARD_DS3_V2", "STANDARD_DS3_V2", "Standard_DS2_v2", false),
        fixed!("vmPriority", "vmPriority", "Dedicated", "dedicated", "Dedicated", "LowPriority", true),
        fixed!("osType", "osType", "Windows", "Windows", "Windows", "Linux", false),
        fixed!("image", "image", IMAGE, IMAGE, IMAGE.to_uppercase(), "/other", false),
        fixed!("subnetId", "subnetId", SUBNET, SUBNET, SUBNET.to_uppercase(), "/other", false),
        fixed!("nodePublicIp", "nodePublicIp", false, "false", false, true, false),
        fixed!("isolatedNetwork", "isolatedNetwork", false, "false", false, true, true),
        fixed!("ssh.publicAccess", "sshPublicAccess", "Disabled", "Disabled", "Disabled", "NotSpecified", false),
        fixed!("ssh.adminUserName", "", "ops", "", "ops", "root", false),
        fixed!("ssh.sshPublicKey", "", "key-1", "", "key-1", "key-2", false),
        fixed!("localAuth", "localAuth", true, "true", true, false, true),
        fixed!("description", "description", "First", "First", "FIRST", "Second", false),
    ]
}

/// `a.b` with a value as a patch.
fn at(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |below, key| json!({key: below}))
}

async fn provisioned(api: &Api<DynamicObject>, name: &str, spec: Value) {
    let object = laid(cluster(), json!({"metadata": {"name": name}, "spec": spec}));
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    let live: serde_json::Map<String, Value> =
        fixed().iter().filter(|row| !row.at.is_empty()).map(|row| (row.at.to_string(), json!(row.azure))).collect();
    let status = json!({"azure": {"id": "/a", "provisionedOn": "2026-01-01T00:00:00Z", "fixed": live}});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await.unwrap();
}

#[tokio::test]
async fn what_azure_can_not_change_is_refused_once_it_is_there() {
    let plane = plane().await;
    let api = api(&plane.client(), "ComputeCluster", "default").await.unwrap();
    let full = fixed().into_iter().fold(json!({}), |spec, row| laid(spec, at(row.path, row.manifest)));
    provisioned(&api, "full", full.clone()).await;
    provisioned(&api, "bare", json!({"osType": "Windows"})).await;
    provisioned(&api, "free", laid(full, json!({"replacementPolicy": "Immediately"}))).await;

    let api = &api;
    for row in fixed() {
        let refused: Verdict = Err(row.refusal);
        changes(
            api,
            "full",
            vec![
                (at(row.path, row.manifest.clone()), YES),
                (at(row.path, row.same.clone()), YES),
                (at(row.path, row.other.clone()), refused),
            ],
        )
        .await;
        // The account goes as a whole, or another rule speaks first.
        if !row.path.starts_with("ssh.") && row.path != "vmSize" && row.path != "osType" {
            let dropped = if row.droppable { YES } else { refused };
            changes(api, "full", vec![(at(row.path, Value::Null), dropped)]).await;
            // Named only later: what Azure has may be named, anything else not.
            let named = vec![(at(row.path, row.same), YES), (at(row.path, row.other.clone()), refused)];
            changes(api, "bare", named).await;
        }
        // An image is for Windows only.
        if row.path != "osType" {
            changes(api, "free", vec![(at(row.path, row.other), YES)]).await;
        }
    }
    let account = json!({"ssh": {"adminUserName": "ops", "sshPublicKey": "key-1"}});
    changes(
        api,
        "bare",
        vec![
            (
                account,
                Err(&["spec.ssh.adminUserName can't be changed in place", "spec.ssh.sshPublicKey can't be changed"]),
            ),
            (json!({"scale": {"minNodes": 1, "maxNodes": 8, "idleBeforeScaleDown": "5m"}}), YES),
            (json!({"tags": {"a": "b"}, "identity": {"type": "SystemAssigned"}, "propertyBag": {"a": 1}}), YES),
            (json!({"paused": true, "deletionProtection": true, "driftPolicy": "Report"}), YES),
            // The policy and the change that it allows may come together, and the policy may be taken back after.
            (json!({"vmSize": "Standard_DS2_v2", "replacementPolicy": "WhenIdle"}), YES),
        ],
    )
    .await;
    changes(api, "full", vec![(json!({"ssh": null}), Err(&["spec.ssh.adminUserName can't be changed in place"]))])
        .await;
    changes(api, "free", vec![(json!({"ssh": null}), YES), (json!({"replacementPolicy": "Never"}), YES)]).await;
}

#[tokio::test]
async fn workspaces_are_taken_and_refused() {
    let plane = plane().await;
    let meta = |name: &str| json!({"metadata": {"name": name}});
    let interval = |text: &str| spec(json!({"observeInterval": text}));
    let allowed = |over: Value| spec(json!({"allowedNamespaces": over}));
    const SELECTOR: &[&str] = &["spec.allowedNamespaces.selector goes with from: Selector"];
    const NAME: &[&str] = &["Azure allows workspace names of 3 to 33", "set spec.azureName"];
    creations(
        &plane,
        "Workspace",
        workspace(),
        vec![
            (json!({}), YES),
            (named("research_ws-1"), YES),
            (named(&"w".repeat(33)), YES),
            (named(&"w".repeat(34)), Err(&["spec.azureName"])),
            (named("ab"), Err(&["spec.azureName"])),
            (named("-ab"), Err(&["spec.azureName"])),
            (named("a.b"), Err(&["spec.azureName"])),
            (meta("ab"), Err(NAME)),
            (meta("my.workspace"), Err(NAME)),
            (laid(meta("my.workspace"), named("my-workspace")), YES),
            (spec(json!({"subscriptionId": null})), Err(&["spec.subscriptionId", "Required"])),
            (spec(json!({"subscriptionId": "my subscription"})), Err(&["spec.subscriptionId"])),
            (spec(json!({"subscriptionId": "00000000-0000-0000-0000-00000000000g"})), Err(&["spec.subscriptionId"])),
            (spec(json!({"resourceGroup": null})), Err(&["spec.resourceGroup", "Required"])),
            (spec(json!({"resourceGroup": "a.b_(c)-d"})), YES),
            (spec(json!({"resourceGroup": "ends."})), Err(&["spec.resourceGroup"])),
            (spec(json!({"resourceGroup": "a/b"})), Err(&["spec.resourceGroup"])),
            (spec(json!({"resourceGroup": "g".repeat(91)})), Err(&["spec.resourceGroup"])),
            (spec(json!({"managementPolicy": "Manage"})), Err(&["spec.managementPolicy", "Observe"])),
            (spec(json!({"credentialRef": {"name": "azure-sp"}})), YES),
            (spec(json!({"credentialRef": {"name": ""}})), Err(&["spec.credentialRef.name"])),
            (spec(json!({"credentialRef": {}})), Err(&["spec.credentialRef.name", "Required"])),
            (allowed(json!({"from": "All"})), YES),
            (allowed(json!({"from": "Same"})), YES),
            (allowed(json!({"from": "Selector", "selector": {"matchLabels": {"team": "ml"}}})), YES),
            (allowed(json!({"from": "Selector"})), Err(SELECTOR)),
            (allowed(json!({"from": "All", "selector": {}})), Err(SELECTOR)),
            (allowed(json!({"selector": {}})), Err(SELECTOR)),
            (allowed(json!({"from": "Some"})), Err(&["spec.allowedNamespaces.from", "Selector"])),
            (interval("1s"), YES),
            (interval("1h30m"), YES),
            (interval("60"), Err(&["spec.observeInterval"])),
            (interval("h"), Err(&["spec.observeInterval"])),
            (interval(""), Err(&["spec.observeInterval"])),
        ],
    )
    .await;

    let api = api(&plane.client(), "Workspace", "default").await.unwrap();
    api.create(&PostParams::default(), &serde_json::from_value(workspace()).unwrap()).await.unwrap();
    changes(
        &api,
        "research",
        vec![
            (
                json!({"subscriptionId": "00000000-0000-0000-0000-000000000002"}),
                Err(&["spec.subscriptionId can't be changed", "delete the object and create it again"]),
            ),
            (json!({"resourceGroup": "other"}), Err(&["spec.resourceGroup can't be changed"])),
            (json!({"azureName": "other"}), Err(&["spec.azureName can't be changed"])),
            (json!({"credentialRef": {"name": "other"}, "observeInterval": "5m"}), YES),
            (json!({"allowedNamespaces": {"from": "All"}}), YES),
        ],
    )
    .await;
}
