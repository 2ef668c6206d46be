//! Computes of type ComputeInstance.

pub mod actions;
pub mod canonical;
pub mod power;
pub mod render;
pub mod schedules;
pub mod tables;
pub mod zones;
