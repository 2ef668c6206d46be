//! The simulator through its handlers, on a clock that the test moves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod admin;
mod azure;
mod computes;
mod entra;
mod front;
mod groups;
mod instance_time;
mod instances;
mod jobs;
mod nodes;
mod regional;
mod socket;
mod workspaces;
