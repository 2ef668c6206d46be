//! Facts about Azure Machine Learning that hold without asking Azure: name rules, and how to find the nearest name.
//! Each fact names its source. No I/O.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod names;
pub mod nearest;
