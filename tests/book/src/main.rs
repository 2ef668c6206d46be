//! Makes the book of `docs/` in `target/book`, as `make book` does. A warning is a failure: the book is whole or isn't made.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod outside;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mdbook_driver::MDBook;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Counts what mdBook complains of, and prints it.
struct Complaints(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Complaints {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() <= Level::WARN {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn main() -> ExitCode {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let count = Arc::new(AtomicUsize::new(0));
    let printed = tracing_subscriber::fmt::layer()
        .without_time()
        .with_writer(std::io::stderr)
        .with_filter(tracing_subscriber::filter::LevelFilter::WARN);
    let subscriber = tracing_subscriber::registry().with(Complaints(Arc::clone(&count))).with(printed);
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        eprintln!("azureml-book: somebody else listens to what mdBook says");
        return ExitCode::FAILURE;
    }
    let built = build(&docs);
    match (built, count.load(Ordering::Relaxed)) {
        (Ok(folder), 0) => {
            println!("{}", folder.join("index.html").display());
            ExitCode::SUCCESS
        }
        (Ok(_), warnings) => {
            eprintln!("azureml-book: {warnings} warnings");
            ExitCode::FAILURE
        }
        (Err(error), _) => {
            eprintln!("azureml-book: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the book, and gives the folder that it is in.
fn build(docs: &Path) -> Result<PathBuf, String> {
    let docs = std::fs::canonicalize(docs).map_err(|error| format!("{}: {error}", docs.display()))?;
    let mut book = MDBook::load(docs).map_err(|error| format!("{error:#}"))?;
    book.with_preprocessor(outside::Outside);
    book.build().map_err(|error| format!("{error:#}"))?;
    Ok(book.build_dir_for("html"))
}
