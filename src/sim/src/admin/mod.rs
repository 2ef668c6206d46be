//! `/_sim/`: what a test sees and changes beside the API, without signing in.

mod instance;
mod world;

use crate::{
    clock::{Now, parse_duration},
    front::{
        faults::{OutageSpec, Rule},
        http::{Answer, Request},
        log,
    },
    journal::{Act, Sent},
    sim::Sim,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What changes the state, and so belongs in the journal.
const LASTING: &[&str] = &[
    "compute",
    "resource",
    "instance",
    "unusable",
    "sizes",
    "preempt",
    "policies",
    "locks",
    "quota",
    "principals",
    "roles",
];

/// A refusal of the administration: 400 and a sentence.
pub(crate) type Said<T> = Result<T, String>;

/// Answer a request under `/_sim`.
pub fn serve(sim: &mut Sim, req: &Request, now: Now) -> Answer {
    let path = req.path.trim_start_matches("/_sim").trim_matches('/').to_string();
    let (head, rest) = path.split_once('/').map_or((path.as_str(), ""), |(h, r)| (h, r));
    let outcome = match (head, req.method.as_str()) {
        ("requests", "GET") => Ok(requests(sim, req)),
        ("requests", "DELETE") => {
            sim.log.clear();
            Ok(json!({"last": sim.log.last()}))
        }
        ("faults", "GET") => Ok(sim.faults.list()),
        ("faults", "POST") => add_faults(sim, req),
        ("faults", "DELETE") => Ok(sim.faults.clear(rest)),
        ("outage", "POST") => body::<OutageSpec>(req).map(|spec| {
            sim.faults.set_outage(&spec, now);
            json!({"on": spec.on})
        }),
        ("clock", "GET") => Ok(clock(sim)),
        ("clock", "POST") => advance(sim, req),
        ("state", "GET") => state(sim),
        ("compute" | "resource", "POST" | "PATCH" | "PUT") => world::change(sim, rest, req, now),
        ("compute" | "resource", "DELETE") => world::delete(sim, rest, now),
        ("instance", "POST") => instance::change(sim, rest, req, now),
        ("unusable", "POST") => world::unusable(sim, req, now),
        ("sizes", "POST") => world::size(sim, req),
        ("preempt", "POST") => world::preempt(sim, req, now),
        ("policies" | "locks", "GET" | "POST" | "DELETE") => world::governance(sim, head, rest, req),
        ("roles", "GET" | "POST" | "DELETE") => world::custom_roles(sim, rest, req),
        ("quota", "POST") => world::quota(sim, req, now),
        ("principals", "GET") => Ok(world::principals(sim)),
        ("principals", "POST") => world::principal(sim, rest, req, now),
        ("", "GET") => Ok(json!({"docs": "docs/azure-sim.md", "clock": clock(sim)})),
        _ => {
            let text = format!("azure-sim has no {} {} (see docs/azure-sim.md)", req.method, req.path);
            return Answer::json(404, json!({"error": {"code": "NotFound", "message": text}}));
        }
    };
    if outcome.is_ok() && LASTING.contains(&head) && req.method != "GET" {
        sim.record(Act::Admin(Sent::of(req)), now);
    }
    match outcome {
        Ok(body) => Answer::json(200, body),
        Err(message) => Answer::json(400, json!({"error": {"code": "BadRequest", "message": message}})),
    }
}

/// The body as `T`.
pub(crate) fn body<T: DeserializeOwned>(req: &Request) -> Said<T> {
    serde_json::from_slice(&req.body).map_err(|e| format!("the body is not what {} takes: {e}", req.path))
}

fn requests(sim: &Sim, req: &Request) -> Value {
    let since = req.param("since").and_then(|s| s.parse().ok()).unwrap_or(0);
    let (method, path) = (req.param("method"), req.param("path"));
    let found = sim.log.find(since, method.as_deref(), path.as_deref());
    json!({"last": sim.log.last(), "count": found.len(), "value": found})
}

fn add_faults(sim: &mut Sim, req: &Request) -> Said<Value> {
    let given: Value = body(req)?;
    let rules = if given.is_array() { given } else { json!([given]) };
    let rules: Vec<Rule> = serde_json::from_value(rules).map_err(|e| format!("not a fault: {e}"))?;
    rules.into_iter().for_each(|rule| sim.faults.add(rule));
    Ok(sim.faults.list())
}

fn clock(sim: &Sim) -> Value {
    let now = sim.clock.now();
    json!({"real": now.real, "virtual": now.virt, "scale": sim.clock.scale(), "pending": sim.state.agenda.len()})
}

fn advance(sim: &mut Sim, req: &Request) -> Said<Value> {
    let given: Value = body(req)?;
    let by = given["advance"].as_str().ok_or("the body must be {\"advance\": \"10m\"}")?;
    sim.clock.skip(parse_duration(by)?);
    let now = sim.clock.now();
    sim.record(Act::Skip, now);
    crate::ml::physics::advance(&sim.settings, &mut sim.state, now.virt);
    Ok(clock(sim))
}

fn state(sim: &Sim) -> Said<Value> {
    let mut value = serde_json::to_value(&sim.state).map_err(|e| e.to_string())?;
    log::redact(&mut value);
    for key in ["token_key", "operation_key", "operation_certificate"] {
        value[key] = json!("(redacted)");
    }
    Ok(value)
}
