//! The resource provider Microsoft.MachineLearningServices.

pub mod canonical;
pub mod checks;
pub mod cluster;
pub mod computes;
pub mod ctx;
pub mod instance;
pub mod jobs;
pub mod listing;
pub mod networks;
pub mod physics;
pub mod regional;
pub mod render;
pub mod schema;
pub mod settle;
pub mod sizes;
pub mod tables;
pub mod workspaces;
