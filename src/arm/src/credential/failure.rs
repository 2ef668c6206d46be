//! Why there is no token, in our words and never with the secret.

use std::error::Error;

use azure_core::error::{Error as AzureError, ErrorKind as AzureErrorKind};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::CredentialConfig;
use crate::error::Sent;
use crate::{ArmError, ErrorKind};

/// How the message of an unreadable service account token starts.
pub(super) const TOKEN_FILE: &str = "the service account token can't be read from ";

/// Classifies a failed request for a token.
pub(super) fn read(error: &AzureError, config: &CredentialConfig) -> ArmError {
    let mut failure = classify(error, config);
    failure.message = crate::error::clean(&without_secret(&failure.message, config));
    failure
}

fn classify(error: &AzureError, config: &CredentialConfig) -> ArmError {
    let new = |kind, code: &str, message: &str| ArmError::new(kind, code, message, "token", Sent::Answered);
    for error in causes(error) {
        let message = error.to_string();
        match error.kind() {
            AzureErrorKind::HttpResponse { status, error_code, raw_response } => {
                let body = raw_response.as_ref().and_then(|raw| serde_json::from_slice(raw.body()).ok());
                return refusal(u16::from(*status), error_code.as_deref(), body.as_ref(), &message, config);
            }
            AzureErrorKind::Connection | AzureErrorKind::Io => {
                let kind = if message.contains("took too long") { ErrorKind::Timeout } else { ErrorKind::Network };
                return new(kind, "TokenEndpointUnreachable", &message);
            }
            AzureErrorKind::DataConversion => {
                return new(
                    ErrorKind::BadAnswer,
                    "TokenEndpointUnreadable",
                    "the token endpoint's answer is not what it should be",
                );
            }
            _ if message.starts_with(TOKEN_FILE) => {
                return new(ErrorKind::CredentialRejected, "FederatedTokenUnreadable", &message);
            }
            _ => {}
        }
    }
    new(ErrorKind::CredentialRejected, "NoToken", &error.to_string())
}

/// An answer that isn't a token. Entra names the reason as `AADSTS` and a number.
fn refusal(
    status: u16,
    error_code: Option<&str>,
    body: Option<&Value>,
    message: &str,
    config: &CredentialConfig,
) -> ArmError {
    let kind = match status {
        429 => ErrorKind::Throttled(crate::ThrottleOrigin::Object),
        408 => ErrorKind::Timeout,
        500.. => ErrorKind::Server,
        _ => ErrorKind::CredentialRejected,
    };
    let first = error_code.and_then(|codes| codes.split(',').next());
    let is_number = |code: &&str| !code.is_empty() && code.bytes().all(|b| b.is_ascii_digit());
    let is_identity = matches!(config, CredentialConfig::ManagedIdentity { .. });
    let code = match first.filter(is_number) {
        Some(number) => format!("AADSTS{number}"),
        None if is_identity && status == 400 => "IdentityNotAssigned".to_owned(),
        None => body
            .and_then(|body| body.get("error")?.as_str())
            .map_or_else(|| format!("Http{status}"), |code| crate::error::shorten(code, 80)),
    };
    let described = body.and_then(|body| body.get("error_description")?.as_str());
    let message = described.unwrap_or(message);
    let mut error = ArmError::new(kind, &code, message, "token", Sent::Answered);
    error.status = Some(status);
    error
}

/// The error and its causes that are azure_core's too, outermost first.
fn causes(error: &AzureError) -> Vec<&AzureError> {
    let mut found = vec![error];
    let mut next = error.source();
    while let Some(cause) = next {
        found.extend(cause.downcast_ref::<AzureError>());
        next = cause.source();
    }
    found
}

/// A text in which the secret, should the other side have repeated it, is struck out.
pub(super) fn without_secret(text: &str, config: &CredentialConfig) -> String {
    match config {
        CredentialConfig::ClientSecret { secret, .. } if !secret.expose_secret().is_empty() => {
            text.replace(secret.expose_secret(), "***")
        }
        _ => text.to_owned(),
    }
}
