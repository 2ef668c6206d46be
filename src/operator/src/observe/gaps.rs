//! Operations whose course may not be read: the operator does without, and says which right would help.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use azureml_arm::{ArmClient, ArmError, Claim, ErrorKind, OperationKind, OperationStatus, OperationUrl, Priority};
use tokio::time::Instant;

/// Refusals by principal and lower-cased subscription: operations lie there, not in their workspace.
#[derive(Debug)]
pub struct Gaps {
    operations: Mutex<HashMap<(String, String), Gap>>,
    again: Duration,
}

/// The operation that was refused last. It is asked for again to find out when the right is there.
#[derive(Clone, Debug)]
struct Gap {
    url: OperationUrl,
    error: ArmError,
    until: Instant,
}

impl Gaps {
    /// None known. After `again` a refused read is tried once more.
    pub fn new(again: Duration) -> Arc<Self> {
        Arc::new(Self { operations: Mutex::default(), again })
    }

    /// An operation was asked for, and that was allowed or not.
    pub fn note(&self, client: &ArmClient, subscription: &str, url: &OperationUrl, outcome: &OperationStatus) {
        let whose = whose(client, subscription);
        let mut operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            OperationStatus::NotAvailable(error) if missing_right(error).is_some() => {
                let gap = Gap { url: url.clone(), error: error.clone(), until: Instant::now() + self.again };
                operations.insert(whose, gap);
            }
            _ => drop(operations.remove(&whose)),
        }
    }

    /// What can't be told for want of a right, if there is something.
    pub fn words(&self, client: &ArmClient, subscription: &str) -> Option<String> {
        let operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        let gap = operations.get(&whose(client, subscription))?;
        Some(told("why an operation failed in Azure is not always told", &gap.error))
    }

    /// Asks again, if it is time.
    pub fn look_again(self: &Arc<Self>, client: &ArmClient, subscription: &str) {
        let mut operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(gap) = operations.get_mut(&whose(client, subscription)) else { return };
        let now = Instant::now();
        if gap.until > now {
            return;
        }
        gap.until = now + self.again;
        tokio::spawn(self.clone().ask(client.clone(), subscription.to_owned(), gap.url.clone()));
    }

    async fn ask(self: Arc<Self>, client: ArmClient, subscription: String, url: OperationUrl) {
        let claim = Claim {
            principal: client.principal_key().to_owned(),
            subscription: subscription.clone(),
            kind: OperationKind::Read,
            lane: subscription.clone(),
            key: format!("operation {subscription}"),
            priority: Priority::Background,
            provider_scope: None,
        };
        let permit = client.budget().admit(claim).await;
        // A failure of any other sort tells nothing of rights.
        if let Ok(status) = client.operation(&url, permit).await {
            self.note(&client, &subscription, &url, &status);
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
