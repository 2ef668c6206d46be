//! The simulator behind a socket.

mod io;
mod persist;
mod server;
mod tls;

pub use persist::Store;
pub use server::serve;
pub use tls::{Identity, identity};
