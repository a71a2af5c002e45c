//! Cuts a piece of a listing into messages of at most 256 KiB.

use blit_engine::run::{End, Part};
use blit_proto::LISTING_PART_BYTES;
use blit_proto::control::printable;
use blit_proto::v2::listing_end::Outcome;
use blit_proto::v2::{FileHeader, ListingEnd, ListingPart};
use prost::Message;

use super::{Violation, cut, entry};

/// Bytes that tag and length of one entry take within a message, at most.
const ENTRY_OVERHEAD: usize = 6;

/// Longest reason of an incomplete listing, in bytes; longer ones are cut.
const REASON_BYTES: usize = 1024;

/// Encodes the entries and returns them in groups that fit one message each; at least one group.
pub(crate) fn split(part: &Part) -> Vec<Vec<FileHeader>> {
    let mut groups = Vec::new();
    let mut group = Vec::with_capacity(part.entries.len());
    let mut bytes = 0;
    for header in part.entries.iter().map(entry::to_header) {
        let length = header.encoded_len() + ENTRY_OVERHEAD;
        if bytes + length > LISTING_PART_BYTES && !group.is_empty() {
            groups.push(std::mem::take(&mut group));
            bytes = 0;
        }
        bytes += length;
        group.push(header);
    }
    groups.push(group);
    groups
}

/// Returns the message for the end of a directory.
pub(crate) fn end_to_wire(end: &End) -> ListingEnd {
    let outcome = match end {
        End::Complete { count } => Outcome::CompleteCount(*count),
        // For a destination that does not know of the other field.
        End::NotEntered => Outcome::IncompleteReason("another file system".to_owned()),
        End::Incomplete { reason } => {
            Outcome::IncompleteReason(cut(reason, REASON_BYTES).to_owned())
        }
    };
    ListingEnd {
        outcome: Some(outcome),
        not_entered: *end == End::NotEntered,
    }
}

/// Makes a piece of a listing from a message.
pub(crate) fn part_from_wire(message: ListingPart) -> Result<Part, Violation> {
    let entries: Result<Vec<_>, _> = message
        .entries
        .into_iter()
        .map(entry::from_header)
        .collect();
    let end = message.end.map(end_from_wire).transpose()?;
    let dir = blit_engine::entry::DirId(message.dir);
    Ok(Part {
        dir,
        part: message.part,
        entries: entries?,
        end,
    })
}

/// Reads how a directory ended.
fn end_from_wire(end: ListingEnd) -> Result<End, Violation> {
    match end.outcome {
        Some(Outcome::CompleteCount(count)) => Ok(End::Complete { count }),
        Some(Outcome::IncompleteReason(_)) if end.not_entered => Ok(End::NotEntered),
        Some(Outcome::IncompleteReason(reason)) => Ok(End::Incomplete {
            reason: printable(&reason),
        }),
        None => Err(Violation::new("a listing ends without a result")),
    }
}

#[cfg(test)]
mod tests;
