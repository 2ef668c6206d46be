//! The parent side: a process that ends when this one does.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::supervise::{FREEZE, KILL, TERMINATE, THAW};
use crate::{Error, Result, RunDir, cargo, files};

/// What to start.
#[derive(Debug, Clone)]
pub struct Spec {
    /// What messages call it; also the name of its log file.
    pub name: String,
    /// The program's file.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables that are set for it, besides this process's own.
    pub env: Vec<(String, OsString)>,
    /// Variables of this process that it must not see.
    pub env_remove: Vec<String>,
}

impl Spec {
    /// A process without arguments.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        let (name, program) = (name.into(), program.into());
        Spec { name, program, args: Vec::new(), env: Vec::new(), env_remove: Vec::new() }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }
}

/// A process under `azureml-env supervise`. Dropping it kills the process and all that it started.
#[derive(Debug)]
pub struct Supervised {
    name: String,
    log: PathBuf,
    supervisor: Child,
    /// Closing it is what ends the process.
    line: Option<ChildStdin>,
}

impl Supervised {
    /// Starts a process; what it prints is appended to `<name>.log` in the run's folder.
    ///
    /// # Errors
    /// If the supervisor can't be built or started. A program that can't be started shows as a process that ended.
    pub fn start(spec: &Spec, dir: &RunDir) -> Result<Self> {
        let log = dir.path().join(format!("{}.log", spec.name));
        let out = OpenOptions::new().create(true).append(true).open(&log);
        let out = out.map_err(Error::io(format!("open {}", log.display())))?;
        let err = out.try_clone().map_err(Error::io(format!("open {}", log.display())))?;
        let mut command = Command::new(cargo::binary("azureml-tests", "azureml-env")?);
        command.arg("supervise").arg("--hold").arg(dir.hold()).arg("--").arg(&spec.program).args(&spec.args);
        for name in &spec.env_remove {
            command.env_remove(name);
        }
        command.envs(spec.env.iter().map(|(name, value)| (name, value)));
        // A group of its own: Ctrl-C at the terminal ends the parent, and the supervisor lives on to clean up.
        command.stdin(Stdio::piped()).stdout(out).stderr(err).process_group(0);
        let mut supervisor = command.spawn().map_err(Error::io(format!("start the supervisor of {}", spec.name)))?;
        let line = supervisor.stdin.take();
        Ok(Supervised { name: spec.name.clone(), log, supervisor, line })
    }

    /// The file that holds everything that the process printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How the process ended, if it did.
    ///
    /// # Errors
    /// If the operating system doesn't tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.supervisor.try_wait().map_err(Error::io(format!("look after {}", self.name)))
    }

    /// Kills the process with SIGKILL, as a node that fails would, and waits until it is gone.
    ///
    /// # Errors
    /// If the operating system doesn't tell its end.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.say(KILL);
        self.supervisor.wait().map_err(Error::io(format!("wait for the end of {}", self.name)))
    }

    /// Stops the process where it is, as a node does that has no time for it.
    pub fn freeze(&mut self) {
        self.say(FREEZE);
    }

    /// Lets a stopped process go on.
    pub fn thaw(&mut self) {
        self.say(THAW);
    }

    /// Asks the process to end with SIGTERM and waits; kills it when `grace` is over.
    /// The status tells which it was: a killed process has the code 137.
    ///
    /// # Errors
    /// If the operating system doesn't tell its end.
    pub fn stop(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.say(TERMINATE);
        let started = Instant::now();
        while started.elapsed() < grace {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill()
    }

    /// An error that says what this process did wrong, with the end of its log.
    pub(crate) fn failure(&self, problem: impl Into<String>) -> Error {
        let tail = files::tail(&self.log, 20);
        Error::NotReady { what: self.name.clone(), problem: problem.into(), log: self.log.clone(), tail }
    }

    fn say(&mut self, word: &str) {
        if let Some(line) = &mut self.line {
            // A supervisor that is gone already can't be told, and need not be.
            let _ = writeln!(line, "{word}");
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.line = None;
        // Waits, so that ports and files are free when the drop is over. It never takes long: the end is a SIGKILL.
        let _ = self.supervisor.wait();
    }
}
