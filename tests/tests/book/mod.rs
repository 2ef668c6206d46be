//! The book of `docs/`, and what else explains: every command in it runs, every manifest is valid, every link leads
//! somewhere.

mod commands;
mod links;
mod manifests;
mod page;
mod session;
mod settings;
