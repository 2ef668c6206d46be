//! The state's files: a snapshot, and beside it a journal of the writes since. A write is in the journal before it is
//! answered, so that a kill loses nothing that a client knows of.

use crate::{journal::Entry, sim::Sim, state::State};
use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::{Mutex, Notify, watch};

/// Writes after which a new snapshot is made.
const SNAPSHOT_EVERY: usize = 5000;

/// The files of a state.
#[derive(Clone)]
pub struct Files {
    snapshot: PathBuf,
    journal: PathBuf,
}

impl Files {
    /// `path` and `path.journal`.
    pub fn at(path: &Path) -> Self {
        Self { snapshot: path.to_path_buf(), journal: beside(path, ".journal") }
    }

    /// What an earlier run left: its last snapshot and the writes after it.
    ///
    /// # Errors
    /// A file that can't be read, or isn't one of this version's.
    pub fn load(&self) -> Result<Option<(State, Vec<Entry>)>, String> {
        if !self.snapshot.exists() {
            return Ok(None);
        }
        let read = |path: &Path| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
        let state = serde_json::from_slice(&read(&self.snapshot)?).map_err(|e| {
            format!("{}: not a state of this version ({e}); remove it to begin anew", self.snapshot.display())
        })?;
        let lines = if self.journal.exists() { read(&self.journal)? } else { Vec::new() };
        // A kill may have cut the last line; its write was never answered.
        let entries = lines.split(|b| *b == b'\n').map_while(|line| serde_json::from_slice(line).ok()).collect();
        Ok(Some((state, entries)))
    }

    fn append(&self, entries: &[Entry]) -> Result<(), String> {
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry).map_err(|e| e.to_string())?;
            lines.push(b'\n');
        }
        private()
            .append(true)
            .open(&self.journal)
            .and_then(|mut file| file.write_all(&lines))
            .map_err(|e| format!("{}: {e}", self.journal.display()))
    }

    /// Replace the snapshot, then empty the journal: a kill in between leaves entries that the snapshot already has,
    /// which replay passes over.
    fn snapshot(&self, state: &State) -> Result<(), String> {
        let bytes = serde_json::to_vec(state).map_err(|e| e.to_string())?;
        replace_file(&self.snapshot, &bytes)?;
        private().truncate(true).open(&self.journal).map(drop).map_err(|e| format!("{}: {e}", self.journal.display()))
    }
}

/// Writes the journal whenever there is something for it, several writes at a time.
#[derive(Clone)]
pub struct Store {
    wanted: Arc<Notify>,
    written: watch::Receiver<u64>,
}

impl Store {
    /// Keep `sim`'s state in `files` from now on, beginning with a snapshot.
    ///
    /// # Errors
    /// When the files can't be written.
    pub async fn start(sim: Arc<Mutex<Sim>>, files: Files) -> Result<Self, String> {
        let state = {
            let mut sim = sim.lock().await;
            sim.keep_journal();
            sim.state.clone()
        };
        files.snapshot(&state)?;
        let wanted = Arc::new(Notify::new());
        let (done, written) = watch::channel(state.mark.seq);
        let wake = wanted.clone();
        tokio::spawn(async move {
            let mut since = 0;
            loop {
                wake.notified().await;
                let (entries, seq, state) = {
                    let mut sim = sim.lock().await;
                    let entries = sim.take_journal();
                    since += entries.len();
                    (entries, sim.state.mark.seq, (since >= SNAPSHOT_EVERY).then(|| sim.state.clone()))
                };
                let mut outcome = files.append(&entries);
                if let Some(state) = state {
                    since = 0;
                    let files = files.clone();
                    let snapshot = tokio::task::spawn_blocking(move || files.snapshot(&state)).await;
                    outcome = outcome.and(snapshot.map_err(|e| e.to_string()).and_then(|r| r));
                }
                if let Err(why) = outcome {
                    tracing::error!(why, "the state could not be written");
                }
                done.send_replace(seq);
            }
        });
        Ok(Self { wanted, written })
    }

    /// Wait until the write numbered `seq` is in the file.
    pub async fn reached(&self, seq: u64) {
        let mut written = self.written.clone();
        self.wanted.notify_one();
        // The writer never ends while this service runs; if it did, waiting longer would help nobody.
        let _ = written.wait_for(|r| *r >= seq).await;
    }
}

/// `path` with `suffix` put on.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Options to open a file that only its owner may read: keys are in it.
fn private() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Replace a file in one step.
///
/// # Errors
/// What can't be written, and why.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let new = beside(path, ".new");
    private()
        .truncate(true)
        .open(&new)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(|e| format!("{}: {e}", path.display()))
}
