//! The child side: what `azureml-env supervise` and `azureml-env guard` do.
//!
//! Both hold stdin as a line to the process that started them. The kernel closes it when that process ends, even by
//! SIGKILL, and then they clean up. Nothing else can promise that.

use std::fs::TryLockError;
use std::io::{BufRead, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::files;
use crate::{Error, Result};

/// A line on stdin that asks for the child's end: SIGTERM to its process group.
pub(crate) const TERMINATE: &str = "terminate";
/// A line on stdin that ends the child at once: SIGKILL to its process group.
pub(crate) const KILL: &str = "kill";
/// A line on stdin that stops the child where it is: SIGSTOP to its process group.
pub(crate) const FREEZE: &str = "freeze";
/// A line on stdin that lets a stopped child go on: SIGCONT to its process group.
pub(crate) const THAW: &str = "thaw";
/// How long a guard waits for the users of its folder before it gives up and leaves the folder.
const FOLDER_RELEASED_WITHIN: Duration = Duration::from_secs(30);

/// Runs a command in a process group of its own until it ends, or until stdin closes; then kills the whole group.
/// While it runs it holds a shared lock on `hold`, so that a [`guard`] of the folder knows that it is in use.
///
/// Gives the command's exit code, or 128 and the number of the signal that ended it.
///
/// # Errors
/// If the command can't be started, or `hold` can't be locked.
pub fn supervise(command: &[String], hold: Option<&Path>) -> Result<u8> {
    let _held = hold.map(hold_shared).transpose()?;
    let (program, arguments) =
        command.split_first().ok_or_else(|| Error::Invalid("supervise: no command is given after --".into()))?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(Error::io(format!("start {program}")))?;
    let group = Group::of(&child)?;
    std::thread::spawn({
        let group = group.clone();
        move || obey(&group)
    });
    Ok(exit_code(group.reap(child)?))
}

/// Removes a folder once stdin is closed and no [`supervise`] holds its lock file any more.
///
/// # Errors
/// If the folder is still in use after half a minute, or can't be removed.
pub fn guard(dir: &Path, hold: &Path) -> Result<()> {
    let mut ignored = Vec::new();
    // An error on the pipe means the same as its end: nobody is there.
    let _ = std::io::stdin().read_to_end(&mut ignored);
    let lock = files::open_lock(hold)?;
    let started = Instant::now();
    while let Err(error) = lock.try_lock() {
        match error {
            TryLockError::WouldBlock if started.elapsed() < FOLDER_RELEASED_WITHIN => {
                std::thread::sleep(Duration::from_millis(10));
            }
            TryLockError::WouldBlock => {
                return Err(Error::TimedOut(format!("{} is still in use, so it is left there", dir.display())));
            }
            TryLockError::Error(source) => return Err(Error::io(format!("lock {}", hold.display()))(source)),
        }
    }
    std::fs::remove_dir_all(dir).map_err(Error::io(format!("remove {}", dir.display())))
}

fn hold_shared(path: &Path) -> Result<std::fs::File> {
    // Not created if absent: then the folder was removed already, and this process comes too late.
    let file = std::fs::File::open(path).map_err(Error::io(format!("open {}", path.display())))?;
    file.lock_shared().map_err(Error::io(format!("lock {}", path.display())))?;
    Ok(file)
}

/// Carries out the parent's words, and kills the group when the parent is gone.
fn obey(group: &Group) {
    for line in std::io::stdin().lock().lines().map_while(std::io::Result::ok) {
        match line.as_str() {
            TERMINATE => group.signal(Signal::TERM),
            KILL => group.signal(Signal::KILL),
            FREEZE => group.signal(Signal::STOP),
            THAW => group.signal(Signal::CONT),
            _ => {}
        }
    }
    group.signal(Signal::KILL);
}

/// A child's process group, until the child is reaped: after that its number may belong to someone else.
#[derive(Clone)]
struct Group(Arc<Mutex<Option<Pid>>>);

impl Group {
    fn of(child: &Child) -> Result<Self> {
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or_else(|| Error::Invalid(format!("{} is no process id", child.id())))?;
        Ok(Group(Arc::new(Mutex::new(Some(id)))))
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // The one failure is that nobody is left in the group, which is what was wanted.
            let _ = kill_process_group(id, signal);
        }
    }

    /// Waits for the child's end, then ends what it started itself, and gives its number back.
    fn reap(&self, mut child: Child) -> Result<ExitStatus> {
        let id = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = id {
            // Looks without reaping: the group's number stays ours until `wait` below.
            while let Err(rustix::io::Errno::INTR) =
                waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            {}
        }
        self.signal(Signal::KILL);
        let mut id = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = child.wait().map_err(Error::io("wait for the supervised process"))?;
        *id = None;
        Ok(status)
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    u8::try_from(code).unwrap_or(255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_shell() {
        for (raw, want) in [(0, 0), (7 << 8, 7), (9, 137), (15, 143)] {
            assert_eq!(exit_code(ExitStatus::from_raw(raw)), want, "{raw:#x}");
        }
    }
}
