//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What the exit codes mean, for `--help`.
const EXIT_CODES: &str = "Exit codes, in the manner of terraform plan -detailed-exitcode:
  0  nothing would change
  2  something would change, or is changing, or waits for an approval
  3  something is refused, or can't be planned as written
  1  an error: a file can't be read, or there is no access to the cluster or to Azure
Of several objects' codes the first of 1, 3, 2, 0 counts.

Settings for Azure: AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH,
AZURE_FEDERATED_TOKEN_FILE, AZURE_AUTHORITY_HOST, AZURE_RESOURCE_MANAGER_ENDPOINT,
AZURE_RESOURCE_MANAGER_AUDIENCE, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE.";

/// Azure Machine Learning compute as Kubernetes objects.
#[derive(Debug, Parser)]
#[command(name = "kubectl-azureml", bin_name = "kubectl azureml", version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what applying manifests would do in Azure, and do nothing.
    ///
    /// Reads the manifests, the objects that the cluster already has, and Azure, and asks the planner that the operator
    /// asks. Nothing is written: of the cluster only reads and dry runs are asked, of Azure only reads.
    #[command(after_help = EXIT_CODES)]
    Plan(Box<PlanArgs>),
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// A file of manifests (YAML or JSON), a directory, or - for standard input. May be repeated.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub filenames: Vec<PathBuf>,
    /// Read directories with all that is below them.
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// Namespace of objects that name none. Default: the context's.
    #[arg(short = 'n', long)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig. Default: the current one.
    #[arg(long)]
    pub context: Option<String>,
    /// The kubeconfig. Default: KUBECONFIG, else ~/.kube/config, else the pod's own service account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Ask no cluster: the files have to hold everything, and what the operator remembers isn't known.
    #[arg(long, conflicts_with_all = ["context", "kubeconfig"])]
    pub without_cluster: bool,
    /// Whose eyes Azure is read with. Default: the Workspace's Secret where it can be read, else the environment.
    #[arg(long, value_enum)]
    pub credential: Option<CredentialSource>,
    /// The operator's owner id. Default: the uid of the namespace kube-system.
    #[arg(long, env = "AZUREML_OWNER_ID")]
    pub owner_id: Option<String>,
    /// How the plan is printed.
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

/// Where the credential comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CredentialSource {
    /// AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH or
    /// AZURE_FEDERATED_TOKEN_FILE, else the machine's managed identity.
    Environment,
    /// The Secret that the Workspace names, from the files or the cluster.
    Secret,
    /// Whoever is logged in to the Azure CLI (az login).
    Cli,
}

/// How the plan is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let rows: [(&[&str], bool); 5] = [
            (&["plan", "-f", "-"], true),
            (&["plan", "-f", "a", "-f", "b", "-R", "-n", "ml", "-o", "json", "--credential", "cli"], true),
            (&["plan"], false),
            (&["plan", "-f", "a", "--without-cluster", "--context", "x"], false),
            (&["plan", "-f", "a", "--credential", "magic"], false),
        ];
        for (arguments, sound) in rows {
            let all = std::iter::once("kubectl-azureml").chain(arguments.iter().copied());
            assert_eq!(Cli::try_parse_from(all).is_ok(), sound, "{arguments:?}");
        }
    }
}
