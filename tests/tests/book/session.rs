//! One reader at a terminal: a page's commands run in its order in a folder that looks like the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use azureml_tests::{ControlPlane, RunDir, Sim, binary, checkout, operator, sim::demo, tools::Tool};

use super::page::{Block, Page};

/// How long one block may take. Waits in it have their own, shorter ones.
const LONGEST: &str = "300";
/// What commands of pages read or run from the checkout.
const LINKED: [&str; 4] = ["charts", "crds", "deploy", "src"];

/// A page being read, from its first command to its last.
pub struct Session {
    dir: PathBuf,
    env: Vec<(String, String)>,
}

impl Session {
    /// A folder beside the environment's, with the programs that a reader has on the PATH.
    pub fn new(page: &Page, plane: &ControlPlane, sim: &Sim, run: &RunDir) -> Self {
        let dir = run.path().join(page.path.display().to_string().replace('/', "-"));
        let bin = dir.join(".bin");
        std::fs::create_dir_all(&bin).unwrap();
        for folder in LINKED {
            std::os::unix::fs::symlink(checkout().join(folder), dir.join(folder)).unwrap();
        }
        let programs = [
            ("kubectl", plane.kubectl_program().to_path_buf()),
            ("helm", Tool::Helm.find_or_build().unwrap()),
            ("kubectl-azureml", binary("kubectl-azureml", "kubectl-azureml").unwrap()),
            ("azureml-operator", binary("azureml-operator", "azureml-operator").unwrap()),
        ];
        for (name, program) in programs {
            std::os::unix::fs::symlink(program, bin.join(name)).unwrap();
        }
        let home = dir.join(".home");
        let text = |path: &Path| path.display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut env = vec![
            ("PATH".to_owned(), format!("{}:{path}", text(&bin))),
            ("HOME".to_owned(), text(&home)),
            ("KUBECONFIG".to_owned(), text(&plane.kubeconfig())),
            ("KUBECACHEDIR".to_owned(), text(&home.join("kubectl"))),
            ("AZURE_SUBSCRIPTION_ID".to_owned(), demo::SUBSCRIPTION.to_owned()),
            ("AZURE_TENANT_ID".to_owned(), demo::TENANT.to_owned()),
            ("AZURE_CLIENT_ID".to_owned(), demo::CLIENT.to_owned()),
            ("AZURE_CLIENT_SECRET".to_owned(), demo::CLIENT_SECRET.to_owned()),
        ];
        env.extend(operator::environment(sim));
        Session { dir, env }
    }

    /// Sets a variable, as a reader does with a value of their own.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Saves a block as the file that the page says.
    pub fn save(&self, name: &str, text: &str) {
        std::fs::write(self.dir.join(name), text).unwrap();
    }

    /// Runs a block of commands; gives what it printed.
    ///
    /// # Errors
    /// With all that it printed, if it fails.
    pub fn run(&self, commands: &str) -> Result<String, String> {
        // Exported variables live on, as in a terminal.
        let script = format!(
            "set -euo pipefail\nif [ -f .exports ]; then source .exports; fi\n{commands}\nexport -p >.exports\n"
        );
        let output = Command::new("timeout")
            .args(["--kill-after=5", LONGEST, "bash", "-c", &script])
            .current_dir(&self.dir)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .output()
            .map_err(|error| error.to_string())?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(told);
        }
        Err(format!("{}\n{told}{}", output.status, String::from_utf8_lossy(&output.stderr)))
    }

    /// Runs a `console` block: each command after its `$ `, whose output has to be what the page shows.
    ///
    /// # Errors
    /// With both, where they differ.
    pub fn run_shown(&self, block: &Block) -> Result<usize, String> {
        let steps = shown(&block.text);
        for (command, expected) in &steps {
            // A command that is shown to fail says so by its words.
            let told = self.run(&format!("({command}) 2>&1 || true"))?;
            if !matches(expected, &told) {
                return Err(format!("`{command}` printed\n{told}\nwhere the page shows\n{expected}"));
            }
        }
        Ok(steps.len())
    }
}

/// The commands of a `console` block, each with the output that follows it.
pub fn shown(text: &str) -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push((command.to_owned(), String::new()));
            goes_on = command.ends_with('\\');
        } else if let Some((command, output)) = steps.last_mut() {
            let to = if goes_on { command } else { output };
            if goes_on || !to.is_empty() {
                to.push('\n');
            }
            to.push_str(line);
            goes_on = goes_on && line.ends_with('\\');
        }
    }
    steps
}

/// Whether an output is as the page shows it: `…` stands for anything in its line, alone on a line for any lines, and
/// blanks for any blanks.
pub fn matches(shown: &str, told: &str) -> bool {
    let lines = |text: &str| text.lines().map(squeezed).filter(|line| !line.is_empty()).collect::<Vec<_>>();
    all_match(&lines(shown), &lines(told))
}

fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn all_match(shown: &[String], told: &[String]) -> bool {
    match (shown.split_first(), told.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "…" => (0..=told.len()).any(|skip| all_match(rest, &told[skip..])),
        (Some((first, rest)), Some((line, more))) => line_matches(first, line) && all_match(rest, more),
        _ => false,
    }
}

fn line_matches(shown: &str, told: &str) -> bool {
    let parts: Vec<&str> = shown.split('…').map(str::trim).collect();
    let [first, middle @ .., last] = parts.as_slice() else { return shown == told };
    let Some(mut rest) = told.strip_prefix(first) else { return false };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[test]
fn outputs_are_compared_as_shown() {
    let block = "$ kubectl get x \\\n    -n y\nNAME  AGE\na     …\n$ true\n";
    let steps = shown(block);
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[0], ("kubectl get x \\\n    -n y".to_owned(), "NAME  AGE\na     …".to_owned()));
    for (shown, told, same) in [
        ("NAME  AGE\na     …", "NAME AGE\na    5s\n", true),
        ("NAME  AGE\na     …", "NAME AGE\nb    5s\n", false),
        ("a\n…\nb", "a\nx\ny\nb\n", true),
        ("a\n…\nb", "a\nx\ny\n", false),
        ("a … c", "a b c", true),
        ("a … c", "a b d", false),
        ("", "", true),
        ("", "something", false),
    ] {
        assert_eq!(matches(shown, told), same, "{shown:?} {told:?}");
    }
}
