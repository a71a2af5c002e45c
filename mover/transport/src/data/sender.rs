//! The loop of a sender thread: takes work from the queue and writes frames.
//!
//! Small files are read straight into the frame that carries them, many to a frame; a frame leaves when it
//! is full or when there is nothing else to do. Pieces of large files go by zero copy where the stream can.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use blit_engine::entry::Entry;
use blit_engine::run::ReadStatus;
use blit_engine::tree::{LocalSource, SourceFile, is_young, ripen};
use blit_engine::watch::{Call, call};

use super::large::{LargeFile, Piece};
use super::queue::{Answer, BlockAnswer, Job, Preference, Queue, Task, is_small};
use super::{FileSent, FrameSink};
use crate::wire::codes::{CODE_BYTES, Codes, Passing};
use crate::wire::files::{self, RECORD_BYTES, RECORD_HEAD_BYTES, WHOLE_BYTES};
use crate::wire::frame::{FILES_BYTES, HEADER_BYTES, Header};

/// Bytes after which a frame of whole files leaves: large enough to make system calls rare, small enough
/// that the receiver begins soon.
const FRAME_TARGET: usize = 256 << 10;

/// Longest result of a file that still goes into a frame of whole files; with long extended attributes a
/// file goes by pieces.
const RESULT_BYTES: usize = 64 << 10;

/// Bytes of a large file that are read at once where they pass through memory, in a session that verifies.
const PASS_BYTES: usize = 256 << 10;

/// What the sender threads of a session did.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Content bytes.
    pub(crate) bytes: AtomicU64,
    /// Of these, without a copy.
    pub(crate) zero_copy: AtomicU64,
    /// Files.
    pub(crate) files: AtomicU64,
}

/// One sender thread.
pub(crate) struct Sender {
    /// Where to send.
    pub(crate) sink: Box<dyn FrameSink>,
    /// What to send.
    pub(crate) queue: Arc<Queue>,
    /// Where it is read.
    pub(crate) source: Arc<LocalSource>,
    /// Which kind of work comes first.
    pub(crate) preference: Preference,
    /// Figures.
    pub(crate) sent: Arc<Sent>,
    /// What makes the codes of what is sent, in a session that verifies.
    pub(crate) codes: Option<Arc<Codes>>,
}

