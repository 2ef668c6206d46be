//! The book of `docs/`, and what else explains: every command in it runs, every manifest is valid, every link leads
//! somewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod links;
mod manifests;
mod page;
mod session;
mod settings;
