//! Resolve: references, Secrets, credentials. Needs Kubernetes.

pub mod credential;
pub mod secrets;
pub mod workspace;

/// Why a reference can't be followed.
#[derive(Debug)]
pub enum ResolveError {
    /// Something that a person or time mends, told in conditions.
    Problem(crate::failure::Problem),
    /// The API server failed.
    Kubernetes(kube::Error),
}

impl From<crate::failure::Problem> for ResolveError {
    fn from(problem: crate::failure::Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<kube::Error> for ResolveError {
    fn from(error: kube::Error) -> Self {
        Self::Kubernetes(error)
    }
}
