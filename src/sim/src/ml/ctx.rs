//! What a handler has at hand.

use crate::{
    clock::Now,
    front::{
        http::Request,
        refusal::{Outcome, Refusal},
        roles::Need,
        route::Route,
    },
    ml::sizes,
    state::{Fate, Operation, OperationStatus, State, Veil, Verb},
    world::{Principal, Size, World},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Settings of one run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Unknown fields: refused, or dropped silently.
    pub unknown_fields: UnknownFields,
    /// Lists of computes carry live fields, or not.
    pub lists: Lists,
    /// Fields that are only assumed to be fixed after creation: refused, or changed in place.
    pub assumed: Assumed,
    /// Whether requests are counted.
    pub throttling: Throttling,
}

/// What happens to a field that the schema doesn't have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// 400.
    #[default]
    Refused,
    /// Dropped silently.
    Dropped,
}

/// What lists of computes carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lists {
    /// As much as a GET.
    #[default]
    Full,
    /// No node counts, no allocation state.
    Sparse,
}

/// In-place changes of which no source says that Azure makes or refuses them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Assumed {
    /// 400.
    #[default]
    Refused,
    /// Made.
    Allowed,
}

/// Whether buckets are drawn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Throttling {
    /// As ARM does.
    #[default]
    On,
    /// Never a 429 of its own.
    Off,
}

/// What doesn't change while it runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The world file.
    pub world: World,
    /// Command-line options.
    pub options: Options,
    /// Virtual seconds to a real one.
    pub scale: f64,
    sizes: BTreeMap<String, BTreeMap<String, Size>>,
}

impl Settings {
    /// Resolve the world's sizes.
    ///
    /// # Errors
    /// A region's name that isn't one, or a size named there that the built-in table doesn't have.
    pub fn new(world: World, options: Options, scale: f64) -> Result<Self, String> {
        let mut by_region = BTreeMap::new();
        for region in &world.regions {
            if region.name.chars().any(|c| !c.is_ascii_lowercase() && !c.is_ascii_digit()) {
                return Err(format!(
                    "region {:?}: a name is in lower case without spaces, like westeurope",
                    region.name
                ));
            }
            by_region.insert(region.name.clone(), sizes::of(region)?);
        }
        Ok(Self { world, options, scale, sizes: by_region })
    }

    /// Sizes of a region by lower-cased name.
    pub fn sizes(&self, region: &str) -> Option<&BTreeMap<String, Size>> {
        self.sizes.get(&region.to_ascii_lowercase())
    }

    /// A size in a region, any case.
    pub fn size(&self, region: &str, size: &str) -> Option<&Size> {
        self.sizes(region)?.get(&size.to_ascii_lowercase())
    }

    /// Region names for messages.
    pub fn regions(&self) -> String {
        self.sizes.keys().cloned().collect::<Vec<_>>().join(", ")
    }

    /// The region's own spelling of `written` (`West Europe`, `WestEurope`).
    pub fn region(&self, written: &str) -> Option<&str> {
        let wanted = written.replace(' ', "").to_ascii_lowercase();
        self.sizes.keys().map(String::as_str).find(|r| *r == wanted)
    }

    /// Items on a page.
    pub fn page_size(&self) -> usize {
        self.world.page_size.unwrap_or(50).max(1)
    }

    /// How late lists follow writes.
    pub fn list_delay(&self) -> SignedDuration {
        let consistency = &self.world.consistency;
        consistency.lists.unwrap_or(consistency.read_after_write).0
    }

    /// The veil over a write at `at`: over a creation when `before` is none.
    pub fn veil(&self, before: Option<Value>, at: Timestamp) -> Option<Veil> {
        let (gets, lists) = (self.world.consistency.read_after_write.0, self.list_delay());
        if gets.is_zero() && lists.is_zero() {
            return None;
        }
        Some(Veil { before, gets_until: crate::clock::later(at, gets), lists_until: crate::clock::later(at, lists) })
    }

    /// A virtual wait in the real seconds of a Retry-After (at least one).
    pub fn retry_after(&self, virtual_seconds: f64) -> String {
        ((virtual_seconds / self.scale).ceil() as i64).max(1).to_string()
    }
}

/// What injected faults ask of a handler.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Hints {
    /// Fate of the operation that the write starts.
    pub fate: Fate,
    /// Dotted field that isn't kept.
    pub not_honoured: Option<String>,
}

/// One request in the hands of a provider.
pub struct Ctx<'a> {
    /// Settings.
    pub settings: &'a Settings,
    /// State.
    pub state: &'a mut State,
    /// What the request needs, for the log.
    pub needs: &'a mut Vec<Need>,
    /// Both times.
    pub now: Now,
    /// The request.
    pub req: &'a Request,
    /// Its path, understood.
    pub route: &'a Route,
    /// Who asks.
    pub caller: &'a Principal,
    /// api-version.
    pub version: &'a str,
    /// Faults.
    pub hints: &'a Hints,
}

impl Ctx<'_> {
    /// The body as JSON.
    ///
    /// # Errors
    /// 400 when it isn't an object.
    pub fn body(&self) -> Outcome<Value> {
        let parsed: Result<Value, _> = serde_json::from_slice(&self.req.body);
        match parsed {
            Ok(value) if value.is_object() => Ok(value),
            Ok(_) => Err(bad_content("Expected an object. Path ''.")),
            Err(e) => Err(bad_content(&format!("{e}. Path ''."))),
        }
    }

    /// Begin an operation that ends after `lasts` of virtual time, unless a fault has it never end.
    pub fn begin(&mut self, verb: Verb, id: &str, uid: &str, location: &str, lasts: SignedDuration) -> String {
        let guid = self.state.dice.guid();
        let operation = Operation {
            verb,
            resource: crate::scope::key(id),
            uid: uid.into(),
            subscription: self.route.sub.to_ascii_lowercase(),
            location: location.into(),
            started: self.now.virt,
            ended: None,
            status: OperationStatus::InProgress,
            fate: self.hints.fate.clone(),
        };
        if self.hints.fate != Fate::NeverEnds {
            let event = crate::state::Event::Settle { operation: guid.clone() };
            self.state.agenda.add(crate::clock::later(self.now.virt, lasts), event);
        }
        self.state.operations.insert(guid.clone(), operation);
        guid
    }
}

/// ARM's words for a body that it can't read.
pub fn bad_content(why: &str) -> Refusal {
    Refusal::arm(
        400,
        "InvalidRequestContent",
        format!("The request content was invalid and could not be deserialized: '{why}'."),
    )
}
