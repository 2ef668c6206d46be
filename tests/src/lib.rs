//! A real Kubernetes control plane, azure-sim and the operator as processes: for end-to-end tests, for development
//! (`make up`) and for `make demo`.
//!
//! Everything that is started here ends with the process that started it, however that one ends: each child runs under
//! `azureml-env supervise`, which holds a pipe to its parent and ends the child when the pipe closes.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cargo;
pub mod controlplane;
mod error;
mod files;
pub mod process;
mod rundir;
pub mod supervise;
pub mod tools;

pub use cargo::binary;
pub use controlplane::{ControlPlane, Controllers, Options};
pub use error::{Error, Result};
pub use files::{checkout, tail};
pub use rundir::RunDir;
