//! ARM's token buckets, kept on this side.
//!
//! ARM gives each principal in each subscription one bucket per kind of operation (reads
//! 250 refilled 25/s, writes and deletes 200 refilled 10/s; azure-docs, "Understand how
//! Azure Resource Manager throttles requests", May 2025). A request takes a [`Permit`]
//! first, so that a 429 is the exception and thousands of objects share the buckets fairly:
//!
//! 1. people's changes go before background work, but of ten turns that both want, one is
//!    background's, so that it never starves;
//! 2. within a priority the lanes (workspaces) take turns;
//! 3. within a lane the longest waiting goes first.
//!
//! ARM's answers say what is left (`x-ms-ratelimit-remaining-*`), and the picture follows them both ways: buckets are smaller
//! or slower than documented, and others draw from them too. What isn't known yet is found out by few requests at a time.
//!
//! What is granted and not yet sent counts against the bucket's size, so that permits kept
//! for a while can't add up to more than ARM's bucket holds.

mod queue;
mod rate;
mod state;
mod tokens;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use queue::WaiterId;
use state::{BucketKey, Decision, Request, State};
use tokens::Ticket;

/// The kind of an operation: ARM has a bucket for each. A POST is a `Write`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// GET.
    Read,
    /// PUT, PATCH, POST.
    Write,
    /// DELETE.
    Delete,
}

impl OperationKind {
    /// `read`, `write` or `delete`, for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }
}

/// For whom an operation is done. `Person` goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Someone changed a manifest and waits.
    Person,
    /// Drift repair and observation.
    Background,
}

/// Who wants to send what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// [`crate::CredentialConfig::principal_key`].
    pub principal: String,
    /// The subscription's id, in any case.
    pub subscription: String,
    /// Which bucket.
    pub kind: OperationKind,
    /// Lanes take turns: the workspace.
    pub lane: String,
    /// Who waits; a key waits in one place at a time.
    pub key: String,
    /// Who goes first.
    pub priority: Priority,
    /// The provider and region that may be blocked, as [`provider_scope`] writes it.
    pub provider_scope: Option<String>,
}

/// The scope of a provider's own throttling: the provider in a region.
pub fn provider_scope(provider: &str, region: &str) -> String {
    format!("{provider}|{region}").to_ascii_lowercase()
}

/// The answer to a claim.
#[derive(Debug)]
pub enum Admission {
    /// It may send one request now.
    Granted(Permit),
    /// It waits; its key comes on the wake channel.
    Queued {
        /// When its turn may come, from now: an estimate.
        expected: Duration,
    },
}

/// The size of a bucket before it is divided between shards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BucketSize {
    /// Requests that may be sent at once.
    pub capacity: f64,
    /// Requests that come back each second.
    pub refill_per_second: f64,
}

/// The buckets' sizes and this process's share of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetConfig {
    /// Above 0, at most 1: the part of every bucket that this process may use.
    pub share: f64,
    /// GETs.
    pub read: BucketSize,
    /// PUTs, PATCHes and POSTs.
    pub write: BucketSize,
    /// DELETEs.
    pub delete: BucketSize,
}

/// A share that isn't one.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("an ARM budget share of {0} is not above 0 and at most 1: give each shard its part of 1")]
pub struct InvalidShare(pub f64);

impl Default for BudgetConfig {
    /// ARM's documented sizes, undivided.
    fn default() -> Self {
        let size = |capacity, refill_per_second| BucketSize { capacity, refill_per_second };
        Self { share: 1.0, read: size(250.0, 25.0), write: size(200.0, 10.0), delete: size(200.0, 10.0) }
    }
}

impl BudgetConfig {
    /// ARM's documented sizes, of which this process uses a share.
    ///
    /// # Errors
    /// When the share isn't above 0 and at most 1.
    pub fn with_share(share: f64) -> Result<Self, InvalidShare> {
        if share > 0.0 && share <= 1.0 { Ok(Self { share, ..Self::default() }) } else { Err(InvalidShare(share)) }
    }

