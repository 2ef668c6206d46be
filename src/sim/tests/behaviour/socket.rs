//! The same behind a socket: TLS, plain HTTP, connections that break, and a state that survives.

use crate::azure::{Azure, CLIENT, TENANT, cluster, compute, world, ws};
use azure_sim::{net, sim::Sim};
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Mutex};

struct Served {
    base: String,
    http: reqwest::Client,
    token: String,
    state: PathBuf,
}

async fn start(name: &str) -> Served {
    let dir = std::env::temp_dir().join(format!("azure-sim-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let state = dir.join("state.json");
    let identity = net::identity(None, &[]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let sim =
        Arc::new(Mutex::new(Sim::new(world(), Default::default(), 1, azure_sim::clock::Clock::system(60.0)).unwrap()));
    let store = net::Store::start(sim.clone(), net::Files::at(&state)).await.unwrap();
    let ca = reqwest::Certificate::from_pem(identity.ca.as_bytes()).unwrap();
    tokio::spawn(async move { net::serve(listener, &identity, sim, Some(store)).await });
    let http =
        reqwest::Client::builder().no_proxy().tls_certs_only([ca]).timeout(Duration::from_secs(30)).build().unwrap();
    let form = format!(
        "grant_type=client_credentials&client_id={CLIENT}&client_secret=demo-only-not-a-secret&scope={base}/.default"
    );
    let request = http.post(format!("{base}/{TENANT}/oauth2/v2.0/token")).body(form);
    let got: Value = request.send().await.unwrap().json().await.unwrap();
    let token = got["access_token"].as_str().unwrap_or_else(|| panic!("{got}")).to_string();
    Served { base, http, token, state }
}

impl Served {
    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}?api-version=2025-12-01", self.base);
        self.http.request(method.parse().unwrap(), url).bearer_auth(&self.token)
    }

    async fn admin(&self, path: &str, body: Value) {
        let got = self.http.post(format!("{}/_sim/{path}", self.base)).json(&body).send().await.unwrap();
        assert_eq!(got.status(), 200);
    }
}

#[tokio::test]
async fn over_tls_and_into_the_file() {
    let sim = start("tls").await;
    let got = sim.request("GET", &ws()).send().await.unwrap();
    assert_eq!(got.status(), 200);
    assert_eq!(got.headers()["x-ms-ratelimit-remaining-subscription-reads"], "249");
    let made = sim.request("PUT", &compute("cpu")).json(&cluster("Standard_DS3_v2", 0, 2)).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let url = made.headers()["azure-asyncoperation"].to_str().unwrap().to_string();
    assert!(url.starts_with(&sim.base));
    let polled: Value = sim.http.get(url).bearer_auth(&sim.token).send().await.unwrap().json().await.unwrap();
    assert!(polled["status"].is_string());
    let (_, journal) = net::Files::at(&sim.state).load().unwrap().unwrap();
    assert_eq!(journal.len(), 1, "written before it was answered");
    let plain = sim.base.replace("https", "http");
    let clock = sim.http.get(format!("{plain}/_sim/clock")).send().await.unwrap();
    assert_eq!(clock.status(), 200);
    let refused = sim.http.get(format!("{plain}{}", ws())).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    std::fs::remove_dir_all(sim.state.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn connections_break_as_asked() {
    let sim = start("faults").await;
    for fault in ["reset", "truncate"] {
        sim.admin("faults", json!({"match": {"method": "GET"}, "fault": fault})).await;
        let outcome = match sim.request("GET", &ws()).send().await {
            Ok(answer) => answer.bytes().await.map(|_| ()),
            Err(e) => Err(e),
        };
        assert!(outcome.is_err(), "{fault}");
    }
    assert_eq!(sim.request("GET", &ws()).send().await.unwrap().status(), 200);
    std::fs::remove_dir_all(sim.state.parent().unwrap()).unwrap();
}

#[test]
fn one_azure_answers_as_another_with_the_same_seed() {
    let ids = || {
        let mut azure = Azure::new();
        azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 2)).header("azure-asyncoperation").map(str::to_string)
    };
    assert_eq!(ids(), ids());
}
