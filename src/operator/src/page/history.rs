//! Nodes of each cluster over the last hour, from what is watched anyway.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::index::Key;

/// How often it is looked.
pub const EVERY: Duration = Duration::from_secs(10);
/// How far back it goes, in seconds.
pub const SPAN: i64 = 3600;
/// Changes that are kept of one cluster: every other look may bring one.
const MOST: usize = 180;

/// From this second on (of Unix time) there were so many nodes.
pub type Point = (i64, i64);

/// Changes of node counts; what stays the same costs nothing.
#[derive(Debug, Default)]
pub struct History(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    points: HashMap<Key, VecDeque<Point>>,
    revision: u64,
}

impl History {
    /// Takes in the clusters' nodes at a second; those that aren't there are forgotten.
    pub fn sample(&self, now: i64, nodes: impl IntoIterator<Item = (Key, i64)>) {
        let mut inner = self.lock();
        let mut there = HashSet::new();
        let mut changed = false;
        for (key, count) in nodes {
            let points = inner.points.entry(key.clone()).or_default();
            there.insert(key);
            if points.back().is_none_or(|(_, last)| *last != count) {
                points.push_back((now, count));
                changed = true;
            }
            // The last one of before the span tells what it began with.
            while points.len() > MOST || points.get(1).is_some_and(|(at, _)| *at <= now - SPAN) {
                points.pop_front();
            }
        }
        inner.points.retain(|key, _| there.contains(key));
        inner.revision += u64::from(changed);
    }

    /// A cluster's, the oldest first; the first may be older than the span.
    pub fn of(&self, key: &Key) -> Vec<Point> {
        self.lock().points.get(key).into_iter().flatten().copied().collect()
    }

    /// Another one whenever something has changed.
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { kind: "ComputeCluster", namespace: "ml".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn only_changes_of_the_last_hour_are_kept() {
        let history = History::default();
        for (at, count) in [(0, 0), (10, 0), (20, 2), (30, 2), (40, 0)] {
            history.sample(at, [(key("a"), count)]);
        }
        assert_eq!(history.of(&key("a")), [(0, 0), (20, 2), (40, 0)]);
        assert_eq!(history.revision(), 3);
        history.sample(SPAN + 30, [(key("a"), 0)]);
        assert_eq!(history.of(&key("a")), [(20, 2), (40, 0)], "what it began with stays");
        history.sample(SPAN + 1000, [(key("a"), 0), (key("b"), 1)]);
        assert_eq!(history.of(&key("a")), [(40, 0)]);
        history.sample(SPAN + 1010, [(key("b"), 1)]);
        assert_eq!((history.of(&key("a")), history.of(&key("b"))), (vec![], vec![(SPAN + 1000, 1)]));
    }

    #[test]
    fn it_is_bounded() {
        let history = History::default();
        for second in 0..2 * SPAN {
            history.sample(second, [(key("a"), second % 2)]);
        }
        let points = history.of(&key("a"));
        assert_eq!((points.len(), points.last()), (MOST, Some(&(2 * SPAN - 1, 1))));
    }
}
