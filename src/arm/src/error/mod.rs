//! What Azure says when something fails, read and classified once.
//!
//! [`parse`] reads the many shapes of an error body, [`classify`] turns code and status
//! into an [`ErrorKind`], and the kind alone decides the [`ErrorClass`].

mod advice;
mod classify;
mod parse;
mod retry_after;

use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

use parse::ErrorBody;
pub(crate) use parse::{clean, shorten};
pub(crate) use retry_after::retry_after;

/// Who can mend an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Time: the same request may succeed later.
    Transient,
    /// Something outside the manifest: quota, capacity, a missing parent, a lock.
    Waiting,
    /// Whoever wrote the manifest: the same request will fail again.
    Manifest,
    /// Whoever gives credentials and roles.
    Credential,
}

/// Whose limit a 429 stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ThrottleOrigin {
    /// ARM's token bucket of this principal, subscription and kind of operation.
    Arm,
    /// The resource provider, for its region.
    Provider,
    /// This one object (`RetryableError`): nothing else needs to wait.
    Object,
}

/// What happened. Each maps to one [`ErrorClass`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No connection, or it broke.
    Network,
    /// No answer in time.
    Timeout,
    /// An answer that was cut off, too long, or not what ARM's contract promises.
    BadAnswer,
    /// A 5xx.
    Server,
    /// A 429.
    Throttled(ThrottleOrigin),
    /// A 401: the token wasn't taken.
    Unauthorized,
    /// A 403: a role is missing.
    Forbidden {
        /// The action that is missing, if Azure names it.
        action: Option<String>,
        /// Where it is missing.
        scope: Option<String>,
    },
    /// No token: Entra or the identity endpoint refused the credential.
    CredentialRejected,
    /// The subscription doesn't exist, or this principal may not see it.
    SubscriptionNotFound,
    /// The subscription is disabled, past due or read-only.
    SubscriptionDisabled,
    /// The resource provider isn't registered in the subscription.
    ProviderNotRegistered,
    /// The resource group doesn't exist.
    ResourceGroupNotFound,
    /// The resource above this one doesn't exist.
    ParentNotFound,
    /// The resource doesn't exist (a 404 that Azure itself explains as such).
    NotFound,
    /// Another operation is under way, or the state forbids this one.
    Conflict,
    /// A management lock forbids it.
    ScopeLocked {
        /// The locked scope, if Azure names it.
        scope: Option<String>,
    },
    /// Azure Policy forbids it.
    PolicyDenied {
        /// The names of the policies, as far as Azure gives them.
        policies: Vec<String>,
    },
    /// A role is missing on another resource that this one refers to.
    LinkedAuthorizationFailed {
        /// The action that is missing there.
        action: Option<String>,
        /// That other resource.
        scope: Option<String>,
    },
    /// A quota is used up.
    QuotaExceeded,
    /// Azure has no machines of that size there now.
    CapacityUnavailable,
    /// A 400: Azure doesn't understand or doesn't accept the request.
    InvalidRequest,
    /// The cloud doesn't offer the api-version that was asked for.
    ApiVersionUnsupported,
    /// The VM size isn't one that is accepted there.
    InvalidSize,
    /// The name is taken or not allowed.
    NameUnavailable,
    /// A deleted resource of that name is still kept and must be recovered or purged.
    SoftDeleted,
    /// A URL that Azure gave leads away from the configured ARM, and wasn't followed.
    ForeignUrl,
    /// Anything else.
    Unknown,
}

impl ErrorKind {
    /// Who can mend it. What isn't known is transient: nothing is fatal for ever.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Network
            | Self::Timeout
            | Self::BadAnswer
            | Self::Server
            | Self::Throttled(_)
            | Self::Conflict
            | Self::ForeignUrl
            | Self::Unknown => ErrorClass::Transient,
            Self::SubscriptionDisabled
            | Self::ProviderNotRegistered
            | Self::ResourceGroupNotFound
            | Self::ParentNotFound
            | Self::NotFound
            | Self::ScopeLocked { .. }
            | Self::QuotaExceeded
            | Self::CapacityUnavailable
            | Self::ApiVersionUnsupported
            | Self::SoftDeleted => ErrorClass::Waiting,
            Self::PolicyDenied { .. } | Self::InvalidRequest | Self::InvalidSize | Self::NameUnavailable => {
                ErrorClass::Manifest
            }
            Self::Unauthorized
            | Self::Forbidden { .. }
            | Self::CredentialRejected
            | Self::SubscriptionNotFound
            | Self::LinkedAuthorizationFailed { .. } => ErrorClass::Credential,
        }
    }
}

