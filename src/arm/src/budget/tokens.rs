//! One bucket's arithmetic: what we may send, from our share, from what ARM says is left, and from how fast that comes back.
//!
//! Two levels are kept and a request needs a token of both. *Own* is our share of the bucket by our own count; undivided, it
//! doesn't bind. *Seen* is ARM's bucket as its answers tell it, so it follows whoever else draws from it, and buckets that
//! are smaller or slower than documented.

use std::time::Duration;

use tokio::time::Instant;

use super::BucketSize;
use super::rate::{Rate, Sample};

/// Sums of refills that should make a whole token may miss it by this much.
const ROUNDING: f64 = 1e-6;
/// While it isn't known what ARM has left, so many requests go ahead and find out.
const PROBES: u32 = 3;
/// How long an answer holds for what is left; where tokens come slowly, as long as three of them take.
const FRESH: Duration = Duration::from_secs(5);
/// Of the documented refill, the least that is counted on: a bucket that others drain is tried now and then.
const LEAST_REFILL: f64 = 0.05;
/// A net refill below this part of our share of the bucket's means that strangers draw from it.
const ALONE: f64 = 0.85;
/// The longest wait that repeated refusals lead to, unless ARM asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A request that was sent, for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    /// Our count of requests, with this one.
    number: u64,
    /// How many of ours were under way when it was sent: whether ARM counted them before it isn't known.
    beside: u32,
    /// When it was sent.
    at: Instant,
}

/// The tokens of one bucket. Time is always given.
#[derive(Debug)]
pub(super) struct Tokens {
    /// As documented, before the share.
    size: BucketSize,
    share: f64,
    /// ARM's whole bucket, as learned.
    capacity: f64,
    own: f64,
    seen: f64,
    rate: Rate,
    /// Tokens that were taken and are neither spent nor given back.
    outstanding: u32,
    /// Requests without an answer yet.
    in_flight: u32,
    /// All requests that were ever sent.
    sent: u64,
    /// The number of the newest request that was answered: older answers tell of the past.
    newest: u64,
    heard: Option<Instant>,
    /// 429s in a row.
    refused: u32,
    /// Up to when the refill is counted; in the future while the bucket waits.
    at: Instant,
    paused_until: Option<Instant>,
}

impl Tokens {
    pub fn full(size: BucketSize, share: f64, now: Instant) -> Self {
        let mut tokens = Self {
            size,
            share,
            capacity: size.capacity.max(1.0),
            own: 0.0,
            seen: size.capacity.max(1.0),
            rate: Rate::default(),
            outstanding: 0,
            in_flight: 0,
            sent: 0,
            newest: 0,
            heard: None,
            refused: 0,
            at: now,
            paused_until: None,
        };
        tokens.own = tokens.own_capacity();
        tokens
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
        let grown = |level: f64, per_second: f64, capacity: f64| {
            let most = (capacity - f64::from(self.outstanding)).max(0.0);
            (level + elapsed.as_secs_f64() * per_second).min(most.max(level))
        };
        self.own = grown(self.own, self.own_refill(), self.own_capacity());
        self.seen = grown(self.seen, self.net(), self.capacity);
    }

    /// Takes a token, if there is one and the bucket doesn't wait.
    pub fn take(&mut self, now: Instant) -> bool {
        let there = self.paused_until.is_none() && !self.waits_for_an_answer(now) && self.missing(now).is_none();
        if there {
            self.own -= 1.0;
            self.seen -= 1.0;
            self.outstanding += 1;
        }
        there
    }

    /// A taken token was sent.
    pub fn spent(&mut self, now: Instant) -> Ticket {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.sent += 1;
        let ticket = Ticket { number: self.sent, beside: self.in_flight, at: now };
        self.in_flight += 1;
        ticket
    }

    /// A taken token wasn't used.
    pub fn give_back(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
        if self.paused_until.is_none() {
            let outstanding = f64::from(self.outstanding);
            self.own = (self.own + 1.0).min((self.own_capacity() - outstanding).max(0.0));
            self.seen = (self.seen + 1.0).min((self.capacity - outstanding).max(0.0));
        }
    }

