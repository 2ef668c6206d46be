//! Packed trees, served over http on loopback: the storage of a source-controller.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use super::Tree;
use crate::{Error, Result, files};

/// The storage, which serves until it is dropped.
pub(super) struct Artifacts {
    root: PathBuf,
    url: String,
    packed: AtomicUsize,
    task: AbortHandle,
}

impl Drop for Artifacts {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A packed tree, in the words of a source's status.
pub(super) struct Packed {
    pub(super) path: String,
    pub(super) url: String,
    pub(super) revision: String,
    pub(super) digest: String,
    pub(super) size: usize,
}

impl Artifacts {
    /// Serves a folder on a free port.
    pub(super) async fn serve(root: &Path) -> Result<Self> {
        files::create_dir_all(root)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Error::io("listen for artifacts"))?;
        let address = listener.local_addr().map_err(Error::io("listen for artifacts"))?;
        let task = tokio::spawn(accept(listener, root.to_path_buf())).abort_handle();
        Ok(Artifacts { root: root.to_path_buf(), url: format!("http://{address}"), packed: AtomicUsize::new(0), task })
    }

    /// Packs a tree and puts it where it is served.
    pub(super) fn pack(&self, folder: &str, tree: &Tree) -> Result<Packed> {
        let count = self.packed.fetch_add(1, Ordering::Relaxed);
        let home = self.root.join(folder);
        let unpacked = home.join(format!("tree-{count}"));
        files::create_dir_all(&unpacked)?;
        tree.write(&unpacked)?;
        let archive = home.join(format!("{count}.tar.gz"));
        let mut command = Command::new("tar");
        command.arg("-czf").arg(&archive).arg("-C").arg(&unpacked).arg(".");
        crate::build::run(&mut command, "an archive of a tree")?;
        let bytes = std::fs::read(&archive).map_err(Error::io(format!("read {}", archive.display())))?;
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = format!("{folder}/{count}.tar.gz");
        Ok(Packed {
            url: format!("{}/{path}", self.url),
            path,
            // A commit's name has 40 digits.
            revision: format!("main@sha1:{}", &digest[..40]),
            digest: format!("sha256:{digest}"),
            size: bytes.len(),
        })
    }
}

async fn accept(listener: TcpListener, root: PathBuf) -> Infallible {
    // The connections end with the storage.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((tcp, _)) = accepted else { continue };
                let root = root.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(root.clone(), request));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(tcp), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(root: PathBuf, request: Request<Incoming>) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().trim_start_matches('/');
    let file = (!path.contains("..")).then(|| std::fs::read(root.join(path)).ok()).flatten();
    let status = if file.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut response = Response::new(Full::new(Bytes::from(file.unwrap_or_default())));
    *response.status_mut() = status;
    Ok(response)
}
