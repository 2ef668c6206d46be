//! The chart, as the real helm renders and installs it.

pub mod values;

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::tools::Tool;
use crate::{ControlPlane, Error, Result, RunDir, files};

/// Where the chart lies in this checkout.
pub const CHART: &str = "charts/azureml-operator";

/// Runs helm in this checkout, with a home of its own: nobody's repositories or plugins take part.
///
/// # Errors
/// If helm can't be built, or fails; the error holds its words.
pub fn helm(home: &Path, kubeconfig: Option<&Path>, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(Tool::Helm.find_or_build()?);
    command.args(arguments).current_dir(files::checkout()).env_remove("HELM_NAMESPACE").env_remove("KUBECONFIG");
    for (variable, folder) in [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
    {
        command.env(variable, home.join("helm").join(folder));
    }
    if let Some(kubeconfig) = kubeconfig {
        command.env("KUBECONFIG", kubeconfig);
    }
    let output = command.output().map_err(Error::io("run helm"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(Error::Invalid(format!("`helm {}` failed: {}", arguments.join(" "), told.trim())))
}

/// What the chart renders for a release of this name, with values.
///
/// # Errors
/// As [`helm`]; if what it prints isn't YAML.
pub fn render(release: &str, namespace: &str, values: &Value) -> Result<Vec<Value>> {
    let dir = RunDir::new("chart")?;
    let file = dir.path().join("values.json");
    files::write_atomically(&file, &values.to_string())?;
    let file = file.display().to_string();
    let text = helm(dir.path(), None, &["template", release, CHART, "--namespace", namespace, "--values", &file])?;
    documents(&text)
}

/// The documents of a YAML text, without empty ones.
///
/// # Errors
/// If it isn't YAML.
pub fn documents(text: &str) -> Result<Vec<Value>> {
    let read = |document| Value::deserialize(document).map_err(|error| Error::Invalid(format!("no YAML: {error}")));
    let all = serde_yaml_ng::Deserializer::from_str(text).map(read).collect::<Result<Vec<Value>>>()?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}

/// Installs the chart, or upgrades what is installed; returns what helm says, the notes with it.
///
/// # Errors
/// As [`helm`].
pub fn install(plane: &ControlPlane, release: &str, namespace: &str, values: &Value) -> Result<String> {
    install_from(plane, CHART, release, namespace, values)
}

/// As [`install`], from a chart elsewhere: a folder or a packed one.
///
/// # Errors
/// As [`helm`].
pub fn install_from(
    plane: &ControlPlane,
    chart: &str,
    release: &str,
    namespace: &str,
    values: &Value,
) -> Result<String> {
    let file = plane.dir().path().join(format!("{release}-values.json"));
    files::write_atomically(&file, &values.to_string())?;
    let file = file.display().to_string();
    let arguments =
        ["upgrade", "--install", release, chart, "--namespace", namespace, "--create-namespace", "--values", &file];
    helm(plane.dir().path(), Some(&plane.kubeconfig()), &arguments)
}

/// Uninstalls a release; returns what helm says.
///
/// # Errors
/// As [`helm`].
pub fn uninstall(plane: &ControlPlane, release: &str, namespace: &str) -> Result<String> {
    helm(plane.dir().path(), Some(&plane.kubeconfig()), &["uninstall", release, "--namespace", namespace])
}
