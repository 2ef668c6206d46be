//! The control plane itself: that it starts, serves, restarts and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use azureml_tests::{ControlPlane, Controllers, Options};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, ResourceExt};
use serde_json::json;

#[tokio::test]
async fn a_namespace_ends_with_all_that_is_in_it() {
    let plane = ControlPlane::start(Options { controllers: Controllers::Basic, ..Options::default() }).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(plane.client());
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "short-lived"}})).unwrap();
    let created = namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client(), "short-lived");
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "kept"}, "data": {"a": "1"}})).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let listed = plane.kubectl(&["-n", "short-lived", "get", "configmap", "kept", "-o", "jsonpath={.data.a}"]).unwrap();
    assert_eq!(listed, "1");

    namespaces.delete("short-lived", &DeleteParams::default()).await.unwrap();
    let uid = created.uid().unwrap();
    let gone = conditions::is_deleted(&uid);
    await_condition(namespaces, "short-lived", gone).await.unwrap();
    assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 0);

    let dir = plane.dir().path().to_path_buf();
    assert!(dir.join("kube-apiserver.log").is_file());
    drop(plane);
    assert!(!dir.exists(), "{} is left behind", dir.display());
}
