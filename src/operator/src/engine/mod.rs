//! The engine: what wakes an object, the workers that look at it, and what is remembered between two looks.

pub mod pulse;
pub mod queue;
pub mod request;
pub mod retry;
pub mod run;
pub mod scratch;
pub mod watch;
