//! Which directories of the nodes movers may use. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use thiserror::Error;

/// Directories of the nodes.
#[derive(Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HostPathSettings {
    /// What is allowed; nothing else is.
    pub allow: Vec<HostPathRule>,
}

/// Allows a directory of some nodes to some namespaces.
#[derive(Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostPathRule {
    /// The directory; all below it is allowed too.
    pub prefix: Prefix,
    /// Namespaces that may use it; all if empty.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Labels that a node must have; any node if empty.
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
    /// Whether it may be written.
    #[serde(default)]
    pub access: Access,
    /// Whether devices, set-id bits and file capabilities may be written.
    #[serde(default)]
    pub special_files: bool,
}

/// What may be done with a directory.
#[derive(Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Be a source.
    #[default]
    ReadOnly,
    /// Be source or destination.
    ReadWrite,
}

/// A directory that movers of a namespace may use on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedPrefix {
    /// The directory that a pod mounts.
    pub prefix: Prefix,
    /// Whether it may be written.
    pub access: Access,
    /// Whether devices, set-id bits and file capabilities may be written.
    pub special_files: bool,
}

/// An absolute directory in its shortest spelling: no `.`, `..`, empty component or slash at the end.
#[derive(Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
pub struct Prefix(String);

/// A text is not a directory that can be allowed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a directory that can be allowed; write it absolute, without `.`, `..`, `//` or a `/` at its end"
)]
pub struct PrefixError(String);

impl HostPathRule {
    /// Returns true if the rule is for this namespace and for a node with these labels.
    pub(super) fn applies(&self, namespace: &str, node_labels: &BTreeMap<String, String>) -> bool {
        let mut wanted = self.node_selector.iter();
        (self.namespaces.is_empty() || self.namespaces.iter().any(|name| name == namespace))
            && wanted.all(|(key, value)| node_labels.get(key) == Some(value))
    }

    pub(super) fn prefix(&self) -> AllowedPrefix {
        AllowedPrefix {
            prefix: self.prefix.clone(),
            access: self.access,
            special_files: self.special_files,
        }
    }
}

impl Prefix {
    /// Returns the directory.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what is left of `path` below the directory, with its leading `/` (`/` for the directory
    /// itself); `None` if it is elsewhere. `path` must be as free of `.` and `..` as a prefix is.
    pub fn rest_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let own = self.0.strip_suffix('/').unwrap_or(&self.0);
        match path.strip_prefix(own)? {
            "" => Some("/"),
            rest if rest.starts_with('/') => Some(rest),
            _ => None,
        }
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;

    fn try_from(text: String) -> Result<Self, PrefixError> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let valid = text == "/"
            || text
                .strip_prefix('/')
                .is_some_and(|rest| rest.split('/').all(plain));
        if valid {
            Ok(Self(text))
        } else {
            Err(PrefixError(text))
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
