//! The credential of a Workspace: from its Secret, or the operator's own identity where that is allowed.

use std::path::PathBuf;

use azureml_api::condition::Reason;
use azureml_api::workspace::WorkspaceSpec;
use azureml_arm::{CredentialConfig, CredentialError, FromValues};
use azureml_planner::ownership::short_hash;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use secrecy::ExposeSecret;

use crate::context::Context;
use crate::failure::Problem;
use crate::index::Key;
use crate::resolve::ResolveError;

const TENANT: &str = "AZURE_TENANT_ID";
const CLIENT: &str = "AZURE_CLIENT_ID";
const SECRET: &str = "AZURE_CLIENT_SECRET";
const CERTIFICATE: &str = "AZURE_CLIENT_CERTIFICATE";
/// Where workload identity puts the service account's token, where the environment doesn't say.
const TOKEN_FILE: &str = "/var/run/secrets/azure/tokens/azure-identity-token";

/// A credential, and what tells it from another without telling it.
pub struct Resolved {
    /// How the principal proves itself.
    pub config: CredentialConfig,
    /// Changes when the credential does.
    pub fingerprint: String,
    /// The Secret that it is from.
    pub secret: Option<Secret>,
}

/// Finds the credential of a Workspace.
///
/// # Errors
/// When the Secret is missing or incomplete, or the namespace may not use the operator's identity.
pub async fn resolve(ctx: &Context, workspace: &Key, spec: &WorkspaceSpec) -> Result<Resolved, ResolveError> {
    match &spec.credential_ref {
        Some(reference) => from_secret(ctx, workspace, &reference.name).await,
        None => own(ctx, workspace),
    }
}

fn own(ctx: &Context, workspace: &Key) -> Result<Resolved, ResolveError> {
    if !ctx.identity_namespaces.allows(&workspace.namespace) {
        let message = format!(
            "Workspace {}/{} names no credentialRef, and the operator's own identity isn't allowed for namespace {}: \
             set spec.credentialRef, or start the operator with --default-identity-namespaces={}",
            workspace.namespace, workspace.name, workspace.namespace, workspace.namespace
        );
        return Err(Problem::blocked(Reason::CredentialMissing, message).into());
    }
    let config = CredentialConfig::from_environment(|name| std::env::var(name).ok()).map_err(|error| {
        Problem::blocked(Reason::CredentialMissing, format!("the operator's own identity: {error}"))
    })?;
    let fingerprint = format!("own {}", config.principal_key());
    Ok(Resolved { config, fingerprint, secret: None })
}

/// Whether a client is the operator's own. Its tenant doesn't matter: that has many names, a domain among them.
fn is_own(client_id: &str) -> bool {
    std::env::var(CLIENT).is_ok_and(|own| own.trim().eq_ignore_ascii_case(client_id.trim()))
}

async fn from_secret(ctx: &Context, workspace: &Key, name: &str) -> Result<Resolved, ResolveError> {
    let place = format!("Secret {}/{name}", workspace.namespace);
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &workspace.namespace);
    let Some(secret) = api.get_opt(name).await? else {
        let message = format!(
            "{place} doesn't exist: create it with {TENANT} and {CLIENT}, and {SECRET} or {CERTIFICATE} unless federated"
        );
        return Err(Problem::blocked(Reason::SecretNotFound, message).into());
    };
    let value = |key: &str| Some(secret.data.as_ref()?.get(key)?.0.clone());
    let config = match CredentialConfig::from_values(&place, value).map_err(|error| {
        let reason = match error {
            CredentialError::Missing { .. } => Reason::SecretNotFound,
            _ => Reason::CredentialRejected,
        };
        Problem::blocked(reason, error.to_string())
    })? {
        FromValues::Whole(config) => config,
        FromValues::Federated { client_id, .. }
            if is_own(&client_id) && !ctx.identity_namespaces.allows(&workspace.namespace) =>
        {
            let message = format!(
                "{place} names the operator's own identity, which isn't allowed for namespace {}: use another client, or \
                 start the operator with --default-identity-namespaces={}",
                workspace.namespace, workspace.namespace
            );
            return Err(Problem::blocked(Reason::CredentialMissing, message).into());
        }
        FromValues::Federated { tenant_id, client_id } => {
            let token_file = std::env::var_os("AZURE_FEDERATED_TOKEN_FILE");
            let token_file = token_file.map_or_else(|| PathBuf::from(TOKEN_FILE), PathBuf::from);
            CredentialConfig::FederatedToken { tenant_id, client_id, token_file }
        }
    };
    let proof = config.proof().map(|proof| proof.expose_secret()).unwrap_or_default();
    // What is wrong with a certificate is told with the place that it is from, so nobody shares another's.
    let from = if matches!(config, CredentialConfig::ClientCertificate { .. }) { place.as_str() } else { "" };
    let told = format!("{}\n{from}\n{proof}", config.principal_key());
    Ok(Resolved { fingerprint: short_hash(told.as_bytes()), config, secret: Some(secret) })
}
