//! How failures are told: a reason, words, and whether a person or time mends it.

use azureml_api::condition::Reason;
use azureml_arm::{ArmError, ErrorClass, ErrorKind};
use azureml_planner::Failure;
use serde_json::Value;

/// What stands in an object's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Who or what mends it.
    pub kind: ProblemKind,
    /// Why, for conditions.
    pub reason: Reason,
    /// What happened, to what, and what to do.
    pub message: String,
}

/// Who or what mends a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// Something beside the manifest; it is tried again by itself. Not ready meanwhile.
    Blocked,
    /// A person, by the manifest or another object.
    Stalled,
    /// Azure can't be seen just now; what was last known stands.
    Unseen,
}

impl Problem {
    /// Something beside the manifest is in the way.
    pub fn blocked(reason: Reason, message: impl Into<String>) -> Self {
        Self { kind: ProblemKind::Blocked, reason, message: message.into() }
    }

    /// Azure can't be seen just now.
    pub fn unseen(reason: Reason, message: impl Into<String>) -> Self {
        Self { kind: ProblemKind::Unseen, reason, message: message.into() }
    }

    /// A person has to act.
    pub fn stalled(reason: Reason, message: impl Into<String>) -> Self {
        Self { kind: ProblemKind::Stalled, reason, message: message.into() }
    }

    /// A failed write.
    pub fn of_write(error: &ArmError) -> Self {
        let reason = reason(error);
        let kind = match error.class {
            ErrorClass::Manifest => ProblemKind::Stalled,
            ErrorClass::Transient | ErrorClass::Waiting | ErrorClass::Credential => ProblemKind::Blocked,
        };
        Self { kind, reason, message: words(error) }
    }

    /// A failed read on which a write is decided: the write is in its way, so that is told at once.
    pub fn of_read_before_write(error: &ArmError) -> Self {
        Self { kind: ProblemKind::Blocked, ..Self::of_read(error) }
    }

    /// A failed read.
    pub fn of_read(error: &ArmError) -> Self {
        let kind = match error.class {
            ErrorClass::Transient => ProblemKind::Unseen,
            ErrorClass::Waiting | ErrorClass::Credential | ErrorClass::Manifest => ProblemKind::Blocked,
        };
        let reason = match error.kind {
            ErrorKind::NotFound | ErrorKind::ParentNotFound | ErrorKind::ResourceGroupNotFound => {
                Reason::WorkspaceMissingInAzure
            }
            _ => reason(error),
        };
        Self { kind, reason, message: words(error) }
    }
}

/// The reason for an error of a write, an operation or a resource.
pub fn reason(error: &ArmError) -> Reason {
    match &error.kind {
        ErrorKind::Network | ErrorKind::Timeout | ErrorKind::BadAnswer | ErrorKind::Server | ErrorKind::ForeignUrl => {
            Reason::AzureUnavailable
        }
        ErrorKind::Throttled(_) => Reason::Throttled,
        ErrorKind::Unauthorized | ErrorKind::CredentialRejected => Reason::CredentialRejected,
        ErrorKind::Forbidden { .. } | ErrorKind::SubscriptionDisabled | ErrorKind::ProviderNotRegistered => {
            Reason::Forbidden
        }
        ErrorKind::SubscriptionNotFound => Reason::SubscriptionNotFound,
        ErrorKind::ResourceGroupNotFound | ErrorKind::ParentNotFound | ErrorKind::NotFound => {
            Reason::WorkspaceMissingInAzure
        }
        ErrorKind::Conflict => Reason::WaitingForAzure,
        ErrorKind::ScopeLocked { .. } => Reason::ScopeLocked,
        ErrorKind::PolicyDenied { .. } => Reason::PolicyDenied,
        ErrorKind::LinkedAuthorizationFailed { .. } => Reason::AccessToLinkedResourceDenied,
        ErrorKind::QuotaExceeded => Reason::QuotaExceeded,
        ErrorKind::CapacityUnavailable => Reason::CapacityUnavailable,
        ErrorKind::InvalidSize => Reason::VmSizeNotAvailable,
        ErrorKind::NameUnavailable | ErrorKind::SoftDeleted => Reason::NameUnavailable,
        ErrorKind::InvalidRequest => Reason::RejectedByAzure,
        ErrorKind::ApiVersionUnsupported => Reason::ApiVersionNotOffered,
        ErrorKind::Unknown => Reason::OperationFailed,
    }
}

/// What happened and what to do, in one line.
pub fn words(error: &ArmError) -> String {
    let advice = error.advice();
    let told = error.to_string();
    if advice.is_empty() { told } else { format!("{}. {advice}", told.trim_end_matches('.')) }
}

/// How an error that Azure reports on an operation or a resource is told to the planner.
pub fn failure(error: &ArmError) -> Failure {
    let reason = match error.kind {
        ErrorKind::Unknown => Reason::ProvisioningFailed,
        _ => reason(error),
    };
    Failure { reason, message: words(error) }
}

/// Why a resource is in a failed state, if it is.
pub fn of_live(live: &Value) -> Option<Failure> {
    let state = live.pointer("/properties/provisioningState").and_then(Value::as_str)?;
    if !matches!(state, "Failed" | "Canceled") {
        return None;
    }
    let told = errors(live).into_iter().next();
    Some(told.map_or_else(
        || Failure {
            reason: Reason::ProvisioningFailed,
            message: format!("Azure says {state} and gives no reason: look at the resource in the portal"),
        },
        |error| failure(&error),
    ))
}

/// The errors that Azure reports on a resource: of its provisioning, then of its nodes.
pub fn errors(live: &Value) -> Vec<ArmError> {
    ["/properties/provisioningErrors", "/properties/properties/errors"]
        .iter()
        .filter_map(|path| live.pointer(path)?.as_array())
        .flatten()
        .map(ArmError::from_error_body)
        .collect()
}

/// The class of a failure that was told to the planner.
pub fn class(failure: &Failure) -> ErrorClass {
    match failure.reason {
        Reason::PolicyDenied | Reason::RejectedByAzure | Reason::VmSizeNotAvailable | Reason::NameUnavailable => {
            ErrorClass::Manifest
        }
        Reason::Forbidden | Reason::CredentialRejected | Reason::AccessToLinkedResourceDenied => ErrorClass::Credential,
        _ => ErrorClass::Waiting,
    }
}

/// A failure as a problem.
pub fn problem(failure: &Failure) -> Problem {
    match class(failure) {
        ErrorClass::Manifest => Problem::stalled(failure.reason, failure.message.clone()),
        _ => Problem::blocked(failure.reason, failure.message.clone()),
    }
}
