//! The control plane itself: that it starts, serves, restarts and leaves nothing behind.

use azureml_tests::{ControlPlane, Controllers, Options};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, ResourceExt};
use serde_json::json;

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"a": "1"}})).unwrap()
}

#[tokio::test]
async fn a_namespace_ends_with_all_that_is_in_it() {
    let plane = ControlPlane::start(Options { controllers: Controllers::Basic, ..Options::default() }).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(plane.client());
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "short-lived"}})).unwrap();
    let created = namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client(), "short-lived");
    maps.create(&PostParams::default(), &config_map("kept")).await.unwrap();
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

#[tokio::test]
async fn the_api_server_comes_back_with_its_data_and_accounts_have_their_own_rights() {
    let mut plane = ControlPlane::start(Options::default()).await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.client());
    maps.create(&PostParams::default(), &config_map("kept")).await.unwrap();
    let url = plane.url();
    plane.stop_apiserver().unwrap();
    maps.get("kept").await.unwrap_err();
    plane.start_apiserver().await.unwrap();
    assert_eq!(plane.url(), url);
    maps.get("kept").await.unwrap();

    for arguments in [
        &["create", "serviceaccount", "reader"][..],
        &["create", "role", "reader", "--verb=get", "--resource=configmaps"],
        &["create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:reader"],
    ] {
        plane.kubectl(arguments).unwrap();
    }
    let kubeconfig = plane.service_account_kubeconfig("default", "reader").await.unwrap();
    let reader = azureml_tests::controlplane::client_for(&kubeconfig).await.unwrap();
    let as_reader: Api<ConfigMap> = Api::default_namespaced(reader);
    as_reader.get("kept").await.unwrap();
    let refused = as_reader.delete("kept", &DeleteParams::default()).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 403), "{refused}");
}

#[tokio::test]
async fn a_failed_start_names_the_process_and_shows_its_last_words() {
    let options = Options { apiserver_flags: vec!["--no-such-flag".into()], ..Options::default() };
    let Err(error) = ControlPlane::start(options).await else { panic!("it started with a flag that does not exist") };
    let text = error.to_string();
    assert!(text.contains("kube-apiserver") && text.contains("unknown flag: --no-such-flag"), "{text}");
}
