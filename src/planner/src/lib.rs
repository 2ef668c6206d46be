//! The planner: from what the manifest wants, what Azure has, what the operator remembers and what it knows, to a plan.
//!
//! Pure, deterministic and infallible: no I/O, no clock of its own. The operator, paused and observed objects, and
//! `kubectl azureml plan` all ask this same planner, so what is previewed is what happens.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod approval;
pub mod body;
pub mod decide;
pub mod deletion;
pub mod diff;
pub mod input;
pub mod operation;
pub mod ownership;
pub mod plan;
pub mod schedule;

pub use decide::plan;
pub use input::{Facts, Failure, Input, Lifecycle, Memory, Observed, Owner};
pub use plan::{Action, Body, Hold, Plan, Step};
