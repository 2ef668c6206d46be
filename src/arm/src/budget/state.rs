//! All buckets, who waits at them, and for whom a token is kept. Pure but for the wakes.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::queue::{FairQueue, Spot, WaiterId};
use super::tokens::{Ticket, Tokens};
use super::{BucketState, BudgetConfig, Claim, OperationKind};

/// How long a token is kept for a key that was woken.
const RESERVATION: Duration = Duration::from_secs(10);

/// Which bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct BucketKey {
    pub principal: String,
    /// Lower-cased.
    pub subscription: String,
    pub kind: OperationKind,
}

impl BucketKey {
    pub fn new(principal: &str, subscription: &str, kind: OperationKind) -> Self {
        Self { principal: principal.to_owned(), subscription: subscription.to_ascii_lowercase(), kind }
    }

    /// How a provider's own limit is named: providers count each subscription by itself, and reads apart from changes, so
    /// that a throttled write leaves us our eyes.
    pub fn limit(&self, scope: &str) -> String {
        let kind = if self.kind == OperationKind::Read { "reads" } else { "changes" };
        format!("{}|{kind}|{}", self.subscription, scope.to_ascii_lowercase())
    }
}

/// A claim without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub bucket: BucketKey,
    pub scope: Option<String>,
    spot: Spot,
}

impl Request {
    pub fn of(claim: &Claim) -> Self {
        let bucket = BucketKey::new(&claim.principal, &claim.subscription, claim.kind);
        let scope = claim.provider_scope.as_ref().map(|scope| bucket.limit(scope));
        Self { bucket, scope: scope.clone(), spot: Spot { priority: claim.priority, lane: claim.lane.clone(), scope } }
    }
}

/// What became of a request for a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Granted,
    Queued { expected: Duration },
}

#[derive(Debug)]
struct Bucket {
    tokens: Tokens,
    queue: FairQueue,
    /// For whom a token is kept, and until when (a future keeps its own as long as it lives).
    reserved: HashMap<WaiterId, Option<Instant>>,
}

/// The state behind the budget's lock.
pub(super) struct State {
    config: BudgetConfig,
    buckets: HashMap<BucketKey, Bucket>,
    /// Where each waiter is: queued or holding a reservation in that bucket.
    places: HashMap<WaiterId, Request>,
    /// Futures to tell when their turn comes.
    turns: HashMap<WaiterId, oneshot::Sender<()>>,
    next_turn: u64,
    /// Provider scopes that wait out a 429.
    blocks: HashMap<String, Instant>,
    wake: Option<UnboundedSender<String>>,
}

impl State {
    pub fn new(config: BudgetConfig) -> Self {
        let share = if config.share > 0.0 { config.share.min(1.0) } else { 1e-3 };
        Self {
            config: BudgetConfig { share, ..config },
            buckets: HashMap::new(),
            places: HashMap::new(),
            turns: HashMap::new(),
            next_turn: 0,
            blocks: HashMap::new(),
            wake: None,
        }
    }

    pub fn set_wake(&mut self, sender: UnboundedSender<String>) {
        self.wake = Some(sender);
    }

    pub fn next_turn(&mut self) -> WaiterId {
        self.next_turn += 1;
        WaiterId::Turn(self.next_turn)
    }

    /// As `try_admit`, for a future that waits.
    pub fn enqueue_turn(
        &mut self,
        id: WaiterId,
        request: &Request,
        sender: oneshot::Sender<()>,
        now: Instant,
    ) -> Decision {
        let decision = self.try_admit(id.clone(), request, now);
        if decision != Decision::Granted {
            self.turns.insert(id, sender);
        }
        decision
    }

