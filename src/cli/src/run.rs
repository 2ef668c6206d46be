//! One run: from the command line to the report.

use crate::args::PlanArgs;
use crate::azure::{Azure, AzureError};
use crate::kubernetes::{self, Cluster, ClusterError, words};
use crate::manifests::documents::{self, ReadError};
use crate::manifests::schema::Schemas;
use crate::manifests::{self, Namespaces};
use crate::plan::entry::Report;
use crate::plan::{self, World};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The manifests can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The cluster that was asked for can't be used.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Azure can't be asked.
    #[error(transparent)]
    Azure(#[from] AzureError),
    /// The kinds' definitions are broken.
    #[error("the definitions of the kinds are broken, which is a fault of this program: {0}")]
    Definitions(#[from] azureml_api::crd::GenerateError),
}

/// Plans what the arguments name.
///
/// # Errors
/// When there is nothing to plan from.
pub async fn plan(args: &PlanArgs) -> Result<Report, RunError> {
    let documents = documents::read(&args.filenames, args.recursive)?;
    let settings = kubernetes::settings(args).await?;
    let schemas = Schemas::of_this_release()?;
    let namespaces = Namespaces { default: settings.namespace, only: args.namespace.clone() };
    let files = manifests::sort(documents, &schemas, &namespaces);
    let cluster = match settings.config {
        Ok(config) => match Cluster::reach(config).await {
            Ok(cluster) => Ok(cluster),
            Err(error) if args.context.is_some() || args.kubeconfig.is_some() => return Err(error.into()),
            Err(error) => Err(error.to_string()),
        },
        Err(why) => Err(why),
    };
    let owner_id = owner_id(args, &cluster).await;
    let azure = Azure::from_environment()?;
    Ok(plan::run(&World { files, schemas, cluster, azure, credential: args.credential, owner_id }).await)
}

/// The operator's owner id, by the operator's rule.
async fn owner_id(args: &PlanArgs, cluster: &Result<Cluster, String>) -> Result<String, String> {
    match (&args.owner_id, cluster) {
        (Some(id), _) => Ok(id.clone()),
        (None, Ok(cluster)) => match cluster.owner_id().await {
            Ok(Some(id)) => Ok(id),
            Ok(None) => Err("the namespace kube-system has no uid".to_owned()),
            Err(error) => Err(format!("the uid of namespace kube-system can't be read: {}", words(&error))),
        },
        (None, Err(_)) => Err("no cluster was asked".to_owned()),
    }
}
