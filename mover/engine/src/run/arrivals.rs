//! Content that arrives from another host, handed in by the threads that read sockets.
//!
//! A small file comes whole and is written by the thread that brings it. A large one comes in pieces over
//! any socket in any order, with an end that says how many bytes there were; whoever brings the last of
//! these finishes the file.
//!
//! Invariant: once a run has its result, nothing that arrives late is written any more.

use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, Weak};

use rustix::io::Errno;

use super::answers::Answers;
use super::assembly::Assembly;
use super::hashes::Hashes;
use super::orchestrator::Run;
use super::planner::FileTask;
use super::source::SourceError;
use crate::activity::{self, Activity};
use crate::apply::file::NewFile;
use crate::entry::Entry;
use crate::fs::copy::write_all_at;
use crate::fs::pour::pour;
use crate::tree::ReadStatus;
use crate::tree::node::lock;

/// What the source says at the end of a file.
#[derive(Debug, Clone)]
pub struct Tail {
    /// How reading it ended.
    pub status: ReadStatus,
    /// Content bytes that were sent in all; holes have none.
    pub bytes: u64,
    /// The entry as it was found when it was opened, where that differs from the listing.
    pub fresh: Option<Entry>,
}

/// Files that were asked for and have not arrived.
#[derive(Default)]
pub struct Arrivals {
    run: OnceLock<Weak<Run>>,
    next: AtomicU64,
    expected: Mutex<HashMap<u64, Arc<Incoming>>>,
    pub(super) hashes: Hashes,
    pub(super) answers: Answers,
    gate: Arc<Gate>,
}

/// A file that arrives in pieces.
pub struct Incoming {
    run: Weak<Run>,
    gate: Arc<Gate>,
    part_of: Option<FilePart>,
    file: OnceLock<Result<NewFile, Errno>>,
    state: Mutex<State>,
}

/// A part of a file that is put together.
pub(super) struct FilePart {
    assembly: Arc<Assembly>,
    /// Where what arrives may be written: from, to.
    place: (u64, u64),
    /// How many bytes must come, where something else lies now that must not stay.
    bytes: Option<u64>,
}

struct State {
    task: Option<FileTask>,
    received: u64,
    /// Seldom there for long, and large.
    tail: Option<Box<Tail>>,
    error: Option<Errno>,
    /// Length to give to the file before its first piece.
    unsized_length: Option<u64>,
}

/// What everything that is written passes; it closes with the run.
#[derive(Default)]
struct Gate {
    closed: RwLock<bool>,
}

