//! Which credential: from the variables that Azure users know, or from a Secret's values.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

const TENANT: &str = "AZURE_TENANT_ID";
const CLIENT: &str = "AZURE_CLIENT_ID";
const SECRET: &str = "AZURE_CLIENT_SECRET";
const CERTIFICATE: &str = "AZURE_CLIENT_CERTIFICATE";
const CERTIFICATE_PATH: &str = "AZURE_CLIENT_CERTIFICATE_PATH";
const CHOICE: &str = "AZURE_TOKEN_CREDENTIALS";
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// How a principal proves itself.
#[derive(Clone, Debug)]
pub enum CredentialConfig {
    /// An application with a secret.
    ClientSecret {
        /// The Entra tenant.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// The secret's value.
        secret: SecretString,
    },
    /// An application with a certificate that is registered on it.
    ClientCertificate {
        /// The Entra tenant.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// The certificate and its private key.
        certificate: Certificate,
    },
    /// An application that trusts a token of this cluster (workload identity federation).
    FederatedToken {
        /// The Entra tenant.
        tenant_id: String,
        /// The application or user-assigned identity.
        client_id: String,
        /// The service account token; read anew for each token.
        token_file: PathBuf,
    },
    /// The managed identity of the machine, or of App Service where its variables are set.
    ManagedIdentity {
        /// A user-assigned identity; otherwise the system-assigned one.
        client_id: Option<String>,
    },
    /// Whoever is logged in to the Azure CLI.
    AzureCli {
        /// Another tenant than the CLI's default.
        tenant_id: Option<String>,
    },
}

/// A certificate with its private key, as PEM.
#[derive(Clone, Debug)]
pub enum Certificate {
    /// The text itself.
    Pem {
        /// Where it is from, for people: `Secret ml/azure-sp, key AZURE_CLIENT_CERTIFICATE`.
        place: String,
        /// The text.
        pem: SecretString,
    },
    /// A file that holds it; read anew for each token.
    File(PathBuf),
}

/// Why a credential can't be used. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// A setting is missing beside others that need it.
    #[error("{missing} is not set, but {given} is: set both, or neither for the machine's managed identity")]
    Incomplete {
        /// What is missing.
        missing: &'static str,
        /// What needs it.
        given: &'static str,
    },
    /// A value that every credential of that place needs is missing.
    #[error("{place} has no (or an empty) key {key}: add it")]
    Missing {
        /// The place.
        place: String,
        /// The key.
        key: &'static str,
    },
    /// Two ways to prove oneself, where it isn't said which one counts.
    #[error("{place} has both {first} and {second}, and it isn't clear which one counts: remove one of them")]
    Ambiguous {
        /// The place.
        place: String,
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A setting isn't usable.
    #[error("the {kind} credential can't be used: {reason}")]
    Unusable {
        /// Which kind of credential.
        kind: &'static str,
        /// Why.
        reason: String,
    },
}

/// What the values of a Secret give.
#[derive(Clone, Debug)]
pub enum FromValues {
    /// Everything that is needed.
    Whole(CredentialConfig),
    /// Tenant and client only: a token of the reader's own service account stands for the client.
    Federated {
        /// The Entra tenant.
        tenant_id: String,
        /// The application or user-assigned identity.
        client_id: String,
    },
}

