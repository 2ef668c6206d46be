//! Whose eyes Azure is read with.

use std::path::PathBuf;

use azureml_api::condition::Reason;
use azureml_arm::{CredentialConfig, CredentialError, FromValues};
use k8s_openapi::api::core::v1::Secret;

use crate::args::CredentialSource;
use crate::problem::Problem;

const TENANT: &str = "AZURE_TENANT_ID";
const SECRET: &str = "AZURE_CLIENT_SECRET";
const CERTIFICATE_PATH: &str = "AZURE_CLIENT_CERTIFICATE_PATH";
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// What became of the Secret that the Workspace names.
pub enum Found {
    /// It names none: the operator uses its own identity.
    NotNamed,
    /// It is there.
    Secret {
        /// Where, for people.
        place: String,
        /// The Secret.
        secret: Box<Secret>,
    },
    /// It isn't there, or can't be read, and why.
    Unreadable(String),
}

/// A credential.
pub struct Chosen {
    /// How the principal proves itself.
    pub config: CredentialConfig,
    /// Which it is, for people; holds nothing secret.
    pub words: String,
    /// Where it isn't the one that the operator will use.
    pub note: Option<String>,
}

/// Chooses the credential. `environment` reads a variable.
///
/// # Errors
/// When the one that is asked for isn't there or isn't complete.
pub fn choose(
    source: Option<CredentialSource>,
    found: &Found,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Chosen, Problem> {
    match (source, found) {
        (Some(CredentialSource::Cli), _) => {
            let tenant_id = environment(TENANT).filter(|tenant| !tenant.is_empty());
            let words = "the account of the Azure CLI".to_owned();
            Ok(Chosen { config: CredentialConfig::AzureCli { tenant_id }, words, note: None })
        }
        (Some(CredentialSource::Environment), _) => own(environment, None),
        (_, Found::Secret { place, secret }) => match of_secret(place, secret, &environment)? {
            Some(chosen) => Ok(chosen),
            None if source.is_some() => Err(Problem::no_access(
                Reason::CredentialMissing,
                format!(
                    "{place} is federated, which works where the operator's service account token is: set \
                     {TOKEN_FILE}, or use --credential environment or cli"
                ),
            )),
            None => own(environment, Some(format!("{place} is federated and {TOKEN_FILE} isn't set"))),
        },
        (Some(CredentialSource::Secret), Found::NotNamed) => Err(Problem::no_access(
            Reason::CredentialMissing,
            "the Workspace names no credentialRef: use --credential environment or cli",
        )),
        (Some(CredentialSource::Secret), Found::Unreadable(why)) => Err(Problem::no_access(
            Reason::SecretNotFound,
            format!("{why}: give it with -f, or use --credential environment or cli"),
        )),
        (None, Found::NotNamed) => own(
            environment,
            Some(
                "the Workspace names no credentialRef: the operator will use its own identity, where \
                 --default-identity-namespaces allows it"
                    .to_owned(),
            ),
        ),
        (None, Found::Unreadable(why)) => own(environment, Some(why.clone())),
    }
}

/// The environment's. `note` says why it isn't the Secret's.
fn own(environment: impl Fn(&str) -> Option<String>, note: Option<String>) -> Result<Chosen, Problem> {
    let config = CredentialConfig::from_environment(environment)
        .map_err(|error| Problem::no_access(Reason::CredentialMissing, format!("the environment: {error}")))?;
    let words = match &config {
        CredentialConfig::ClientSecret { client_id, .. } => format!("the environment (secret of client {client_id})"),
        CredentialConfig::ClientCertificate { client_id, .. } => {
            format!("the environment (certificate of client {client_id})")
        }
        CredentialConfig::FederatedToken { client_id, .. } => {
            format!("the environment (federated token of client {client_id})")
        }
        CredentialConfig::ManagedIdentity { client_id: Some(id) } => {
            format!("the environment (this machine's managed identity {id})")
        }
        CredentialConfig::ManagedIdentity { client_id: None } => {
            format!(
                "the environment (this machine's managed identity: neither {SECRET}, {CERTIFICATE_PATH} nor {TOKEN_FILE} is set)"
            )
        }
        CredentialConfig::AzureCli { .. } => "the account of the Azure CLI".to_owned(),
    };
    Ok(Chosen { config, words, note })
}

/// The Secret's, by the operator's rules; `None` when it is federated and no token is here.
fn of_secret(
    place: &str,
    secret: &Secret,
    environment: &impl Fn(&str) -> Option<String>,
) -> Result<Option<Chosen>, Problem> {
    let given = CredentialConfig::from_values(place, |key| value(secret, key)).map_err(|error| {
        let reason = match error {
            CredentialError::Missing { .. } => Reason::SecretNotFound,
            _ => Reason::CredentialRejected,
        };
        Problem::refused(reason, error.to_string())
    })?;
    let words = |client_id: &str| format!("{place} (client {client_id})");
    Ok(match given {
        FromValues::Whole(config) => {
            let words = config.client_id().map(words).unwrap_or_default();
            Some(Chosen { config, words, note: None })
        }
        FromValues::Federated { tenant_id, client_id } => {
            let token_file = environment(TOKEN_FILE).filter(|path| !path.is_empty()).map(PathBuf::from);
            token_file.map(|token_file| {
                let words = words(&client_id);
                let config = CredentialConfig::FederatedToken { tenant_id, client_id, token_file };
                Chosen { config, words, note: None }
            })
        }
    })
}

/// A value of a Secret; `stringData` wins, as in the API server.
pub fn value(secret: &Secret, key: &str) -> Option<Vec<u8>> {
    let given = secret.string_data.as_ref().and_then(|data| data.get(key)).map(|text| text.clone().into_bytes());
    given.or_else(|| Some(secret.data.as_ref()?.get(key)?.0.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CLIENT: &str = "AZURE_CLIENT_ID";
    const CERTIFICATE: &str = "AZURE_CLIENT_CERTIFICATE";

    fn secret(data: Value) -> Found {
        let secret = serde_json::from_value(json!({"metadata": {"name": "s"}, "stringData": data})).unwrap();
        Found::Secret { place: "Secret ml/s".to_owned(), secret: Box::new(secret) }
    }

    const WHOLE: [(&str, &str); 3] = [(TENANT, "t"), (CLIENT, "c"), (SECRET, "hush")];

    /// What was chosen, or the problem's words.
    fn chosen(source: Option<CredentialSource>, found: &Found, set: &[(&str, &str)]) -> String {
        let environment = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        match choose(source, found, environment) {
            Ok(chosen) => format!("{} {}", chosen.words, if chosen.note.is_some() { "with a note" } else { "" }),
            Err(problem) => problem.message,
        }
    }

    #[test]
    fn the_secret_goes_before_the_environment_unless_told_otherwise() {
        use CredentialSource::{Cli, Environment, Secret};
        let whole = secret(json!({TENANT: "t", CLIENT: "c", SECRET: "hush"}));
        let federated = secret(json!({TENANT: "t", CLIENT: "c"}));
        let empty = secret(json!({TENANT: "t", CLIENT: " "}));
        let gone = Found::Unreadable("Secret ml/s is nowhere".to_owned());
        type Row<'a> = (Option<CredentialSource>, &'a Found, &'a [(&'a str, &'a str)], &'a str);
        let certified = secret(json!({TENANT: "t", CLIENT: "c", CERTIFICATE: "hush"}));
        let both = secret(json!({TENANT: "t", CLIENT: "c", CERTIFICATE: "hush", SECRET: "hush"}));
        let rows: [Row<'_>; 16] = [
            (None, &certified, &[], "Secret ml/s (client c) "),
            (None, &both, &[], "Secret ml/s has both AZURE_CLIENT_SECRET and AZURE_CLIENT_CERTIFICATE"),
            (
                None,
                &Found::NotNamed,
                &[(TENANT, "t"), (CLIENT, "c"), (CERTIFICATE_PATH, "/f")],
                "the environment (certificate of client c) with a note",
            ),
            (None, &whole, &[], "Secret ml/s (client c) "),
            (Some(Secret), &whole, &[], "Secret ml/s (client c) "),
            (Some(Environment), &whole, &WHOLE, "the environment (secret of client c) "),
            (Some(Cli), &whole, &WHOLE, "the account of the Azure CLI "),
            (None, &federated, &[(TOKEN_FILE, "/t")], "Secret ml/s (client c) "),
            (None, &federated, &WHOLE, "the environment (secret of client c) with a note"),
            (Some(Secret), &federated, &[], "Secret ml/s is federated"),
            (None, &empty, &WHOLE, "Secret ml/s has no (or an empty) key AZURE_CLIENT_ID"),
            (None, &gone, &WHOLE, "the environment (secret of client c) with a note"),
            (Some(Secret), &gone, &WHOLE, "Secret ml/s is nowhere: give it"),
            (Some(Secret), &Found::NotNamed, &WHOLE, "the Workspace names no credentialRef"),
            (None, &Found::NotNamed, &[], "the environment (this machine's managed identity: neither"),
            (None, &Found::NotNamed, &[(SECRET, "x")], "the environment: AZURE_TENANT_ID is not set"),
        ];
        for (source, found, set, expected) in rows {
            let told = chosen(source, found, set);
            assert!(told.starts_with(expected), "{source:?} {set:?}: {told}");
            assert!(!told.contains("hush"));
        }
    }
}