    /// A request has ended without an answer.
    pub fn lost(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A request was answered, and ARM said how many it has left for everyone, if it did.
    pub fn answered(&mut self, ticket: Ticket, remaining: Option<u64>, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.paused_until.is_some() || ticket.number < self.newest {
            return;
        }
        self.newest = ticket.number;
        if let Some(remaining) = remaining {
            self.observe(ticket, remaining, now);
        }
        self.heard = Some(now);
        self.refused = 0;
    }

    fn observe(&mut self, ticket: Ticket, remaining: u64, now: Instant) {
        let outstanding = f64::from(self.outstanding);
        let since = (self.sent - ticket.number) as f64;
        // The request that was answered had its token from the bucket too.
        let size = remaining as f64 + 1.0;
        let was_full = size >= self.capacity;
        let expected_full = self.seen + outstanding + since + f64::from(PROBES) >= 0.95 * self.capacity;
        if was_full || (expected_full && !self.is_fresh(now)) {
            self.resize(size);
        }
        let Ticket { number: sent, beside, at } = ticket;
        self.rate.learn(Sample { at, sent, remaining, beside }, self.net(), was_full);
        let left = remaining as f64 - since - outstanding;
        let age = now.saturating_duration_since(at).as_secs_f64();
        // Without what came back meanwhile, each answer would cost the refill of its way. And what was under way beside it
        // may have been counted by ARM already, or not.
        let least = left - f64::from(beside);
        let most = if self.is_fresh(now) { left + age * self.net() } else { least };
        self.seen = self.seen.min(most).max(least);
    }

    /// ARM's bucket holds this many. What we have used of our share stays used.
    fn resize(&mut self, capacity: f64) {
        let before = self.own_capacity();
        self.capacity = capacity;
        if !self.is_undivided() {
            self.own += self.own_capacity() - before;
        }
    }

    /// ARM refused: nothing is taken for that long, and then the bucket is empty. Refusals without a success between them
    /// double the wait; those of requests that were under way together are one.
    pub fn refuse(&mut self, wait: Duration, now: Instant) {
        if self.paused_until.is_none() {
            let longer = wait.saturating_mul(1 << self.refused.min(6)).min(LONGEST_PAUSE);
            self.refused += 1;
            let slower = self.net() / 2.0;
            self.rate.guess(slower);
            self.pause(now + longer.max(wait));
        } else {
            self.pause(now + wait);
        }
    }

    fn pause(&mut self, until: Instant) {
        if self.paused_until.is_none_or(|other| other < until) {
            self.paused_until = Some(until);
            self.at = self.at.max(until);
        }
        self.seen = 0.0;
        self.heard = None;
    }

    /// When a token will be there; `None` if only what is outstanding or under way can bring one.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        if let Some(until) = self.paused_until {
            return Some(until + self.missing(until).unwrap_or_default());
        }
        let room = self.own_capacity().min(self.capacity) - f64::from(self.outstanding);
        if self.waits_for_an_answer(now) || room < 1.0 - ROUNDING {
            return None;
        }
        let due = self.at.max(now) + self.missing(now).unwrap_or_default();
        // What was heard may grow old before.
        let stale =
            self.heard.map(|heard| heard + self.holds() + Duration::from_millis(1)).filter(|stale| *stale > now);
        Some(stale.map_or(due, |stale| due.min(stale)))
    }

    /// How long until both levels have a token.
    fn missing(&self, now: Instant) -> Option<Duration> {
        let own = (1.0 - ROUNDING - self.own > 0.0).then(|| seconds((1.0 - self.own) / self.own_refill()));
        let wanted = self.wanted(now);
        let seen = (wanted - ROUNDING - self.seen > 0.0).then(|| seconds((wanted - self.seen) / self.net()));
        own.max(seen)
    }

    /// The level of ARM's bucket at which a request is sent: one is always left behind, for an answer of 0 couldn't tell an
    /// empty bucket from one that is just about to be overdrawn. Where others draw too, some more.
    fn wanted(&self, now: Instant) -> f64 {
        if !self.is_fresh(now) {
            return 1.0;
        }
        let alone = self.net() >= ALONE * self.share * self.refill_of(self.capacity);
        let reserve = if alone { 1.0 } else { (self.capacity / 20.0).max(2.0) };
        (1.0 + reserve).min((self.capacity - f64::from(self.outstanding)).max(1.0))
    }

    /// How long the refill takes for a number of tokens.
    pub fn time_for(&self, tokens: f64) -> Duration {
        seconds(tokens.max(0.0) / self.net().min(self.own_refill()))
    }

    /// What could be taken, as far as it is known.
    pub fn left(&self) -> f64 {
        self.own.min(self.seen).max(0.0)
    }

    /// The part of ARM's bucket that is ours.
    pub fn capacity(&self) -> f64 {
        if self.is_undivided() { self.capacity } else { self.own_capacity() }
    }

    pub fn is_paused_at(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| until > now)
    }

    fn is_undivided(&self) -> bool {
        self.share >= 1.0
    }

    fn own_capacity(&self) -> f64 {
        // Shares that add up to the whole would meet at its very bottom: each leaves one. And a share may be small, but a
        // bucket that never holds a token would never serve.
        if self.is_undivided() { f64::INFINITY } else { (self.capacity * self.share - 1.0).max(1.0) }
    }

    fn own_refill(&self) -> f64 {
        if self.is_undivided() {
            return f64::INFINITY;
        }
        let whole = self.refill_of(self.capacity).max(self.rate.per_second().unwrap_or_default());
        (whole.min(self.size.refill_per_second) * self.share).max(1e-3)
    }

    /// ARM's buckets of one kind fill in the same time: a smaller one fills slower.
    fn refill_of(&self, capacity: f64) -> f64 {
        self.size.refill_per_second * (capacity / self.size.capacity).min(1.0)
    }

    /// The refill that is counted on.
    fn net(&self) -> f64 {
        let documented = self.size.refill_per_second;
        let known = self.rate.per_second().unwrap_or_else(|| self.refill_of(self.capacity));
        known.clamp(documented * LEAST_REFILL, documented)
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.heard.is_some_and(|heard| now.saturating_duration_since(heard) <= self.holds())
    }

    fn holds(&self) -> Duration {
        FRESH.max(seconds(3.0 / self.refill_of(self.capacity)))
    }

    fn waits_for_an_answer(&self, now: Instant) -> bool {
        let probes = if self.refused > 0 { 1 } else { PROBES };
        !self.is_fresh(now) && self.outstanding + self.in_flight >= probes
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, 86_400.0)).unwrap_or(Duration::ZERO)
}