impl Gate {
    /// Lets a thread in, who keeps the gate open for as long as it has what is returned.
    fn enter(&self) -> Option<RwLockReadGuard<'_, bool>> {
        let closed = self.closed.read().unwrap_or_else(PoisonError::into_inner);
        (!*closed).then_some(closed)
    }

    /// Waits for those inside and lets nobody in any more.
    fn close(&self) {
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

impl FilePart {
    /// Takes the range in which it lies, as (offset, length), and how many bytes must come.
    pub(super) fn new(
        assembly: Arc<Assembly>,
        (offset, length): (u64, u64),
        bytes: Option<u64>,
    ) -> Self {
        Self {
            assembly,
            place: (offset, offset.saturating_add(length)),
            bytes,
        }
    }
}

impl Arrivals {
    /// Makes an empty set; it is given to the run with its content.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Runs work of a thread that brings content, so that the run knows what the thread does.
    pub fn visit<T>(&self, work: impl FnOnce() -> T) -> T {
        match self.run.get().and_then(Weak::upgrade) {
            Some(run) => Arc::clone(&run.roster).visit(work),
            None => work(),
        }
    }

    /// Takes a whole file and writes it on this thread. Content that nobody waits for is dropped.
    pub fn whole(&self, id: u64, content: &[u8], tail: Tail) {
        self.visit(|| self.take_whole(id, content, tail));
    }

    fn take_whole(&self, id: u64, content: &[u8], tail: Tail) {
        let Some(_open) = self.gate.enter() else {
            return;
        };
        let Some(incoming) = self.take(id) else {
            return;
        };
        if incoming.part_of.is_some() && !content.is_empty() {
            // Nothing says where in the file it belongs.
            let reason = "the source sent a part of a file as a whole one".to_owned();
            return incoming.end(Tail {
                status: ReadStatus::Failed(reason),
                ..tail
            });
        }
        if tail.status == ReadStatus::Stable && !content.is_empty() {
            // An error stays with the file and is reported at its end.
            let _ = incoming.write(content, 0);
        }
        incoming.count(content.len() as u64);
        incoming.end(tail);
    }

    /// Returns the file whose pieces arrive under `id`, making it when the first one does. `None`: nobody
    /// waits for it, or it cannot be written; its pieces are to be read and dropped.
    pub fn incoming(&self, id: u64) -> Option<Arc<Incoming>> {
        let _open = self.gate.enter()?;
        let incoming = lock(&self.expected).get(&id).map(Arc::clone)?;
        self.visit(|| incoming.sized_file().map(drop)).ok()?;
        Some(incoming)
    }

    /// All pieces were sent; some may still be under way over other sockets. A file that could not be
    /// written here ends at once: its pieces are dropped and not counted.
    pub fn end(&self, id: u64, tail: Tail) {
        let Some(_open) = self.gate.enter() else {
            return;
        };
        if let Some(incoming) = self.take(id) {
            self.visit(|| incoming.end(tail));
        }
    }

    /// Returns the path of the file that is waited for the longest.
    pub(super) fn oldest(&self) -> Option<Vec<u8>> {
        let expected = lock(&self.expected);
        let incoming = expected.iter().min_by_key(|(id, _)| **id)?.1;
        match &incoming.part_of {
            Some(part) => part.assembly.path(),
            None => lock(&incoming.state).task.as_ref().map(FileTask::path),
        }
    }

    /// Returns of how many files the source has not told hashes, and the path of the one that was asked about first.
    pub(super) fn hashes_missing(&self) -> Option<(usize, Vec<u8>)> {
        let ((files, of_file), (parts, of_blocks)) =
            (self.hashes.missing(), self.answers.missing());
        let oldest = of_file.into_iter().chain(of_blocks);
        let (_, path) = oldest.min_by_key(|(id, _)| *id)?;
        Some((files + parts, path))
    }

    /// The session is over: what is outstanding will not come.
    pub fn disconnect(&self, error: SourceError) {
        if let Some(run) = self.run.get().and_then(Weak::upgrade) {
            run.lost(error);
        }
        lock(&self.expected).clear();
        self.hashes.clear();
        self.answers.clear();
    }

    /// The run is about to have its result: waits for what is being written, and drops what comes later.
    pub(super) fn close(&self) {
        self.gate.close();
    }

    pub(super) fn attach(&self, run: &Arc<Run>) {
        let _ = self.run.set(Arc::downgrade(run));
    }

    /// Waits for the content of a task; returns the id under which it is asked for.
    pub(super) fn expect(&self, task: FileTask) -> u64 {
        let run = self.run.get().cloned().unwrap_or_default();
        self.expect_pieces(run, Some(task), None)
    }

    /// Waits for a part of a file.
    pub(super) fn expect_part(&self, run: &Arc<Run>, part: FilePart) -> u64 {
        self.expect_pieces(Arc::downgrade(run), None, Some(part))
    }

    fn expect_pieces(
        &self,
        run: Weak<Run>,
        task: Option<FileTask>,
        part_of: Option<FilePart>,
    ) -> u64 {
        let id = self.next_id();
        let incoming = Incoming {
            run,
            gate: Arc::clone(&self.gate),
            part_of,
            file: OnceLock::new(),
            state: Mutex::new(State {
                unsized_length: task.as_ref().map(|task| task.entry.meta.size),
                task,
                received: 0,
                tail: None,
                error: None,
            }),
        };
        lock(&self.expected).insert(id, Arc::new(incoming));
        id
    }

    /// Returns true if hashes of blocks were asked for under this number.
    pub fn expects_blocks(&self, id: u64) -> bool {
        self.answers.expects(id)
    }

    /// Takes hashes of blocks, one after another. An answer that nobody waits for is dropped.
    pub fn blocks(&self, id: u64, hashes: &[u8], tail: Tail) {
        self.answers.take(id, hashes, tail);
    }

    /// Returns a number for a request.
    pub(super) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the run with a pass for as long as something is written, unless the run has its result.
    pub(super) fn open(&self) -> Option<(Arc<Run>, RwLockReadGuard<'_, bool>)> {
        let open = self.gate.enter()?;
        let run = self.run.get().and_then(Weak::upgrade)?;
        Some((run, open))
    }

    fn take(&self, id: u64) -> Option<Arc<Incoming>> {
        lock(&self.expected).remove(&id)
    }
}

impl Incoming {
    /// Writes a piece. Call [`Self::arrived`] afterwards, also when this failed.
    pub fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let _open = self.gate.enter().ok_or(Errno::CANCELED)?;
        Ok(self.visit(|| self.write(data, offset))?)
    }

    /// Moves a piece that lies in a pipe; returns how much of it. Where that is less than `length`, the rest is still in
    /// the pipe, and is to be read and given to [`Self::write_at`]. Call [`Self::arrived`] afterwards, also when this
    /// failed; then nothing is known of the pipe.
    pub fn pour(&self, pipe: BorrowedFd<'_>, length: usize, offset: u64) -> io::Result<usize> {
        let _open = self.gate.enter().ok_or(Errno::CANCELED)?;
        let poured = || {
            self.place(offset, length as u64, |file| {
                pour(pipe, file, length, offset)
            })
        };
        Ok(self.visit(poured)?)
    }

    /// A piece is in the file as a whole; where everything is to be on the device in the end, it can go there now.
    pub fn complete(&self, offset: u64, length: u64) {
        let Some(_open) = self.gate.enter() else {
            return;
        };
        if let Some(run) = self.run.upgrade()
            && let Some(write_back) = &run.write_back
            && let Ok(file) = self.file()
        {
            write_back.note(file.fd(), offset, length);
        }
    }

    fn write(&self, data: &[u8], offset: u64) -> Result<(), Errno> {
        self.place(offset, data.len() as u64, |file| {
            write_all_at(file, data, offset)
        })
    }

    /// Puts a piece into the file. An error stays with the file.
    fn place<T>(
        &self,
        offset: u64,
        length: u64,
        put: impl FnOnce(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let _writing = self.working(Activity::Write);
        let placed = self.file().and_then(|file| {
            self.check_place(offset, length)?;
            put(file.fd())
        });
        if let Err(errno) = &placed {
            lock(&self.state).error.get_or_insert(*errno);
        }
        placed
    }

    /// A part is written only where it belongs: what lies beside it may have been compared already.
    fn check_place(&self, offset: u64, length: u64) -> Result<(), Errno> {
        let outside = |(from, to): (u64, u64)| offset < from || offset.saturating_add(length) > to;
        match &self.part_of {
            Some(part) if outside(part.place) => Err(Errno::INVAL),
            _ => Ok(()),
        }
    }

    /// The handle to write to; use it only on what [`Arrivals::incoming`] returned.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file().ok().map(NewFile::fd)
    }

    /// Opens what was written for reading.
    pub fn reopen(&self) -> io::Result<OwnedFd> {
        Ok(self.file().and_then(NewFile::reopen)?)
    }

    /// Counts a piece that was written.
    pub fn arrived(&self, bytes: u64) {
        if let Some(_open) = self.gate.enter() {
            self.visit(|| self.count(bytes));
        }
    }

    fn visit<T>(&self, work: impl FnOnce() -> T) -> T {
        match self.run.upgrade() {
            Some(run) => Arc::clone(&run.roster).visit(work),
            None => work(),
        }
    }

    fn count(&self, bytes: u64) {
        if let Some(run) = self.run.upgrade() {
            run.counters.wrote(bytes);
        }
        lock(&self.state).received += bytes;
        self.finish_if_last();
    }

    /// Counts what the calling thread, which is not the run's, does for the run.
    fn working(&self, activity: Activity) -> activity::During {
        if let Some(run) = self.run.upgrade() {
            run.counters.ledger.join();
        }
        activity::during(activity)
    }

    fn end(&self, tail: Tail) {
        lock(&self.state).tail = Some(Box::new(tail));
        self.finish_if_last();
    }

    fn file(&self) -> Result<&NewFile, Errno> {
        if let Some(part) = &self.part_of {
            return Ok(part.assembly.file());
        }
        self.file
            .get_or_init(|| {
                let run = self.run.upgrade().ok_or(Errno::CANCELED)?;
                let state = lock(&self.state);
                run.create_for_arrival(state.task.as_ref().ok_or(Errno::CANCELED)?)
            })
            .as_ref()
            .map_err(|errno| *errno)
    }

    /// The file for pieces: it has its length before the first one, so that a file system that allocates
    /// ahead of the last write does not fill the holes between them.
    fn sized_file(&self) -> Result<&NewFile, Errno> {
        let file = self.file()?;
        // Under the lock: no piece may be written before, because one beyond this length would be cut off.
        let mut state = lock(&self.state);
        if let Some(length) = state.unsized_length.take()
            && let Err(errno) = rustix::fs::ftruncate(file.fd(), length)
        {
            // It stays with the file, whose pieces are counted all the same: its end is waited for.
            state.error.get_or_insert(errno);
        }
        drop(state);
        Ok(file)
    }

    /// Finishes the file if this was the last thing that was missing.
    fn finish_if_last(&self) {
        let _finishing = self.working(Activity::Metadata);
        let Some(run) = self.run.upgrade() else {
            return;
        };
        if let Some(part) = &self.part_of {
            return self.end_part(part);
        }
        let unwritable = matches!(self.file.get(), Some(Err(_)));
        let (task, tail, received, error) = {
            let mut state = lock(&self.state);
            match &state.tail {
                Some(tail) if state.received >= tail.bytes || unwritable => {}
                _ => return,
            }
            let (Some(task), Some(tail)) = (state.task.take(), state.tail.take()) else {
                return;
            };
            (task, tail, state.received, state.error)
        };
        let size = tail
            .fresh
            .as_ref()
            .map_or(task.entry.meta.size, |entry| entry.meta.size);
        let written = match (&tail.status, error) {
            (ReadStatus::Stable, None) => self.file_of(&run, &task).and_then(|file| {
                // What no piece covered is a hole; only the length can make one at the end. The file may
                // also have another length than it was made with.
                if received < size || size != task.entry.meta.size {
                    rustix::fs::ftruncate(file.fd(), size)?;
                }
                Ok(file)
            }),
            (_, error) => Err(error.unwrap_or(Errno::CANCELED)),
        };
        let file = self.file.get().and_then(|file| file.as_ref().ok());
        run.end_arrival(task, tail.status, written, tail.fresh, file);
    }

    /// Ends a part of a file if nothing of it is missing.
    fn end_part(&self, part: &FilePart) {
        let (mut tail, error) = {
            let mut state = lock(&self.state);
            let received = state.received;
            let Some(tail) = state.tail.take_if(|tail| received >= tail.bytes) else {
                return;
            };
            (tail, state.error)
        };
        let lacks = part.bytes.is_some_and(|bytes| bytes != tail.bytes);
        if lacks && tail.status == ReadStatus::Stable {
            tail.status = ReadStatus::Changed;
        }
        part.assembly.ended(&tail, error);
    }

    /// The file, made now if it has no content at all.
    fn file_of(&self, run: &Arc<Run>, task: &FileTask) -> Result<&NewFile, Errno> {
        self.file
            .get_or_init(|| run.create_for_arrival(task))
            .as_ref()
            .map_err(|errno| *errno)
    }
}