/// Whether a request may have taken effect although it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// It never left: it had no effect.
    NotSent,
    /// It left, and what became of it isn't known: look before writing again. Also for a
    /// 5xx, and for a success whose answer couldn't be read.
    MaybeProcessed,
    /// Azure refused it: it had no effect.
    Answered,
}

/// A failed request, or the failure of an operation or a resource as Azure reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmError {
    /// What happened.
    pub kind: ErrorKind,
    /// Who can mend it; always [`ErrorKind::class`] of `kind`.
    pub class: ErrorClass,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Azure's code, verbatim; one of ours (such as `ConnectionFailed`) where Azure gave none.
    pub code: String,
    /// Azure's message for people: one line, at most 600 characters, without request ids.
    pub message: String,
    /// Further codes and messages below the first, outermost first; at most 20.
    pub details: Vec<(String, String)>,
    /// How long Azure asks to wait.
    pub retry_after: Option<Duration>,
    /// Azure's correlation id, for a support request.
    pub correlation_id: Option<String>,
    /// The request, as in `PUT /subscriptions/…/computes/x`, without query; empty if none.
    pub request: String,
    /// Whether a write may have taken effect.
    pub sent: Sent,
}

impl ArmError {
    /// Reads an answer that isn't a success. `now` is for a Retry-After that is a date.
    pub fn from_response(status: u16, headers: &HeaderMap, body: &[u8], request: &str, now: Timestamp) -> Self {
        let body = parse::response_body(body);
        let kind = classify::kind(Some(status), headers.contains_key("x-aml-cluster"), &body);
        let sent = match status {
            408 | 500.. => Sent::MaybeProcessed,
            _ => Sent::Answered,
        };
        Self {
            status: Some(status),
            retry_after: retry_after(headers, now),
            correlation_id: correlation_id(headers),
            request: request.to_owned(),
            sent,
            ..Self::from_parts(kind, body, Some(status))
        }
    }

    /// Reads an error as Azure nests it in a resource (`provisioningErrors`, one element
    /// or the whole list) or in an operation.
    pub fn from_error_body(value: &Value) -> Self {
        let body = parse::value(value);
        let kind = classify::kind(None, false, &body);
        Self::from_parts(kind, body, None)
    }

    /// An error of our own making.
    pub(crate) fn new(kind: ErrorKind, code: &str, message: &str, request: &str, sent: Sent) -> Self {
        Self {
            class: kind.class(),
            kind,
            status: None,
            code: code.to_owned(),
            message: clean(message),
            details: Vec::new(),
            retry_after: None,
            correlation_id: None,
            request: request.to_owned(),
            sent,
        }
    }

    /// One sentence that says what a person should do.
    pub fn advice(&self) -> String {
        advice::advice(self)
    }

    fn from_parts(kind: ErrorKind, body: ErrorBody, status: Option<u16>) -> Self {
        let code = match (body.code.is_empty(), status) {
            (false, _) => body.code,
            (true, Some(status)) => format!("Http{status}"),
            (true, None) => "Unknown".to_owned(),
        };
        Self {
            class: kind.class(),
            kind,
            status,
            code,
            message: body.message,
            details: body.details,
            retry_after: None,
            correlation_id: None,
            request: String::new(),
            sent: Sent::Answered,
        }
    }
}

/// The id under which Azure's support finds a request.
pub(crate) fn correlation_id(headers: &HeaderMap) -> Option<String> {
    ["x-ms-correlation-request-id", "x-ms-request-id"]
        .into_iter()
        .find_map(|name| headers.get(name)?.to_str().ok())
        .map(|id| shorten(id, 80))
}

impl fmt::Display for ArmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(advice::what_happened(&self.kind))?;
        write!(f, " ({}", self.code)?;
        if let Some(status) = self.status {
            write!(f, ", {status}")?;
        }
        f.write_str(")")?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ArmError {}

#[cfg(test)]
mod tests;
