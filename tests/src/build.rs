//! Runs a build, and says that it is at work while it takes long.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::files::{PROGRESS_EVERY, last_lines, say};
use crate::{Error, Result};

/// How many of a failed build's last lines its error holds.
const LINES: usize = 40;

/// Runs a build to its end and gives what it printed on stdout.
///
/// # Errors
/// [`Error::MissingTool`] if the program can't be run, [`Error::Build`] with the end of stderr if it fails.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<String> {
    let started = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::MissingTool(format!("cannot run {program} to build {what}: {error}")))?;
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let mut said = Duration::ZERO;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(Error::io(format!("wait for {program}")))? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
        if started.elapsed() >= said + PROGRESS_EVERY {
            said = started.elapsed();
            say(&format!("  still building {what} ({} s)", said.as_secs()));
        }
    };
    let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
    if status.success() {
        return Ok(stdout);
    }
    Err(Error::Build { what: what.into(), status: status.to_string(), output: last_lines(&stderr, LINES) })
}

/// Reads a pipe to its end beside the build, so that a full pipe never holds it up.
fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // A pipe that breaks ends the text early; the exit status tells whether the build went well.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_gives_its_output_or_its_last_words() {
        let shell = |script: &str| run(Command::new("sh").args(["-c", script]), "it");
        assert_eq!(shell("echo made; echo noise >&2").unwrap(), "made\n");
        let error = shell("echo first >&2; echo last >&2; exit 3").unwrap_err().to_string();
        assert!(error.contains("building it failed (exit status: 3)") && error.ends_with("first\nlast"), "{error}");
        let absent = run(&mut Command::new("/no/such/compiler"), "it").unwrap_err();
        assert!(matches!(absent, Error::MissingTool(_)), "{absent}");
    }
}
