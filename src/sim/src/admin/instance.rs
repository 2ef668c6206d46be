//! What people and their scripts do to an instance.

use super::{Said, body};
use crate::{
    clock::{Now, later},
    front::http::Request,
    ml::instance::power,
    scope,
    sim::Sim,
    world::Lapse,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    /// Somebody uses the instance from now for so long (virtual time): it isn't idle.
    #[serde(default)]
    active_for: Option<Lapse>,
    /// What its setup scripts say as they fail, from the next run on; empty: they run well again.
    #[serde(default)]
    setup_fails: Option<String>,
}

/// Change how an instance fares. Scripts may be made to fail before the instance is there.
pub fn change(sim: &mut Sim, rest: &str, req: &Request, now: Now) -> Said<Value> {
    let key = scope::key(rest);
    let change: Change = body(req)?;
    match change.setup_fails.as_deref() {
        None => {}
        Some("") => drop(sim.state.bad_scripts.remove(&key)),
        Some(said) => drop(sim.state.bad_scripts.insert(key.clone(), said.into())),
    }
    if let Some(time) = change.active_for {
        let instance = sim.state.computes.get_mut(&key).and_then(|c| c.instance.as_mut());
        let instance = instance.ok_or(format!("there is no instance {key}"))?;
        instance.active_until = instance.active_until.max(later(now.virt, time.0));
        power::watch_idle(&mut sim.state, &key, now.virt);
    }
    let active = sim.state.computes.get(&key).and_then(|c| c.instance.as_ref()).map(|i| i.active_until);
    Ok(json!({"activeUntil": active, "setupFails": sim.state.bad_scripts.get(&key)}))
}
