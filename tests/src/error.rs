//! What can go wrong while an environment is brought up, used or ended.

use std::path::PathBuf;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the test environment. Its text says what happened, to what, and where to look.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or process operation failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried, with the path that it was tried on.
        action: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program that the environment needs is neither there nor can it be built.
    #[error("{0}")]
    MissingTool(String),
    /// A build ended with an error.
    #[error("building {what} failed ({status}):\n{output}")]
    Build {
        /// What was being built.
        what: String,
        /// How the build ended.
        status: String,
        /// The last lines that the build printed.
        output: String,
    },
    /// A process ended, or did not become ready in time.
    #[error("{what} {problem}; its log is {}, its last lines:\n{tail}", log.display())]
    NotReady {
        /// Which process.
        what: String,
        /// What it did instead of becoming ready.
        problem: String,
        /// Its whole log.
        log: PathBuf,
        /// The last lines of that log.
        tail: String,
    },
    /// A command ended with an error.
    #[error("`{command}` ended with {status}:\n{stderr}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it printed on stderr.
        stderr: String,
    },
    /// The Kubernetes API refused a request or could not be reached.
    #[error("Kubernetes: {action}: {source}")]
    Kubernetes {
        /// What was asked for.
        action: String,
        /// The client's account of the failure.
        source: Box<kube::Error>,
    },
    /// azure-sim, or the operator's admin address, could not be reached or gave no good answer.
    #[error("{0}")]
    Http(String),
    /// A wait came to its deadline.
    #[error("{0}")]
    TimedOut(String),
    /// Data from outside is not what it should be.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// An [`Error::Io`], for `map_err`.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let action = action.into();
        move |source| Error::Io { action, source }
    }

    /// An [`Error::Kubernetes`], for `map_err`.
    pub(crate) fn kube(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Error {
        let action = action.into();
        move |source| Error::Kubernetes { action, source: Box::new(source) }
    }
}