impl Sender {
    /// Works until the queue is closed. An error is one of the stream.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut frame = Frame::new(self.codes.clone());
        loop {
            let task = match self.queue.try_take(self.preference) {
                Some(task) => task,
                None => {
                    // Nothing to do at the moment: what was read so far need not wait.
                    self.flush(&mut frame)?;
                    match self.queue.take(self.preference) {
                        Some(task) => task,
                        None => return Ok(()),
                    }
                }
            };
            match task {
                Task::Small(jobs) => {
                    for job in jobs {
                        self.small(job, &mut frame)?;
                    }
                }
                Task::Answers(answers) => {
                    for answer in answers {
                        self.make_room(&mut frame)?;
                        frame.add_answer(answer);
                    }
                }
                Task::Blocks(answer) => {
                    self.make_room(&mut frame)?;
                    frame.add_blocks(&answer);
                }
                Task::Large(job) => self.open(job, &mut frame)?,
                Task::Ranges(job, ranges) => self.open_ranges(&job, &ranges, &mut frame)?,
                Task::Piece(file, piece) => {
                    self.flush(&mut frame)?;
                    self.piece(&file, piece)?;
                    self.finish(&file)?;
                }
            }
        }
    }

    /// Reads a small file into the frame.
    fn small(&mut self, job: Job, frame: &mut Frame) -> io::Result<()> {
        let Some(job) = self.ripe(job, frame)? else {
            return Ok(());
        };
        let file = match self.source.open_file(job.dir, &job.entry) {
            Ok(file) => file,
            Err(status) => return self.result(job.id, &status, frame),
        };
        if file.is_fresh() {
            self.wait_for(file.entry(), frame)?;
        }
        if !is_small(file.entry()) || file.has_holes() || result_is_long(&file.fresh()) {
            // It has grown since it was listed, or holes that the number of its blocks did not show.
            let file = Arc::new(LargeFile::new(job.id, file));
            return self.send_pieces(&file, frame);
        }
        self.make_room(frame)?;
        frame.add(job.id, &file);
        self.sent.files.fetch_add(1, Ordering::Relaxed);
        self.sent
            .bytes
            .fetch_add(frame.last_length, Ordering::Relaxed);
        Ok(())
    }

    /// Opens a large file for all threads.
    fn open(&mut self, job: Job, frame: &mut Frame) -> io::Result<()> {
        let Some(job) = self.ripe(job, frame)? else {
            return Ok(());
        };
        match self.source.open_file(job.dir, &job.entry) {
            Ok(file) => {
                if file.is_fresh() {
                    self.wait_for(file.entry(), frame)?;
                }
                let file = Arc::new(LargeFile::new(job.id, file));
                self.queue.opened(Arc::clone(&file));
                // A file of holes alone has no pieces.
                self.finish(&file)
            }
            Err(status) => self.result(job.id, &status, frame),
        }
    }

    /// Returns a file of which no change can go unnoticed. One that is too young goes to the back of the queue, and is
    /// waited for when it comes again.
    fn ripe(&mut self, job: Job, frame: &mut Frame) -> io::Result<Option<Job>> {
        if !is_young(&job.entry.meta) {
            return Ok(Some(job));
        }
        if job.late {
            self.wait_for(&job.entry, frame)?;
            return Ok(Some(job));
        }
        self.queue.push(vec![Job { late: true, ..job }]);
        Ok(None)
    }

    fn wait_for(&mut self, entry: &Entry, frame: &mut Frame) -> io::Result<()> {
        if is_young(&entry.meta) {
            // What was read so far need not wait.
            self.flush(frame)?;
            ripen(&entry.meta, || self.queue.is_closed());
        }
        Ok(())
    }

    /// Opens a file of which ranges are wanted, for all threads. One that is not what was listed has no ranges.
    fn open_ranges(
        &mut self,
        job: &Job,
        ranges: &[(u64, u64)],
        frame: &mut Frame,
    ) -> io::Result<()> {
        self.wait_for(&job.entry, frame)?;
        match self.source.open_file(job.dir, &job.entry) {
            Ok(file) if file.is_fresh() => self.result(job.id, &ReadStatus::Changed, frame),
            Ok(file) => {
                let file = Arc::new(LargeFile::within(job.id, file, ranges));
                self.queue.opened(Arc::clone(&file));
                self.finish(&file)
            }
            Err(status) => self.result(job.id, &status, frame),
        }
    }

    /// Sends all of a file on this thread.
    fn send_pieces(&mut self, file: &LargeFile, frame: &mut Frame) -> io::Result<()> {
        self.flush(frame)?;
        while let Some(piece) = file.next() {
            self.piece(file, piece)?;
        }
        self.finish(file)
    }

    fn piece(&mut self, file: &LargeFile, piece: Piece) -> io::Result<()> {
        let Piece { offset, length } = piece;
        self.sink.send(
            &Header::Chunk {
                id: file.id,
                offset,
                length,
            }
            .encode(),
            true,
        )?;
        let (sent, code) = match self.codes.clone() {
            None => (self.sink.send_file(file.file().fd(), offset, length)?, None),
            Some(codes) => {
                let (sent, code) = self.pass(&codes, file, piece)?;
                (sent, Some(code))
            }
        };
        self.sent
            .bytes
            .fetch_add(u64::from(length), Ordering::Relaxed);
        self.sent
            .zero_copy
            .fetch_add(sent.zero_copy, Ordering::Relaxed);
        file.sent(piece, sent, code.as_ref());
        Ok(())
    }

    /// Sends a piece through memory, and makes its code of the same bytes.
    fn pass(
        &mut self,
        codes: &Codes,
        file: &LargeFile,
        piece: Piece,
    ) -> io::Result<(FileSent, Passing)> {
        let mut code = codes.piece(file.id, piece.offset, piece.length);
        let mut buffer = vec![0; PASS_BYTES.min(piece.length as usize)];
        let (mut done, length) = (0, piece.length as usize);
        let mut problem = None;
        while done < length {
            let part = &mut buffer[..PASS_BYTES.min(length - done)];
            let read = match &problem {
                None => read_at(file.file().fd(), part, piece.offset + done as u64),
                Some(_) => Ok(0),
            };
            let read = read.unwrap_or_else(|error| {
                problem = Some(ReadStatus::Failed(format!("cannot read: {error}")));
                0
            });
            if read < part.len() {
                // Shorter than it was: what is missing is padded.
                part[read..].fill(0);
                problem.get_or_insert(ReadStatus::Changed);
            }
            code.pass(part);
            done += part.len();
            self.sink.send(part, done < length)?;
        }
        let zero_copy = 0;
        Ok((FileSent { zero_copy, problem }, code))
    }

    /// Sends the end of a large file if this thread sent its last piece.
    fn finish(&mut self, file: &LargeFile) -> io::Result<()> {
        let Some(ending) = file.end() else {
            return Ok(());
        };
        let files = u64::from(file.is_whole());
        self.sent.files.fetch_add(files, Ordering::Relaxed);
        let mut result = files::encode_result(&ending.status, ending.fresh.as_ref());
        if let Some(codes) = &self.codes {
            result = files::with_code(result, |result| {
                codes.end(file.id, ending.bytes, ending.sum, result)
            });
        }
        let payload = files::encode_end(ending.bytes, ending.zero_copy, &result);
        let header = Header::End {
            id: file.id,
            length: payload.len() as u32,
        };
        self.sink.send(&header.encode(), true)?;
        self.sink.send(&payload, false)
    }

    /// Reports a file that has no content to send.
    fn result(&mut self, id: u64, status: &ReadStatus, frame: &mut Frame) -> io::Result<()> {
        self.make_room(frame)?;
        frame.add_result(id, status);
        Ok(())
    }

    fn make_room(&mut self, frame: &mut Frame) -> io::Result<()> {
        if frame.used >= FRAME_TARGET {
            self.flush(frame)
        } else {
            Ok(())
        }
    }

    fn flush(&mut self, frame: &mut Frame) -> io::Result<()> {
        if frame.count > 0 {
            self.sink.send(frame.bytes(), false)?;
            frame.clear();
        }
        Ok(())
    }
}

