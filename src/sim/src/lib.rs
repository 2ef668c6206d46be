//! An Azure Resource Manager for development and tests.
//!
//! [`sim::Sim`] is the whole service as one value: it takes a request and a clock and gives an answer, with no socket,
//! no thread and no sleep. [`net`] puts it behind TLS. What it answers is described in `docs/azure-sim.md`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod admin;
pub mod cli;
pub mod clock;
pub mod dice;
pub mod entra;
pub mod front;
pub mod journal;
pub mod ml;
pub mod net;
pub mod resources;
pub mod scope;
pub mod sim;
pub mod state;
pub mod world;
