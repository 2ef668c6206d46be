//! Scale schedules, as tables and against a walk through the minutes.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod properties;
mod refusals;
mod tables;

use azureml_planner::schedule::{Entry, Scale};

/// A schedule whose scale says which it is.
pub fn entry<'a>(name: &'a str, start: &'a str, end: &'a str, time_zone: &'a str) -> Entry<'a> {
    Entry { name, start, end, time_zone, min: Some(2), max: None }
}

/// What `spec.scale` says here.
pub const BASE: Scale = Scale { min: 0, max: 8 };
