//! A frame of whole files while it is filled: content, hashes, and what became of files that have none.
//!
//! Invariant: whatever is in the frame is in its batch, so that it can be noted or given back.

use std::sync::Arc;

use blit_engine::entry::Entry;
use blit_engine::fs::Errno;
use blit_engine::fs::copy::{has_empty_block, read_first_at_pace};
use blit_engine::fs::pace::Pace;
use blit_engine::run::ReadStatus;
use blit_engine::tree::SourceFile;

use super::FRAME_TARGET;
use crate::data::queue::{Answer, Batch, BlockAnswer, Job};
use crate::data::reading::unreadable;
use crate::wire::codes::{CODE_BYTES, Codes};
use crate::wire::files::{self, RECORD_BYTES, RECORD_HEAD_BYTES, WHOLE_BYTES};
use crate::wire::frame::{FILES_BYTES, HEADER_BYTES, Header};
use crate::wire::parts::Ranges;

/// Longest result of a file that still goes into a frame of whole files; with long extended attributes a
/// file goes by pieces.
const RESULT_BYTES: usize = 64 << 10;

/// A frame of whole files that is being filled. One is used for the life of a thread.
pub(super) struct Frame {
    buffer: Vec<u8>,
    pub(super) used: usize,
    pub(super) count: u32,
    pub(super) last_length: u64,
    /// What is in it.
    pub(super) batch: Batch,
    codes: Option<Arc<Codes>>,
}

impl Frame {
    pub(super) fn new(codes: Option<Arc<Codes>>) -> Self {
        // The longest record fits when the target is not reached yet.
        let longest =
            FRAME_TARGET + RECORD_BYTES + WHOLE_BYTES as usize + RESULT_BYTES + CODE_BYTES;
        debug_assert!(longest - HEADER_BYTES <= FILES_BYTES as usize);
        Self {
            buffer: vec![0; longest],
            used: HEADER_BYTES,
            count: 0,
            last_length: 0,
            batch: Batch::default(),
            codes,
        }
    }

    /// Reads a file that was opened without a look at it into the frame. Gives the job back, and has added nothing, if the file is
    /// not what was listed, or may have a hole.
    pub(super) fn add_unchanged(
        &mut self,
        job: Job,
        file: &SourceFile,
        pace: &Pace,
    ) -> Option<Job> {
        let (content, read) = self.read(file, pace);
        let length = content.len();
        let unchanged =
            read == Ok(length) && !has_empty_block(content) && file.verify() == ReadStatus::Stable;
        if !unchanged {
            return Some(job);
        }
        self.record(job.id, length, &ReadStatus::Stable, None);
        self.batch.jobs.push(job);
        None
    }

    /// Reads a file to its end into the frame.
    pub(super) fn add(&mut self, job: Job, file: &SourceFile, pace: &Pace) {
        let (content, read) = self.read(file, pace);
        let (length, status) = match read {
            Ok(length) if length == content.len() => (length, file.verify()),
            // Shorter than it was when it was opened.
            Ok(length) => (length, ReadStatus::Changed),
            Err(errno) => (0, unreadable(errno)),
        };
        self.record(job.id, length, &status, file.fresh().as_ref());
        self.batch.jobs.push(job);
    }

    /// Reports a file that has no content to send.
    pub(super) fn add_result(&mut self, job: Job, status: &ReadStatus) {
        self.record(job.id, 0, status, None);
        self.batch.jobs.push(job);
    }

    /// Reports a file of which ranges were wanted and none can be sent.
    pub(super) fn add_ranges(&mut self, job: Job, ranges: Ranges, status: &ReadStatus) {
        self.record(job.id, 0, status, None);
        self.batch.ranges.push((job, ranges));
    }

    /// Adds a hash, in the place of content.
    pub(super) fn add_answer(&mut self, answer: Answer) {
        let Answer {
            id,
            hash,
            mut status,
            mut fresh,
        } = answer.clone();
        self.batch.answers.push(answer);
        let content = self.used + RECORD_HEAD_BYTES;
        let length = match hash {
            // What does not fit beside it comes with the content.
            Some(_) if result_is_long(&fresh) => {
                (status, fresh) = (ReadStatus::Changed, None);
                0
            }
            Some(hash) => {
                self.buffer[content..content + hash.len()].copy_from_slice(&hash);
                hash.len()
            }
            None => 0,
        };
        self.record(id, length, &status, fresh.as_ref());
    }

    /// Adds hashes of blocks, in the place of content.
    pub(super) fn add_blocks(&mut self, answer: BlockAnswer) {
        let content = self.used + RECORD_HEAD_BYTES;
        let length = answer.hashes.len().min(WHOLE_BYTES as usize);
        self.buffer[content..content + length].copy_from_slice(&answer.hashes[..length]);
        self.record(answer.id, length, &answer.status, None);
        self.batch.blocks.push(answer);
    }

    /// Reads as much of a file as was listed to where its content goes. Returns that place, and how much was read.
    fn read(&mut self, file: &SourceFile, pace: &Pace) -> (&[u8], Result<usize, Errno>) {
        let expected = file.entry().meta.size as usize;
        let content = self.used + RECORD_HEAD_BYTES;
        let content = &mut self.buffer[content..content + expected];
        let read = read_first_at_pace(pace, file.fd(), content);
        (content, read)
    }

    /// Puts head and result around content that is already there.
    fn record(&mut self, id: u64, length: usize, status: &ReadStatus, fresh: Option<&Entry>) {
        let mut result = files::encode_result(status, fresh);
        let content = self.used + RECORD_HEAD_BYTES;
        if let Some(codes) = &self.codes {
            let sent = &self.buffer[content..content + length];
            result = files::with_code(result, |result| codes.whole(id, sent, result));
        }
        let head = files::record_head(id, length as u32);
        self.buffer[self.used..content].copy_from_slice(&head);
        let end = content + length;
        self.buffer[end..end + result.len()].copy_from_slice(&result);
        self.used = end + result.len();
        self.count += 1;
        self.last_length = length as u64;
    }

    /// Returns the frame with its header.
    pub(super) fn bytes(&mut self) -> &[u8] {
        let length = (self.used - HEADER_BYTES) as u32;
        let header = Header::Files {
            count: self.count,
            length,
        };
        self.buffer[..HEADER_BYTES].copy_from_slice(&header.encode());
        &self.buffer[..self.used]
    }

    pub(super) fn clear(&mut self) {
        self.used = HEADER_BYTES;
        self.count = 0;
    }
}

pub(super) fn result_is_long(fresh: &Option<Entry>) -> bool {
    let xattrs = fresh.as_ref().and_then(|entry| entry.xattrs.as_ref());
    // Names and the rest of an entry take less than half of the room.
    xattrs.is_some_and(|xattrs| {
        xattrs
            .0
            .iter()
            .map(|(name, value)| name.len() + value.len() + 16)
            .sum::<usize>()
            > RESULT_BYTES / 2
    })
}
