//! The operator: resolve → observe → plan → apply → report, for every object of `azureml.dev`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod admin;
pub mod apply;
pub mod connections;
pub mod context;
pub mod engine;
pub mod failure;
pub mod hashing;
pub mod health;
pub mod index;
pub mod kubernetes;
pub mod leadership;
pub mod metrics;
pub mod observe;
pub mod page;
pub mod reconcile;
pub mod report;
pub mod resolve;
pub mod settings;
pub mod shard;
pub mod start;
pub mod workspace;
