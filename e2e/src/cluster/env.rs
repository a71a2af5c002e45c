//! What the script that started the cluster wrote down: `env` in its folder, lines `KEY=VALUE`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::{Error, Result};

/// The variable that names the folder of the cluster.
const VARIABLE: &str = "BLIT_CLUSTER";

/// The facts about the running cluster.
#[derive(Clone, Debug)]
pub struct Env {
    folder: PathBuf,
    values: BTreeMap<String, String>,
}

impl Env {
    /// Reads the facts about the cluster of `$BLIT_CLUSTER`, by default `target/cluster`.
    pub fn read() -> Result<Self> {
        let folder = std::env::var_os(VARIABLE)
            .map_or_else(|| repository().join("target/cluster"), PathBuf::from);
        let file = folder.join("env");
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Error::Setup(format!(
                "no cluster: {}: {error}; start one with `make cluster-up`, or set {VARIABLE} to its folder",
                file.display()
            ))
        })?;
        Ok(Self {
            folder,
            values: parse(&text),
        })
    }

    /// Returns a fact.
    pub fn get(&self, key: &str) -> Result<&str> {
        self.values.get(key).map(String::as_str).ok_or_else(|| {
            let file = self.folder.join("env");
            Error::Setup(format!("{} has no {key}", file.display()))
        })
    }

    /// Returns a fact that is a number, such as a process id.
    pub fn number(&self, key: &str) -> Result<u32> {
        let text = self.get(key)?;
        text.parse()
            .map_err(|_| Error::Setup(format!("{key}={text} is not a number")))
    }

    /// Returns the folder of the cluster.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns all facts.
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.values
    }
}

/// Returns the folder of the repository.
pub(super) fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Reads lines `KEY=VALUE`, with or without `export` and quotes.
fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.trim().trim_start_matches("export ").split_once('='))
        .map(|(key, value)| {
            let value = value.trim_matches(['\'', '"']);
            (key.trim().to_owned(), value.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests;
