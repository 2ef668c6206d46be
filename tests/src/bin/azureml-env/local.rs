//! What `.local/` in the checkout holds of a running environment.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use azureml_tests::{Environment, Error, Result, operator, sim::demo};
use serde::{Deserialize, Serialize};

/// Where a running environment is found. Valid while the lock is held.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Running {
    pub(crate) kubectl: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) sim_url: String,
    pub(crate) sim_ca: PathBuf,
    pub(crate) operator_url: String,
    /// The folder with the logs.
    pub(crate) dir: PathBuf,
}

impl Running {
    pub(crate) fn of(environment: &mut Environment) -> Result<Self> {
        Ok(Running {
            kubectl: environment.plane.kubectl_program().to_path_buf(),
            kubeconfig: environment.plane.kubeconfig(),
            sim_url: environment.sim.url().to_string(),
            sim_ca: environment.sim.ca().to_path_buf(),
            operator_url: environment.operator()?.admin_url(),
            dir: environment.plane.dir().path().to_path_buf(),
        })
    }

    /// The variables that lead a shell to the environment, as lines that a shell reads.
    pub(crate) fn exports(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| text.push_str(&format!("export {name}={}\n", quote(value)));
        line("KUBECONFIG", &self.kubeconfig.display().to_string());
        line("AZURE_AUTHORITY_HOST", &self.sim_url);
        line("AZURE_RESOURCE_MANAGER_ENDPOINT", &self.sim_url);
        line("AZURE_RESOURCE_MANAGER_AUDIENCE", &self.sim_url);
        line("AZURE_SUBSCRIPTION_ID", demo::SUBSCRIPTION);
        line("AZURE_TENANT_ID", demo::TENANT);
        line("AZURE_CLIENT_ID", demo::CLIENT);
        line("AZURE_CLIENT_SECRET", demo::CLIENT_SECRET);
        line("SSL_CERT_FILE", &self.sim_ca.display().to_string());
        if let Some(dir) = self.kubectl.parent().filter(|dir| !on_path(dir)) {
            text.push_str(&format!("export PATH={}:\"$PATH\"\n", quote(&dir.display().to_string())));
        }
        text
    }

    /// The log of one of the processes.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// The operator's log.
    pub(crate) fn operator_log(&self) -> PathBuf {
        self.log(operator::NAME)
    }
}

fn on_path(dir: &Path) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|entry| entry == dir))
}

/// A word that a POSIX shell reads as it is.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The files under `.local/`.
pub(crate) struct Files {
    dir: PathBuf,
}

impl Files {
    /// The files in `.local/`, or in `$AZUREML_LOCAL`: each such folder stands for one environment.
    pub(crate) fn new() -> Result<Self> {
        let set = std::env::var_os("AZUREML_LOCAL").filter(|dir| !dir.is_empty());
        let dir = azureml_tests::checkout().join(set.unwrap_or_else(|| ".local".into()));
        std::fs::create_dir_all(&dir).map_err(io(&dir, "create"))?;
        Ok(Files { dir })
    }

    /// The variables, for people.
    pub(crate) fn env(&self) -> PathBuf {
        self.dir.join("env")
    }

    /// What the background process prints.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("up.log")
    }

    fn pid_path(&self) -> PathBuf {
        self.dir.join("pid")
    }

    fn running_path(&self) -> PathBuf {
        self.dir.join("environment.json")
    }

    /// Takes the lock that the background process holds as long as it lives; `None`: it lives. The kernel gives the lock
    /// back whatever the process dies of, so neither a stale file nor a reused process id can mislead.
    pub(crate) fn lock(&self) -> Result<Option<File>> {
        let path = self.dir.join("lock");
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io(&path, "open"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(io(&path, "lock")(source)),
        }
    }

    pub(crate) fn write_pid(&self) -> Result<()> {
        self.write(&self.pid_path(), &std::process::id().to_string())
    }

    pub(crate) fn pid(&self) -> Option<i32> {
        std::fs::read_to_string(self.pid_path()).ok()?.trim().parse().ok()
    }

    pub(crate) fn write_running(&self, running: &Running) -> Result<()> {
        let text = serde_json::to_string_pretty(running).map_err(|error| Error::Invalid(error.to_string()))?;
        self.write(&self.env(), &running.exports())?;
        self.write(&self.running_path(), &text)
    }

    /// The running environment, once it is ready.
    pub(crate) fn running(&self) -> Option<Running> {
        serde_json::from_str(&std::fs::read_to_string(self.running_path()).ok()?).ok()
    }

    /// Removes what tells of an environment that is gone.
    pub(crate) fn clear(&self) -> Result<()> {
        for path in [self.running_path(), self.env(), self.pid_path()] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(&path, "remove")(error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path, text: &str) -> Result<()> {
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, text).map_err(io(&fresh, "write"))?;
        std::fs::rename(&fresh, path).map_err(io(path, "write"))
    }
}

fn io(path: &Path, verb: &str) -> impl FnOnce(std::io::Error) -> Error {
    let action = format!("{verb} {}", path.display());
    move |source| Error::Io { action, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        for (word, want) in [
            ("https://127.0.0.1:1/x", "https://127.0.0.1:1/x"),
            ("/a b/c", "'/a b/c'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(quote(word), want, "{word}");
        }
    }
}
