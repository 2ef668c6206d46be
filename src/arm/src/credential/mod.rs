//! Tokens of one principal. `azure_identity` speaks with the token endpoints; this module
//! chooses the credential, keeps the token, and says in plain words why there is none.

mod failure;
mod source;

use std::path::PathBuf;
use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{ErrorClass, Sent};
use crate::{ArmError, Cloud, ErrorKind, HttpClient};
use source::Source;

/// A new token is asked for when the old one holds for less than this.
const REFRESH_BEFORE: Duration = Duration::from_secs(300);
/// While the token endpoint fails, the old token is used until it holds for less than this.
const LAST_USE_BEFORE: Duration = Duration::from_secs(30);
/// After a failure the token endpoint is left in peace for this long: thousands of objects
/// may share one wrong secret, and Entra locks out who asks too often.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// The identity endpoint retries inside of azure_identity; nobody waits longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

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
    /// A setting isn't usable.
    #[error("the {kind} credential can't be used: {reason}")]
    Unusable {
        /// Which kind of credential.
        kind: &'static str,
        /// Why.
        reason: String,
    },
}

impl CredentialConfig {
    /// Reads the variables that Azure users know: a client secret
    /// (AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET), else a federated token
    /// (AZURE_FEDERATED_TOKEN_FILE with tenant and client), else the managed identity (of
    /// AZURE_CLIENT_ID, if set). Empty counts as unset.
    ///
    /// # Errors
    /// When a secret or token file comes without tenant or client id.
    pub fn from_environment(get: impl Fn(&str) -> Option<String>) -> Result<Self, CredentialError> {
        let get = |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|v| !v.is_empty());
        let (tenant_id, client_id) = (get("AZURE_TENANT_ID"), get("AZURE_CLIENT_ID"));
        let both = |given| match (tenant_id.clone(), client_id.clone()) {
            (Some(tenant_id), Some(client_id)) => Ok((tenant_id, client_id)),
            (None, _) => Err(CredentialError::Incomplete { missing: "AZURE_TENANT_ID", given }),
            (_, None) => Err(CredentialError::Incomplete { missing: "AZURE_CLIENT_ID", given }),
        };
        if let Some(secret) = get("AZURE_CLIENT_SECRET") {
            let (tenant_id, client_id) = both("AZURE_CLIENT_SECRET")?;
            let secret = secret.into();
            return Ok(Self::ClientSecret { tenant_id, client_id, secret });
        }
        if let Some(file) = get("AZURE_FEDERATED_TOKEN_FILE") {
            let (tenant_id, client_id) = both("AZURE_FEDERATED_TOKEN_FILE")?;
            let token_file = file.into();
            return Ok(Self::FederatedToken { tenant_id, client_id, token_file });
        }
        Ok(Self::ManagedIdentity { client_id })
    }

    /// Names the principal, without any secret: the same for a new secret, and for a
    /// secret and federation of one application.
    pub fn principal_key(&self) -> String {
        let key = match self {
            Self::ClientSecret { tenant_id, client_id, .. } | Self::FederatedToken { tenant_id, client_id, .. } => {
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

    /// What kind it is, for people.
    fn kind(&self) -> &'static str {
        match self {
            Self::ClientSecret { .. } => "client secret",
            Self::FederatedToken { .. } => "federated",
            Self::ManagedIdentity { .. } => "managed identity",
            Self::AzureCli { .. } => "Azure CLI",
        }
    }
}

/// A principal's token for ARM: asked for once for all who need it, and kept.
pub struct Credential {
    principal_key: String,
    source: Source,
    /// Held while a token is asked for, so that it is asked for once.
    asking: Mutex<()>,
    kept: StdMutex<Kept>,
}

#[derive(Default)]
struct Kept {
    token: Option<Token>,
    failure: Option<(Instant, ArmError)>,
}

#[derive(Clone)]
struct Token {
    secret: SecretString,
    expires: SystemTime,
}

impl Token {
    fn holds_for(&self, least: Duration) -> bool {
        self.expires.duration_since(SystemTime::now()).is_ok_and(|left| left > least)
    }
}

impl Credential {
    /// A credential for one cloud. Asks for no token yet.
    ///
    /// # Errors
    /// When an id or the secret is empty or malformed.
    pub fn new(config: CredentialConfig, cloud: &Cloud, http: HttpClient) -> Result<Self, CredentialError> {
        Ok(Self {
            principal_key: config.principal_key(),
            source: Source::new(config, cloud, http)?,
            asking: Mutex::new(()),
            kept: StdMutex::default(),
        })
    }

    /// [`CredentialConfig::principal_key`].
    pub fn principal_key(&self) -> &str {
        &self.principal_key
    }

    /// A token for ARM that holds for some time yet.
    ///
    /// # Errors
    /// [`ErrorKind::CredentialRejected`] when the endpoint refuses, with its reason and
    /// what to do; a transient kind when it can't be reached or fails. A failure is
    /// repeated for 10 s before the endpoint is asked again.
    pub async fn token(&self) -> Result<SecretString, ArmError> {
        if let Some(token) = self.kept_token(REFRESH_BEFORE) {
            return Ok(token.secret);
        }
        let _asking = self.asking.lock().await;
        // Someone else may have asked while this one waited for its turn.
        if let Some(token) = self.kept_token(REFRESH_BEFORE) {
            return Ok(token.secret);
        }
        let failure = match self.recent_failure() {
            Some(failure) => failure,
            None => match self.ask().await {
                Ok(token) => {
                    let secret = token.secret.clone();
                    *self.kept() = Kept { token: Some(token), failure: None };
                    return Ok(secret);
                }
                Err(failure) => {
                    self.kept().failure = Some((Instant::now(), failure.clone()));
                    failure
                }
            },
        };
        match self.kept_token(LAST_USE_BEFORE) {
            // An outage of the endpoint needn't stop work; a refusal should.
            Some(token) if failure.class == ErrorClass::Transient => Ok(token.secret),
            _ => Err(failure),
        }
    }

    /// Forgets the token, as after a 401: the next call asks for a new one.
    pub fn forget_token(&self) {
        self.kept().token = None;
        self.source.forget();
    }

    /// Forgets the token if it is still the one that was refused: of a hundred requests
    /// that fail with the same old token, only the first costs a new one.
    pub(crate) fn forget_if_kept(&self, refused: &SecretString) {
        let is_kept =
            self.kept().token.as_ref().is_some_and(|token| token.secret.expose_secret() == refused.expose_secret());
        if is_kept {
            self.forget_token();
        }
    }

    async fn ask(&self) -> Result<Token, ArmError> {
        match tokio::time::timeout(LONGEST_WAIT, self.source.ask()).await {
            Ok(answer) => answer,
            Err(_) => Err(ArmError::new(
                ErrorKind::Timeout,
                "TokenTimeout",
                &format!("no token from the {} endpoint within 30 s", self.source.kind()),
                "token",
                Sent::NotSent,
            )),
        }
    }

    fn kept_token(&self, least: Duration) -> Option<Token> {
        self.kept().token.clone().filter(|token| token.holds_for(least))
    }

    fn recent_failure(&self) -> Option<ArmError> {
        let kept = self.kept();
        let (at, failure) = kept.failure.as_ref()?;
        (at.elapsed() < PAUSE_AFTER_FAILURE).then(|| failure.clone())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({})", self.principal_key)
    }
}

#[cfg(test)]
mod tests;
