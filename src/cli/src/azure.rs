//! Azure, only ever read.

use std::collections::HashMap;
use std::sync::Arc;

use azureml_api::condition::Reason;
use azureml_api::{ML_API_VERSION, ML_OLDEST_API_VERSION, ML_PROVIDER};
use azureml_arm::{
    ApiVersions, ArmClient, ArmError, Budget, BudgetConfig, Claim, Cloud, Credential, ErrorKind, HttpClient,
    HttpClientError, InvalidCloud, OperationKind, OperationStatus, OperationUrl, Permit, Priority, ResourceId, Spoken,
};
use azureml_planner::input::OperationDetail;
use azureml_planner::input::vm_size_names;
use azureml_planner::{Failure, Observed, diff};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::credential::Chosen;
use crate::problem::Problem;

/// What is spoken with Azure Machine Learning.
const SPOKEN: Spoken<'static> = Spoken {
    provider: ML_PROVIDER,
    types: &["workspaces", "workspaces/computes"],
    oldest: ML_OLDEST_API_VERSION,
    newest: ML_API_VERSION,
};

/// A region as one principal sees it in one subscription.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Region {
    principal: String,
    subscription: String,
    name: String,
}

/// How Azure is reached.
pub struct Azure {
    http: HttpClient,
    cloud: Cloud,
    budget: Budget,
    versions: ApiVersions,
    sizes: Mutex<HashMap<Region, Option<Vec<String>>>>,
}

