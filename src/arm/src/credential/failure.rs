//! Why there is no token, in our words and never with the secret.

use std::error::Error;

use azure_core::error::{Error as AzureError, ErrorKind as AzureErrorKind};
use serde_json::Value;

use super::CredentialConfig;
use super::certificate::{CertificateError, Fault};
use crate::error::Sent;
use crate::http_client::TokenRefusal;
use crate::{ArmError, ErrorKind, ThrottleOrigin};

/// How the message of an unreadable service account token starts.
pub(super) const TOKEN_FILE: &str = "the service account token can't be read from ";

/// Classifies a failed request for a token.
pub(super) fn read(error: &AzureError, config: &CredentialConfig) -> ArmError {
    let mut failure = classify(error, config);
    failure.message = crate::error::clean(&config.strike_out(&failure.message));
    failure
}

fn classify(error: &AzureError, config: &CredentialConfig) -> ArmError {
    if let Some(refusal) = causes(error).find_map(|cause| cause.downcast_ref::<TokenRefusal>()) {
        let failure = refused(refusal.status, &refusal.body, |text| config.strike_out(text));
        return ArmError { retry_after: refusal.retry_after, ..failure };
    }
    let new = |kind, code: &str, message: &str| ArmError::new(kind, code, message, "token", Sent::NotSent);
    if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<CertificateError>()) {
        let code = match error.fault {
            Fault::Expired(_) => "ClientCertificateExpired",
            _ => "ClientCertificateUnusable",
        };
        return new(ErrorKind::CredentialRejected, code, &error.to_string());
    }
    for error in causes(error).filter_map(|cause| cause.downcast_ref::<AzureError>()) {
        let message = error.to_string();
        match error.kind() {
            AzureErrorKind::HttpResponse { status, .. } => {
                return refused_by_machine(u16::from(*status), &message, config);
            }
            AzureErrorKind::Connection | AzureErrorKind::Io => {
                let timed_out = message.contains("took too long");
                let kind = if timed_out { ErrorKind::Timeout } else { ErrorKind::Network };
                return new(kind, "TokenEndpointUnreachable", &message);
            }
            AzureErrorKind::DataConversion => {
                let message = "the token endpoint's answer is not what it should be";
                return new(ErrorKind::BadAnswer, "TokenEndpointUnreadable", message);
            }
            _ if message.starts_with(TOKEN_FILE) => {
                return new(ErrorKind::CredentialRejected, "FederatedTokenUnreadable", &message);
            }
            _ => {}
        }
    }
    let code = if matches!(config, CredentialConfig::AzureCli { .. }) { "AzureCliFailed" } else { "NoToken" };
    new(ErrorKind::CredentialRejected, code, &error.to_string())
}

impl ArmError {
    /// Reads Entra's answer to a request for a token that it refused:
    /// `{"error": …, "error_description": "AADSTS…", "error_codes": [number]}`.
    pub fn from_token_refusal(status: u16, body: &[u8]) -> Self {
        refused(status, body, str::to_owned)
    }
}

/// As [`ArmError::from_token_refusal`]. Secrets are struck out before anything is cut: half of one wouldn't be found.
fn refused(status: u16, body: &[u8], strike_out: impl Fn(&str) -> String) -> ArmError {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        // Not Entra's words: a proxy's, or another server's.
        let kind = match kind_of(status) {
            ErrorKind::CredentialRejected => ErrorKind::BadAnswer,
            other => other,
        };
        return with_status(kind, "TokenEndpointUnreadable", "the token endpoint's answer is not JSON", status);
    };
    let text = |name: &str| {
        let text = body.get(name).and_then(Value::as_str)?;
        Some(crate::error::clean(&strike_out(text))).filter(|text| !text.is_empty())
    };
    let number = body.get("error_codes").and_then(|codes| codes.get(0)?.as_u64());
    let code = match (number, text("error")) {
        (Some(number), _) => format!("AADSTS{number}"),
        (None, Some(code)) => crate::error::shorten(&code, 80),
        (None, None) => format!("Http{status}"),
    };
    let message = text("error_description").unwrap_or_else(|| "the token endpoint gives no reason".to_owned());
    with_status(kind_of(status), &code, &message, status)
}

/// The identity endpoint of this machine, or of App Service.
fn refused_by_machine(status: u16, message: &str, config: &CredentialConfig) -> ArmError {
    let is_identity = matches!(config, CredentialConfig::ManagedIdentity { .. });
    let code = match status {
        400 if is_identity => "IdentityNotAssigned".to_owned(),
        _ => format!("Http{status}"),
    };
    with_status(kind_of(status), &code, message, status)
}

fn kind_of(status: u16) -> ErrorKind {
    match status {
        429 => ErrorKind::Throttled(ThrottleOrigin::Object),
        408 => ErrorKind::Timeout,
        500.. => ErrorKind::Server,
        _ => ErrorKind::CredentialRejected,
    }
}

fn with_status(kind: ErrorKind, code: &str, message: &str, status: u16) -> ArmError {
    ArmError { status: Some(status), ..ArmError::new(kind, code, message, "token", Sent::NotSent) }
}

/// The error and its causes, outermost first.
fn causes<'a>(error: &'a AzureError) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error as &'a (dyn Error + 'static)), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}
