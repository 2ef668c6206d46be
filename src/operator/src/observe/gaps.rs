//! Rights that help and aren't needed: the operator does without, and says which one is missing.
//!
//! One is here: to read how operations go. They lie in the subscription, not in their workspace. The other, to read a
//! region's VM sizes, is with [`super::facts`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use azureml_api::ML_API_VERSION;
use azureml_arm::{ArmClient, ArmError, Claim, ErrorKind, OperationKind, Priority};
use azureml_planner::diff;
use tokio::time::Instant;

/// An operation that doesn't exist: whether it may be read is decided before it is looked for.
const NOBODYS_OPERATION: &str = "00000000-0000-0000-0000-000000000000";

/// What is known of a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// This process hasn't asked.
    Unknown,
    /// It is there.
    Closed,
    /// It is missing: what is the worse for it, and what to do.
    Open(String),
}

/// Refusals by principal and lower-cased subscription.
#[derive(Debug)]
pub struct Gaps {
    operations: Mutex<HashMap<(String, String), Known>>,
    again: Duration,
}

#[derive(Clone, Debug)]
struct Known {
    refusal: Option<ArmError>,
    /// When a refused read is tried again.
    until: Instant,
}

impl Gaps {
    /// None known. After `again` a refused read is tried once more.
    pub fn new(again: Duration) -> Arc<Self> {
        Arc::new(Self { operations: Mutex::default(), again })
    }

    /// An operation was asked for; this is the error, if that failed. Only a missing right counts.
    pub fn note(&self, client: &ArmClient, subscription: &str, error: Option<&ArmError>) {
        let refusal = error.filter(|error| missing_right(error).is_some()).cloned();
        let known = Known { refusal, until: Instant::now() + self.again };
        let mut operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        operations.insert(whose(client, subscription), known);
    }

    /// Whether operations may be read.
    pub fn operations(&self, client: &ArmClient, subscription: &str) -> Gap {
        let operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        match operations.get(&whose(client, subscription)) {
            None => Gap::Unknown,
            Some(Known { refusal: None, .. }) => Gap::Closed,
            Some(Known { refusal: Some(error), .. }) => {
                Gap::Open(told("why an operation failed in Azure is not always told", error))
            }
        }
    }

    /// Asks, where that isn't known or was refused a while ago.
    pub fn look_again(self: &Arc<Self>, client: &ArmClient, subscription: &str, region: &str) {
        let now = Instant::now();
        let mut operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = operations.get_mut(&whose(client, subscription)) {
            if known.refusal.is_none() || known.until > now {
                return;
            }
            known.until = now + self.again;
        }
        drop(operations);
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/{}\
             /computeOperationsStatus/{NOBODYS_OPERATION}",
            diff::location(region)
        );
        tokio::spawn(self.clone().ask(client.clone(), subscription.to_owned(), path));
    }

    async fn ask(self: Arc<Self>, client: ArmClient, subscription: String, path: String) {
        let claim = Claim {
            principal: client.principal_key().to_owned(),
            subscription: subscription.clone(),
            kind: OperationKind::Read,
            lane: subscription.clone(),
            key: format!("operations {subscription}"),
            priority: Priority::Background,
            provider_scope: None,
        };
        let permit = client.budget().admit(claim).await;
        match client.get(&path, ML_API_VERSION, permit).await {
            Ok(_) => self.note(&client, &subscription, None),
            // Refused, or not found by who may look. What else goes wrong tells nothing of rights.
            Err(error) if matches!(error.status, Some(400 | 403 | 404)) => {
                self.note(&client, &subscription, Some(&error));
            }
            Err(error) => tracing::debug!(%error, "whether operations may be read can't be found out now"),
        }
    }
}

fn whose(client: &ArmClient, subscription: &str) -> (String, String) {
    (client.principal_key().to_owned(), subscription.to_lowercase())
}

/// The action and the scope that a refusal names.
pub fn missing_right(error: &ArmError) -> Option<(&str, &str)> {
    match &error.kind {
        ErrorKind::Forbidden { action: Some(action), scope: Some(scope) } => Some((action, scope)),
        _ => None,
    }
}

/// What is the worse for it, and the right that mends it.
pub fn told(what: &str, error: &ArmError) -> String {
    match missing_right(error) {
        Some((action, scope)) => {
            format!("{what}: the principal lacks the action {action} on {scope}, grant it a role that has it")
        }
        None => format!("{what}: {error}"),
    }
}
