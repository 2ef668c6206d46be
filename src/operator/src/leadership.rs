//! Who of several replicas works: a Lease of the API server.
//!
//! Each write of the lease carries the resourceVersion that it was decided on, so two replicas never both get it. Whoever
//! holds it stops working well before another may take it, and ends its process when it is lost. Other replicas' clocks
//! aren't trusted: a lease has run out when *we* have seen it unchanged for as long as it lasts.

use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::kubernetes::post_as_us;

/// Holds a lease that was let go.
const NOBODY: &str = "";

/// How the lease is used.
#[derive(Clone, Debug)]
pub struct Election {
    /// Name of the Lease.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Who we are: another one for each process.
    pub identity: String,
    /// How long a lease lasts that isn't renewed, in whole seconds.
    pub duration: Duration,
}

impl Election {
    /// After this long without a renewal the holder no longer works. The rest of the duration is for requests under way.
    fn deadline(&self) -> Duration {
        self.duration * 2 / 3
    }

    /// How often the holder renews, and the others look. A request may take as long, too.
    fn period(&self) -> Duration {
        self.duration / 6
    }
}

/// Whether this process may work.
pub struct Leadership {
    /// Until when the lease is certainly ours; `None` without one.
    until: watch::Sender<Option<Instant>>,
    /// Since when we work.
    since: OnceLock<Timestamp>,
    /// Who held the lease when it was last seen with another.
    leader: RwLock<Option<String>>,
}

/// The lease is lost: another replica works now.
#[derive(Debug, thiserror::Error)]
#[error("the lease {0} is lost, another replica may work now: this process ends, and starts again as a standby")]
pub struct Lost(String);

impl Default for Leadership {
    fn default() -> Self {
        Self { until: watch::Sender::new(None), since: OnceLock::new(), leader: RwLock::default() }
    }
}

impl Leadership {
    /// Since when this process works; the present, while it doesn't. What another process may have begun ended no later.
    pub fn since(&self) -> Timestamp {
        self.since.get().copied().unwrap_or_else(Timestamp::now)
    }

    /// Whether this process works.
    pub fn leads(&self) -> bool {
        self.since.get().is_some()
    }

    /// The other replica that works, as far as this one has seen while it stands by: the name of its pod.
    pub fn leader(&self) -> Option<String> {
        let holder = self.leader.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        // What follows the name tells processes of one pod apart.
        Some(holder.rsplit_once('_').map_or(holder.as_str(), |(pod, _)| pod).to_owned())
    }

    /// Works without a lease, as the only replica.
    pub fn alone(&self) {
        let far = Instant::now() + Duration::from_secs(100 * 365 * 24 * 3600);
        self.until.send_replace(Some(far));
        self.begin();
    }

    /// Returns once the lease is certainly ours: at once, but for a process that was held up so long that it may have run
    /// out. If another replica has it by then, this never returns, and the process ends.
    pub async fn hold(&self) {
        let mut until = self.until.subscribe();
        let ours = |until: &Option<Instant>| until.is_some_and(|until| Instant::now() < until);
        // The sender lives as long as we do.
        let _ = until.wait_for(ours).await;
    }

    fn begin(&self) {
        let _ = self.since.set(Timestamp::now());
    }

    fn renewed(&self, asked: Instant, election: &Election) {
        self.until.send_replace(Some(asked + election.deadline()));
    }

    /// Waits until the lease is ours. `None` when told to stop before.
    pub async fn acquire(&self, client: &Client, election: &Election, stop: &CancellationToken) -> Option<Lease> {
        let api: Api<Lease> = Api::namespaced(client.clone(), &election.namespace);
        let mut changes = std::pin::pin!(watcher::watch_object(api.clone(), &election.name));
        let mut seen = Seen::default();
        let mut told = String::new();
        loop {
            let asked = Instant::now();
            match tokio::time::timeout(election.period(), attempt(&api, election, &mut seen)).await {
                Ok(Ok(Attempt::Got(lease))) => {
                    self.renewed(asked, election);
                    self.begin();
                    tracing::info!(lease = election.name, identity = election.identity, "this replica leads");
                    return Some(*lease);
                }
                Ok(Ok(Attempt::Held(holder))) => {
                    if holder != told {
                        tracing::info!(lease = election.name, holder, "standing by: another replica leads");
                        *self.leader.write().unwrap_or_else(PoisonError::into_inner) = Some(holder.clone());
                        told = holder;
                    }
                }
                Ok(Err(kube::Error::Api(status))) if status.is_conflict() || status.is_already_exists() => continue,
                Ok(Err(error)) => tracing::warn!(lease = election.name, %error, "the lease can't be read or written"),
                Err(_) => tracing::warn!(lease = election.name, "the API server doesn't answer for the lease"),
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(election.period()) => {}
                // A lease that is let go wakes us at once. A watch that fails leaves the timer.
                Some(Ok(_)) = changes.next() => {}
            }
        }
    }

