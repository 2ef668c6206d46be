//! The programs of the control plane, helm and Flux's kustomize-controller: found where the user has them, else built with Go and kept.
//!
//! `KUBEBUILDER_ASSETS` names a folder that holds them, as it does for Go's envtest; what isn't there is built from
//! the pinned modules under `tests/controlplane` into a cache outside the checkout
//! (`$AZUREML_CACHE`, else `$XDG_CACHE_HOME`, else `~/.cache`), once for each set of pinned versions.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::{Error, Result, files};

/// The version of Kubernetes that `tests/controlplane/kubernetes/go.mod` pins.
pub const KUBERNETES_VERSION: &str = "v1.36.3";
/// The version of etcd that `tests/controlplane/etcd/go.mod` pins.
pub const ETCD_VERSION: &str = "v3.7.3";
/// The version of helm that `tests/controlplane/helm/go.mod` pins.
pub const HELM_VERSION: &str = "v4.3.1";
/// The version of kubeconform that `tests/controlplane/kubeconform/go.mod` pins.
pub const KUBECONFORM_VERSION: &str = "v0.8.0";
/// The version of Flux's kustomize-controller that `tests/controlplane/flux/go.mod` pins.
pub const FLUX_VERSION: &str = "v1.9.5";
/// kubectl supports servers within one minor version, and is lenient to a few more: the oldest one that is taken.
const OLDEST_KUBECTL_MINOR: u32 = 33;

/// A program of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// The API server's store.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// The controllers that end namespaces and make service accounts.
    KubeControllerManager,
    /// The command line.
    Kubectl,
    /// What installs charts.
    Helm,
    /// What holds manifests against schemas.
    Kubeconform,
    /// What applies the manifests of a Git repository for Flux.
    KustomizeController,
}

impl Tool {
    /// Every tool, the quickest to build first.
    pub const ALL: [Tool; 7] = [
        Tool::Kubeconform,
        Tool::Etcd,
        Tool::Helm,
        Tool::KubeApiserver,
        Tool::KubeControllerManager,
        Tool::Kubectl,
        Tool::KustomizeController,
    ];

    /// The file name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Etcd => "etcd",
            Tool::KubeApiserver => "kube-apiserver",
            Tool::KubeControllerManager => "kube-controller-manager",
            Tool::Kubectl => "kubectl",
            Tool::Helm => "helm",
            Tool::Kubeconform => "kubeconform",
            Tool::KustomizeController => "kustomize-controller",
        }
    }

    fn source(self) -> Source {
        match self {
            Tool::Etcd => Source {
                module: "etcd",
                package: "go.etcd.io/etcd/server/v3",
                version: ETCD_VERSION,
                usual: "1 min",
                ldflags: "-s -w".into(),
            },
            Tool::Helm => Source {
                module: "helm",
                package: "helm.sh/helm/v4/cmd/helm",
                version: HELM_VERSION,
                usual: "2 min",
                // As a release says of itself: charts ask for it.
                ldflags: format!("-s -w -X helm.sh/helm/v4/internal/version.version={HELM_VERSION}"),
            },
            Tool::Kubeconform => Source {
                module: "kubeconform",
                package: "github.com/yannh/kubeconform/cmd/kubeconform",
                version: KUBECONFORM_VERSION,
                usual: "10 s",
                ldflags: "-s -w".into(),
            },
            Tool::KustomizeController => Source {
                module: "flux",
                package: "github.com/fluxcd/kustomize-controller",
                version: FLUX_VERSION,
                usual: "3 min",
                ldflags: "-s -w".into(),
            },
            Tool::KubeApiserver => Source::kubernetes("k8s.io/kubernetes/cmd/kube-apiserver", "5 min"),
            Tool::KubeControllerManager => Source::kubernetes("k8s.io/kubernetes/cmd/kube-controller-manager", "2 min"),
            Tool::Kubectl => Source::kubernetes("k8s.io/kubernetes/cmd/kubectl", "1 min"),
        }
    }

    /// The program's path; builds it if it is nowhere, which takes minutes and is said on stderr.
    /// Processes that ask at the same time build once.
    ///
    /// # Errors
    /// [`Error::MissingTool`] without Go, [`Error::Build`] with the end of its output if the build fails.
    pub fn find_or_build(self) -> Result<PathBuf> {
        if let Some(found) = self.installed() {
            return Ok(found);
        }
        let source = self.source();
        let module = files::checkout().join("tests/controlplane").join(source.module);
        let home = cache_dir()?.join("controlplane").join(source.cache_key(&module)?);
        let program = home.join(self.name());
        if program.is_file() {
            return Ok(program);
        }
        files::create_dir_all(&home)?;
        let lock_path = home.with_file_name("build.lock");
        let _lock = files::lock(&lock_path, "that builds the control plane")?;
        if !program.is_file() {
            build(self, &source, &module, &program)?;
        }
        Ok(program)
    }

    /// The program where the user has it: in `KUBEBUILDER_ASSETS`, and a recent kubectl anywhere on the PATH.
    fn installed(self) -> Option<PathBuf> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(|dir| Path::new(&dir).join(self.name()));
        if let Some(program) = assets.filter(|program| program.is_file()) {
            return Some(program);
        }
        if self != Tool::Kubectl {
            return None;
        }
        let found = on_path(self.name())?;
        let output = Command::new(&found).args(["version", "--client", "-o", "json"]).output().ok()?;
        let version: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        recent_enough(version["clientVersion"]["gitVersion"].as_str()?).then_some(found)
    }
}

