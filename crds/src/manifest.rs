//! The strict reader of manifests, and their writer.
//!
//! An API server checks a manifest against the schema and tells about fields it does not know. A run
//! without one gets the same from [`parse_manifest`]: the YAML is read into a tree that remembers
//! lines, the tree is held against the very schema of the CustomResourceDefinition, and only then does
//! it become a [`MirrorJob`]. What the schema cannot say is in [`crate::validation`].

mod check;
#[cfg(test)]
mod tests;
mod tree;

use thiserror::Error;

use crate::finding::Finding;
use crate::mirrorjob::{API_VERSION, KIND, MirrorJob};
use crate::validation;
use tree::Node;

/// A manifest that cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ManifestError {
    /// The text is not YAML.
    #[error("the manifest is not valid YAML: {0}")]
    Syntax(String),
    /// There is nothing in it.
    #[error("the manifest is empty; write a MirrorJob, as in docs/examples/quickstart.yaml")]
    Empty,
    /// There is more than one object in it.
    #[error("the manifest holds {0} documents; give one MirrorJob at a time")]
    SeveralDocuments(usize),
    /// The object is not a `MirrorJob`.
    #[error("line {line}: kind is `{found}`, not `MirrorJob`; only a MirrorJob can be run")]
    WrongKind {
        /// Line of the field.
        line: u64,
        /// What it says.
        found: String,
    },
    /// The version is not known.
    #[error("line {line}: apiVersion is `{found}`; this version of blit reads `blit.dev/v1alpha1`")]
    WrongApiVersion {
        /// Line of the field.
        line: u64,
        /// What it says.
        found: String,
    },
    /// Fields are wrong.
    #[error("the MirrorJob is invalid:{}", list(.0))]
    Invalid(Vec<Finding>),
}

/// Reads a manifest strictly: one document, the right kind and version, no unknown field, nothing
/// missing, every bound of the schema kept.
///
/// # Errors
/// Fails with everything that is wrong, each with its field, its line and a remedy.
pub fn parse_manifest(text: &str) -> Result<MirrorJob, ManifestError> {
    parse(text).map(|(job, _)| job)
}

/// Reads a manifest as [`parse_manifest`] does, and holds it against the rules of [`validation`].
///
/// # Errors
/// Fails with everything that is wrong, each with its field, its line and a remedy.
pub fn load_manifest(text: &str) -> Result<MirrorJob, ManifestError> {
    let (job, tree) = parse(text)?;
    let mut findings = validation::validate(&job);
    for finding in &mut findings {
        finding.line = tree.line_of(&finding.field);
    }
    if findings.is_empty() {
        Ok(job)
    } else {
        Err(ManifestError::Invalid(findings))
    }
}

/// Writes a `MirrorJob` as a YAML document.
///
/// # Errors
/// Fails when the object holds a number that YAML cannot carry.
pub fn to_yaml(job: &MirrorJob) -> Result<String, serde_saphyr::SerializeError> {
    serde_saphyr::to_string(job)
}

fn parse(text: &str) -> Result<(MirrorJob, Node), ManifestError> {
    let tree = single_document(text)?;
    check_identity(&tree)?;
    let findings = check::against_schema(&tree);
    if !findings.is_empty() {
        return Err(ManifestError::Invalid(findings));
    }
    let job = serde_json::from_value(tree.to_json()).map_err(|error| {
        ManifestError::Invalid(vec![Finding::new(
            "MirrorJob",
            error.to_string(),
            "docs/reference/mirrorjob.md has the type of each field",
        )])
    })?;
    Ok((job, tree))
}

fn single_document(text: &str) -> Result<Node, ManifestError> {
    let mut documents: Vec<Node> =
        tree::read(text).map_err(|error| ManifestError::Syntax(error.to_string()))?;
    documents.retain(|document| !document.is_null());
    match documents.len() {
        1 => Ok(documents.remove(0)),
        0 => Err(ManifestError::Empty),
        many => Err(ManifestError::SeveralDocuments(many)),
    }
}

/// Kind and version come first: the fields of another kind would only be noise.
fn check_identity(tree: &Node) -> Result<(), ManifestError> {
    let field = |name: &str| match tree.get(name) {
        Some(node) => (node.line, node.text()),
        None => (tree.line, "(missing)".to_owned()),
    };
    let (line, found) = field("kind");
    if found != KIND {
        return Err(ManifestError::WrongKind { line, found });
    }
    let (line, found) = field("apiVersion");
    if found != API_VERSION {
        return Err(ManifestError::WrongApiVersion { line, found });
    }
    Ok(())
}

fn list(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(|finding| format!("\n  {finding}"))
        .collect()
}
