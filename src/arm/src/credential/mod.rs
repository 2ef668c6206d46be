//! Tokens of one principal. `azure_identity` speaks with the token endpoints; this module
//! chooses the credential, keeps the token, and says in plain words why there is none.

mod certificate;
mod config;
mod der;
mod failure;
mod source;

pub use config::{Certificate, CredentialConfig, CredentialError, FromValues};

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
/// may share one wrong secret, and Entra locks out who asks too often. Longer if it asks for
/// that by Retry-After.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// The identity endpoint retries inside of azure_identity; nobody waits longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

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
    /// Repeated until then.
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
    /// repeated for 10 s, or as long as the endpoint asks by Retry-After, before it is asked again.
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
                    let pause = failure.retry_after.unwrap_or_default().max(PAUSE_AFTER_FAILURE);
                    self.kept().failure = Some((Instant::now() + pause, failure.clone()));
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
        let (until, failure) = kept.failure.as_ref()?;
        (Instant::now() < *until).then(|| failure.clone())
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
