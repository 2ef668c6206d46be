//! A real Kubernetes control plane, azure-sim and the operator as processes: for end-to-end tests, for development
//! (`make up`) and for `make demo`.
//!
//! Everything that is started here ends with the process that started it, however that one ends: each child runs under
//! `azureml-env supervise`, which holds a pipe to its parent and ends the child when the pipe closes.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod browser;
mod build;
mod cargo;
pub mod chart;
pub mod controlplane;
pub mod definitions;
pub mod environment;
mod error;
mod files;
pub mod fleet;
pub mod flux;
pub mod gate;
pub mod golang;
pub mod operator;
pub mod process;
mod rundir;
pub mod schemas;
pub mod secrets;
pub mod sim;
pub mod supervise;
pub mod team;
pub mod tools;
pub mod tunnel;
pub mod wait;

pub use cargo::binary;
pub use controlplane::{ControlPlane, Controllers, Options};
pub use environment::{EnvOptions, Environment, OperatorStart};
pub use error::{Error, Result};
pub use files::{checkout, generated, tail};
pub use gate::Gate;
pub use operator::{Operator, OperatorOptions};
pub use rundir::RunDir;
pub use sim::{Mark, Sim, SimClient, SimOptions, SimRequest, Throttle};
pub use team::Team;
pub use tunnel::Tunnel;
pub use wait::Until;
