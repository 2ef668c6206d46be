//! Figures beside their bounds, as a table and as JSON.

use std::path::Path;

use azureml_tests::{Error, Result};
use serde::Serialize;

/// A measured figure.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    /// What it is held against, if anything is.
    bound: Option<f64>,
    /// How many times the bound it may be.
    tolerance: f64,
}

/// All figures.
#[derive(Debug, Serialize)]
pub struct Report {
    cores: usize,
    figures: Vec<Figure>,
}

impl Figure {
    /// How many times the bound it is; of a bound of nothing, any excess is infinite.
    fn ratio(&self) -> Option<f64> {
        let bound = self.bound?;
        Some(if bound > 0.0 {
            self.value / bound
        } else if self.value > 0.0 {
            f64::INFINITY
        } else {
            0.0
        })
    }

    fn holds(&self) -> bool {
        self.ratio().is_none_or(|ratio| ratio <= self.tolerance)
    }
}

impl Report {
    /// No figures yet.
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        Report { cores, figures: Vec::new() }
    }

    /// A figure that is only told.
    pub fn told(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure { what: what.into(), value, unit, bound: None, tolerance: 1.0 });
    }

    /// A figure that may be at most so many times its bound.
    pub fn bound(&mut self, what: impl Into<String>, value: f64, unit: &'static str, bound: f64, tolerance: f64) {
        self.figures.push(Figure { what: what.into(), value, unit, bound: Some(bound), tolerance });
    }

    /// Whether every figure is within its bound.
    pub fn holds(&self) -> bool {
        self.figures.iter().all(Figure::holds)
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let mut text = "| what | figure | bound | ratio | |\n|---|---|---|---|---|\n".to_string();
        for figure in &self.figures {
            let bound = figure.bound.map(|bound| format!("{} {}", short(bound), figure.unit)).unwrap_or_default();
            let ratio = figure.ratio().map(|ratio| format!("{ratio:.3}")).unwrap_or_default();
            let verdict = if figure.holds() { "" } else { "MISSED" };
            let value = format!("{} {}", short(figure.value), figure.unit);
            text.push_str(&format!("| {} | {value} | {bound} | {ratio} | {verdict} |\n", figure.what));
        }
        text
    }

    /// Writes the figures as JSON.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |error: std::io::Error| Error::Io { action: format!("write {}", path.display()), source: error };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(failed)?;
        }
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::Invalid(error.to_string()))?;
        std::fs::write(path, text).map_err(failed)
    }
}

/// Three digits after the point where they say something.
fn short(value: f64) -> String {
    if value.fract() == 0.0 { format!("{:.0}", value + 0.0) } else { format!("{value:.3}") }
}
