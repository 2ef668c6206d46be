//! The work queue: which object is looked at next, and when.
//!
//! Each key is in it once, at the earliest time that anybody asked for, and is worked on by one worker at a time. What
//! is asked for while it is worked on is kept for afterwards. Those whose turn to write has come go before all others: a
//! bucket of Azure's that is full while hundreds of first looks are due gains nothing.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A queue of keys with due times.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

/// When a key is worked on: those that go first, then by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    rank: Rank,
    at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    First,
    Usual,
}

#[derive(Debug)]
struct State<K> {
    order: BTreeSet<(Due, u64, K)>,
    due: HashMap<K, (Due, u64)>,
    running: HashMap<K, Running>,
    sequence: u64,
}

/// A key at work.
#[derive(Debug)]
struct Running {
    since: Instant,
    /// When it was asked for meanwhile.
    again: Option<Due>,
}

/// What the queue has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Keys that are due.
    pub due: usize,
    /// Keys at work.
    pub running: usize,
    /// How long the first of those that are due has been so.
    pub longest_due: Option<Duration>,
    /// How long the longest work has taken so far.
    pub longest_running: Option<Duration>,
}

impl<K: Clone + Ord + Hash> Default for Queue<K> {
    fn default() -> Self {
        let state = State { order: BTreeSet::new(), due: HashMap::new(), running: HashMap::new(), sequence: 0 };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl<K: Clone + Ord + Hash> Queue<K> {
    /// Asks for a key to be worked on now.
    pub fn add(&self, key: K) {
        self.add_at(key, Instant::now());
    }

    /// Asks for a key to be worked on at a time, or earlier where somebody asked for that.
    pub fn add_at(&self, key: K, at: Instant) {
        self.insert(key, Due { rank: Rank::Usual, at });
    }

    /// Asks for a key to be worked on now, before all others that are due.
    pub fn add_first(&self, key: K) {
        self.insert(key, Due { rank: Rank::First, at: Instant::now() });
    }

    fn insert(&self, key: K, due: Due) {
        let mut state = self.lock();
        if let Some(running) = state.running.get_mut(&key) {
            running.again = Some(running.again.map_or(due, |earlier| earlier.min(due)));
            return;
        }
        state.insert(key, due);
        drop(state);
        self.changed.notify_one();
    }

    /// The next key that is due. It counts as at work until [`Queue::done`].
    pub async fn next(&self) -> K {
        loop {
            let wait = {
                let mut state = self.lock();
                match state.order.first().cloned() {
                    Some((due, sequence, key)) if due.at <= Instant::now() => {
                        state.order.remove(&(due, sequence, key.clone()));
                        state.due.remove(&key);
                        state.running.insert(key.clone(), Running { since: Instant::now(), again: None });
                        let more = !state.order.is_empty();
                        drop(state);
                        if more {
                            // One wake-up may stand for several keys: hand it on to another worker.
                            self.changed.notify_one();
                        }
                        return key;
                    }
                    Some((due, ..)) => Some(due.at),
                    None => None,
                }
            };
            let changed = self.changed.notified();
            match wait {
                Some(at) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// The work on a key has ended; what was asked for meanwhile is queued.
    pub fn done(&self, key: &K) {
        let mut state = self.lock();
        let again = state.running.remove(key).and_then(|running| running.again);
        if let Some(due) = again {
            state.insert(key.clone(), due);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Forgets a key that is gone. What is at work is let end.
    pub fn forget(&self, key: &K) {
        let mut state = self.lock();
        if let Some((at, sequence)) = state.due.remove(key) {
            state.order.remove(&(at, sequence, key.clone()));
        }
        if let Some(running) = state.running.get_mut(key) {
            running.again = None;
        }
    }

    /// What there is to do now.
    pub fn load(&self) -> Load {
        let state = self.lock();
        let now = Instant::now();
        let due = || state.order.iter().map(|(due, ..)| due.at).take_while(|at| *at <= now);
        let first = due().min();
        Load {
            due: due().count(),
            running: state.running.len(),
            longest_due: first.map(|at| now - at),
            longest_running: state.running.values().map(|running| now - running.since).max(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Ord + Hash> State<K> {
    fn insert(&mut self, key: K, due: Due) {
        if let Some((earlier, sequence)) = self.due.get(&key).copied() {
            if earlier <= due {
                return;
            }
            self.order.remove(&(earlier, sequence, key.clone()));
        }
        self.sequence += 1;
        self.due.insert(key.clone(), (due, self.sequence));
        self.order.insert((due, self.sequence, key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn keys_come_once_and_in_time() {
        let queue = Queue::default();
        let start = Instant::now();
        queue.add_at("late", after(10));
        queue.add_at("early", after(5));
        queue.add_at("late", after(2));
        queue.add_at("late", after(20));
        assert_eq!((queue.next().await, start.elapsed().as_secs()), ("late", 2));
        assert_eq!((queue.next().await, start.elapsed().as_secs()), ("early", 5));
        let nothing = tokio::time::timeout(Duration::from_secs(100), queue.next()).await;
        assert!(nothing.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn those_whose_turn_has_come_go_first() {
        let queue = Queue::default();
        for key in ["a", "b", "c"] {
            queue.add(key);
        }
        assert_eq!(queue.next().await, "a");
        queue.add_first("c");
        queue.add_first("a");
        queue.add("c");
        queue.done(&"a");
        let order = [queue.next().await, queue.next().await, queue.next().await];
        assert_eq!(order, ["c", "a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_worker_a_key_and_nothing_is_lost() {
        let queue = Queue::default();
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.add_at("a", after(5));
        queue.add("a");
        assert!(tokio::time::timeout(Duration::from_secs(60), queue.next()).await.is_err());
        queue.done(&"a");
        assert_eq!(queue.next().await, "a");
        queue.done(&"a");
        assert!(tokio::time::timeout(Duration::from_secs(60), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forgotten_does_not_come() {
        let queue = Queue::default();
        queue.add("gone");
        queue.add("at work");
        assert_eq!(queue.next().await, "gone");
        queue.add("gone");
        queue.forget(&"gone");
        queue.forget(&"at work");
        queue.done(&"gone");
        assert!(tokio::time::timeout(Duration::from_secs(60), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_workers_are_woken() {
        let queue = std::sync::Arc::new(Queue::default());
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.next().await })
            })
            .collect();
        tokio::task::yield_now().await;
        for key in ["a", "b", "c"] {
            queue.add(key);
        }
        let mut seen = Vec::new();
        for worker in workers {
            seen.push(worker.await.unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, ["a", "b", "c"]);
        queue.add("d");
        tokio::time::advance(Duration::from_secs(5)).await;
        let waited = Some(Duration::from_secs(5));
        assert_eq!(queue.load(), Load { due: 1, running: 3, longest_due: waited, longest_running: waited });
    }
}
