//! Resolve: references, Secrets, credentials. Needs Kubernetes.

pub mod credential;
pub mod secrets;
pub mod workspace;

use azureml_api::condition::Reason;

use crate::failure::Problem;
use crate::hashing::HashError;

/// Why a reference can't be followed.
#[derive(Debug)]
pub enum ResolveError {
    /// Something that a person or time mends, told in conditions.
    Problem(Problem),
    /// The API server failed.
    Kubernetes(kube::Error),
}

impl From<Problem> for ResolveError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<kube::Error> for ResolveError {
    /// What the operator may not read in Kubernetes is told like any other thing that a person has to mend.
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.is_forbidden() => Self::Problem(Problem::blocked(
                Reason::KubernetesForbidden,
                format!("the operator may not do what the manifest needs in Kubernetes: {}", status.message),
            )),
            _ => Self::Kubernetes(error),
        }
    }
}

impl From<HashError> for ResolveError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Kubernetes(error) => error.into(),
            HashError::NoKey { .. } => Self::Problem(Problem::blocked(Reason::SecretNotFound, error.to_string())),
        }
    }
}
