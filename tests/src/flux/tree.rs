//! The files of a repository at one commit.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::{Error, Result, files};

/// Files by their path in the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, String>);

impl Tree {
    /// What these folders of this checkout hold.
    ///
    /// # Errors
    /// If a file can't be read.
    pub fn of_checkout(folders: &[&str]) -> Result<Self> {
        let mut tree = Tree::default();
        for folder in folders {
            tree.add_folder(&files::checkout(), folder)?;
        }
        Ok(tree)
    }

    fn add_folder(&mut self, root: &Path, folder: &str) -> Result<()> {
        let here = root.join(folder);
        let entries = std::fs::read_dir(&here).map_err(Error::io(format!("read {}", here.display())))?;
        for entry in entries {
            let path = entry.map_err(Error::io(format!("read {}", here.display())))?.path();
            let name = format!("{folder}/{}", path.file_name().unwrap_or_default().to_string_lossy());
            if path.is_dir() {
                self.add_folder(root, &name)?;
            } else {
                self.0.insert(name, files::read(&path)?);
            }
        }
        Ok(())
    }

    /// The tree with that file in it.
    #[must_use]
    pub fn with(mut self, path: &str, content: impl Into<String>) -> Self {
        self.0.insert(path.to_string(), content.into());
        self
    }

    /// The tree with an object as a file.
    #[must_use]
    pub fn with_object(self, path: &str, object: &Value) -> Self {
        self.with(path, object.to_string())
    }

    /// The tree without that file.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.0.remove(path);
        self
    }

    /// Writes the files below a folder.
    pub(super) fn write(&self, root: &Path) -> Result<()> {
        for (path, content) in &self.0 {
            let path = root.join(path);
            files::create_dir_all(path.parent().unwrap_or(root))?;
            files::write_atomically(&path, content)?;
        }
        Ok(())
    }
}
