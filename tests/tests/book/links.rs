//! Links lead somewhere, without asking the network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use azureml_tests::checkout;

use super::page::{Page, chapters, others};

/// Every page under `docs/` is in the book, once, and the book has no other.
#[test]
fn the_book_holds_every_page_once() {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(checkout().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if checkout().join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md") && !path.ends_with("SUMMARY.md") {
                found.insert(path);
            }
        }
    }
    let listed: Vec<PathBuf> = chapters();
    let once: BTreeSet<PathBuf> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), once.len(), "docs/SUMMARY.md lists a page twice");
    assert_eq!(found.difference(&once).collect::<Vec<_>>(), Vec::<&PathBuf>::new(), "not in docs/SUMMARY.md");
    assert_eq!(once.difference(&found).collect::<Vec<_>>(), Vec::<&PathBuf>::new(), "listed, and not there");
}

#[test]
fn every_link_leads_somewhere() {
    let pages: BTreeMap<PathBuf, Page> =
        chapters().into_iter().chain(others()).map(|path| (path.clone(), Page::read(&path))).collect();
    let mut faults = Vec::new();
    let mut count = 0;
    for page in pages.values() {
        for link in &page.links {
            count += 1;
            if let Err(fault) = leads(&pages, &page.path, &link.target) {
                faults.push(format!("{}: {}: {fault}", page.at(link.line), link.target));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    azureml_promises::held("book::every_link_leads_somewhere", count);
}

/// Whether a link leads to a page, a heading in it, a file or a folder of the checkout, or is a whole address.
fn leads(pages: &BTreeMap<PathBuf, Page>, from: &Path, link: &str) -> Result<(), String> {
    if link.contains("://") {
        let url = reqwest::Url::parse(link).map_err(|error| error.to_string())?;
        let local = url.host_str() == Some("localhost");
        return ((url.scheme() == "https" || local) && url.has_host()).then_some(()).ok_or_else(|| "not https".into());
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let mut path: Vec<Component<'_>> = Vec::new();
    if file.is_empty() {
        path.extend(from.components());
    } else {
        path.extend(from.parent().unwrap_or(Path::new("")).components());
        for part in Path::new(file).components() {
            match part {
                Component::ParentDir => path.pop().map(drop).ok_or("leads out of the checkout")?,
                other => path.push(other),
            }
        }
    }
    let path: PathBuf = path.into_iter().collect();
    if !checkout().join(&path).exists() {
        return Err("isn't there".into());
    }
    if anchor.is_empty() {
        return Ok(());
    }
    let page = pages.get(&path).ok_or("an anchor in what is no page")?;
    page.anchors.iter().any(|known| known == anchor).then_some(()).ok_or_else(|| "no such heading".into())
}

/// mdBook makes the book, without a warning, with each page, and with the anchors that links name.
#[test]
fn the_book_is_made() {
    let program = azureml_tests::binary("azureml-book", "azureml-book").unwrap();
    let output = std::process::Command::new(program).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let index = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let folder = index.parent().unwrap();
    for path in chapters() {
        let page = Page::read(&path);
        let html = folder.join(path.strip_prefix("docs").unwrap().with_extension("html"));
        let html = std::fs::read_to_string(&html).unwrap_or_else(|error| panic!("{}: {error}", html.display()));
        for anchor in &page.anchors {
            assert!(html.contains(&format!("id=\"{anchor}\"")), "{}: no #{anchor} in the book", path.display());
        }
    }
}
