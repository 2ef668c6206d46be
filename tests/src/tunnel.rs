//! A proxy as companies have them between themselves and Azure: CONNECT and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::{Error, Result};

/// Longest head of a request, in lines.
const LONGEST_HEAD: usize = 100;

/// A proxy on loopback, until it is dropped.
pub struct Tunnel {
    address: String,
    task: AbortHandle,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    routes: BTreeMap<String, String>,
    connects: BTreeMap<String, usize>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Tunnel {
    /// Listens on a free port. It leads to the targets of [`Self::leads`], and to any other by its own address.
    ///
    /// # Errors
    /// If it can't listen.
    pub async fn open() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Error::io("listen for the proxy"))?;
        let port = listener.local_addr().map_err(Error::io("listen for the proxy"))?.port();
        let known = Arc::new(Mutex::new(Known::default()));
        let task = tokio::spawn(serve(listener, known.clone())).abort_handle();
        Ok(Tunnel { address: format!("localhost:{port}"), task, known })
    }

    /// Its address, for `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has who asks for `target` (host and port) led to `upstream`.
    pub fn leads(&self, target: &str, upstream: &str) {
        lock(&self.known).routes.insert(target.to_string(), upstream.to_string());
    }

    /// How often each target was asked for since the last call.
    pub fn take_connects(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut lock(&self.known).connects)
    }
}

fn lock(known: &Mutex<Known>) -> std::sync::MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, known: Arc<Mutex<Known>>) {
    // The connections end with the proxy.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            Ok((tcp, _)) = listener.accept() => drop(connections.spawn(connection(tcp, known.clone()))),
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection. How it ends is between its two ends.
async fn connection(tcp: TcpStream, known: Arc<Mutex<Known>>) -> std::io::Result<()> {
    let mut near = BufReader::new(tcp);
    let mut first = String::new();
    near.read_line(&mut first).await?;
    for _ in 0..LONGEST_HEAD {
        let mut line = String::new();
        near.read_line(&mut line).await?;
        if line.trim_end().is_empty() {
            break;
        }
    }
    let Some(target) = first.strip_prefix("CONNECT ").and_then(|rest| rest.split_whitespace().next()) else {
        return near.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n").await;
    };
    let upstream = {
        let mut known = lock(&known);
        *known.connects.entry(target.to_string()).or_default() += 1;
        known.routes.get(target).cloned().unwrap_or_else(|| target.to_string())
    };
    let Ok(mut far) = TcpStream::connect(upstream).await else {
        return near.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
    };
    near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut near, &mut far).await.map(drop)
}
