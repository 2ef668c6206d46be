//! The simulator behind a socket.

mod io;
mod persist;
mod server;
mod tls;

pub use persist::{Files, Store, beside};
pub use server::serve;
pub use tls::{Identity, identity};
