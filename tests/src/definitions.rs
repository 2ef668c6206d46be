//! Custom resource definitions of other projects, read from their Go modules and kept beside the built tools.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::tools::{cache_dir, on_path};
use crate::{Error, Result, files};

/// A Go module that holds definitions.
#[derive(Debug, Clone, Copy)]
pub struct Module {
    /// Its path.
    pub path: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The checksum of its content, as go.sum has it.
    pub sum: &'static str,
    /// The folder in it whose YAML files are the definitions.
    pub folder: &'static str,
}

/// What Flux's examples and its kustomize-controller need.
pub const FLUX: [Module; 3] = [
    Module {
        path: "github.com/fluxcd/kustomize-controller",
        version: crate::tools::FLUX_VERSION,
        sum: "h1:/XY2zy3K7fntyppEXIHG7oRMzmfgIt50eJzUfaPX1Kc=",
        folder: "config/crd/bases",
    },
    Module {
        path: "github.com/fluxcd/source-controller",
        version: "v1.9.0",
        sum: "h1:5msg2yyjVYDULZos+2ve8MZzcSqTpusiXmrOeBhc9yY=",
        folder: "config/crd/bases",
    },
    Module {
        path: "github.com/fluxcd/helm-controller",
        version: "v1.6.0",
        sum: "h1:jlS5X11SG26gspubB5aLrdVSCm0q0tA4ULsY+vwSkL0=",
        folder: "config/crd/bases",
    },
];

/// What the chart's ServiceMonitor, PodMonitor and PrometheusRule are instances of.
pub const MONITORING: Module = Module {
    path: "github.com/prometheus-operator/prometheus-operator",
    version: "v0.85.0",
    sum: "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
    folder: "example/prometheus-operator-crd",
};

impl Module {
    /// A folder that holds the definitions; asks Go for the module if it was never asked before.
    ///
    /// # Errors
    /// [`Error::MissingTool`] without Go, [`Error::Build`] if the module can't be had, [`Error::Invalid`] if it isn't the
    /// one that is pinned.
    pub fn find_or_fetch(&self) -> Result<PathBuf> {
        let name = self.path.rsplit('/').next().unwrap_or(self.path);
        let home = cache_dir()?.join("definitions").join(format!("{name}-{}", self.version));
        if home.is_dir() {
            return Ok(home);
        }
        let above = home.parent().unwrap_or(&home);
        files::create_dir_all(above)?;
        let _lock = files::lock(&above.join("fetch.lock"), "that fetches definitions")?;
        if !home.is_dir() {
            self.fetch(name, &home)?;
        }
        Ok(home)
    }

    fn fetch(&self, name: &str, home: &Path) -> Result<()> {
        let module = format!("{}@{}", self.path, self.version);
        if on_path("go").is_none() {
            let text = format!("the definitions of {module} come from Go's modules, and Go is not on the PATH");
            return Err(Error::MissingTool(text));
        }
        let above = home.parent().unwrap_or(home);
        let mut command = Command::new("go");
        // Outside any module: its dependencies take no part.
        command.args(["mod", "download", "-json", &module]).current_dir(above).env("GOFLAGS", "-mod=mod");
        let text = crate::build::run(&mut command, name)?;
        let told: Value = serde_json::from_str(&text)
            .map_err(|error| Error::Invalid(format!("go mod download {module} printed no JSON: {error}")))?;
        if told["Sum"] != self.sum {
            let sum = &told["Sum"];
            return Err(Error::Invalid(format!("{module} has the checksum {sum}, not {}: don't use it", self.sum)));
        }
        let folder = Path::new(told["Dir"].as_str().unwrap_or_default()).join(self.folder);
        let unfinished = above.join(format!(".{name}.unfinished"));
        files::create_dir_all(&unfinished)?;
        let entries = std::fs::read_dir(&folder).map_err(Error::io(format!("read {}", folder.display())))?;
        for entry in entries {
            let path = entry.map_err(Error::io(format!("read {}", folder.display())))?.path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let file = unfinished.join(path.file_name().unwrap_or_default());
                files::write_atomically(&file, &files::read(&path)?)?;
            }
        }
        std::fs::rename(&unfinished, home).map_err(Error::io(format!("put {} in its place", home.display())))
    }
}
