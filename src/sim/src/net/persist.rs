//! The state's file: written before a write is answered, so that a kill loses nothing that a client knows of.

use crate::sim::Sim;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::{Mutex, Notify, watch};

/// Writes the state to its file whenever it has changed, several changes at a time.
#[derive(Clone)]
pub struct Store {
    wanted: Arc<Notify>,
    written: watch::Receiver<u64>,
}

impl Store {
    /// Write `sim`'s state to `path` from now on.
    pub fn start(sim: Arc<Mutex<Sim>>, path: PathBuf) -> Self {
        let wanted = Arc::new(Notify::new());
        let (done, written) = watch::channel(0);
        let wake = wanted.clone();
        tokio::spawn(async move {
            loop {
                wake.notified().await;
                let (revision, bytes) = {
                    let mut sim = sim.lock().await;
                    (sim.revision(), sim.snapshot())
                };
                if let Err(why) = bytes.and_then(|b| replace_file(&path, &b)) {
                    tracing::error!(path = %path.display(), why, "the state could not be written");
                }
                done.send_replace(revision);
            }
        });
        Self { wanted, written }
    }

    /// Wait until the state of `revision` or a later one is in the file.
    pub async fn reached(&self, revision: u64) {
        let mut written = self.written.clone();
        self.wanted.notify_one();
        // The writer never ends while this service runs; if it did, waiting longer would help nobody.
        let _ = written.wait_for(|r| *r >= revision).await;
    }
}

/// Replace a file in one step.
///
/// # Errors
/// What can't be written, and why.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), String> {
    use std::io::Write;
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = PathBuf::from(name);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        // Keys are in it.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    options
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|e| format!("{}: {e}", path.display()))
}
