//! The end-to-end tests: real processes, a real API server and azure-sim. One program, so that they share one pool of
//! threads: they wait more than they compute, and a program a file would end with its slowest test alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod approval;
mod argo_cd;
mod bad_days;
mod book;
mod budget;
mod chart;
mod clouds;
mod contract;
mod controlplane;
mod costs;
mod crash;
mod definitions;
mod deletion;
mod drift;
mod explain;
mod faults;
mod flux;
mod fuzz;
mod guards;
mod lifecycle;
mod manifests;
mod namespaces;
mod observability;
mod ownership;
mod page;
mod plan;
mod policies;
mod processes;
mod readme;
mod replicas;
mod roles;
mod security;
mod sim;
mod upgrade;
mod waiting;
