//! Writes as they came, so that a state can be had again from an older one: the service is deterministic.

use crate::{
    admin,
    clock::Now,
    front::{http::Request, route::Route},
    ml::{ctx::Hints, physics},
    sim::Sim,
    state::Mark,
};
use serde::{Deserialize, Serialize};

/// One write.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its number and time.
    pub mark: Mark,
    /// What it was.
    pub act: Act,
}

/// What was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Act {
    /// A request to ARM that was carried out.
    Arm {
        /// Client id.
        caller: String,
        /// What the client sent.
        sent: Sent,
        /// What injected faults did to it.
        hints: Hints,
    },
    /// A request under `/_sim/`.
    Admin(Sent),
    /// Virtual time was put forward to the mark's.
    Skip,
}

/// What matters of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sent {
    method: String,
    path: String,
    query: String,
    host: Option<String>,
    body: String,
}

impl Sent {
    /// Take it off a request. A body that isn't UTF-8 isn't JSON and was never carried out.
    pub fn of(req: &Request) -> Self {
        Self {
            method: req.method.clone(),
            path: req.path.clone(),
            query: req.query.clone(),
            host: req.header("host").map(str::to_string),
            body: String::from_utf8_lossy(&req.body).into_owned(),
        }
    }

    fn request(&self) -> Request {
        Request {
            secure: true,
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            headers: self.host.iter().map(|h| ("host".to_string(), h.clone())).collect(),
            body: self.body.clone().into_bytes(),
        }
    }
}

/// Carry out again what came after the state's mark; entries before it are passed over.
pub fn replay(sim: &mut Sim, entries: impl IntoIterator<Item = Entry>) {
    for Entry { mark, act } in entries {
        if mark.seq <= sim.state.mark.seq {
            continue;
        }
        let now = Now { real: mark.real, virt: mark.virt };
        physics::advance(&sim.settings, &mut sim.state, now.virt);
        match act {
            Act::Arm { caller, sent, hints } => {
                let req = sent.request();
                let version = req.param("api-version").unwrap_or_default();
                if let (Some(caller), Ok(route)) =
                    (sim.state.principals.get(&caller.to_ascii_lowercase()).cloned(), Route::parse(&req.path, &version))
                {
                    // Its answer went out long ago; an error would only repeat what the first time ended in.
                    let _ = sim.serve(&req, &route, &version, &caller, &hints, now);
                }
            }
            Act::Admin(sent) => {
                admin::serve(sim, &sent.request(), now);
            }
            Act::Skip => {}
        }
        sim.state.mark = mark;
    }
    let mark = sim.state.mark;
    sim.clock.resume(mark.real, mark.virt);
}
