//! Tests written in Go, where what judges is a Go library: run with the toolchain, their outcomes told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::{Error, Result};

/// Runs a program of the Go toolchain in a module's folder.
///
/// # Errors
/// [`Error::MissingTool`] without Go.
pub fn run(program: &str, module: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(program);
    command.args(args).current_dir(module).envs(env.iter().copied());
    command.output().map_err(|error| {
        Error::MissingTool(format!(
            "{program} has to be on the PATH, from Go 1.26 or newer (https://go.dev/dl): {error}"
        ))
    })
}

/// Runs a module's tests, with further arguments of `go test`. Gives how many passed, those left out that have tests within.
///
/// # Errors
/// If one failed or was skipped, or none ran; the error holds all that they printed.
pub fn test(module: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<usize> {
    let output = run("go", module, &[&["test", "-json", "-count=1"], args].concat(), env)?;
    let run = Outcomes::read(&output);
    let bad = run.bad();
    if output.status.success() && bad.is_empty() && !run.ends.is_empty() {
        return Ok(run.ends.len());
    }
    Err(Error::Invalid(format!("{bad:#?}\n{}", run.printed)))
}

/// What gofmt and `go vet` find in a module; empty if nothing.
///
/// # Errors
/// [`Error::MissingTool`] without Go.
pub fn faults(module: &Path) -> Result<String> {
    let mut faults = String::new();
    for (program, args) in [("gofmt", ["-l", "."]), ("go", ["vet", "./..."])] {
        let output = run(program, module, &args, &[])?;
        // gofmt lists on stdout and succeeds; what go says on stderr of a success is which modules it downloads.
        let clean = output.status.success() && output.stdout.is_empty();
        let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        if !clean {
            faults.push_str(&format!("{program}: {printed}"));
        }
    }
    Ok(faults)
}

/// What became of each Go test that has no tests within it, and all that the tests printed.
struct Outcomes {
    ends: BTreeMap<String, String>,
    printed: String,
}

impl Outcomes {
    fn read(output: &Output) -> Self {
        let mut ends: BTreeMap<String, String> = BTreeMap::new();
        let mut printed = String::from_utf8_lossy(&output.stderr).into_owned();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else {
                printed.push_str(&format!("{line}\n"));
                continue;
            };
            printed.push_str(event["Output"].as_str().unwrap_or_default());
            if let (Some(test), Some(end @ ("pass" | "fail" | "skip"))) =
                (event["Test"].as_str(), event["Action"].as_str())
            {
                ends.insert(test.to_string(), end.to_string());
            }
        }
        let parents: BTreeSet<String> =
            ends.keys().filter_map(|name| Some(name.rsplit_once('/')?.0.to_string())).collect();
        // A failure is told of the parent, too.
        ends.retain(|name, end| !parents.contains(name) || end == "fail");
        Outcomes { ends, printed }
    }

    /// The tests that didn't pass.
    fn bad(&self) -> Vec<String> {
        self.ends.iter().filter(|(_, end)| *end != "pass").map(|(name, end)| format!("{end}: {name}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_go_tests_tell_is_read() {
        use std::os::unix::process::ExitStatusExt;
        let events = [
            r#"{"Action":"run","Test":"TestA"}"#,
            r#"{"Action":"output","Test":"TestA/one","Output":"words\n"}"#,
            r#"{"Action":"pass","Test":"TestA/one"}"#,
            r#"{"Action":"skip","Test":"TestA/two"}"#,
            r#"{"Action":"pass","Test":"TestA"}"#,
            r#"{"Action":"fail","Test":"TestB/three"}"#,
            r#"{"Action":"fail","Test":"TestB"}"#,
            r#"{"Action":"pass","Test":"TestC"}"#,
            r#"{"Action":"fail","Package":"p"}"#,
            "not JSON",
        ];
        let status = std::process::ExitStatus::from_raw(256);
        let run = Outcomes::read(&Output { status, stdout: events.join("\n").into_bytes(), stderr: b"go: ".to_vec() });
        assert_eq!(run.bad(), ["skip: TestA/two", "fail: TestB", "fail: TestB/three"]);
        assert_eq!(run.ends.len(), 5);
        assert_eq!(run.printed, "go: words\nnot JSON\n");
    }
}
