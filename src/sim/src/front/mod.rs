//! The front door of Azure Resource Manager: everything between the socket and a resource provider.

pub mod auth;
pub mod faults;
pub mod governance;
pub mod http;
pub mod log;
pub mod refusal;
pub mod roles;
pub mod route;
pub mod throttle;
pub mod versions;
