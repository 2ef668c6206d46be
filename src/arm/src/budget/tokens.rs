//! One bucket's arithmetic.

use std::time::Duration;

use tokio::time::Instant;

use super::BucketSize;

/// Sums of refills that should make a whole token may miss it by this much.
const ROUNDING: f64 = 1e-6;

/// The tokens of one bucket. Time is always given.
#[derive(Debug)]
pub(super) struct Tokens {
    share: f64,
    /// After the share.
    capacity: f64,
    refill_per_second: f64,
    left: f64,
    /// Tokens that were taken and are neither spent nor given back.
    outstanding: u32,
    /// Up to when the refill is counted; in the future while the bucket waits.
    at: Instant,
    paused_until: Option<Instant>,
}

impl Tokens {
    pub fn full(size: BucketSize, share: f64, now: Instant) -> Self {
        // A share may be small, but a bucket that never holds a token would never serve.
        let capacity = (size.capacity * share).max(1.0);
        Self {
            share,
            capacity,
            refill_per_second: (size.refill_per_second * share).max(1e-3),
            left: capacity,
            outstanding: 0,
            at: now,
            paused_until: None,
        }
    }

    /// Counts the refill up to now. What is outstanding still lies in ARM's bucket, which
    /// doesn't grow past its size, so neither do both together.
    pub fn refill(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
        }
        let Some(elapsed) = now.checked_duration_since(self.at).filter(|e| !e.is_zero()) else {
            return;
        };
        self.at = now;
        let most = (self.capacity - f64::from(self.outstanding)).max(0.0);
        let grown = self.left + elapsed.as_secs_f64() * self.refill_per_second;
        self.left = grown.min(most.max(self.left));
    }

    /// Takes a token, if there is one and the bucket doesn't wait.
    pub fn take(&mut self) -> bool {
        let there = self.left >= 1.0 - ROUNDING && self.paused_until.is_none();
        if there {
            self.left = (self.left - 1.0).max(0.0);
            self.outstanding += 1;
        }
        there
    }

    /// A taken token was sent.
    pub fn spent(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// A taken token wasn't used.
    pub fn give_back(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
        if self.paused_until.is_none() {
            let most = (self.capacity - f64::from(self.outstanding)).max(0.0);
            self.left = (self.left + 1.0).min(most);
        }
    }

    /// ARM said how many it has left for everyone, at some time since `age` ago.
    pub fn observe(&mut self, remaining: u64, age: Duration) {
        let remaining = remaining as f64;
        let outstanding = f64::from(self.outstanding);
        // The request that was answered had its token from the bucket too.
        let size = (remaining + 1.0) * self.share;
        if size > self.capacity {
            self.capacity = size;
            self.left = (remaining * self.share - outstanding).max(self.left);
            return;
        }
        // Without what came back meanwhile, each answer would cost the refill of its way.
        let most = remaining + age.as_secs_f64() * self.refill_per_second - outstanding;
        self.left = self.left.min(most.max(0.0));
    }

    /// Nothing is taken before `until`, and then the bucket is empty.
    pub fn pause(&mut self, until: Instant) {
        if self.paused_until.is_none_or(|other| other < until) {
            self.paused_until = Some(until);
            self.at = self.at.max(until);
        }
        self.left = 0.0;
    }

    /// When a token will be there; `None` if only what is outstanding can bring one.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        if let Some(until) = self.paused_until {
            return Some(until + self.time_for(1.0));
        }
        if self.left >= 1.0 - ROUNDING {
            return Some(now);
        }
        let grows = self.capacity - f64::from(self.outstanding) >= 1.0 - ROUNDING;
        grows.then(|| self.at + self.time_for(1.0 - self.left))
    }

    /// How long the refill takes for a number of tokens.
    pub fn time_for(&self, tokens: f64) -> Duration {
        let seconds = (tokens.max(0.0) / self.refill_per_second).min(86_400.0);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
    }

    pub fn left(&self) -> f64 {
        self.left
    }

    pub fn capacity(&self) -> f64 {
        self.capacity
    }

    pub fn is_paused_at(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| until > now)
    }
}
