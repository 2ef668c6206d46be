//! Settings: command line and environment.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::shard;

/// Keeps Azure Machine Learning compute as Kubernetes objects say.
#[derive(Debug, Parser)]
#[command(name = "azureml-operator", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch and reconcile until told to stop.
    Run(Box<Settings>),
}

/// Settings of `run`.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Marks what this operator owns in Azure (tag azureml.dev-owner). Different Kubernetes clusters need different ids.
    /// Default: the uid of the namespace kube-system.
    #[arg(long, env = "AZUREML_OWNER_ID")]
    pub owner_id: Option<String>,
    /// Where health probes and metrics are served.
    #[arg(long, env = "AZUREML_ADMIN_LISTEN", default_value = "0.0.0.0:8080")]
    pub admin_listen: SocketAddr,
    /// Whether a page to look at is served there, too, under /page/. Who looks needs a token of the API server and rights to
    /// list the objects; the operator needs the rights to ask about both.
    #[arg(long, env = "AZUREML_PAGE", default_value_t = false, action = ArgAction::Set)]
    pub page: bool,
    /// How logs are written.
    #[arg(long, env = "AZUREML_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
    /// Namespaces whose Workspaces may use the operator's own identity (no credentialRef), comma separated; * for all.
    #[arg(long, env = "AZUREML_DEFAULT_IDENTITY_NAMESPACES", value_delimiter = ',')]
    pub default_identity_namespaces: Vec<String>,
    /// The operator's own namespace, for the key that secrets are hashed with.
    #[arg(long, env = "POD_NAMESPACE", default_value = "azureml-system")]
    pub namespace: String,
    /// Namespaces that are watched, comma separated. Without it, all. Then no right in the whole cluster is needed, but
    /// --owner-id is, and a Workspace's allowedNamespaces can select by the label kubernetes.io/metadata.name only.
    #[arg(long, env = "AZUREML_NAMESPACES", value_delimiter = ',', requires = "owner_id")]
    pub namespaces: Vec<String>,
    /// Whether several replicas agree, by a Lease in the operator's namespace, on the one that works.
    #[arg(long, env = "AZUREML_LEADER_ELECT", default_value_t = true, action = ArgAction::Set)]
    pub leader_elect: bool,
    /// Name of that Lease. A shard's name is added to it.
    #[arg(long, env = "AZUREML_LEASE_NAME", default_value = "azureml-operator")]
    pub lease_name: String,
    /// How long the Lease of a replica that was killed keeps others from working. A replica renews it every sixth of that.
    #[arg(long, env = "AZUREML_LEASE_DURATION", default_value = "12s", value_parser = lease_duration)]
    pub lease_duration: Duration,
    /// Work only on Workspaces with the label azureml.dev/shard of this value, and on what refers to them. Without it, on
    /// those without the label. Each shard is an installation of its own, with its --arm-budget-share.
    #[arg(long, env = "AZUREML_SHARD", value_parser = shard::name)]
    pub shard: Option<String>,
    /// How many objects are worked on at a time.
    #[arg(long, env = "AZUREML_CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
    /// This operator's share of Azure Resource Manager's request limits, above 0 and up to 1.
    #[arg(long, env = "AZUREML_ARM_BUDGET_SHARE", default_value_t = 1.0)]
    pub arm_budget_share: f64,
    /// How long Azure may answer with old data after a write; an intent whose outcome isn't known waits as long.
    #[arg(long, env = "AZUREML_CONSISTENCY_WINDOW", default_value = "60s", value_parser = duration)]
    pub consistency_window: Duration,
    /// Shortest period between two reads of a workspace's list while an operation is under way.
    #[arg(long, env = "AZUREML_FASTEST_POLL", default_value = "2s", value_parser = duration)]
    pub fastest_poll: Duration,
    /// First wait before something is tried again that somebody else has to mend, such as a quota.
    #[arg(long, env = "AZUREML_RETRY_BASE", default_value = "30s", value_parser = duration)]
    pub retry_base: Duration,
    /// Longest wait before anything is tried again.
    #[arg(long, env = "AZUREML_RETRY_LONGEST", default_value = "1h", value_parser = duration)]
    pub retry_longest: Duration,
    /// How long a watch may be silent, or an object wait for a worker or be worked on, before /healthz asks for a restart.
    /// Watches are renewed in a third of that, or in 200 s if that is less.
    #[arg(long, env = "AZUREML_UNHEALTHY_AFTER", default_value = "10m", value_parser = duration)]
    pub unhealthy_after: Duration,
    /// When an operation in Azure counts as overdue.
    #[arg(long, env = "AZUREML_OPERATION_OVERDUE", default_value = "1h", value_parser = duration)]
    pub operation_overdue: Duration,
    /// Microsoft Entra's host. Default: the public cloud's.
    #[arg(long, env = "AZURE_AUTHORITY_HOST")]
    pub authority_host: Option<String>,
    /// Azure Resource Manager's endpoint. Default: the public cloud's.
    #[arg(long, env = "AZURE_RESOURCE_MANAGER_ENDPOINT")]
    pub resource_manager_endpoint: Option<String>,
    /// For whom tokens are asked. Default: the cloud's.
    #[arg(long, env = "AZURE_RESOURCE_MANAGER_AUDIENCE")]
    pub resource_manager_audience: Option<String>,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Which namespaces may use the operator's own identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityNamespaces {
    /// All of them.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl IdentityNamespaces {
    /// From the setting.
    pub fn new(names: &[String]) -> Self {
        let names = self::names(names);
        if names.contains("*") { Self::All } else { Self::Only(names) }
    }

    /// Whether a namespace is among them.
    pub fn allows(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(namespace),
        }
    }
}

/// The names in a setting that takes several.
pub fn names(given: &[String]) -> BTreeSet<String> {
    given.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// A whole number of seconds that still leaves time for a slow API server.
fn lease_duration(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    let fits = (6..=3600).contains(&duration.as_secs());
    fits.then_some(duration).ok_or_else(|| "it has to be from 6s to 1h".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    match azureml_api::duration::Seconds::from_manifest(text) {
        Ok(seconds) if seconds.0 > 0 => Ok(Duration::from_secs(seconds.0)),
        Ok(_) => Err("it has to be longer than 0s".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_namespaces() {
        let names = |text: &str| IdentityNamespaces::new(&text.split(',').map(str::to_owned).collect::<Vec<_>>());
        assert!(names("a, b").allows("b") && !names("a,b").allows("c"));
        assert!(names("*").allows("anything") && !names("").allows(""));
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["azureml-operator", "run", "--retry-base", "0s"]).is_err());
        assert!(Cli::try_parse_from(["azureml-operator", "run", "--retry-base", "5s"]).is_ok());
        assert!(Cli::try_parse_from(["azureml-operator", "run", "--lease-duration", "5s"]).is_err());
        assert!(Cli::try_parse_from(["azureml-operator", "run", "--shard", "Blue"]).is_err());
        assert!(Cli::try_parse_from(["azureml-operator", "run", "--namespaces", "a,b"]).is_err());
        assert!(Cli::try_parse_from(["azureml-operator", "run", "--namespaces", "a,b", "--owner-id", "c"]).is_ok());
    }
}
