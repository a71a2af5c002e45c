//! The loop of a sender thread: takes work from the queue and writes frames.
//!
//! Small files are read straight into the frame that carries them, many to a frame; a frame leaves when it
//! is full or when there is nothing else to do. Pieces of large files go by zero copy where the stream can.
//!
//! Invariant: whatever a thread takes from the queue is in the queue, in its frame or in its journal until the
//! other side has it, so that a stream that breaks loses nothing.

mod content;
mod frame;

use std::collections::VecDeque;
use std::io;
use std::mem::take;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use blit_engine::entry::Entry;
use blit_engine::fs::copy::read_full_at;
use blit_engine::run::ReadStatus;
use blit_engine::tree::{LocalSource, SourceFile, is_young, ripen};

use super::journal::{Carried, Journal};
use super::large::{Ending, LargeFile, Origin, Piece};
use super::queue::{Again, Batch, Job, Queue, Task, is_small};
use super::reading::unreadable;
use super::{FileSent, FrameSink};
use crate::wire::codes::Codes;
use crate::wire::files;
use crate::wire::frame::Header;
use crate::wire::parts::Ranges;
use frame::{Frame, result_is_long};

/// Bytes after which a frame of whole files leaves: large enough to make system calls rare, small enough
/// that the receiver begins soon.
const FRAME_TARGET: usize = 256 << 10;

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
    /// What was sent on this stream, and which kind of work comes first.
    pub(crate) journal: Arc<Journal>,
    /// Where it is read.
    pub(crate) source: Arc<LocalSource>,
    /// Figures.
    pub(crate) sent: Arc<Sent>,
    /// What makes the codes of what is sent, in a session that verifies.
    pub(crate) codes: Option<Arc<Codes>>,
}