    pub fn try_admit(&mut self, id: WaiterId, request: &Request, now: Instant) -> Decision {
        // Who now wants something else, or must wait after all, starts anew. A token that
        // is kept already serves whatever the priority and lane are by now.
        let blocked = request.scope.as_deref().is_some_and(|scope| self.is_blocked(scope, now));
        let paused = self.bucket(&request.bucket, now).tokens.is_paused_at(now);
        let keeps_place = self.places.get(&id).is_some_and(|place| {
            if self.holds_token(&id, place) {
                place.bucket == request.bucket && !blocked && !paused
            } else {
                place == request
            }
        });
        if !keeps_place {
            self.withdraw(&id);
            self.bucket(&request.bucket, now).queue.push(id.clone(), &request.spot);
            self.places.insert(id.clone(), request.clone());
        }
        self.pump(&request.bucket, now, Some(&id));
        if self.take_reserved(&id) {
            return Decision::Granted;
        }
        Decision::Queued { expected: self.expected(request, now) }
    }

    /// Turns the token that is kept for someone into their permit's.
    pub fn take_reserved(&mut self, id: &WaiterId) -> bool {
        let Some(bucket) = self.places.get(id).and_then(|place| self.buckets.get_mut(&place.bucket)) else {
            return false;
        };
        let held = bucket.reserved.remove(id).is_some();
        if held {
            self.places.remove(id);
        }
        held
    }

    /// Gives up a place or a reservation; whether there was one.
    pub fn withdraw(&mut self, id: &WaiterId) -> bool {
        self.turns.remove(id);
        let Some(place) = self.places.remove(id) else { return false };
        let Some(bucket) = self.buckets.get_mut(&place.bucket) else { return false };
        if bucket.reserved.remove(id).is_some() {
            bucket.tokens.give_back();
        } else {
            bucket.queue.remove(id, &place.spot);
        }
        true
    }

    /// Keeps a granted token for a key that has to wait for something else first.
    pub fn keep(&mut self, id: WaiterId, request: Request, now: Instant) {
        self.withdraw(&id);
        self.bucket(&request.bucket, now).reserved.insert(id.clone(), Some(now + RESERVATION));
        self.places.insert(id, request);
    }

    pub fn spent(&mut self, key: &BucketKey, now: Instant) -> Ticket {
        let bucket = self.bucket(key, now);
        bucket.tokens.refill(now);
        bucket.tokens.spent(now)
    }

    pub fn answered(&mut self, key: &BucketKey, ticket: Ticket, remaining: Option<u64>, now: Instant) {
        let bucket = self.bucket(key, now);
        bucket.tokens.refill(now);
        bucket.tokens.answered(ticket, remaining, now);
    }

    pub fn lost(&mut self, key: &BucketKey, now: Instant) {
        self.bucket(key, now).tokens.lost();
    }

    pub fn give_back(&mut self, key: &BucketKey, now: Instant) {
        let bucket = self.bucket(key, now);
        bucket.tokens.refill(now);
        bucket.tokens.give_back();
    }

    pub fn throttled(&mut self, key: &BucketKey, retry_after: Duration, now: Instant) {
        let bucket = self.bucket(key, now);
        bucket.tokens.refill(now);
        bucket.tokens.refuse(retry_after, now);
    }

    pub fn block(&mut self, scope: String, until: Instant) {
        let known = self.blocks.entry(scope).or_insert(until);
        *known = (*known).max(until);
    }

    /// Hands out turns at every bucket.
    pub fn pump_all(&mut self, now: Instant) {
        self.blocks.retain(|_, until| *until > now);
        let keys: Vec<BucketKey> = self.buckets.keys().cloned().collect();
        for key in keys {
            self.pump(&key, now, None);
        }
    }

