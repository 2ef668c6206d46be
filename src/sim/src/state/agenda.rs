//! What is going to happen, in order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that happens at an instant. Those that no longer apply when their time comes do nothing.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum Event {
    /// An operation ends.
    Settle {
        /// Its guid.
        operation: String,
    },
    /// A node takes its next step.
    Node {
        /// Key of the compute.
        compute: String,
        /// Uid of the compute.
        uid: String,
        /// The node's number.
        number: u64,
        /// Since when it was in the state that it leaves.
        since: Timestamp,
    },
    /// A low-priority node is lost.
    Preempt {
        /// Key of the compute.
        compute: String,
        /// Uid of the compute.
        uid: String,
        /// The node's number.
        number: u64,
    },
    /// Look whether a cluster needs more or fewer nodes.
    Look {
        /// Key of the compute.
        compute: String,
        /// Uid of the compute.
        uid: String,
    },
    /// The machine of an instance is there; its setup script starts.
    SetUp {
        /// Key of the compute.
        compute: String,
        /// The operation that it is part of.
        operation: String,
    },
    /// An instance's idle time may be over.
    Idle {
        /// Key of the compute.
        compute: String,
        /// Uid of the compute.
        uid: String,
        /// Which setting of the idle clock it belongs to.
        round: u64,
    },
    /// A schedule of an instance fires.
    Schedule {
        /// Key of the compute.
        compute: String,
        /// Uid of the compute.
        uid: String,
        /// Which setting of the schedules it belongs to.
        round: u64,
        /// Its place in the list.
        index: usize,
    },
    /// A job takes its next step.
    Job {
        /// Key of the job.
        job: String,
        /// Uid of the job.
        uid: String,
        /// The step that it leaves.
        step: u64,
    },
}

/// Events by time; those of one instant in the order of their entry.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(Timestamp, Event)>", into = "Vec<(Timestamp, Event)>")]
pub struct Agenda {
    events: BTreeMap<(Timestamp, u64), Event>,
    entered: u64,
}

impl Agenda {
    /// Enter an event.
    pub fn add(&mut self, at: Timestamp, event: Event) {
        self.entered += 1;
        self.events.insert((at, self.entered), event);
    }

    /// Take the first event that is due at `now`.
    pub fn due(&mut self, now: Timestamp) -> Option<(Timestamp, Event)> {
        let (&(at, _), _) = self.events.first_key_value()?;
        if at > now {
            return None;
        }
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }

    /// Events not yet happened.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Nothing is going to happen.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl From<Vec<(Timestamp, Event)>> for Agenda {
    fn from(list: Vec<(Timestamp, Event)>) -> Self {
        let mut agenda = Self::default();
        for (at, event) in list {
            agenda.add(at, event);
        }
        agenda
    }
}

impl From<Agenda> for Vec<(Timestamp, Event)> {
    fn from(agenda: Agenda) -> Self {
        agenda.events.into_iter().map(|((at, _), event)| (at, event)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_in_order_of_time_then_entry() {
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let ev = |n: &str| Event::Settle { operation: n.into() };
        let mut agenda = Agenda::default();
        agenda.add(at(2), ev("late"));
        agenda.add(at(1), ev("first"));
        agenda.add(at(1), ev("second"));
        let mut copy = Agenda::from(Vec::from(agenda));
        let got: Vec<_> = std::iter::from_fn(|| copy.due(at(1))).map(|(_, e)| e).collect();
        assert_eq!(got, [ev("first"), ev("second")]);
        assert_eq!(copy.len(), 1);
    }
}
