//! What a process uses, as Linux tells it.

use azureml_tests::{Error, Operator, Result};

/// Linux counts processor time in hundredths of a second, whatever the processor.
const TICKS: f64 = 100.0;

/// A running operator.
#[derive(Debug, Clone, Copy)]
pub struct Process(u32);

impl Process {
    /// The operator's process: the one that listens where it does.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(operator: &Operator) -> Result<Self> {
        let listens = operator.admin_url().trim_start_matches("http://").to_string();
        let all =
            std::fs::read_dir("/proc").map_err(|error| Error::Io { action: "read /proc".into(), source: error })?;
        let is_it = |pid: &u32| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).into_owned();
            let program = command.split('\0').next().unwrap_or_default();
            program.ends_with("azureml-operator") && command.contains(&listens)
        };
        let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.into_iter().find(is_it).map(Process).ok_or_else(|| Error::Invalid(format!("no process serves {listens}")))
    }

    /// Memory in use, and the most that was, in MiB.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn memory(self) -> Result<(f64, f64)> {
        let status = self.file("status")?;
        let of = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or_default() / 1024.0
        };
        Ok((of("VmRSS:"), of("VmHWM:")))
    }

    /// Seconds of processor time so far.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn cpu(self) -> Result<f64> {
        let stat = self.file("stat")?;
        // After the name, which may hold anything but ends with the last parenthesis: utime and stime are the 12th and 13th.
        let after = stat.rsplit(')').next().unwrap_or_default();
        let ticks: f64 = after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
        Ok(ticks / TICKS)
    }

    fn file(self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.0);
        std::fs::read_to_string(&path).map_err(|error| Error::Io { action: format!("read {path}"), source: error })
    }
}
