//! Who is next: priority first, then lanes in turn, then whoever waits longest.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::Priority;

/// Of ten turns that both priorities want, this many are people's and one is background's.
const PEOPLE_IN_A_ROW: u32 = 9;

/// Who waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum WaiterId {
    /// A caller of `try_admit`, woken by its key.
    Key(String),
    /// A caller of `admit`, woken by its future.
    Turn(u64),
}

/// Where someone waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub priority: Priority,
    pub lane: String,
    pub scope: Option<String>,
}

/// The queue of one bucket.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    people: Lanes,
    background: Lanes,
    people_in_a_row: u32,
    arrivals: u64,
}

#[derive(Debug, Default)]
struct Lanes {
    lanes: HashMap<String, Lane>,
    /// Whose turn is next comes first.
    order: VecDeque<String>,
    waiting: usize,
}

/// By scope, so that a blocked provider costs one look and not one per waiter.
#[derive(Debug, Default)]
struct Lane {
    scopes: BTreeMap<Option<String>, VecDeque<(u64, WaiterId)>>,
}

impl FairQueue {
    pub fn push(&mut self, id: WaiterId, spot: &Spot) {
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.of(spot.priority).push(arrival, id, spot);
    }

    /// Takes out who is next among those whose scope isn't blocked.
    pub fn pop(&mut self, blocked: &dyn Fn(&str) -> bool) -> Option<WaiterId> {
        if self.people_in_a_row >= PEOPLE_IN_A_ROW
            && let Some(id) = self.background.pop(blocked)
        {
            self.people_in_a_row = 0;
            return Some(id);
        }
        match self.people.pop(blocked) {
            Some(id) if self.background.is_ready(blocked) => {
                self.people_in_a_row += 1;
                Some(id)
            }
            Some(id) => {
                self.people_in_a_row = 0;
                Some(id)
            }
            None => {
                self.people_in_a_row = 0;
                self.background.pop(blocked)
            }
        }
    }

    pub fn remove(&mut self, id: &WaiterId, spot: &Spot) {
        self.of(spot.priority).remove(id, spot);
    }

    /// Whether anyone could be popped.
    pub fn is_ready(&self, blocked: &dyn Fn(&str) -> bool) -> bool {
        self.people.is_ready(blocked) || self.background.is_ready(blocked)
    }

    pub fn len(&self) -> usize {
        self.people.waiting + self.background.waiting
    }

    /// How many may go before a newcomer of that priority: an estimate.
    pub fn ahead(&self, priority: Priority) -> usize {
        match priority {
            Priority::Person => self.people.waiting,
            Priority::Background => self.len(),
        }
    }

    fn of(&mut self, priority: Priority) -> &mut Lanes {
        match priority {
            Priority::Person => &mut self.people,
            Priority::Background => &mut self.background,
        }
    }
}

impl Lanes {
    fn push(&mut self, arrival: u64, id: WaiterId, spot: &Spot) {
        if !self.lanes.contains_key(&spot.lane) {
            self.order.push_back(spot.lane.clone());
        }
        let lane = self.lanes.entry(spot.lane.clone()).or_default();
        lane.scopes.entry(spot.scope.clone()).or_default().push_back((arrival, id));
        self.waiting += 1;
    }

    fn pop(&mut self, blocked: &dyn Fn(&str) -> bool) -> Option<WaiterId> {
        let (index, scope) = self
            .order
            .iter()
            .enumerate()
            .find_map(|(index, name)| Some((index, self.lanes.get(name)?.longest_waiting(blocked)?.clone())))?;
        let name = self.order.remove(index)?;
        let lane = self.lanes.get_mut(&name)?;
        let (_, id) = lane.scopes.get_mut(&scope)?.pop_front()?;
        lane.scopes.retain(|_, waiters| !waiters.is_empty());
        if lane.scopes.is_empty() {
            self.lanes.remove(&name);
        } else {
            self.order.push_back(name);
        }
        self.waiting -= 1;
        Some(id)
    }

    fn remove(&mut self, id: &WaiterId, spot: &Spot) {
        let Some(lane) = self.lanes.get_mut(&spot.lane) else {
            return;
        };
        let Some(waiters) = lane.scopes.get_mut(&spot.scope) else {
            return;
        };
        let before = waiters.len();
        waiters.retain(|(_, other)| other != id);
        self.waiting -= before - waiters.len();
        lane.scopes.retain(|_, waiters| !waiters.is_empty());
        if lane.scopes.is_empty() {
            self.lanes.remove(&spot.lane);
            self.order.retain(|name| name != &spot.lane);
        }
    }

    fn is_ready(&self, blocked: &dyn Fn(&str) -> bool) -> bool {
        self.lanes.values().any(|lane| lane.longest_waiting(blocked).is_some())
    }
}

impl Lane {
    /// The scope, among those that aren't blocked, of who waits longest.
    fn longest_waiting(&self, blocked: &dyn Fn(&str) -> bool) -> Option<&Option<String>> {
        self.scopes
            .iter()
            .filter(|(scope, _)| !scope.as_deref().is_some_and(blocked))
            .min_by_key(|(_, waiters)| waiters.front().map(|(arrival, _)| *arrival))
            .map(|(scope, _)| scope)
    }
}
