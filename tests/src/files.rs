//! Small helpers around files: log tails, locks, atomic writes and the checkout's own folders.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// The root of the checkout that this crate was built from.
pub fn checkout() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// Compares a file with what it is made from, or writes it with `AZUREML_GENERATE=write`.
///
/// # Panics
/// Where it differs, or can't be written.
#[track_caller]
pub fn generated(file: &Path, text: &str) {
    let name = file.display();
    if std::env::var("AZUREML_GENERATE").is_ok_and(|value| value == "write") {
        let written = fs::write(file, text);
        assert!(written.is_ok(), "{name}: {}", written.err().map(|error| error.to_string()).unwrap_or_default());
    }
    let there = fs::read_to_string(file).unwrap_or_default();
    assert!(there == text, "{name} isn't up to date: AZUREML_GENERATE=write makes it so");
}

/// The last `lines` lines of a text file; a note in their place if it can't be read.
pub fn tail(path: &Path, lines: usize) -> String {
    match fs::read(path) {
        Ok(bytes) => last_lines(&String::from_utf8_lossy(&bytes), lines),
        Err(error) => format!("(cannot read {}: {error})", path.display()),
    }
}

/// The last `lines` lines of a text.
pub(crate) fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Creates a folder with its parents.
pub(crate) fn create_dir_all(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io(format!("create the folder {}", path.display())))
}

/// Writes a whole file, so that a reader sees the old text or the new one and nothing between.
pub(crate) fn write_atomically(path: &Path, text: &str) -> Result<()> {
    let fresh = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&fresh, text).map_err(Error::io(format!("write {}", fresh.display())))?;
    fs::rename(&fresh, path).map_err(Error::io(format!("rename {} to {}", fresh.display(), path.display())))
}

/// Reads a whole text file.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::io(format!("read {}", path.display())))
}

/// Opens a lock file, creating it if needed.
pub(crate) fn open_lock(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(Error::io(format!("open the lock file {}", path.display())))
}

/// Takes an exclusive lock, and says every 15 seconds on stderr that it waits and what for.
/// The lock is held until the returned file is dropped, also when the process is killed.
pub(crate) fn lock(path: &Path, waiting_for: &str) -> Result<File> {
    let file = open_lock(path)?;
    let started = Instant::now();
    let mut said = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(Error::io(format!("lock {}", path.display()))(source)),
        }
        if started.elapsed() >= said + PROGRESS_EVERY {
            said = started.elapsed();
            say(&format!("waiting for another process {waiting_for} ({} s)", said.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Says on stderr what is going on. Not with `eprintln`, which the test harness holds back until a test has failed.
pub(crate) fn say(text: &str) {
    // Whoever closed stderr doesn't want to know.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// How often a long step says that it is still at work.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_gives_the_end_and_no_more() {
        for (text, lines, want) in [("a\nb\nc\n", 2, "b\nc"), ("a", 5, "a"), ("", 3, ""), ("a\nb", 0, "")] {
            assert_eq!(last_lines(text, lines), want, "{text:?} {lines}");
        }
    }
}
