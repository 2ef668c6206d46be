//! Report: status, conditions, events. Conditions are a pure function of the situation.

pub mod conditions;
pub mod events;
pub mod status;
pub mod workspace;
