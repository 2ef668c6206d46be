//! Ctrl-C: what is under way ends with an error, and what was started for it is ended.

use std::sync::atomic::{AtomicBool, Ordering};

use azureml_tests::{Error, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C no longer ends this process by itself; a kubectl in front still ends.
pub(crate) fn catch() -> Result<()> {
    let failed = |source| Error::Io { action: "catch Ctrl-C".into(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            INTERRUPTED.store(true, Ordering::Relaxed);
        }
    });
    Ok(())
}

/// An error once Ctrl-C was pressed.
pub(crate) fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Error::Invalid("interrupted".into())) } else { Ok(()) }
}
