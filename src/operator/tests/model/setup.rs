//! Setups: what people may do, and what may go wrong.

use crate::documents::{Care, Manifest};

/// What is tried.
#[derive(Clone, Debug)]
pub struct Setup {
    pub name: &'static str,
    /// The manifest at the start.
    pub start: Manifest,
    /// What people may do.
    pub people: &'static [Deed],
    /// How often in all.
    pub deeds: u8,
    /// What may go wrong.
    pub trouble: &'static [Fault],
    /// How often in all.
    pub faults: u8,
    /// How many processes there are; only the first leads at the start.
    pub replicas: usize,
    /// Whether somebody else's resource has the name at the start.
    pub occupied: bool,
}

impl Setup {
    /// Whether a manifest is tried that leaves Azure alone when its object goes.
    pub fn may_be_left(&self) -> bool {
        let edits = self.people.iter().filter_map(|deed| match deed {
            Deed::Edit(manifest) => Some(*manifest),
            Deed::Delete | Deed::MakeAgain => None,
        });
        edits.chain([self.start]).any(|manifest| manifest.care == Care::Observe)
    }
}

/// What people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Edit the manifest.
    Edit(Manifest),
    /// Delete the object.
    Delete,
    /// Make it again once it is gone.
    MakeAgain,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed, and starts again.
    Crash,
    /// A request has its effect, and its answer is lost.
    LoseAnswer,
    /// A request is lost.
    LoseRequest,
    /// Azure refuses a request.
    Refuse,
    /// Azure's operation fails.
    FailWork,
    /// The read before a write fails.
    FailRead,
    /// Somebody changes the resource by hand.
    ChangeByHand,
    /// Somebody deletes it by hand.
    DeleteByHand,
    /// Somebody else takes the name.
    Occupy,
}
