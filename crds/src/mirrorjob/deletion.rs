//! How much a mirror may delete.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::rules;

/// Limits on what a mirror may delete. They are judged before the first deletion; beyond them nothing
/// is deleted and the job fails.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// The largest number of deletions, as a count (`1000`) or as a share of the entries of the
    /// destination (`"10%"`). `0` forbids deletions, `"100%"` lifts the limit. If absent, half of the
    /// destination may be deleted once it holds more than 100 entries, and a destination that has
    /// nothing in common with the source is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 16))]
    #[x_kube(validation = rules::max_delete())]
    pub max_delete: Option<IntOrString>,

    /// Accept an empty source, which empties the destination. Without it an empty source is refused,
    /// because it is most often a volume that was not mounted.
    #[serde(default)]
    pub allow_empty_source: bool,
}

impl Deletion {
    /// Reads the limit.
    ///
    /// # Errors
    /// Fails when `maxDelete` is neither a count nor a share.
    pub fn limit(&self) -> Result<Option<MaxDelete>, MaxDeleteError> {
        self.max_delete
            .as_ref()
            .map(MaxDelete::try_from)
            .transpose()
    }
}

/// A limit on deletions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxDelete {
    /// At most so many entries.
    Count(u32),
    /// At most this share of the entries of the destination, in percent.
    Percent(u8),
}

/// `maxDelete` is neither a count nor a share.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is neither a count such as 1000 nor a share such as 10%")]
pub struct MaxDeleteError(String);

impl TryFrom<&IntOrString> for MaxDelete {
    type Error = MaxDeleteError;

    fn try_from(value: &IntOrString) -> Result<Self, Self::Error> {
        match value {
            IntOrString::Int(count) => u32::try_from(*count)
                .map(Self::Count)
                .map_err(|_| MaxDeleteError(count.to_string())),
            IntOrString::String(text) if text.ends_with('%') => text.parse(),
            IntOrString::String(text) => Err(MaxDeleteError(text.clone())),
        }
    }
}

/// Reads the form of the command line, where a count has no quotes.
impl FromStr for MaxDelete {
    type Err = MaxDeleteError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || MaxDeleteError(text.to_owned());
        let digits = text.strip_suffix('%').unwrap_or(text);
        let plain = !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        if !plain {
            return Err(malformed());
        }
        if digits.len() == text.len() {
            return digits.parse().map(Self::Count).map_err(|_| malformed());
        }
        match digits.parse() {
            Ok(percent @ 0..=100) => Ok(Self::Percent(percent)),
            _ => Err(malformed()),
        }
    }
}

impl fmt::Display for MaxDelete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}
