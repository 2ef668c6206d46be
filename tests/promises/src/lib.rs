//! `docs/promises.md` says which test holds which promise, and how many cases it ran. A test that it names reports its
//! cases here when all of them have passed, and fails where the page doesn't name it or promises more.
//!
//! With `AZUREML_PROMISES=write` the page gets the figures of the run.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

static PAGE: Mutex<()> = Mutex::new(());

/// Reports that a test has seen so many cases hold. The test is named as in the page: `file::function`.
///
/// # Panics
/// Where the page has no row with that test, or counts more cases than there were.
#[track_caller]
pub fn held(test: &str, cases: usize) {
    let _one_at_a_time = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/promises.md");
    let wanted = std::env::var("AZUREML_PROMISES").is_ok_and(|value| value == "write");
    let answer = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()));
    let answer = answer.and_then(|page| {
        if !wanted {
            return check(&page, test, cases);
        }
        std::fs::write(&path, with_count(&page, test, cases)?).map_err(|error| format!("{}: {error}", path.display()))
    });
    assert!(answer.is_ok(), "{}", answer.err().unwrap_or_default());
}

/// Whether the page's row for a test is borne out by a run.
fn check(page: &str, test: &str, cases: usize) -> Result<(), String> {
    let told = row(page, test)?.2;
    if told <= cases {
        return Ok(());
    }
    Err(format!("docs/promises.md says that {test} sees {told} cases, but it saw {cases}"))
}

/// The page with the figure of a run.
fn with_count(page: &str, test: &str, cases: usize) -> Result<String, String> {
    let (start, end, _) = row(page, test)?;
    Ok(format!("{}{cases}{}", &page[..start], &page[end..]))
}

/// Where the count of a test stands in the page, and what it says: the last cell of the row that names the test.
fn row(page: &str, test: &str) -> Result<(usize, usize, usize), String> {
    let name = format!("`{test}`");
    let mut offset = 0;
    for line in page.split_inclusive('\n') {
        if line.starts_with('|') && line.contains(&name) {
            let cells = line.trim_end().trim_end_matches('|');
            let start = cells.rfind('|').map_or(0, |bar| bar + 1);
            let count = cells[start..].trim();
            let from = offset + start + cells[start..].len() - cells[start..].trim_start().len();
            let number =
                count.parse().map_err(|_| format!("docs/promises.md: no count in the row of {test}: {line}"))?;
            return Ok((from, from + count.len(), number));
        }
        offset += line.len();
    }
    Err(format!("docs/promises.md has no row with {name}: add one to the promise that it holds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every test that the page names reports its cases somewhere, so that no row outlives its test.
    #[test]
    fn every_row_has_its_test() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let page = std::fs::read_to_string(root.join("docs/promises.md")).unwrap();
        let mut sources = String::new();
        for folder in ["src", "tests"] {
            read_sources(&root.join(folder), &mut sources);
        }
        let rows = page.lines().filter(|line| line.starts_with('|') && line.contains("::"));
        for row in rows {
            // Odd pieces are what stands between backquotes.
            let names = row.split('`').skip(1).step_by(2).filter(|name| name.contains("::"));
            let test = names.last().unwrap();
            assert!(sources.contains(&format!("\"{test}\"")), "no test reports the cases of {test}");
        }
    }

    fn read_sources(folder: &std::path::Path, into: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                read_sources(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }

    const PAGE: &str = "# P\n\n| test | cases |\n|---|---|\n| `crash::all` writes | 12 |\n| `other::x` | none |\n";

    #[test]
    fn a_row_is_borne_out_or_not() {
        assert_eq!(check(PAGE, "crash::all", 12), Ok(()));
        assert_eq!(check(PAGE, "crash::all", 13), Ok(()));
        assert!(check(PAGE, "crash::all", 11).unwrap_err().contains("12"));
        assert!(check(PAGE, "crash::al", 12).unwrap_err().contains("no row"));
        assert!(check(PAGE, "other::x", 12).unwrap_err().contains("no count"));
    }

    #[test]
    fn the_count_of_a_run_is_written() {
        let page = with_count(PAGE, "crash::all", 140).unwrap();
        assert_eq!(page, PAGE.replace(" 12 ", " 140 "));
        assert!(with_count(PAGE, "nobody::is", 1).is_err());
    }
}