impl Sender {
    /// Works until the queue is closed or the stream is to be left. An error is one of the stream; then what
    /// was taken and not sent goes back to the queue, and what was sent is in the journal.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut frame = Frame::new(self.codes.clone());
        let mut small = VecDeque::new();
        let worked = self
            .work(&mut frame, &mut small)
            .and_then(|()| self.sink.finish());
        if worked.is_err() {
            self.queue.take_back(take(&mut frame.batch));
            self.queue.push(small.into());
        }
        worked
    }

    fn work(&mut self, frame: &mut Frame, small: &mut VecDeque<Job>) -> io::Result<()> {
        let journal = Arc::clone(&self.journal);
        loop {
            if self.sink.is_spent() && journal.recovers() {
                // Another stream takes its place.
                return self.flush(frame);
            }
            let (preference, left) = (journal.preference(), journal.left());
            let task = match self.queue.try_take(preference, left) {
                Some(task) => task,
                None => {
                    // Nothing to do at the moment: what was read so far need not wait.
                    self.flush(frame)?;
                    match self.queue.take(preference, left) {
                        Some(task) => task,
                        None => return Ok(()),
                    }
                }
            };
            match task {
                Task::Small(jobs) => {
                    small.extend(jobs);
                    while !small.is_empty() {
                        self.make_room(frame)?;
                        if let Some(job) = small.pop_front() {
                            self.small(job, frame)?;
                        }
                    }
                }
                Task::Answers(answers) => {
                    let mut answers = answers.into_iter();
                    while !answers.as_slice().is_empty() {
                        if let Err(error) = self.make_room(frame) {
                            answers.for_each(|answer| self.queue.answer(answer));
                            return Err(error);
                        }
                        if let Some(answer) = answers.next() {
                            frame.add_answer(answer);
                        }
                    }
                }
                Task::Blocks(answer) => {
                    if let Err(error) = self.make_room(frame) {
                        // Not by the way that waits for whoever sends.
                        self.queue.take_back(Batch {
                            blocks: vec![answer],
                            ..Batch::default()
                        });
                        return Err(error);
                    }
                    frame.add_blocks(answer);
                }
                Task::Large(job) => {
                    if let Err(error) = self.make_room(frame) {
                        self.queue.push(vec![job]);
                        return Err(error);
                    }
                    self.open(job, frame)?;
                }
                Task::Ranges(job, ranges) => {
                    let ready = self.make_room(frame);
                    if let Err(error) = ready.and_then(|()| self.wait_for(&job.entry, frame)) {
                        self.queue.push_ranges(vec![(job, ranges)]);
                        return Err(error);
                    }
                    self.open_ranges(job, ranges, frame)?;
                }
                Task::Piece(file, piece) => {
                    if let Err(error) = self.flush(frame) {
                        file.not_sent(piece);
                        self.queue.opened(file);
                        return Err(error);
                    }
                    let sent = self.piece(&file, piece);
                    let finished = self.finish(&file);
                    sent.and(finished)?;
                }
                Task::Again(again) => {
                    if let Err(error) = self.flush(frame) {
                        self.queue.again(again);
                        return Err(error);
                    }
                    self.again(again)?;
                }
            }
        }
    }

    /// Reads a small file into the frame, which has room for it.
    fn small(&mut self, job: Job, frame: &mut Frame) -> io::Result<()> {
        let Some(job) = self.ripe(job, frame)? else {
            return Ok(());
        };
        let unseen = self.source.open_unseen(job.dir, &job.entry);
        let job = match unseen {
            Some(file) => match frame.add_unchanged(job, &file, self.source.pace()) {
                None => {
                    self.count(frame);
                    return Ok(());
                }
                Some(job) => job,
            },
            None => job,
        };
        let file = match self.source.open_file(job.dir, &job.entry) {
            Ok(file) => file,
            Err(status) => {
                frame.add_result(job, &status);
                return Ok(());
            }
        };
        if file.is_fresh()
            && let Err(error) = self.wait_for(file.entry(), frame)
        {
            self.queue.push(vec![job]);
            return Err(error);
        }
        if !is_small(file.entry()) || file.has_holes() || result_is_long(&file.fresh()) {
            // It has grown since it was listed, or holes that the number of its blocks did not show.
            return self.share(&job, file);
        }
        frame.add(job, &file, self.source.pace());
        self.count(frame);
        Ok(())
    }

    /// Counts the file that was added last.
    fn count(&self, frame: &Frame) {
        self.sent.files.fetch_add(1, Ordering::Relaxed);
        let bytes = &self.sent.bytes;
        bytes.fetch_add(frame.last_length, Ordering::Relaxed);
    }

    /// Opens a large file for all threads.
    fn open(&mut self, job: Job, frame: &mut Frame) -> io::Result<()> {
        let Some(job) = self.ripe(job, frame)? else {
            return Ok(());
        };
        match self.source.open_file(job.dir, &job.entry) {
            Ok(file) => {
                if file.is_fresh()
                    && let Err(error) = self.wait_for(file.entry(), frame)
                {
                    self.queue.push(vec![job]);
                    return Err(error);
                }
                self.share(&job, file)
            }
            Err(status) => {
                frame.add_result(job, &status);
                Ok(())
            }
        }
    }

    /// Returns a file of which no change can go unnoticed. One that is too young goes to the back of the queue, and is
    /// waited for when it comes again.
    fn ripe(&mut self, job: Job, frame: &mut Frame) -> io::Result<Option<Job>> {
        if !is_young(&job.entry.meta) {
            return Ok(Some(job));
        }
        if job.late {
            if let Err(error) = self.wait_for(&job.entry, frame) {
                self.queue.push(vec![job]);
                return Err(error);
            }
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
    fn open_ranges(&mut self, job: Job, ranges: Ranges, frame: &mut Frame) -> io::Result<()> {
        match self.source.open_file(job.dir, &job.entry) {
            Ok(file) if file.is_fresh() => {
                frame.add_ranges(job, ranges, &ReadStatus::Changed);
                Ok(())
            }
            Ok(file) => {
                let file = Arc::new(LargeFile::within(job.id, job.dir, file, &ranges));
                self.queue.opened(Arc::clone(&file));
                self.finish(&file)
            }
            Err(status) => {
                frame.add_ranges(job, ranges, &status);
                Ok(())
            }
        }
    }

    /// Puts an open file where every thread finds its pieces.
    fn share(&mut self, job: &Job, file: SourceFile) -> io::Result<()> {
        let file = Arc::new(LargeFile::new(job.id, job.dir, file));
        self.queue.opened(Arc::clone(&file));
        // A file of holes alone has no pieces.
        self.finish(&file)
    }

    /// Sends a piece. If that fails, the journal has it.
    fn piece(&mut self, file: &Arc<LargeFile>, piece: Piece) -> io::Result<()> {
        let Piece { offset, length, .. } = piece;
        let origin = &file.origin;
        self.journal.note(Carried::Piece {
            origin: Arc::clone(origin),
            file: Arc::downgrade(file),
            piece,
            zero_copy: 0,
        });
        let header = Header::Chunk {
            id: origin.id,
            offset,
            length,
        };
        let begun = self.sink.send(&header.encode(), true);
        let codes = self.codes.clone().filter(|_| !piece.again);
        let (sent, code, outcome) = match codes {
            Some(codes) => {
                let (sent, code, outcome) = self.pass(&codes, file, piece, begun);
                (sent, Some(code), outcome)
            }
            None => match begun.and_then(|()| self.content(file, offset, length)) {
                Ok(sent) => (sent, None, Ok(())),
                Err(error) => (FileSent::default(), None, Err(error)),
            },
        };
        if outcome.is_ok() {
            self.journal.without_copy(sent.zero_copy);
            self.sent
                .bytes
                .fetch_add(u64::from(length), Ordering::Relaxed);
            self.sent
                .zero_copy
                .fetch_add(sent.zero_copy, Ordering::Relaxed);
        }
        // What broke is counted as sent until the journal is settled.
        file.sent(piece, sent, code.as_ref());
        outcome
    }

    /// Sends the end of a large file if this thread sent its last piece.
    fn finish(&mut self, file: &LargeFile) -> io::Result<()> {
        let Some(ending) = file.end() else {
            return Ok(());
        };
        let files = u64::from(file.is_whole());
        self.sent.files.fetch_add(files, Ordering::Relaxed);
        self.end(&file.origin, ending)
    }

    /// Sends the end of a large file. If that fails, the journal has it.
    fn end(&mut self, origin: &Arc<Origin>, ending: &Ending) -> io::Result<()> {
        self.journal.note(Carried::End(Arc::clone(origin)));
        let mut result = files::encode_result(&ending.status, ending.fresh.as_ref());
        if let Some(codes) = &self.codes {
            let sum = ending.sum.of_end(ending.status == ReadStatus::Stable);
            result = files::with_code(result, |result| {
                codes.end(origin.id, ending.bytes, sum, result)
            });
        }
        let payload = files::encode_end(ending.bytes, ending.zero_copy, &result);
        let header = Header::End {
            id: origin.id,
            length: payload.len() as u32,
        };
        self.sink.send(&header.encode(), true)?;
        self.sink.send(&payload, false)
    }

    /// Sends again what was lost of a file that has ended.
    fn again(&mut self, again: Again) -> io::Result<()> {
        let Again { origin, piece } = again;
        let Some(ending) = origin.ending.get() else {
            // What comes back here has ended.
            return Ok(());
        };
        let Some(piece) = piece else {
            return self.end(&origin, ending);
        };
        let mut content = vec![0; piece.length as usize];
        if let Err(status) = self.read_again(&origin, piece.offset, &mut content) {
            // The file is not what it was when it ended. That comes first: the piece may be the last.
            content.fill(0);
            let worse = Ending {
                status,
                zero_copy: 0,
                ..ending.clone()
            };
            if let Err(error) = self.end(&origin, &worse) {
                // The journal has the end, and nobody the piece.
                let piece = Some(piece);
                self.queue.again(Again { origin, piece });
                return Err(error);
            }
        }
        self.journal.note(Carried::Piece {
            origin: Arc::clone(&origin),
            file: Weak::new(),
            piece,
            zero_copy: 0,
        });
        let header = Header::Chunk {
            id: origin.id,
            offset: piece.offset,
            length: piece.length,
        };
        self.sink.send(&header.encode(), true)?;
        self.sink.send(&content, false)
    }

    fn read_again(
        &self,
        origin: &Origin,
        offset: u64,
        content: &mut [u8],
    ) -> Result<(), ReadStatus> {
        let file = self.source.open_file(origin.dir, &origin.entry)?;
        if file.is_fresh() {
            return Err(ReadStatus::Changed);
        }
        match read_full_at(file.fd(), content, offset) {
            Ok(read) if read == content.len() => match file.verify() {
                ReadStatus::Stable => Ok(()),
                status => Err(status),
            },
            Ok(_) => Err(ReadStatus::Changed),
            Err(errno) => Err(unreadable(errno)),
        }
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
            self.journal.note(Carried::Files(take(&mut frame.batch)));
            self.sink.send(frame.bytes(), false)?;
            frame.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