/// A frame of whole files that is being filled. One is used for the life of a thread.
struct Frame {
    buffer: Vec<u8>,
    used: usize,
    count: u32,
    last_length: u64,
    codes: Option<Arc<Codes>>,
}

impl Frame {
    fn new(codes: Option<Arc<Codes>>) -> Self {
        // The longest record fits when the target is not reached yet.
        let longest =
            FRAME_TARGET + RECORD_BYTES + WHOLE_BYTES as usize + RESULT_BYTES + CODE_BYTES;
        debug_assert!(longest - HEADER_BYTES <= FILES_BYTES as usize);
        Self {
            buffer: vec![0; longest],
            used: HEADER_BYTES,
            count: 0,
            last_length: 0,
            codes,
        }
    }

    /// Reads a file to its end into the frame.
    fn add(&mut self, id: u64, file: &SourceFile) {
        let expected = file.entry().meta.size as usize;
        let content = self.used + RECORD_HEAD_BYTES;
        let read = read_whole(file.fd(), &mut self.buffer[content..content + expected]);
        let (length, status) = match read {
            Ok(length) if length == expected => (length, file.verify()),
            // Shorter than it was when it was opened.
            Ok(length) => (length, ReadStatus::Changed),
            Err(error) => (0, ReadStatus::Failed(format!("cannot read: {error}"))),
        };
        self.record(id, length, &status, file.fresh().as_ref());
    }

    fn add_result(&mut self, id: u64, status: &ReadStatus) {
        self.record(id, 0, status, None);
    }

    /// Adds a hash, in the place of content.
    fn add_answer(&mut self, answer: Answer) {
        let Answer {
            id,
            hash,
            mut status,
            mut fresh,
        } = answer;
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
    fn add_blocks(&mut self, answer: &BlockAnswer) {
        let content = self.used + RECORD_HEAD_BYTES;
        let length = answer.hashes.len().min(WHOLE_BYTES as usize);
        self.buffer[content..content + length].copy_from_slice(&answer.hashes[..length]);
        self.record(answer.id, length, &answer.status, None);
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
    fn bytes(&mut self) -> &[u8] {
        let length = (self.used - HEADER_BYTES) as u32;
        let header = Header::Files {
            count: self.count,
            length,
        };
        self.buffer[..HEADER_BYTES].copy_from_slice(&header.encode());
        &self.buffer[..self.used]
    }

    fn clear(&mut self) {
        self.used = HEADER_BYTES;
        self.count = 0;
    }
}

/// Reads from the beginning until `buffer` is full or the file ends.
fn read_whole(file: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    read_at(file, buffer, 0)
}

/// Reads from `offset` until `buffer` is full or the file ends.
fn read_at(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        let buffer = &mut buffer[read..];
        match call(Call::Read, file, || {
            rustix::io::pread(file, buffer, offset + read as u64)
        }) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(read)
}

fn result_is_long(fresh: &Option<Entry>) -> bool {
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

#[cfg(test)]
mod tests;
