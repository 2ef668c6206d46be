//! What stands in a plan's way.

use azureml_api::condition::Reason;
use azureml_arm::{ArmError, ErrorKind};

/// What stands in a plan's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the manifest or the access to something is at fault.
    pub kind: ProblemKind,
    /// Why, as the operator's conditions have it.
    pub reason: Reason,
    /// What happened, to what, and what to do.
    pub message: String,
}

/// What is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// It can't be carried out, or planned, as it is written.
    Refused,
    /// Something couldn't be read.
    NoAccess,
}

impl Problem {
    /// It can't be carried out, or planned, as it is written.
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self { kind: ProblemKind::Refused, reason, message: message.into() }
    }

    /// Something couldn't be read.
    pub fn no_access(reason: Reason, message: impl Into<String>) -> Self {
        Self { kind: ProblemKind::NoAccess, reason, message: message.into() }
    }

    /// A workspace, or what is in it, that couldn't be read.
    pub fn of_read(error: &ArmError) -> Self {
        let advice = error.advice();
        let message = if advice.is_empty() { error.to_string() } else { format!("{error}. {advice}") };
        match &error.kind {
            ErrorKind::NotFound | ErrorKind::ParentNotFound | ErrorKind::ResourceGroupNotFound => {
                Self::refused(Reason::WorkspaceMissingInAzure, message)
            }
            ErrorKind::CredentialRejected | ErrorKind::Unauthorized => {
                Self::no_access(Reason::CredentialRejected, message)
            }
            ErrorKind::SubscriptionNotFound => Self::no_access(Reason::SubscriptionNotFound, message),
            ErrorKind::Forbidden { .. } | ErrorKind::SubscriptionDisabled | ErrorKind::ProviderNotRegistered => {
                Self::no_access(Reason::Forbidden, message)
            }
            ErrorKind::ApiVersionUnsupported => Self::no_access(Reason::ApiVersionNotOffered, message),
            ErrorKind::Throttled(_) => Self::no_access(Reason::Throttled, message),
            _ => Self::no_access(Reason::AzureUnavailable, message),
        }
    }
}
