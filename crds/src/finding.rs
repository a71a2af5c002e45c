//! One thing that is wrong with a manifest, said so that a person can mend it.

use std::fmt;

/// A fault in a `MirrorJob`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The field at fault, for example `spec.source.persistentVolumeClaim.path`.
    pub field: String,
    /// Line of the manifest, counted from 1, where it is known.
    pub line: Option<u64>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl Finding {
    /// Makes a finding without a line.
    pub fn new(
        field: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            line: None,
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{}: {}; {}", self.field, self.message, self.remedy)
    }
}