    fn size(&self, kind: OperationKind) -> BucketSize {
        match kind {
            OperationKind::Read => self.read,
            OperationKind::Write => self.write,
            OperationKind::Delete => self.delete,
        }
    }
}

/// One bucket as it is now, for metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketState {
    /// Whose.
    pub principal: String,
    /// Where; lower-cased.
    pub subscription: String,
    /// Which.
    pub kind: OperationKind,
    /// Requests that could be sent at once.
    pub left: f64,
    /// Its size, as learned, after the share.
    pub capacity: f64,
    /// Claims that wait for a turn.
    pub waiting: usize,
    /// Whether it waits out a 429 of ARM.
    pub throttled: bool,
}

/// All buckets of this process. Clones share them.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    /// Nothing in here panics while it holds the lock, so a poisoned state is whole too.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    /// Full buckets. A share outside (0, 1] counts as the nearest one inside.
    pub fn new(config: BudgetConfig) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::new(State::new(config)), changed: Notify::new() }) }
    }

    /// Asks for one request, and never waits. Without a token, or when others wait before
    /// it, the claim is queued (once per key); when its turn has come its key is sent on
    /// [`Budget::wakes`] and a token is kept for it for 10 s, so that asking again is granted.
    /// Who doesn't come in time is out of the queue, and asks anew when it wants to.
    pub fn try_admit(&self, claim: &Claim) -> Admission {
        let request = Request::of(claim);
        let decision = self.shared.lock().try_admit(WaiterId::Key(claim.key.clone()), &request, Instant::now());
        match decision {
            Decision::Granted => Admission::Granted(self.permit(request)),
            Decision::Queued { expected } => {
                self.shared.changed.notify_one();
                Admission::Queued { expected }
            }
        }
    }

    /// Waits for a turn: for work that has a task of its own, such as reading a list. Needs
    /// [`Budget::run`]. Dropping the future gives the place or the token up.
    pub async fn admit(&self, claim: Claim) -> Permit {
        let request = Request::of(&claim);
        let (sender, turn) = oneshot::channel();
        let id = {
            let mut state = self.shared.lock();
            let id = state.next_turn();
            match state.enqueue_turn(id.clone(), &request, sender, Instant::now()) {
                Decision::Granted => return self.permit(request),
                Decision::Queued { .. } => id,
            }
        };
        self.shared.changed.notify_one();
        let place = Place { shared: &self.shared, id };
        // The sender lives in the queue as long as the place does, so this can't fail.
        let _ = turn.await;
        place.take();
        self.permit(request)
    }

    /// Gives up the place or the token of a key that no longer wants one.
    pub fn withdraw(&self, key: &str) {
        if self.shared.lock().withdraw(&WaiterId::Key(key.to_owned())) {
            self.shared.changed.notify_one();
        }
    }

    /// Keeps a permit for its key, which has to wait for something else first: asking again within 10 s is granted.
    pub fn keep(&self, key: &str, permit: Permit) {
        let mut permit = permit;
        permit.state = PermitState::Used;
        self.shared.lock().keep(WaiterId::Key(key.to_owned()), permit.request.clone(), Instant::now());
        self.shared.changed.notify_one();
    }

    /// The keys whose turn has come. Take it once: a second call ends the first receiver.
    pub fn wakes(&self) -> UnboundedReceiver<String> {
        let (sender, receiver) = unbounded_channel();
        self.shared.lock().set_wake(sender);
        receiver
    }

    /// Hands out turns as tokens come back; runs for ever, as a task of its own.
    pub async fn run(&self) {
        loop {
            let due = {
                let mut state = self.shared.lock();
                let now = Instant::now();
                state.pump_all(now);
                state.due(now)
            };
            let changed = self.shared.changed.notified();
            match due {
                Some(due) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(due) => {}
                },
                None => changed.await,
            }
        }
    }

    /// ARM answered 429: that bucket waits, once for all who want it, and starts empty.
    pub fn throttled(&self, principal: &str, subscription: &str, kind: OperationKind, retry_after: Duration) {
        let key = BucketKey::new(principal, subscription, kind);
        self.shared.lock().throttled(&key, retry_after, Instant::now());
        self.shared.changed.notify_one();
    }

    /// A provider answered 429: claims of that subscription and kind (reads, or changes) with that [`provider_scope`]
    /// wait, others go on.
    pub fn block_provider(&self, subscription: &str, kind: OperationKind, scope: &str, until: Instant) {
        self.block(BucketKey::new("", subscription, kind).limit(scope), until);
    }

    pub(crate) fn block(&self, limit: String, until: Instant) {
        self.shared.lock().block(limit, until);
        self.shared.changed.notify_one();
    }

    /// Every bucket that was used so far, in a stable order.
    pub fn snapshot(&self) -> Vec<BucketState> {
        self.shared.lock().snapshot(Instant::now())
    }

    fn permit(&self, request: Request) -> Permit {
        Permit { shared: self.shared.clone(), request, state: PermitState::Held }
    }
}

