//! The folder of one environment: data, keys and logs. It goes when the environment does.

use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Error, Result, cargo, files};

/// The file on which every process that uses the folder holds a shared lock.
const HOLD: &str = ".in-use";

/// A fresh folder under the system's temporary folder, readable by this user only.
///
/// It is removed once this value is dropped and the last process in it has ended, also after a SIGKILL. If a panic is
/// under way, the logs are first copied to `.local/failed/` in the checkout. `AZUREML_KEEP=1` keeps the folder.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    guard: Option<(Child, ChildStdin)>,
}

impl RunDir {
    /// Makes the folder, and starts the process that will remove it.
    ///
    /// # Errors
    /// If the folder can't be made or the guard can't be started.
    pub fn new(purpose: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let now = jiff::Timestamp::now().as_millisecond();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("azureml-{purpose}-{now}-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // The folder holds keys and tokens.
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(Error::io(format!("create the folder {}", path.display())))?;
        files::open_lock(&path.join(HOLD))?;
        let keep = std::env::var_os("AZUREML_KEEP").is_some_and(|value| !value.is_empty());
        let guard = if keep { None } else { Some(start_guard(&path)?) };
        Ok(RunDir { path, guard })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that says that the folder is in use.
    pub(crate) fn hold(&self) -> PathBuf {
        self.path.join(HOLD)
    }

    fn save_logs(&self) -> std::io::Result<PathBuf> {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        let saved = files::checkout().join(".local/failed").join(name);
        std::fs::create_dir_all(&saved)?;
        for entry in std::fs::read_dir(&self.path)? {
            let from = entry?.path();
            if let (Some("log"), Some(name)) = (from.extension().and_then(|e| e.to_str()), from.file_name()) {
                std::fs::copy(&from, saved.join(name))?;
            }
        }
        Ok(saved)
    }
}

fn start_guard(path: &Path) -> Result<(Child, ChildStdin)> {
    let mut guard = Command::new(cargo::binary("azureml-tests", "azureml-env")?)
        .args(["guard".as_ref(), path.as_os_str(), path.join(HOLD).as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(Error::io(format!("start the guard of {}", path.display())))?;
    let line = guard.stdin.take().ok_or_else(|| Error::Invalid("the guard has no stdin".into()))?;
    Ok((guard, line))
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            match self.save_logs() {
                Ok(saved) => eprintln!("the logs of the failed run are in {}", saved.display()),
                Err(error) => eprintln!("cannot save the logs in {}: {error}", self.path.display()),
            }
        }
        match self.guard.take() {
            Some((mut guard, line)) => {
                drop(line);
                let _ = guard.wait();
            }
            None => eprintln!("{} is kept, as AZUREML_KEEP asks", self.path.display()),
        }
    }
}
