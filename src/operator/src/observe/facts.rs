//! Facts of a region that many objects share: the VM sizes that it offers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use azureml_api::ML_API_VERSION;
use azureml_arm::{ArmClient, ArmError, Claim, OperationKind, Priority};
use azureml_planner::diff;
use azureml_planner::input::vm_size_names;
use tokio::time::Instant;

use crate::engine::queue::Queue;
use crate::index::Key;
use crate::observe::gaps::{self, Gap};

/// How long the list holds.
const PERIOD: Duration = Duration::from_secs(3600);

/// What is known of a region's sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sizes {
    /// Being read; whoever asked is woken.
    #[default]
    Pending,
    /// The names.
    Known(Arc<Vec<String>>),
    /// It can't be read: nothing is refused for it.
    Unknown,
}

/// The sizes of all regions that were asked for.
#[derive(Debug)]
pub struct Facts {
    regions: Mutex<HashMap<(String, String, String), Region>>,
    queue: Arc<Queue<Key>>,
    again: Duration,
}

#[derive(Debug)]
struct Region {
    sizes: Sizes,
    until: Instant,
    asking: Vec<Key>,
    /// Why it may not be read, if that is so.
    refusal: Option<ArmError>,
}

impl Facts {
    /// None known yet. A list that couldn't be read is asked for again after `again`.
    pub fn new(queue: Arc<Queue<Key>>, again: Duration) -> Arc<Self> {
        Arc::new(Self { regions: Mutex::default(), queue, again })
    }

    /// Whether the sizes of the regions that were asked for may be read.
    pub fn readable(&self, client: &ArmClient, subscription: &str) -> Gap {
        let subscription = subscription.to_lowercase();
        let regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = regions.iter().filter(|(id, _)| id.0 == client.principal_key() && id.1 == subscription);
        let ours: Vec<&Region> =
            ours.map(|(_, region)| region).filter(|region| region.sizes != Sizes::Pending).collect();
        let refused = ours.iter().filter_map(|region| region.refusal.as_ref());
        match refused.min_by(|a, b| a.message.cmp(&b.message)) {
            Some(error) => {
                let what = "a VM size that the region does not offer is only told after the cluster is made";
                Gap::Open(gaps::told(what, error))
            }
            None if ours.is_empty() => Gap::Unknown,
            None => Gap::Closed,
        }
    }

    /// Asks again for what was refused, where it is time.
    pub fn look_again(self: &Arc<Self>, client: &ArmClient, subscription: &str) {
        let subscription = subscription.to_lowercase();
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        for (id, region) in regions.iter_mut() {
            let ours = id.0 == client.principal_key() && id.1 == subscription;
            if ours && region.refusal.is_some() && region.until <= now {
                region.until = now + self.again;
                tokio::spawn(self.clone().read(client.clone(), id.clone()));
            }
        }
    }

    /// The sizes of a region. Starts reading them where they aren't known or are too old; `key` is woken then.
    pub fn sizes(self: &Arc<Self>, client: &ArmClient, subscription: &str, region: &str, key: &Key) -> Sizes {
        let id = (client.principal_key().to_owned(), subscription.to_lowercase(), diff::location(region));
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(known) = regions.get_mut(&id) {
            if known.sizes == Sizes::Pending {
                known.asking.push(key.clone());
                return Sizes::Pending;
            }
            if known.until <= now {
                // What was known stands until it has been read again.
                known.until = now + self.again;
                tokio::spawn(self.clone().read(client.clone(), id));
            }
            return known.sizes.clone();
        }
        let asking = vec![key.clone()];
        regions.insert(id.clone(), Region { sizes: Sizes::Pending, until: now, asking, refusal: None });
        tokio::spawn(self.clone().read(client.clone(), id));
        Sizes::Pending
    }

    async fn read(self: Arc<Self>, client: ArmClient, id: (String, String, String)) {
        let (principal, subscription, region) = &id;
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/{region}/vmSizes"
        );
        let permit = client
            .budget()
            .admit(Claim {
                principal: principal.clone(),
                subscription: subscription.clone(),
                kind: OperationKind::Read,
                lane: region.clone(),
                key: format!("sizes {subscription} {region}"),
                priority: Priority::Background,
                provider_scope: None,
            })
            .await;
        let answer = client.get(&path, ML_API_VERSION, permit).await;
        if let Err(error) = &answer {
            tracing::info!(%error, region, "the region's VM sizes can't be read; nothing new is refused for its size");
        }
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = regions.remove(&id);
        let (asking, earlier) = known.map(|region| (region.asking, (region.sizes, region.refusal))).unwrap_or_default();
        let (sizes, holds, refusal) = match answer {
            Ok(response) => (Sizes::Known(Arc::new(vm_size_names(&response.body))), PERIOD, None),
            Err(error) => {
                let (sizes, refusal) = after_a_failure(earlier, error);
                (sizes, self.again, refusal)
            }
        };
        regions.insert(id, Region { sizes, until: Instant::now() + holds, asking: Vec::new(), refusal });
        drop(regions);
        asking.into_iter().for_each(|key| self.queue.add(key));
    }
}

/// What is known of a region after it couldn't be read. A missing right takes the place of what was known; what passes
/// (a server's trouble, a limit) tells nothing, and what was known stands.
fn after_a_failure((sizes, refusal): (Sizes, Option<ArmError>), error: ArmError) -> (Sizes, Option<ArmError>) {
    if gaps::missing_right(&error).is_some() {
        return (Sizes::Unknown, Some(error));
    }
    let sizes = match sizes {
        Sizes::Pending | Sizes::Unknown => Sizes::Unknown,
        known @ Sizes::Known(_) => known,
    };
    (sizes, refusal)
}

#[cfg(test)]
mod tests {
    use azureml_arm::{ErrorKind, Sent};

    use super::*;

    #[test]
    fn only_a_missing_right_takes_the_place_of_what_was_known() {
        let known = || Sizes::Known(Arc::new(vec!["Standard_DS3_v2".to_owned()]));
        let passing = || error(ErrorKind::Server);
        let missing = || {
            let (action, scope) = (Some("vmSizes/read".to_owned()), Some("/subscriptions/1".to_owned()));
            error(ErrorKind::Forbidden { action, scope })
        };
        let rows = [
            ((Sizes::Pending, None), passing(), (Sizes::Unknown, false)),
            ((known(), None), passing(), (known(), false)),
            ((Sizes::Unknown, Some(missing())), passing(), (Sizes::Unknown, true)),
            ((known(), None), missing(), (Sizes::Unknown, true)),
            ((Sizes::Pending, None), missing(), (Sizes::Unknown, true)),
        ];
        for (earlier, error, expected) in rows {
            let told = format!("{earlier:?} then {error}");
            let (sizes, refusal) = after_a_failure(earlier, error);
            assert_eq!((sizes, refusal.is_some()), expected, "{told}");
        }
    }

    fn error(kind: ErrorKind) -> ArmError {
        ArmError {
            class: kind.class(),
            kind,
            status: None,
            code: String::new(),
            message: String::new(),
            details: Vec::new(),
            retry_after: None,
            correlation_id: None,
            request: String::new(),
            sent: Sent::Answered,
        }
    }
}
