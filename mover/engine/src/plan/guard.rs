//! The guard before the first deletion of a mirror: is this really what somebody wanted?
//!
//! All or nothing: a refused run deletes nothing at all.

use std::fmt;
use std::str::FromStr;

/// Share of the destination that may be deleted without asking.
const DEFAULT_PERCENT: u8 = 50;
/// Up to this many entries the default share is not applied: half of three files is no disaster.
const DEFAULT_FLOOR: u64 = 100;

/// How much a mirror may delete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MaxDelete {
    /// A number of entries; 0 forbids every deletion.
    Count(u64),
    /// A share of the destination's entries, 0 to 100; 100 is no limit.
    Percent(u8),
}

/// A `--max-delete` that cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a number of entries (1000) nor a share of the destination (10%)")]
pub struct InvalidMaxDelete(String);

impl FromStr for MaxDelete {
    type Err = InvalidMaxDelete;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidMaxDelete(s.to_owned());
        match s.strip_suffix('%') {
            Some(percent) => match percent.parse() {
                Ok(percent @ 0..=100) => Ok(Self::Percent(percent)),
                _ => Err(invalid()),
            },
            None => s.parse().map(Self::Count).map_err(|_| invalid()),
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

/// Why a mirror was refused. The message names the remedy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The source has nothing.
    #[error(
        "the source is empty, and mirroring it would delete everything at the destination; check that it is mounted, or allow it (--allow-empty-source)"
    )]
    SourceEmpty,
    /// No name at the top of the destination is at the top of the source.
    #[error(
        "source and destination have no top-level name in common, so this looks like the wrong directory; if it is right, state how much may be deleted (--max-delete)"
    )]
    NothingInCommon,
    /// More deletions than allowed.
    #[error(
        "{deletions} of {entries} entries at the destination would be deleted, more than {limit}; if that is right, allow it (--max-delete)"
    )]
    MaxDeleteExceeded {
        /// Deletions that would be done.
        deletions: u64,
        /// Entries at the destination.
        entries: u64,
        /// What is allowed.
        limit: MaxDelete,
    },
    /// More deletions than whoever owns the destination allows to others.
    #[error(
        "{deletions} of {entries} entries at the destination would be deleted, and whoever runs it allows {limit} at most; ask them (blit serve --max-delete)"
    )]
    OwnerLimit {
        /// Deletions that would be done.
        deletions: u64,
        /// Entries at the destination.
        entries: u64,
        /// What is allowed.
        limit: MaxDelete,
    },
}

/// What is known of both tops before anything is written.
#[derive(Clone, Copy, Debug)]
pub struct Tops {
    /// Entries at the top of the source, `lost+found` left out.
    pub source_entries: u64,
    /// Entries at the top of the destination, `lost+found` and our own left out.
    pub destination_entries: u64,
    /// Names in both.
    pub common: u64,
}

/// Judges the tops, before anything is written.
pub fn judge_tops(
    tops: Tops,
    max_delete: Option<MaxDelete>,
    allow_empty: bool,
) -> Result<(), Refusal> {
    if tops.source_entries == 0 {
        return if allow_empty {
            Ok(())
        } else {
            Err(Refusal::SourceEmpty)
        };
    }
    if tops.destination_entries > 0 && tops.common == 0 && max_delete.is_none() {
        return Err(Refusal::NothingInCommon);
    }
    Ok(())
}

/// Judges the whole count of deletions, before the first of them.
///
/// `allowed_empty` is true when the source is empty and that was allowed: then everything goes, and only an
/// explicit limit can object.
pub fn judge_deletions(
    deletions: u64,
    entries: u64,
    max_delete: Option<MaxDelete>,
    allowed_empty: bool,
) -> Result<(), Refusal> {
    let limit = match max_delete {
        Some(limit) => limit,
        None if entries <= DEFAULT_FLOOR || allowed_empty => return Ok(()),
        None => MaxDelete::Percent(DEFAULT_PERCENT),
    };
    if allows(limit, deletions, entries) {
        Ok(())
    } else {
        Err(Refusal::MaxDeleteExceeded {
            deletions,
            entries,
            limit,
        })
    }
}

/// Judges the whole count of deletions by the limit of whoever owns the destination. Nothing that a client asks
/// for widens it.
pub fn judge_owner_limit(
    deletions: u64,
    entries: u64,
    limit: Option<MaxDelete>,
) -> Result<(), Refusal> {
    match limit {
        Some(limit) if !allows(limit, deletions, entries) => Err(Refusal::OwnerLimit {
            deletions,
            entries,
            limit,
        }),
        _ => Ok(()),
    }
}

fn allows(limit: MaxDelete, deletions: u64, entries: u64) -> bool {
    match limit {
        MaxDelete::Count(count) => deletions <= count,
        MaxDelete::Percent(100) => true,
        MaxDelete::Percent(percent) => {
            u128::from(deletions) * 100 <= u128::from(entries) * u128::from(percent)
        }
    }
}

#[cfg(test)]
mod tests;
