//! Counts: how far a run is, what a dry run would do, what a verification found.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How far the run is.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Share of the bytes that are done, once the scan is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<i32>,

    /// Entries that are as they should be.
    #[serde(default)]
    pub files_done: i64,

    /// Entries of the source, once the scan is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_total: Option<i64>,

    /// Bytes copied.
    #[serde(default)]
    pub bytes_done: i64,

    /// Bytes to copy, once the scan is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<i64>,

    /// Entries deleted at the destination.
    #[serde(default)]
    pub files_deleted: i64,

    /// Entries that could not be copied.
    #[serde(default)]
    pub files_failed: i64,

    /// How often a kind of metadata could not be kept, for example `owner: 12`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub metadata_not_kept: BTreeMap<String, i64>,

    /// Rate of the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<i64>,

    /// Seconds that are left, by the rate of the moment, once the scan is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<i64>,

    /// Whether the whole source has been listed, so that totals and percent are true.
    #[serde(default)]
    pub scan_complete: bool,

    /// The progress for people: `41%`, and `12.3 GiB` before the scan is complete.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub display: String,

    /// The rate for people, for example `1.2 GiB/s`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub rate: String,
}

/// What a run would do.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Entries that would be copied.
    #[serde(default)]
    pub files_to_copy: i64,
    /// Bytes that would be copied.
    #[serde(default)]
    pub bytes_to_copy: i64,
    /// Entries that would be deleted.
    #[serde(default)]
    pub files_to_delete: i64,
    /// Entries whose metadata alone would be repaired.
    #[serde(default)]
    pub metadata_to_repair: i64,
    /// Entries that are as they should be.
    #[serde(default)]
    pub files_unchanged: i64,
}

/// What a verification found.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Files whose content was proven or found to be something else.
    #[serde(default)]
    pub compared: i64,
    /// How often what arrived was something else than what was sent; such a file is sent again, three times at most.
    #[serde(default)]
    pub mismatches: i64,
}
