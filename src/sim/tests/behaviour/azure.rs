//! An Azure in a test's hand.

use azure_sim::{
    clock::{Clock, parse_duration},
    front::http::{Answer, Request},
    ml::ctx::Options,
    sim::Sim,
    world::World,
};
use serde_json::{Value, json};

pub const SUB: &str = "/subscriptions/00000000-0000-0000-0000-000000000001";
pub const TENANT: &str = "00000000-0000-0000-0000-0000000000aa";
pub const CLIENT: &str = "00000000-0000-0000-0000-0000000000c1";
pub const ARM: &str = "https://management.azure.com";

/// The demo's workspace.
pub fn ws() -> String {
    format!("{SUB}/resourceGroups/ml-rg/providers/Microsoft.MachineLearningServices/workspaces/research-ws")
}

/// A compute in it.
pub fn compute(name: &str) -> String {
    format!("{}/computes/{name}", ws())
}

/// The demo's world, reading its own writes.
pub fn world() -> World {
    let mut world = World::parse(include_str!("../../worlds/demo.yaml")).unwrap();
    world.consistency = Default::default();
    world
}

/// A cluster's body.
pub fn cluster(size: &str, min: i64, max: i64) -> Value {
    json!({"location": "westeurope", "properties": {"computeType": "AmlCompute", "properties": {
        "vmSize": size, "scaleSettings": {"minNodeCount": min, "maxNodeCount": max}}}})
}

/// An instance's body.
pub fn instance(size: &str) -> Value {
    json!({"location": "westeurope", "properties": {"computeType": "ComputeInstance", "properties": {"vmSize": size}}})
}

/// The simulator with somebody signed in.
pub struct Azure {
    pub sim: Sim,
    token: String,
}

impl Azure {
    pub fn new() -> Self {
        Self::with(world(), Options::default())
    }

    pub fn with(world: World, options: Options) -> Self {
        let clock = Clock::manual("2026-11-23T10:00:00Z".parse().unwrap(), 1.0);
        let sim = Sim::new(world, options, 7, clock).unwrap();
        let mut azure = Self { sim, token: String::new() };
        azure.sign_in(CLIENT, "demo-only-not-a-secret");
        azure
    }

    /// Use a token of this principal from now on.
    pub fn sign_in(&mut self, client: &str, secret: &str) {
        let form =
            format!("grant_type=client_credentials&client_id={client}&client_secret={secret}&scope={ARM}/.default");
        let got = self.token_request(&form);
        self.token = got.body["access_token"].as_str().unwrap_or_else(|| panic!("{}", got.body)).into();
    }

    pub fn token_request(&mut self, form: &str) -> Answer {
        self.raw(&Request {
            secure: true,
            method: "POST".into(),
            path: format!("/{TENANT}/oauth2/v2.0/token"),
            headers: [("content-type".into(), "application/x-www-form-urlencoded".into())].into(),
            body: form.as_bytes().to_vec(),
            ..Request::default()
        })
    }

    pub fn raw(&mut self, req: &Request) -> Answer {
        self.sim.handle(req)
    }

    /// A request without the api-version put on.
    pub fn exact(&mut self, method: &str, url: &str, body: Value) -> Answer {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let path = path.trim_start_matches("https://sim:1");
        self.raw(&Request {
            secure: true,
            method: method.into(),
            path: path.into(),
            query: query.into(),
            headers: [
                ("host".to_string(), "sim:1".to_string()),
                ("authorization".to_string(), format!("Bearer {}", self.token)),
            ]
            .into(),
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        })
    }

    pub fn call(&mut self, method: &str, url: &str, body: Value) -> Answer {
        let version = if url.contains("providers/Microsoft.M") { "2025-12-01" } else { "2021-04-01" };
        let glue = if url.contains('?') { '&' } else { '?' };
        self.exact(method, &format!("{url}{glue}api-version={version}"), body)
    }

    pub fn get(&mut self, url: &str) -> Answer {
        self.call("GET", url, Value::Null)
    }

    pub fn put(&mut self, url: &str, body: Value) -> Answer {
        self.call("PUT", url, body)
    }

    pub fn delete(&mut self, url: &str) -> Answer {
        self.call("DELETE", url, Value::Null)
    }

    /// Something under `/_sim/`, which must succeed.
    pub fn admin(&mut self, method: &str, path: &str, body: Value) -> Value {
        let got = self.exact(method, &format!("/_sim/{path}"), body);
        assert_eq!(got.status, 200, "{method} {path}: {}", got.body);
        got.body
    }

    /// Let time pass.
    pub fn wait(&mut self, time: &str) {
        self.sim.clock.step(parse_duration(time).unwrap());
    }

    /// Let virtual time pass, in which nobody's token expires.
    pub fn skip(&mut self, time: &str) {
        self.sim.clock.skip(parse_duration(time).unwrap());
    }

    /// Create a cluster and wait for its end.
    pub fn make(&mut self, name: &str, body: Value) {
        let got = self.put(&compute(name), body);
        assert_eq!(got.status, 201, "{}", got.body);
        self.wait("90s");
    }

    /// POST of an action on a compute, in this api-version.
    pub fn act(&mut self, name: &str, action: &str, body: Value, version: &str) -> Answer {
        self.exact("POST", &format!("{}/{action}?api-version={version}", compute(name)), body)
    }

    /// `properties.properties` of a compute.
    pub fn inner(&mut self, name: &str) -> Value {
        self.get(&compute(name)).body["properties"]["properties"].clone()
    }
}

/// `error.code` of an answer.
pub fn code(answer: &Answer) -> &str {
    answer.body["error"]["code"].as_str().unwrap_or_default()
}