    /// Renews the lease until told to let it go.
    ///
    /// # Errors
    /// When it is lost.
    pub async fn keep(
        &self,
        client: &Client,
        election: &Election,
        mut lease: Lease,
        release: CancellationToken,
    ) -> Result<(), Lost> {
        let api: Api<Lease> = Api::namespaced(client.clone(), &election.namespace);
        let lost = || Lost(format!("{}/{}", election.namespace, election.name));
        loop {
            tokio::select! {
                () = release.cancelled() => break,
                () = tokio::time::sleep(election.period()) => {}
            }
            let asked = Instant::now();
            match tokio::time::timeout(election.period(), renew(&api, election, &lease)).await {
                Ok(Ok(Some(renewed))) => {
                    self.renewed(asked, election);
                    lease = renewed;
                }
                Ok(Ok(None)) => return Err(lost()),
                Ok(Err(error)) => tracing::warn!(lease = election.name, %error, "the lease can't be renewed"),
                Err(_) => tracing::warn!(lease = election.name, "the API server doesn't answer for the lease"),
            }
            if self.until.borrow().is_none_or(|until| until <= Instant::now()) {
                return Err(lost());
            }
        }
        // Nobody has to wait for it to run out. One that isn't let go runs out by itself.
        let wish = written(election, Some(&lease), NOBODY);
        let wait = tokio::time::timeout(election.period(), replace(&api, election, wish)).await;
        if !matches!(wait, Ok(Ok(_))) {
            tracing::warn!(lease = election.name, "the lease couldn't be let go; it runs out by itself");
        }
        Ok(())
    }
}

/// The version of a lease that was seen last, and since when.
#[derive(Debug, Default)]
struct Seen(Option<(String, Instant)>);

impl Seen {
    /// Since when this version is known.
    fn since(&mut self, version: &str) -> Instant {
        match &self.0 {
            Some((known, since)) if known == version => *since,
            _ => {
                let now = Instant::now();
                self.0 = Some((version.to_owned(), now));
                now
            }
        }
    }
}

enum Attempt {
    Got(Box<Lease>),
    /// By this holder.
    Held(String),
}

async fn attempt(api: &Api<Lease>, election: &Election, seen: &mut Seen) -> Result<Attempt, kube::Error> {
    let Some(lease) = api.get_opt(&election.name).await? else {
        let made = api.create(&post_as_us(), &written(election, None, &election.identity)).await?;
        return Ok(Attempt::Got(Box::new(made)));
    };
    let since = seen.since(lease.metadata.resource_version.as_deref().unwrap_or_default());
    match holder(lease.spec.as_ref(), since.elapsed()) {
        // Ours already: the answer to our own write was lost.
        Some(holder) if holder != election.identity => Ok(Attempt::Held(holder.to_owned())),
        Some(_) | None => {
            let wish = written(election, Some(&lease), &election.identity);
            Ok(Attempt::Got(Box::new(replace(api, election, wish).await?)))
        }
    }
}

