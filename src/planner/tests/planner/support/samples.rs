//! Two values of every field of the table, in the manifest and as Azure shows them. A new row of the table without a
//! line here fails the tests.

use azureml_api::compute_cluster::TABLE;
use azureml_api::fields::{AzureDefault, Compare, Field};
use serde_json::{Value, json};

/// A value in the manifest, and on the wire.
pub type Pair = (Value, Value);

fn same(value: Value) -> Pair {
    (value.clone(), value)
}

fn identity(id: &str) -> Pair {
    (
        json!({"type": "UserAssigned", "userAssignedIds": [id]}),
        json!({"type": "UserAssigned", "userAssignedIdentities": {id: {"principalId": "p", "clientId": "c"}}}),
    )
}

/// Two values of a field that differ from each other and from Azure's default.
pub fn of(field: &Field) -> (Pair, Pair) {
    match field.manifest {
        "spec.location" => (same(json!("northeurope")), same(json!("eastus"))),
        "spec.vmSize" => (same(json!("Standard_NC6")), same(json!("Standard_D2_v2"))),
        "spec.vmPriority" => (same(json!("LowPriority")), same(json!("Dedicated"))),
        "spec.scale.minNodes" => (same(json!(1)), same(json!(2))),
        "spec.scale.maxNodes" => (same(json!(6)), same(json!(9))),
        "spec.scale.idleBeforeScaleDown" => ((json!("15m"), json!("PT15M")), (json!("1h30m"), json!("PT1H30M"))),
        "spec.osType" => (same(json!("Windows")), same(json!("Linux"))),
        "spec.image" => (same(json!("/images/a")), same(json!("/images/b"))),
        "spec.subnetId" => (same(json!("/subnets/a")), same(json!("/subnets/b"))),
        "spec.nodePublicIp" => (same(json!(false)), same(json!(true))),
        "spec.isolatedNetwork" => (same(json!(true)), same(json!(false))),
        "spec.ssh.publicAccess" => (same(json!("Enabled")), same(json!("Disabled"))),
        "spec.ssh.adminUserName" => (same(json!("root-a")), same(json!("root-b"))),
        "spec.ssh.sshPublicKey" => (same(json!("ssh-ed25519 AAAA")), same(json!("ssh-ed25519 BBBB"))),
        "spec.ssh.adminPasswordSecretRef" => {
            (same(json!({"name": "a", "key": "password"})), same(json!({"name": "b", "key": "password"})))
        }
        "spec.identity" => (identity("/identities/a"), identity("/identities/b")),
        "spec.localAuth" => ((json!(false), json!(true)), (json!(true), json!(false))),
        "spec.description" => (same(json!("one")), same(json!("two"))),
        "spec.tags" => (same(json!({"team": "a"})), same(json!({"team": "b"}))),
        "spec.propertyBag" => (same(json!({"a": 1})), same(json!({"b": [2]}))),
        other => panic!("no sample for {other}: add one"),
    }
}

/// The rows that hold one readable value each: those that compare by hash or key by key have tests of their own.
pub fn plain_rows() -> impl Iterator<Item = &'static Field> {
    TABLE.fields.iter().filter(|field| !matches!(field.compare, Compare::Hash | Compare::PerKey))
}

/// The rows whose value Azure never gives back.
pub fn write_only_rows() -> impl Iterator<Item = &'static Field> {
    TABLE.fields.iter().filter(|field| field.is_write_only())
}

/// Whether a manifest may leave the field out.
pub fn optional(field: &Field) -> bool {
    field.default != AzureDefault::Required
}
