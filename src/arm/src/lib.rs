//! A client of Azure Resource Manager (ARM) that knows no Kubernetes kind.
//!
//! - [`ResourceId`]: ARM ids, compared without case.
//! - [`Cloud`]: where ARM and Entra are, and for whom a token is asked.
//! - [`Credential`]: tokens of one principal, over the same HTTP client as everything else.
//! - [`Budget`]: ARM's token buckets, kept on this side so that a 429 is the exception.
//! - [`ArmClient`]: one call is one request: it spends a [`Permit`], never waits for a
//!   turn, never retries, and never follows a URL to a host that isn't the configured ARM.
//! - [`Answer`]: what ARM's answers say, without I/O.
//! - [`ArmError`]: every failure, classified once.
//!
//! # How a write goes
//! A caller builds a [`Claim`], asks [`Budget::try_admit`], and either holds a [`Permit`]
//! or goes away; its key comes back on [`Budget::wakes`] when its turn has come, and the
//! next `try_admit` of that key is granted. [`Budget::run`] must be running for that.
//!
//! # How a failure goes
//! [`ArmError::class`] says who can mend it, [`ArmError::kind`] what happened,
//! [`ArmError::sent`] whether a write may have taken effect all the same.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod budget;
mod client;
mod cloud;
mod credential;
mod error;
mod http_client;
mod ids;
mod proxy;
#[cfg(test)]
mod testing;

pub use budget::{
    Admission, BucketSize, BucketState, Budget, BudgetConfig, Claim, Flight, InvalidShare, OperationKind, Permit,
    Priority, provider_scope,
};
pub use client::{
    Answer, ApiVersions, ArmClient, NextLink, OperationStatus, OperationUrl, Page, RequestObserver, RequestRecord,
    Response, Spoken, correlated,
};
pub use cloud::{Cloud, InvalidCloud};
pub use credential::{Certificate, Credential, CredentialConfig, CredentialError, FromValues};
pub use error::{ArmError, ErrorClass, ErrorKind, Sent, ThrottleOrigin};
pub use http_client::{HttpClient, HttpClientError};
pub use ids::{InvalidResourceId, ResourceId};
pub use proxy::heeding_no_proxy;
pub use secrecy::SecretString;
