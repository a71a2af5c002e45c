//! What frames carry besides raw bytes: records of whole files, and the ends of large ones.
//!
//! A record is id (8), length of content (4), content, result. An end is content bytes sent (8), of these
//! sent zero-copy (8), result. The result comes last because it is known only when all has been read. A result is status (1), length of message (2), length of entry (4), message,
//! entry (a `FileHeader`). Where the run verifies, the highest bit of the status is set, and a code
//! ([`super::codes`]) follows the result, which covers it.

use blit_engine::entry::Entry;
use blit_engine::fs::hash::Hash;
use blit_engine::run::{ReadStatus, Tail};
use blit_proto::v2::FileHeader;
use prost::Message;

use super::codes::CODE_BYTES;
use super::reader::Reader;
use super::{Violation, cut, entry};

/// Largest file that is sent whole, in bytes.
pub(crate) const WHOLE_BYTES: u32 = 64 << 10;

/// Bytes of a record before its content.
pub(crate) const RECORD_HEAD_BYTES: usize = 8 + 4;

/// Bytes of a record besides message, entry and content.
pub(crate) const RECORD_BYTES: usize = RECORD_HEAD_BYTES + RESULT_BYTES;

/// Bytes of a result besides message and entry.
const RESULT_BYTES: usize = 1 + 2 + 4;

/// Longest message of a failure, in bytes; longer ones are cut.
const MESSAGE_BYTES: usize = 1024;

const STABLE: u8 = 0;
const CHANGED: u8 = 1;
const VANISHED: u8 = 2;
const FAILED: u8 = 3;

/// Added to a status that is followed by a code.
const CODED: u8 = 0x80;

/// A whole file as received.
#[derive(Debug)]
pub(crate) struct WholeFile<'a> {
    /// The want.
    pub(crate) id: u64,
    /// Its content.
    pub(crate) content: &'a [u8],
    /// How reading it ended.
    pub(crate) tail: Tail,
    /// The code, with what it covers beside the content.
    pub(crate) code: Option<Coded<'a>>,
}

/// The code of a file or of its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coded<'a> {
    /// The result as it was encoded.
    pub(crate) result: &'a [u8],
    /// The code.
    pub(crate) code: Hash,
}

/// The end of a large file as received.
#[derive(Debug)]
pub(crate) struct LargeEnd<'a> {
    /// How reading it ended.
    pub(crate) tail: Tail,
    /// Content bytes that were sent without a copy.
    pub(crate) zero_copy: u64,
    /// The code, with what it covers beside the content.
    pub(crate) code: Option<Coded<'a>>,
}

/// Returns an encoded result as one that a code follows.
pub(crate) fn with_code(mut result: Vec<u8>, code: impl FnOnce(&[u8]) -> Hash) -> Vec<u8> {
    result[0] |= CODED;
    let code = code(&result);
    result.extend_from_slice(&code);
    result
}

/// Returns the result of reading a file as bytes.
pub(crate) fn encode_result(status: &ReadStatus, fresh: Option<&Entry>) -> Vec<u8> {
    let (code, message) = match status {
        ReadStatus::Stable => (STABLE, ""),
        ReadStatus::Changed => (CHANGED, ""),
        ReadStatus::Vanished => (VANISHED, ""),
        ReadStatus::Failed(message) => (FAILED, cut(message, MESSAGE_BYTES)),
        // Only who receives can find that; it is never sent.
        ReadStatus::Altered => (FAILED, "altered on the way"),
    };
    let fresh = fresh
        .map(|fresh| entry::to_header(fresh).encode_to_vec())
        .unwrap_or_default();
    let mut bytes = Vec::with_capacity(RESULT_BYTES + message.len() + fresh.len());
    bytes.push(code);
    // Both fit: a message is cut, and an entry is far below 4 GiB.
    bytes.extend_from_slice(&(message.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&(fresh.len() as u32).to_be_bytes());
    bytes.extend_from_slice(message.as_bytes());
    bytes.extend_from_slice(&fresh);
    bytes
}

/// Returns what comes before the content of a record.
pub(crate) fn record_head(id: u64, length: u32) -> [u8; RECORD_HEAD_BYTES] {
    let mut head = [0; RECORD_HEAD_BYTES];
    head[..8].copy_from_slice(&id.to_be_bytes());
    head[8..].copy_from_slice(&length.to_be_bytes());
    head
}

/// Returns the payload of the end of a large file.
pub(crate) fn encode_end(bytes: u64, zero_copy: u64, result: &[u8]) -> Vec<u8> {
    [
        &bytes.to_be_bytes()[..],
        &zero_copy.to_be_bytes()[..],
        result,
    ]
    .concat()
}

/// Reads the next record of a frame of whole files.
pub(crate) fn next_record<'a>(reader: &mut Reader<'a>) -> Result<WholeFile<'a>, Violation> {
    let id = reader.u64()?;
    let length = reader.u32()?;
    if length > WHOLE_BYTES {
        return Err(Violation::new("a whole file is longer than 64 KiB"));
    }
    let content = reader.slice(length as usize)?;
    let (status, fresh, code) = result(reader)?;
    Ok(WholeFile {
        id,
        content,
        tail: Tail {
            status,
            bytes: u64::from(length),
            fresh,
        },
        code,
    })
}

/// Reads the payload of the end of a large file.
pub(crate) fn decode_end(payload: &[u8]) -> Result<LargeEnd<'_>, Violation> {
    let mut reader = Reader::new(payload);
    let (bytes, zero_copy) = (reader.u64()?, reader.u64()?);
    if zero_copy > bytes || bytes > i64::MAX as u64 {
        return Err(Violation::new(
            "the figures at the end of a file do not add up",
        ));
    }
    let (status, fresh, code) = result(&mut reader)?;
    if !reader.is_empty() {
        return Err(Violation::new("bytes follow the end of a file"));
    }
    Ok(LargeEnd {
        tail: Tail {
            status,
            bytes,
            fresh,
        },
        zero_copy,
        code,
    })
}

/// Reads a result, and the code behind it if there is one.
type Read<'a> = (ReadStatus, Option<Entry>, Option<Coded<'a>>);

fn result<'a>(reader: &mut Reader<'a>) -> Result<Read<'a>, Violation> {
    let before = reader.rest();
    let code = reader.u8()?;
    let (message, fresh) = (reader.u16()?, reader.u32()?);
    let message = reader.slice(usize::from(message))?;
    let fresh = reader.slice(fresh as usize)?;
    let status = match code & !CODED {
        STABLE => ReadStatus::Stable,
        CHANGED => ReadStatus::Changed,
        VANISHED => ReadStatus::Vanished,
        FAILED => ReadStatus::Failed(String::from_utf8_lossy(message).into_owned()),
        _ => return Err(Violation::new("a file ends with an unknown status")),
    };
    let coded = if code & CODED == 0 {
        None
    } else {
        let result = &before[..before.len() - reader.rest().len()];
        Some(Coded {
            result,
            code: reader.array::<CODE_BYTES>()?,
        })
    };
    if fresh.is_empty() {
        return Ok((status, None, coded));
    }
    let header = FileHeader::decode(fresh)
        .map_err(|error| Violation::new(format!("an entry cannot be decoded: {error}")))?;
    Ok((status, Some(entry::from_header(header)?), coded))
}

#[cfg(test)]
mod tests;
