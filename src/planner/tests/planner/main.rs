//! What the planner decides, as tables and as properties. One binary, so that it links once and shares its builders.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod actions;
mod approval;
mod bodies;
mod compare;
mod deletion;
mod failures;
mod fields;
mod honoured;
mod operation;
mod ownership;
mod properties;
mod secrets;
mod support;
mod tags;