/// Renews our lease; `None` if it is no longer ours.
async fn renew(api: &Api<Lease>, election: &Election, lease: &Lease) -> Result<Option<Lease>, kube::Error> {
    match replace(api, election, written(election, Some(lease), &election.identity)).await {
        Ok(renewed) => Ok(Some(renewed)),
        // Somebody else wrote it; perhaps only a label.
        Err(kube::Error::Api(status)) if status.is_conflict() => match api.get_opt(&election.name).await? {
            Some(now) if is_held_by(now.spec.as_ref(), &election.identity) => {
                replace(api, election, written(election, Some(&now), &election.identity)).await.map(Some)
            }
            _ => Ok(None),
        },
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn replace(api: &Api<Lease>, election: &Election, lease: Lease) -> Result<Lease, kube::Error> {
    api.replace(&election.name, &post_as_us(), &lease).await
}

fn is_held_by(spec: Option<&LeaseSpec>, identity: &str) -> bool {
    spec.and_then(|spec| spec.holder_identity.as_deref()) == Some(identity)
}

/// Who holds a lease that has been seen unchanged for so long; `None` when it is free to take.
fn holder(spec: Option<&LeaseSpec>, unchanged: Duration) -> Option<&str> {
    let spec = spec?;
    let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())?;
    let lasts = Duration::from_secs(u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default());
    (unchanged < lasts).then_some(holder)
}

/// The lease as we write it. It carries the version of `before`.
fn written(election: &Election, before: Option<&Lease>, holder: &str) -> Lease {
    let now = MicroTime(Timestamp::now());
    let spec = before.and_then(|before| before.spec.clone()).unwrap_or_default();
    let ours = is_held_by(Some(&spec), &election.identity);
    let taken = if before.is_some() && !ours { 1 } else { 0 };
    let metadata = before.map_or_else(
        || ObjectMeta {
            name: Some(election.name.clone()),
            namespace: Some(election.namespace.clone()),
            ..ObjectMeta::default()
        },
        |before| before.metadata.clone(),
    );
    let seconds = i32::try_from(election.duration.as_secs()).unwrap_or(i32::MAX);
    Lease {
        metadata,
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(seconds),
            acquire_time: if ours { spec.acquire_time } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(spec.lease_transitions.unwrap_or_default() + taken),
            ..spec
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn election() -> Election {
        Election {
            name: "l".to_owned(),
            namespace: "n".to_owned(),
            identity: "me".to_owned(),
            duration: Duration::from_secs(12),
        }
    }

    fn spec(holder: Option<&str>, seconds: Option<i32>) -> LeaseSpec {
        let holder_identity = holder.map(str::to_owned);
        LeaseSpec { holder_identity, lease_duration_seconds: seconds, ..LeaseSpec::default() }
    }

    #[test]
    fn a_lease_is_free_when_let_go_or_run_out() {
        let rows = [
            (None, 0, None),
            (Some(spec(None, Some(12))), 0, None),
            (Some(spec(Some(""), Some(12))), 0, None),
            (Some(spec(Some("other"), Some(12))), 0, Some("other")),
            (Some(spec(Some("other"), Some(12))), 11, Some("other")),
            (Some(spec(Some("other"), Some(12))), 12, None),
            // A lease that says no duration is nobody's: whoever wrote it doesn't follow the rules.
            (Some(spec(Some("other"), None)), 0, None),
            (Some(spec(Some("other"), Some(-1))), 0, None),
        ];
        for (spec, unchanged, expected) in rows {
            let unchanged = Duration::from_secs(unchanged);
            assert_eq!(holder(spec.as_ref(), unchanged), expected, "{spec:?} {unchanged:?}");
        }
    }

    #[test]
    fn the_holder_stops_before_another_may_start() {
        let election = election();
        assert!(election.deadline() + 2 * election.period() <= election.duration);
    }

    #[test]
    fn a_written_lease_keeps_version_and_counts_transitions() {
        let made = written(&election(), None, "me");
        assert_eq!(made.spec.as_ref().unwrap().lease_transitions, Some(0));
        let mut before = written(&Election { identity: "other".to_owned(), ..election() }, None, "other");
        before.metadata.resource_version = Some("7".to_owned());
        let taken = written(&election(), Some(&before), "me");
        assert_eq!(taken.metadata.resource_version.as_deref(), Some("7"));
        assert!(is_held_by(taken.spec.as_ref(), "me"));
        assert_eq!(taken.spec.as_ref().unwrap().lease_transitions, Some(1));
        let renewed = written(&election(), Some(&taken), "me").spec.unwrap();
        assert_eq!(renewed.lease_transitions, Some(1));
        assert_eq!(renewed.acquire_time, taken.spec.unwrap().acquire_time);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_held_up_waits_for_the_renewal() {
        let leadership = std::sync::Arc::new(Leadership::default());
        let election = election();
        let held = |wait: u64| {
            let leadership = leadership.clone();
            async move { tokio::time::timeout(Duration::from_secs(wait), leadership.hold()).await.is_ok() }
        };
        assert!(!held(100).await, "no lease yet");
        leadership.renewed(Instant::now(), &election);
        assert!(held(0).await);
        tokio::time::advance(Duration::from_secs(8)).await;
        assert!(!held(100).await, "the deadline has passed");
        let waiting = tokio::spawn(held(100));
        tokio::task::yield_now().await;
        leadership.renewed(Instant::now(), &election);
        assert!(waiting.await.unwrap());
    }
}
