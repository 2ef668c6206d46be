//! Finds the workspace's own binaries, and has cargo bring them up to date first.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result, files};

/// The path of a binary of this workspace, as new as its sources.
///
/// `AZUREML_BIN_DIR` names a folder with binaries that are taken as they are: `make test` builds them all at once
/// before the tests run. Without it, cargo builds the binary; that is asked once in the life of a process.
///
/// # Errors
/// [`Error::Build`] with the compiler's output; [`Error::MissingTool`] if cargo can't be run or the folder lacks it.
pub fn binary(package: &str, name: &str) -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("AZUREML_BIN_DIR").filter(|dir| !dir.is_empty()) {
        let program = files::checkout().join(dir).join(name);
        return program.is_file().then_some(program.clone()).ok_or_else(|| {
            let program = program.display();
            Error::MissingTool(format!(
                "{program} is not there: unset AZUREML_BIN_DIR or run `cargo build --workspace --bins`"
            ))
        });
    }
    if let Some(this) = std::env::current_exe().ok().filter(|this| this.file_stem().is_some_and(|stem| stem == name)) {
        return Ok(this);
    }
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    // The lock is held while cargo runs: tests in other threads of this process wait instead of asking again.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = built.get(name) {
        return Ok(program.clone());
    }
    let program = build(package, name)?;
    built.insert(name.to_string(), program.clone());
    Ok(program)
}

fn build(package: &str, name: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--package", package, "--bin", name, "--message-format", "json-render-diagnostics"]);
    let messages = crate::build::run(command.current_dir(files::checkout()), name)?;
    executable(&messages, name)
        .ok_or_else(|| Error::Invalid(format!("cargo built {package} and named no executable {name}")))
}

/// The executable of that target in cargo's JSON messages, one a line.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_the_one_of_the_named_target() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"sim"},"executable":null}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"sim"},"executable":"/t/sim"}"#,
        );
        assert_eq!(executable(messages, "sim"), Some(PathBuf::from("/t/sim")));
        assert_eq!(executable(messages, "absent"), None);
    }
}
