//! What must hold of everything that reads what others write: one module a fuzz target, each with a `check` that panics
//! where a property doesn't hold. Run by libFuzzer through the files of `fuzz_targets/`; see README.md.
#![forbid(unsafe_code)]

pub mod answer;
pub mod certificates;
pub mod credentials;
pub mod documents;
pub mod durations;
pub mod errors;
pub mod ids;
pub mod manifests;
pub mod mutate;
pub mod objects;
pub mod plans;
pub mod refusals;
pub mod schedules;
pub mod settling;

/// What is read of certificates: a private module of the ARM client that stands alone.
#[path = "../../../src/arm/src/credential/der.rs"]
mod der;
/// How the operator tells failures: a module of its binary that stands alone.
#[path = "../../../src/operator/src/failure.rs"]
pub mod failure;
/// The planner's own model of Azure, with which its tests are written.
#[path = "../../../src/planner/tests/planner/support/mod.rs"]
pub mod model;
/// How `kubectl azureml` reads manifests: a module of its binary that stands alone.
#[path = "../../../src/cli/src/manifests/mod.rs"]
pub mod reader;
