//! Files, directories and standard input into documents.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The file, for people.
    pub origin: String,
    /// What it holds.
    pub value: Value,
}

/// Manifests that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file can't be read.
    #[error("{path}: {source}; -f takes a file, a directory, or - for standard input")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The text isn't YAML or JSON.
    #[error("{origin}, document {number}: {reason}")]
    Text {
        /// The file.
        origin: String,
        /// Which of its documents, from 1.
        number: usize,
        /// Why, with line and column.
        reason: String,
    },
    /// A directory without manifests.
    #[error("{0}: no file ends in .yaml, .yml or .json there; -R reads the directories below it too")]
    Empty(String),
}

/// Reads all files that are named, in their order.
///
/// # Errors
/// When one of them can't be read or isn't YAML or JSON.
pub fn read(paths: &[PathBuf], recursive: bool) -> Result<Vec<Document>, ReadError> {
    let mut documents = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|source| of_file(Path::new("-"), source))?;
            documents.extend(parse("standard input", &text)?);
            continue;
        }
        for file in files(path, recursive)? {
            let text = fs::read_to_string(&file).map_err(|source| of_file(&file, source))?;
            documents.extend(parse(&file.display().to_string(), &text)?);
        }
    }
    Ok(documents)
}

fn of_file(path: &Path, source: std::io::Error) -> ReadError {
    ReadError::File { path: path.display().to_string(), source }
}

/// A file as it is; a directory's manifests, by name.
fn files(path: &Path, recursive: bool) -> Result<Vec<PathBuf>, ReadError> {
    if !fs::metadata(path).map_err(|source| of_file(path, source))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    below(path, recursive, &mut found)?;
    if found.is_empty() {
        return Err(ReadError::Empty(path.display().to_string()));
    }
    Ok(found)
}

fn below(directory: &Path, recursive: bool, found: &mut Vec<PathBuf>) -> Result<(), ReadError> {
    let entries = fs::read_dir(directory).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut paths: Vec<PathBuf> =
        entries.map_err(|source| of_file(directory, source))?.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        // A link to a directory isn't followed, so that no loop can arise.
        let kind = fs::symlink_metadata(&path).map_err(|source| of_file(&path, source))?;
        let manifest = path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if kind.is_dir() {
            if recursive {
                below(&path, recursive, found)?;
            }
        } else if manifest && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

/// The documents of a text: YAML, or JSON values one after the other. Empty ones are left out.
///
/// # Errors
/// When it is neither.
pub fn parse(origin: &str, text: &str) -> Result<Vec<Document>, ReadError> {
    // A YAML document may begin with a brace too.
    let values = match Some(text).filter(|text| text.trim_start().starts_with('{')).and_then(json) {
        Some(values) => values,
        None => yaml(origin, text)?,
    };
    let document = |value| Document { origin: origin.to_owned(), value };
    Ok(values.into_iter().filter(|value| !value.is_null()).map(document).collect())
}

/// `None` when it isn't JSON.
fn json(text: &str) -> Option<Vec<Value>> {
    serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().ok()
}

fn yaml(origin: &str, text: &str) -> Result<Vec<Value>, ReadError> {
    let mut values = Vec::new();
    for (index, document) in serde_yaml_ng::Deserializer::from_str(text).enumerate() {
        let failed = |reason: String| ReadError::Text { origin: origin.to_owned(), number: index + 1, reason };
        let mut value = serde_yaml_ng::Value::deserialize(document).map_err(|error| failed(error.to_string()))?;
        // `<<` merges, as kubectl does.
        value.apply_merge().map_err(|error| failed(error.to_string()))?;
        values.push(serde_json::to_value(value).map_err(|error| failed(error.to_string()))?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_split_into_documents() {
        let rows = [
            ("a: 1\n---\n# nothing\n---\nb: 2\n", json!([{"a": 1}, {"b": 2}])),
            ("{\"a\": 1}\n{\"b\": 2}", json!([{"a": 1}, {"b": 2}])),
            ("{a: 1}", json!([{"a": 1}])),
            ("x: &x {a: 1}\ny: {<<: *x, b: 2}", json!([{"x": {"a": 1}, "y": {"a": 1, "b": 2}}])),
            ("", json!([])),
        ];
        for (text, expected) in rows {
            let values: Vec<Value> = parse("f", text).unwrap().into_iter().map(|document| document.value).collect();
            assert_eq!(Value::from(values), expected, "{text}");
        }
    }

    #[test]
    fn faults_name_file_document_and_line() {
        let error = parse("f.yaml", "a: 1\n---\na: [1\n").unwrap_err().to_string();
        assert!(error.starts_with("f.yaml, document 2: ") && error.contains("line"), "{error}");
        assert!(parse("f", "a: 1\na: 2\n").unwrap_err().to_string().contains("duplicate"));
    }

    #[test]
    fn directories_are_read_by_name_and_only_recursively_when_asked() {
        let root = std::env::temp_dir().join(format!("kubectl-azureml-{}", std::process::id()));
        fs::create_dir_all(root.join("sub")).unwrap();
        for (name, text) in [("b.yaml", "n: 2"), ("a.json", "{\"n\": 1}"), ("c.txt", "n: 9"), ("sub/d.yml", "n: 3")] {
            fs::write(root.join(name), text).unwrap();
        }
        let numbers = |recursive| -> Vec<Value> {
            let paths = std::slice::from_ref(&root);
            read(paths, recursive).unwrap().into_iter().map(|document| document.value["n"].clone()).collect()
        };
        assert_eq!(numbers(false), [1, 2]);
        assert_eq!(numbers(true), [1, 2, 3]);
        fs::remove_dir_all(&root).unwrap();
        assert!(read(&[root], false).unwrap_err().to_string().contains("-f takes a file"));
    }
}
