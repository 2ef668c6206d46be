//! What is remembered of an object in this process only. Losing it costs time, never correctness.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::engine::retry::Attempt;
use crate::index::Key;

/// What is remembered of one object.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// When our last write to Azure ended: what was asked for before doesn't count.
    pub last_write_ended: Option<Instant>,
    /// The failure that the next try waits out.
    pub attempt: Option<Attempt>,
    /// The value of the reconcile annotation, and when it was first seen.
    pub asked: Option<(String, Instant)>,
}

/// What is remembered of all objects.
#[derive(Debug, Default)]
pub struct Scratches(Mutex<HashMap<Key, Scratch>>);

impl Scratches {
    /// What is remembered of an object.
    pub fn get(&self, key: &Key) -> Scratch {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned().unwrap_or_default()
    }

    /// Changes what is remembered of an object.
    pub fn update(&self, key: &Key, change: impl FnOnce(&mut Scratch)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default());
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
