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

use super::FrameSink;
use super::large::{LargeFile, Piece};
use super::queue::{Answer, Job, Preference, Queue, Task, is_small};
use crate::wire::files::{self, RECORD_BYTES, RECORD_HEAD_BYTES, WHOLE_BYTES};
use crate::wire::frame::{FILES_BYTES, HEADER_BYTES, Header};

/// Bytes after which a frame of whole files leaves: large enough to make system calls rare, small enough
/// that the receiver begins soon.
const FRAME_TARGET: usize = 256 << 10;

/// Longest result of a file that still goes into a frame of whole files; with long extended attributes a
/// file goes by pieces.
const RESULT_BYTES: usize = 64 << 10;

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
}

impl Sender {
    /// Works until the queue is closed. An error is one of the stream.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut frame = Frame::new();
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
                Task::Large(job) => self.open(job, &mut frame)?,
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
        let sent = self.sink.send_file(file.file().fd(), offset, length)?;
        self.sent
            .bytes
            .fetch_add(u64::from(length), Ordering::Relaxed);
        self.sent
            .zero_copy
            .fetch_add(sent.zero_copy, Ordering::Relaxed);
        file.sent(piece, sent);
        Ok(())
    }

    /// Sends the end of a large file if this thread sent its last piece.
    fn finish(&mut self, file: &LargeFile) -> io::Result<()> {
        let Some(ending) = file.end() else {
            return Ok(());
        };
        self.sent.files.fetch_add(1, Ordering::Relaxed);
        let result = files::encode_result(&ending.status, ending.fresh.as_ref());
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
}

impl Frame {
    fn new() -> Self {
        // The longest record fits when the target is not reached yet.
        let longest = FRAME_TARGET + RECORD_BYTES + WHOLE_BYTES as usize + RESULT_BYTES;
        debug_assert!(longest - HEADER_BYTES <= FILES_BYTES as usize);
        Self {
            buffer: vec![0; longest],
            used: HEADER_BYTES,
            count: 0,
            last_length: 0,
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

    /// Puts head and result around content that is already there.
    fn record(&mut self, id: u64, length: usize, status: &ReadStatus, fresh: Option<&Entry>) {
        let result = files::encode_result(status, fresh);
        let content = self.used + RECORD_HEAD_BYTES;
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
    let mut read = 0;
    while read < buffer.len() {
        let buffer = &mut buffer[read..];
        match call(Call::Read, file, || {
            rustix::io::pread(file, buffer, read as u64)
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