/// Where a tool is built from.
struct Source {
    /// The folder under `tests/controlplane`.
    module: &'static str,
    package: &'static str,
    version: &'static str,
    /// What a first build takes on two cores.
    usual: &'static str,
    ldflags: String,
}

impl Source {
    fn kubernetes(package: &'static str, usual: &'static str) -> Self {
        let mut parts = KUBERNETES_VERSION.trim_start_matches('v').split('.');
        let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let mut ldflags = "-s -w".to_string();
        // A release is stamped by the linker; without it the API server calls itself v0.0.0, and clients and
        // feature gates that compare versions take it for a very old one.
        for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
            for (name, value) in [
                ("gitVersion", KUBERNETES_VERSION),
                ("gitMajor", major),
                ("gitMinor", minor),
                ("gitTreeState", "clean"),
            ] {
                ldflags.push_str(&format!(" -X {package}.{name}={value}"));
            }
        }
        Source { module: "kubernetes", package, version: KUBERNETES_VERSION, usual, ldflags }
    }

    /// A folder name that changes with anything that changes the program.
    fn cache_key(&self, module: &Path) -> Result<String> {
        let mut hash = Sha256::new();
        for part in [files::read(&module.join("go.mod"))?, files::read(&module.join("go.sum"))?, self.ldflags.clone()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let digest: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("{}-{}-{}-{digest}", self.module, self.version, std::env::consts::ARCH))
    }
}

/// The folder for what is expensive to make again: `$AZUREML_CACHE`, else the user's cache folder.
pub(crate) fn cache_dir() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("AZUREML_CACHE")
        .or_else(|| set("XDG_CACHE_HOME"))
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|dir| dir.join("azureml-operator"))
        .ok_or_else(|| Error::MissingTool("no folder for built tools: set AZUREML_CACHE or HOME".into()))
}

/// Builds one program beside its final place and renames it, so that a killed build leaves nothing that looks whole.
fn build(tool: Tool, source: &Source, module: &Path, program: &Path) -> Result<()> {
    let name = tool.name();
    if on_path("go").is_none() {
        return Err(Error::MissingTool(format!(
            "{name} {} has to be built and Go is not on the PATH: install Go 1.26 or newer (https://go.dev/dl), \
             or set KUBEBUILDER_ASSETS to a folder that holds etcd, kube-apiserver, kube-controller-manager and kubectl",
            source.version
        )));
    }
    files::say(&format!(
        "building {name} {} with Go, once; on two cores this takes about {} ({})",
        source.version,
        source.usual,
        program.display()
    ));
    let started = Instant::now();
    let unfinished = program.with_file_name(format!(".{name}.unfinished"));
    let mut command = Command::new("go");
    command.args(["build", "-trimpath", "-ldflags", &source.ldflags, "-o"]);
    command.args([unfinished.as_os_str(), OsStr::new(source.package)]).current_dir(module);
    // A static program needs no C compiler, and runs on any distribution that shares the cache.
    command.env("CGO_ENABLED", "0");
    crate::build::run(&mut command, name)?;
    std::fs::rename(&unfinished, program).map_err(Error::io(format!("put {} in its place", program.display())))?;
    files::say(&format!("built {name} in {} s", started.elapsed().as_secs()));
    Ok(())
}

/// The first file of that name in the PATH's folders.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// Whether a kubectl of this version does with the API server that is pinned here.
fn recent_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.');
    let mut next = || numbers.next()?.parse::<u32>().ok();
    matches!((next(), next()), (Some(1), Some(minor)) if minor >= OLDEST_KUBECTL_MINOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_is_taken_from_the_path_only_when_recent() {
        for (version, want) in [
            ("v1.36.3", true),
            ("v1.33.0-gke.1", true),
            ("v1.32.4-dispatcher", false),
            ("v1.9.0", false),
            ("v0.36.0", false),
            ("", false),
            ("nonsense", false),
        ] {
            assert_eq!(recent_enough(version), want, "{version}");
        }
    }

    #[test]
    fn the_versions_here_are_the_ones_that_the_modules_pin() {
        let modules = files::checkout().join("tests/controlplane");
        for (module, line) in [
            ("kubernetes", format!("k8s.io/kubernetes {KUBERNETES_VERSION}")),
            ("etcd", format!("go.etcd.io/etcd/server/v3 {ETCD_VERSION}")),
            ("kubeconform", format!("github.com/yannh/kubeconform {KUBECONFORM_VERSION}")),
            ("flux", format!("github.com/fluxcd/kustomize-controller {FLUX_VERSION}")),
        ] {
            let text = files::read(&modules.join(module).join("go.mod")).unwrap();
            assert!(text.contains(&line), "{module}/go.mod does not require {line}");
        }
    }

    #[test]
    fn the_linker_stamps_the_version_that_is_built() {
        let source = Tool::KubeApiserver.source();
        for want in ["version.gitVersion=v1.36.3", "version.gitMajor=1", "version.gitMinor=36"] {
            assert_eq!(source.ldflags.matches(want).count(), 2, "{want} in {}", source.ldflags);
        }
    }
}
