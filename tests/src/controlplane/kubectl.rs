//! Runs kubectl.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Error, Result, checkout};

/// Runs kubectl with a kubeconfig in the checkout's root, and gives what it printed on stdout.
///
/// # Errors
/// [`Error::Command`] with what it printed on stderr, if it ends with an error.
pub fn run(program: &Path, kubeconfig: &Path, arguments: &[&str], input: &str) -> Result<String> {
    let failed = || format!("run {}", program.display());
    let mut child = Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        // kubectl remembers what a server at an address serves. Ports come back, and each server here is another one.
        .env("KUBECACHEDIR", kubeconfig.with_file_name("kubectl-cache"))
        .current_dir(checkout())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::io(failed()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A kubectl that ends without reading says itself why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(Error::io(failed()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Command {
        command: format!("kubectl {}", arguments.join(" ")),
        status: output.status.to_string(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
