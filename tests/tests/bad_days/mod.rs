//! Bad input and bad days: each ends in a condition that tells a person what to do, nothing is lost or doubled, and it
//! heals by itself when the cause goes.

mod admission;
mod crash;
mod credentials;
mod faults;
mod history;
mod proofs;
mod reads;
mod refusals;
mod support;
mod undecodable;
mod workspace;