/// A place in the queue of [`Budget::admit`], given up when dropped.
struct Place<'a> {
    shared: &'a Shared,
    id: WaiterId,
}

impl Place<'_> {
    /// Turns the token that is kept for this place into a permit's.
    fn take(self) {
        self.shared.lock().take_reserved(&self.id);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.lock().withdraw(&self.id);
        self.shared.changed.notify_one();
    }
}

/// The right to send one request. Dropped unspent, it gives its token back.
#[must_use = "a permit that is dropped gives its token back"]
pub struct Permit {
    shared: Arc<Shared>,
    request: Request,
    state: PermitState,
}

/// Whether a permit still holds its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PermitState {
    Held,
    Used,
}

/// A request that was sent. Dropped without [`Flight::answered`], it counts as one whose answer was lost.
#[derive(Debug)]
pub struct Flight {
    shared: Arc<Shared>,
    bucket: BucketKey,
    ticket: Option<Ticket>,
}

impl Flight {
    /// ARM has answered. `remaining` is its `x-ms-ratelimit-remaining-subscription-{reads,writes,deletes}`: what is left for
    /// everyone who uses the bucket.
    pub fn answered(mut self, remaining: Option<u64>) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.lock().answered(&self.bucket, ticket, remaining, Instant::now());
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.ticket.take().is_some() {
            self.shared.lock().lost(&self.bucket, Instant::now());
            self.shared.changed.notify_one();
        }
    }
}

impl Permit {
    /// Uses it up: the request is sent now.
    pub fn spend(mut self) -> Flight {
        self.state = PermitState::Used;
        let bucket = self.request.bucket.clone();
        let ticket = self.shared.lock().spent(&bucket, Instant::now());
        Flight { shared: self.shared.clone(), bucket, ticket: Some(ticket) }
    }

    /// Whose bucket it is from.
    pub fn principal(&self) -> &str {
        &self.request.bucket.principal
    }

    /// The subscription whose bucket it is from, lower-cased.
    pub fn subscription(&self) -> &str {
        &self.request.bucket.subscription
    }

    /// The kind of operation that it is for.
    pub fn kind(&self) -> OperationKind {
        self.request.bucket.kind
    }

    /// The provider's limit that binds it beside ARM's: the claim's scope, in its subscription, for its kind.
    pub(crate) fn limit(&self) -> Option<&str> {
        self.request.scope.as_deref()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.state == PermitState::Held {
            self.shared.lock().give_back(&self.request.bucket, Instant::now());
            self.shared.changed.notify_one();
        }
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Permit({} in {})", self.kind().as_str(), self.subscription())
    }
}

#[cfg(test)]
mod against_arm;
#[cfg(test)]
mod tests;