    /// When there will be something to hand out or a reservation to end.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let blocked = |scope: &str| self.is_blocked(scope, now);
        let mut waits = false;
        let mut due: Option<Instant> = None;
        let mut at = |instant: Option<Instant>| {
            due = match (due, instant) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            }
        };
        for bucket in self.buckets.values() {
            waits |= bucket.queue.len() > 0;
            at(bucket.reserved.values().flatten().min().copied());
            if bucket.queue.is_ready(&blocked) {
                at(bucket.tokens.next(now));
            }
        }
        if waits {
            at(self.blocks.values().filter(|until| **until > now).min().copied());
        }
        due
    }

    pub fn snapshot(&mut self, now: Instant) -> Vec<BucketState> {
        let mut states: Vec<BucketState> = self
            .buckets
            .iter_mut()
            .map(|(key, bucket)| {
                bucket.tokens.refill(now);
                BucketState {
                    principal: key.principal.clone(),
                    subscription: key.subscription.clone(),
                    kind: key.kind,
                    left: bucket.tokens.left(),
                    capacity: bucket.tokens.capacity(),
                    waiting: bucket.queue.len(),
                    throttled: bucket.tokens.is_paused_at(now),
                }
            })
            .collect();
        states.sort_by(|a, b| {
            let order = |s: &BucketState| (s.principal.clone(), s.subscription.clone(), s.kind);
            order(a).cmp(&order(b))
        });
        states
    }

    /// Keeps tokens for who is next, and wakes them; not `asking`, who is there already.
    fn pump(&mut self, key: &BucketKey, now: Instant, asking: Option<&WaiterId>) {
        let Some(bucket) = self.buckets.get_mut(key) else { return };
        bucket.tokens.refill(now);
        let places = &mut self.places;
        bucket.reserved.retain(|id, until| {
            let ended = until.is_some_and(|until| until <= now);
            if ended {
                places.remove(id);
                bucket.tokens.give_back();
            }
            !ended
        });
        let blocks = &self.blocks;
        let blocked = |scope: &str| blocks.get(scope).is_some_and(|until| *until > now);
        while bucket.queue.is_ready(&blocked) && bucket.tokens.take(now) {
            let Some(id) = bucket.queue.pop(&blocked) else {
                bucket.tokens.give_back();
                break;
            };
            let until = match &id {
                WaiterId::Key(_) => Some(now + RESERVATION),
                WaiterId::Turn(_) => None,
            };
            bucket.reserved.insert(id.clone(), until);
            if asking == Some(&id) {
                continue;
            }
            match &id {
                // Nobody listens before `wakes` was called, or after its receiver went.
                WaiterId::Key(key) => {
                    if let Some(wake) = &self.wake {
                        let _ = wake.send(key.clone());
                    }
                }
                // A future that went away gives its reservation back when it is dropped.
                WaiterId::Turn(_) => {
                    if let Some(sender) = self.turns.remove(&id) {
                        let _ = sender.send(());
                    }
                }
            }
        }
    }

    /// When the turn of one who waits may come, from now.
    fn expected(&self, request: &Request, now: Instant) -> Duration {
        let Some(bucket) = self.buckets.get(&request.bucket) else {
            return Duration::ZERO;
        };
        let ahead = bucket.queue.ahead(request.spot.priority).saturating_sub(1);
        let first = bucket.tokens.next(now).unwrap_or(now);
        let mut turn = first + bucket.tokens.time_for(ahead as f64);
        if let Some(until) = request.scope.as_ref().and_then(|scope| self.blocks.get(scope)) {
            turn = turn.max(*until);
        }
        turn.saturating_duration_since(now)
    }

    fn holds_token(&self, id: &WaiterId, place: &Request) -> bool {
        self.buckets.get(&place.bucket).is_some_and(|bucket| bucket.reserved.contains_key(id))
    }

    fn is_blocked(&self, scope: &str, now: Instant) -> bool {
        self.blocks.get(scope).is_some_and(|until| *until > now)
    }

    fn bucket(&mut self, key: &BucketKey, now: Instant) -> &mut Bucket {
        let config = &self.config;
        self.buckets.entry(key.clone()).or_insert_with(|| Bucket {
            tokens: Tokens::full(config.size(key.kind), config.share, now),
            queue: FairQueue::default(),
            reserved: HashMap::new(),
        })
    }
}