impl CredentialConfig {
    /// Reads the variables that Azure users know: a client secret (AZURE_TENANT_ID, AZURE_CLIENT_ID,
    /// AZURE_CLIENT_SECRET), or a certificate (AZURE_CLIENT_CERTIFICATE_PATH in its place), else a federated token
    /// (AZURE_FEDERATED_TOKEN_FILE with tenant and client), else the managed identity (of AZURE_CLIENT_ID, if set).
    /// AZURE_TOKEN_CREDENTIALS, as in Microsoft's own clients, takes the Azure CLI (`AzureCliCredential` or `dev`) or the
    /// managed identity (`ManagedIdentityCredential`) whatever else is set. Empty counts as unset.
    ///
    /// # Errors
    /// When a secret, certificate or token file comes without tenant or client id, or secret and certificate together.
    pub fn from_environment(get: impl Fn(&str) -> Option<String>) -> Result<Self, CredentialError> {
        let get = |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|v| !v.is_empty());
        let (tenant_id, client_id) = (get(TENANT), get(CLIENT));
        let both = |given| match (tenant_id.clone(), client_id.clone()) {
            (Some(tenant_id), Some(client_id)) => Ok((tenant_id, client_id)),
            (None, _) => Err(CredentialError::Incomplete { missing: TENANT, given }),
            (_, None) => Err(CredentialError::Incomplete { missing: CLIENT, given }),
        };
        match get(CHOICE).map(|choice| choice.to_ascii_lowercase()).as_deref() {
            Some("azureclicredential" | "dev") => return Ok(Self::AzureCli { tenant_id }),
            Some("managedidentitycredential") => return Ok(Self::ManagedIdentity { client_id }),
            _ => {}
        }
        match (get(SECRET), get(CERTIFICATE_PATH), get(TOKEN_FILE)) {
            (Some(_), Some(_), _) => Err(CredentialError::Ambiguous {
                place: "the environment".to_owned(),
                first: SECRET,
                second: CERTIFICATE_PATH,
            }),
            (Some(secret), None, _) => {
                let (tenant_id, client_id) = both(SECRET)?;
                Ok(Self::ClientSecret { tenant_id, client_id, secret: secret.into() })
            }
            (None, Some(file), _) => {
                let (tenant_id, client_id) = both(CERTIFICATE_PATH)?;
                Ok(Self::ClientCertificate { tenant_id, client_id, certificate: Certificate::File(file.into()) })
            }
            (None, None, Some(file)) => {
                let (tenant_id, client_id) = both(TOKEN_FILE)?;
                Ok(Self::FederatedToken { tenant_id, client_id, token_file: file.into() })
            }
            (None, None, None) => Ok(Self::ManagedIdentity { client_id }),
        }
    }

    /// Reads the values of a Secret: AZURE_TENANT_ID and AZURE_CLIENT_ID, with AZURE_CLIENT_SECRET or
    /// AZURE_CLIENT_CERTIFICATE (PEM) or neither. `place` names the Secret in errors. Empty counts as absent.
    ///
    /// # Errors
    /// When tenant or client is missing, or secret and certificate are both there.
    pub fn from_values(place: &str, get: impl Fn(&str) -> Option<Vec<u8>>) -> Result<FromValues, CredentialError> {
        // What is no UTF-8 (a PFX, say) is there all the same, and told by whoever reads it.
        let get = |name: &str| {
            let text = String::from_utf8_lossy(&get(name)?).trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        let needed = |key| get(key).ok_or_else(|| CredentialError::Missing { place: place.to_owned(), key });
        let (tenant_id, client_id) = (needed(TENANT)?, needed(CLIENT)?);
        Ok(match (get(SECRET), get(CERTIFICATE)) {
            (Some(_), Some(_)) => {
                return Err(CredentialError::Ambiguous { place: place.to_owned(), first: SECRET, second: CERTIFICATE });
            }
            (Some(secret), None) => {
                FromValues::Whole(Self::ClientSecret { tenant_id, client_id, secret: secret.into() })
            }
            (None, Some(pem)) => {
                let place = format!("{place}, key {CERTIFICATE}");
                let certificate = Certificate::Pem { place, pem: pem.into() };
                FromValues::Whole(Self::ClientCertificate { tenant_id, client_id, certificate })
            }
            (None, None) => FromValues::Federated { tenant_id, client_id },
        })
    }

    /// Names the principal, without any secret: the same for a new secret, and for a
    /// secret, certificate and federation of one application.
    pub fn principal_key(&self) -> String {
        let key = match self {
            Self::ClientSecret { tenant_id, client_id, .. }
            | Self::ClientCertificate { tenant_id, client_id, .. }
            | Self::FederatedToken { tenant_id, client_id, .. } => {
                format!("app/{tenant_id}/{client_id}")
            }
            Self::ManagedIdentity { client_id: Some(client_id) } => {
                format!("identity/{client_id}")
            }
            Self::ManagedIdentity { client_id: None } => "identity/system".to_owned(),
            Self::AzureCli { tenant_id } => {
                format!("cli/{}", tenant_id.as_deref().unwrap_or("default"))
            }
        };
        key.to_ascii_lowercase()
    }

    /// The application or identity, where it is named.
    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::ClientSecret { client_id, .. }
            | Self::ClientCertificate { client_id, .. }
            | Self::FederatedToken { client_id, .. } => Some(client_id),
            Self::ManagedIdentity { client_id } => client_id.as_deref(),
            Self::AzureCli { .. } => None,
        }
    }

    /// What it proves itself with, where that is a text that is given: two credentials of one principal are the same
    /// if this is. It is secret.
    pub fn proof(&self) -> Option<&SecretString> {
        match self {
            Self::ClientSecret { secret, .. } => Some(secret),
            Self::ClientCertificate { certificate: Certificate::Pem { pem, .. }, .. } => Some(pem),
            Self::ClientCertificate { certificate: Certificate::File(_), .. }
            | Self::FederatedToken { .. }
            | Self::ManagedIdentity { .. }
            | Self::AzureCli { .. } => None,
        }
    }

    /// A text in which the secret, should the other side have repeated it, is struck out.
    pub(super) fn strike_out(&self, text: &str) -> String {
        match self {
            Self::ClientSecret { secret, .. } if !secret.expose_secret().is_empty() => {
                text.replace(secret.expose_secret(), "***")
            }
            _ => text.to_owned(),
        }
    }

    /// What kind it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::ClientSecret { .. } => "client secret",
            Self::ClientCertificate { .. } => "client certificate",
            Self::FederatedToken { .. } => "federated",
            Self::ManagedIdentity { .. } => "managed identity",
            Self::AzureCli { .. } => "Azure CLI",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Values<'a> = &'a [(&'a str, &'a str)];

    fn of(values: Values<'_>) -> impl Fn(&str) -> Option<String> {
        |name| values.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    fn told(config: &CredentialConfig) -> String {
        format!("{} {}", config.kind(), config.principal_key())
    }

    const IDS: [(&str, &str); 2] = [(TENANT, "T"), (CLIENT, "C")];

    #[test]
    fn reads_the_environment() {
        let rows: [(Values<'_>, &str); 15] = [
            (&[IDS[0], IDS[1], (SECRET, "s"), (CHOICE, "AzureCliCredential")], "Azure CLI cli/t"),
            (&[IDS[1], (SECRET, "s"), (CHOICE, "ManagedIdentityCredential")], "managed identity identity/c"),
            (&[IDS[0], IDS[1], (SECRET, "s"), (CHOICE, "prod")], "client secret app/t/c"),
            (&[], "managed identity identity/system"),
            (&[(CLIENT, "ABC")], "managed identity identity/abc"),
            (&[IDS[0], IDS[1], (SECRET, "s")], "client secret app/t/c"),
            (&[IDS[0], IDS[1], (CERTIFICATE_PATH, "/f")], "client certificate app/t/c"),
            (&[IDS[0], IDS[1], (TOKEN_FILE, "/f")], "federated app/t/c"),
            (&[IDS[0], IDS[1], (SECRET, " ")], "managed identity identity/c"),
            (&[IDS[0], (SECRET, "s")], "AZURE_CLIENT_ID is not set, but AZURE_CLIENT_SECRET is"),
            (&[IDS[1], (SECRET, "s")], "AZURE_TENANT_ID is not set, but AZURE_CLIENT_SECRET is"),
            (&[IDS[1], (TOKEN_FILE, "/f")], "AZURE_TENANT_ID is not set, but AZURE_FEDERATED_TOKEN_FILE is"),
            (&[IDS[1], (CERTIFICATE_PATH, "/f")], "AZURE_TENANT_ID is not set, but AZURE_CLIENT_CERTIFICATE_PATH is"),
            (&[IDS[0], IDS[1], (SECRET, "s"), (TOKEN_FILE, "/f")], "client secret app/t/c"),
            (
                &[IDS[0], IDS[1], (SECRET, "s3cr3t"), (CERTIFICATE_PATH, "/f")],
                "the environment has both AZURE_CLIENT_SECRET and AZURE_CLIENT_CERTIFICATE_PATH",
            ),
        ];
        for (variables, expected) in rows {
            let read = match CredentialConfig::from_environment(of(variables)) {
                Ok(config) => told(&config),
                Err(error) => error.to_string(),
            };
            assert!(read.starts_with(expected) && !read.contains("s3cr3t"), "{variables:?}: {read}");
        }
    }

    #[test]
    fn reads_a_secrets_values() {
        let rows: [(Values<'_>, &str); 7] = [
            (&[IDS[0], IDS[1], (SECRET, " s\n")], "client secret app/t/c"),
            (&[IDS[0], IDS[1], (CERTIFICATE, "pem")], "client certificate app/t/c"),
            (&IDS, "federated"),
            (&[IDS[0], IDS[1], (SECRET, ""), (CERTIFICATE, " ")], "federated"),
            (&[IDS[0], (CLIENT, " ")], "Secret a/b has no (or an empty) key AZURE_CLIENT_ID: add it"),
            (&[IDS[1]], "Secret a/b has no (or an empty) key AZURE_TENANT_ID: add it"),
            (
                &[IDS[0], IDS[1], (SECRET, "s3cr3t"), (CERTIFICATE, "s3cr3t")],
                "Secret a/b has both AZURE_CLIENT_SECRET and AZURE_CLIENT_CERTIFICATE",
            ),
        ];
        for (values, expected) in rows {
            let get = of(values);
            let read = match CredentialConfig::from_values("Secret a/b", |name| get(name).map(String::into_bytes)) {
                Ok(FromValues::Whole(config)) => told(&config),
                Ok(FromValues::Federated { .. }) => "federated".to_owned(),
                Err(error) => error.to_string(),
            };
            assert!(read.starts_with(expected) && !read.contains("s3cr3t"), "{values:?}: {read}");
        }
    }
}