/// Settings with which Azure can't be reached.
#[derive(Debug, thiserror::Error)]
pub enum AzureError {
    /// The cloud's settings don't fit.
    #[error("the settings of the cloud (AZURE_AUTHORITY_HOST, AZURE_RESOURCE_MANAGER_ENDPOINT, …): {0}")]
    Cloud(#[from] InvalidCloud),
    /// HTTP can't be set up.
    #[error("HTTPS can't be set up (SSL_CERT_FILE, HTTPS_PROXY): {0}")]
    Http(#[from] HttpClientError),
}

impl Azure {
    /// As the environment says. Needs a tokio runtime.
    ///
    /// # Errors
    /// When its settings don't fit.
    pub fn from_environment() -> Result<Self, AzureError> {
        let get = |name: &str| std::env::var(name).ok();
        let cloud = Cloud::from_settings(
            get("AZURE_AUTHORITY_HOST").as_deref(),
            get("AZURE_RESOURCE_MANAGER_ENDPOINT").as_deref(),
            get("AZURE_RESOURCE_MANAGER_AUDIENCE").as_deref(),
        )?;
        let budget = Budget::new(BudgetConfig::default());
        let turns = budget.clone();
        tokio::spawn(async move { turns.run().await });
        Ok(Self { http: HttpClient::new()?, cloud, budget, versions: ApiVersions::default(), sizes: Mutex::default() })
    }

    /// A client of a principal. Asks for nothing yet.
    ///
    /// # Errors
    /// When the credential is malformed.
    pub fn client(&self, chosen: &Chosen) -> Result<ArmClient, Problem> {
        let credential = Credential::new(chosen.config.clone(), &self.cloud, self.http.clone())
            .map_err(|error| Problem::no_access(Reason::CredentialRejected, error.to_string()))?;
        let (http, cloud, budget) = (self.http.clone(), self.cloud.clone(), self.budget.clone());
        let client = ArmClient::new(http, cloud, Arc::new(credential), budget, Arc::new(()));
        Ok(client.with_versions(self.versions.clone()))
    }

    /// The names of the VM sizes that a region offers. `None` when they can't be read: nothing is refused for them then.
    pub async fn sizes(&self, client: &ArmClient, subscription: &str, region: &str) -> Option<Vec<String>> {
        let region = Region {
            principal: client.principal_key().to_owned(),
            subscription: subscription.to_lowercase(),
            name: diff::location(region),
        };
        // Held while they are read, so that they are read once.
        let mut known = self.sizes.lock().await;
        if let Some(sizes) = known.get(&region) {
            return sizes.clone();
        }
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/{}/vmSizes",
            region.name
        );
        let permit = admit(client, subscription, &region.name).await;
        let sizes = client.get(&path, ML_API_VERSION, permit).await.ok().map(|response| vm_size_names(&response.body));
        known.insert(region, sizes.clone());
        sizes
    }
}

async fn admit(client: &ArmClient, subscription: &str, lane: &str) -> Permit {
    let claim = Claim {
        principal: client.principal_key().to_owned(),
        subscription: subscription.to_owned(),
        kind: OperationKind::Read,
        lane: lane.to_owned(),
        key: "plan".to_owned(),
        priority: Priority::Person,
        provider_scope: None,
    };
    client.budget().admit(claim).await
}

/// Reads a resource.
///
/// # Errors
/// Whatever goes wrong, "not found" included.
pub async fn read(client: &ArmClient, id: &ResourceId) -> Result<Value, ArmError> {
    match ask(client, id).await {
        Err(error) if error.kind == ErrorKind::ApiVersionUnsupported => {
            client.learn_version(&SPOKEN, admit(client, id.subscription(), id.key()).await).await?;
            ask(client, id).await
        }
        answer => answer,
    }
}

async fn ask(client: &ArmClient, id: &ResourceId) -> Result<Value, ArmError> {
    let permit = admit(client, id.subscription(), id.key()).await;
    Ok(client.resource(id.as_str(), ML_API_VERSION, permit).await?.body)
}

/// Looks at a resource; that it isn't there is an answer.
///
/// # Errors
/// Any failure that says nothing about the resource.
pub async fn observe(client: &ArmClient, id: &ResourceId) -> Result<Observed, ArmError> {
    match read(client, id).await {
        Ok(live) => Ok(Observed::Present { failure: failure(&live), live }),
        Err(error) if is_absent(&error) => Ok(Observed::Absent),
        Err(error) => Err(error),
    }
}

fn is_absent(error: &ArmError) -> bool {
    error.status == Some(404)
        && matches!(error.kind, ErrorKind::NotFound | ErrorKind::ParentNotFound | ErrorKind::ResourceGroupNotFound)
}

/// What an operation's own URL says.
///
/// # Errors
/// When it can't be read now.
pub async fn operation(client: &ArmClient, id: &ResourceId, url: &str) -> Result<OperationDetail, ArmError> {
    let Ok(url) = OperationUrl::parse(url, client.cloud()) else { return Ok(OperationDetail::NotAvailable) };
    let permit = admit(client, id.subscription(), id.key()).await;
    Ok(match client.operation(&url, permit).await? {
        OperationStatus::Running { .. } => OperationDetail::Running,
        OperationStatus::Succeeded => OperationDetail::Succeeded,
        OperationStatus::Failed(error) | OperationStatus::Canceled(error) => OperationDetail::Failed(told(&error)),
        OperationStatus::NotAvailable(error) if error.status == Some(403) => {
            OperationDetail::Forbidden(told(&error).message)
        }
        OperationStatus::NotAvailable(_) => OperationDetail::NotAvailable,
    })
}

/// Why a resource is in a failed state, if it is.
fn failure(live: &Value) -> Option<Failure> {
    let state = live.pointer("/properties/provisioningState").and_then(Value::as_str)?;
    if !matches!(state, "Failed" | "Canceled") {
        return None;
    }
    let errors = ["/properties/provisioningErrors", "/properties/properties/errors"];
    let first = errors.iter().filter_map(|path| live.pointer(path)?.as_array()).flatten().next();
    Some(first.map(|error| told(&ArmError::from_error_body(error))).unwrap_or_else(|| Failure {
        reason: Reason::ProvisioningFailed,
        message: format!("Azure says {state} and gives no reason: look at the resource in the portal"),
    }))
}

/// A preview tells a failure and decides nothing by its reason.
fn told(error: &ArmError) -> Failure {
    Failure { reason: Reason::ProvisioningFailed, message: format!("{error}. {}", error.advice()).trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failed_state_tells_why() {
        let live = |state: &str, errors: Value| json!({"properties": {"provisioningState": state, "provisioningErrors": errors}});
        assert_eq!(failure(&live("Succeeded", json!([]))), None);
        assert_eq!(failure(&live("Updating", json!([]))), None);
        assert!(failure(&live("Failed", json!([]))).unwrap().message.contains("gives no reason"));
        let quota = json!([{"error": {"code": "QuotaExceeded", "message": "no cores left"}}]);
        assert!(failure(&live("Failed", quota)).unwrap().message.contains("no cores left"));
    }
}
