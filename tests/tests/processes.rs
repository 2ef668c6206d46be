//! That children end when the process that started them does, even when that one is killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

const ENV: &str = env!("CARGO_BIN_EXE_azureml-env");

/// A process in the place of a test's: the write end of the pipe is its stdout.
fn parent() -> Child {
    Command::new("sleep").arg("600").stdout(Stdio::piped()).spawn().unwrap()
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what} has not happened");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn read_pid(path: &Path) -> Option<Pid> {
    Pid::from_raw(std::fs::read_to_string(path).ok()?.trim().parse().ok()?)
}

/// A folder for the test, and the number of a process in it that has a child of its own.
fn supervised(name: &str, parent: &mut Child) -> (std::path::PathBuf, Child, Pid) {
    let dir = std::env::temp_dir().join(format!("azureml-test-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(".in-use"), "").unwrap();
    let pid_file = dir.join("pid");
    let script = format!("sleep 600 & echo $! >{0}.new; mv {0}.new {0}; wait", pid_file.display());
    let supervisor = Command::new(ENV)
        .args(["supervise", "--hold"])
        .arg(dir.join(".in-use"))
        .args(["--", "sh", "-c", &script])
        .stdin(Stdio::from(parent.stdout.take().unwrap()))
        .spawn()
        .unwrap();
    wait_for("the start of the grandchild", || pid_file.exists());
    let grandchild = read_pid(&pid_file).unwrap();
    (dir, supervisor, grandchild)
}

#[test]
fn a_killed_parent_takes_the_whole_group_along() {
    let mut parent = parent();
    let (dir, mut supervisor, grandchild) = supervised("group", &mut parent);
    test_kill_process(grandchild).unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert_eq!(supervisor.wait().unwrap().code(), Some(137));
    wait_for("the grandchild's end", || test_kill_process(grandchild).is_err());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_folder_is_removed_after_its_last_user() {
    let (mut user, mut owner) = (parent(), parent());
    let (dir, mut supervisor, _) = supervised("folder", &mut user);
    let mut guard = Command::new(ENV)
        .arg("guard")
        .args([&dir, &dir.join(".in-use")])
        .stdin(Stdio::from(owner.stdout.take().unwrap()))
        .spawn()
        .unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(guard.try_wait().unwrap().is_none(), "the guard did not wait for the folder's user");
    assert!(dir.exists());
    user.kill().unwrap();
    user.wait().unwrap();
    supervisor.wait().unwrap();
    assert!(guard.wait().unwrap().success());
    assert!(!dir.exists());
}

#[test]
fn the_exit_code_is_the_commands_own() {
    let mut parent = parent();
    let mut supervisor = Command::new(ENV)
        .args(["supervise", "--", "sh", "-c", "exit 7"])
        .stdin(Stdio::from(parent.stdout.take().unwrap()))
        .spawn()
        .unwrap();
    assert_eq!(supervisor.wait().unwrap().code(), Some(7));
    parent.kill().unwrap();
    parent.wait().unwrap();
}
