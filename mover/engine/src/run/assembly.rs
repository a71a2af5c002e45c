//! A large file that is put together from what the destination has and what arrives.
//!
//! What it has is either the file that an interrupted run had begun, which is continued in its place, or the old
//! version, from which blocks are taken over. Neither is trusted: of every block the source tells the hash, and what
//! differs is asked for. So it does not matter how the earlier run ended, whether the power was lost, or who wrote
//! to the file since; which file to look at is all that identity decides.
//!
//! The worker that has the task goes through the file region by region: a few regions ahead it asks for hashes, and what
//! it finds missing it asks for at once. Whoever brings the last piece finishes the file, as with any other.
//!
//! Invariants: everything comes from one state of the source's file, the listed one; a file that is no longer
//! in it is brought over whole. What is taken from the old version is written from the same memory that was hashed.
//! Where something lies that is not the source's, either a hole is made of it or every byte of it must come: a source does not
//! send holes, and a block can become one without a change that its attributes tell (allocated and never written, it
//! counts as data for as long as its zeros are in memory).

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, Weak};

use rustix::io::Errno;

use super::arrivals::{Arrivals, FilePart, Tail};
use super::orchestrator::Run;
use super::planner::FileTask;
use super::source::{Content, PartWant, Wanted, Wants};
use crate::activity::{self, Activity};
use crate::apply::file::NewFile;
use crate::entry::{DirId, Kind as EntryKind};
use crate::fs::blocks::{BLOCK, Blocks, HOLE, Kind, MIXED, REGION, blocks, hash_of, punch};
use crate::fs::copy::{has_holes, next_extent, write_all_at};
use crate::fs::dir::stat_fd;
use crate::fs::hash::Hash;
use crate::plan::blocks::{Missing, is_worth, samples};
use crate::plan::names::{PartialKey, partial_name};
use crate::tree::ReadStatus;
use crate::tree::node::lock;

/// The smallest file that is continued or compared block by block: as long as a region, so that what it costs (a call
/// for each interrupted run, and one exchange with the source before content comes) is little beside it.
pub(super) const ASSEMBLED_MIN: u64 = REGION;

/// Regions whose hashes are asked for before they are needed: the source hashes them on several threads.
const AHEAD: usize = 4;

/// A file that is being put together.
pub(super) struct Assembly {
    run: Weak<Run>,
    file: NewFile,
    state: Mutex<State>,
}

struct State {
    task: Option<FileTask>,
    /// What is still to come: wants under way, and the worker itself.
    open: usize,
    status: ReadStatus,
    error: Option<Errno>,
}

/// What the destination has of a file.
enum Basis {
    /// A file that is ours already: what is right stays where it is.
    Own(NewFile),
    /// The old version, and an empty file.
    Old(Old, NewFile),
}

/// An old version.
struct Old {
    file: OwnedFd,
    size: u64,
    sparse: bool,
}

/// Offset and length.
type Range = (u64, u64);

/// Why a file is not put together.
enum Halt {
    /// The source's file cannot be read as it was listed.
    Source(ReadStatus),
    /// The destination's file system failed.
    Here(Errno),
    /// The run ends.
    End,
}

impl From<Errno> for Halt {
    fn from(errno: Errno) -> Self {
        Self::Here(errno)
    }
}

impl Assembly {
    /// The file that pieces are written to.
    pub(super) fn file(&self) -> &NewFile {
        &self.file
    }

    pub(super) fn path(&self) -> Option<Vec<u8>> {
        lock(&self.state).task.as_ref().map(FileTask::path)
    }

    /// A want has ended.
    pub(super) fn ended(&self, tail: &Tail, error: Option<Errno>) {
        let status = match tail.status {
            ReadStatus::Stable if tail.fresh.is_some() => ReadStatus::Changed,
            ref status => status.clone(),
        };
        self.close_one(status, error);
    }

    /// One thing less is to come; whoever ends the last finishes the file.
    fn close_one(&self, status: ReadStatus, error: Option<Errno>) {
        let (task, status, error) = {
            let mut state = lock(&self.state);
            if state.status == ReadStatus::Stable {
                state.status = status;
            }
            state.error = state.error.or(error);
            state.open -= 1;
            if state.open > 0 {
                return;
            }
            let Some(task) = state.task.take() else {
                return;
            };
            (task, state.status.clone(), state.error)
        };
        let Some(run) = self.run.upgrade() else {
            return;
        };
        let written = error.map_or(Ok(()), Err).map(|()| &self.file);
        run.end_arrival(task, status, written, None, Some(&self.file));
    }
}

impl Run {
    /// Returns the key of a file that a later run may continue, if it is one.
    pub(super) fn partial_key(&self, task: &FileTask) -> Option<PartialKey> {
        let Content::Arriving { wants, .. } = &self.content else {
            return None;
        };
        let meta = &task.entry.meta;
        (meta.size >= ASSEMBLED_MIN && wants.can_assemble())
            .then(|| PartialKey::new(&task.entry.name, meta))
    }

    /// Puts a file together from what is here and what is asked for. Gives the task back if there is nothing here that
    /// is worth it: then the file comes whole.
    pub(super) fn assemble(
        self: &Arc<Self>,
        task: FileTask,
        wants: &dyn Wants,
        arrivals: &Arrivals,
    ) -> Option<FileTask> {
        // What is tried again was not what it was listed as, or arrived altered: then nothing is taken from here.
        let key = match task.attempt {
            0 => self.partial_key(&task),
            _ => None,
        };
        let Some(key) = key else {
            return Some(task);
        };
        let _reading = activity::during(Activity::Read);
        let asker = Asker {
            run: self,
            wants,
            arrivals,
            dir: task.ticket.dir,
            part: task.ticket.part,
            index: task.index,
            path: task.path().into(),
        };
        let (old, file) = match self.basis(&task, &key, &asker) {
            Some(Basis::Own(file)) => (None, file),
            Some(Basis::Old(old, file)) => (Some(old), file),
            None => return Some(task),
        };
        let size = task.entry.meta.size;
        self.queue.asked(1);
        let assembly = Arc::new(Assembly {
            run: Arc::downgrade(self),
            file,
            state: Mutex::new(State {
                task: Some(task),
                open: 1,
                status: ReadStatus::Stable,
                error: None,
            }),
        });
        match asker.work_through(&assembly, size, old.as_ref()) {
            Ok(()) => assembly.close_one(ReadStatus::Stable, None),
            Err(Halt::Source(status)) => assembly.close_one(status, None),
            Err(Halt::Here(errno)) => assembly.close_one(ReadStatus::Stable, Some(errno)),
            // The task goes with the run; the file stays for the next one.
            Err(Halt::End) => {}
        }
        None
    }

    /// Looks for something of the file here: what an interrupted run had begun, or the old version.
    fn basis(
        self: &Arc<Self>,
        task: &FileTask,
        key: &PartialKey,
        asker: &Asker<'_>,
    ) -> Option<Basis> {
        let (dir, leftovers) = (task.directory.node.open().ok()?, &task.directory.leftovers);
        let (own, size) = (self.names.of_partial(key), task.entry.meta.size);
        let earlier: Vec<&str> = self.state.previous_runs().collect();
        for run_id in earlier.into_iter().rev() {
            let Ok(mut file) = NewFile::adopt(&dir, &partial_name(run_id, key), leftovers) else {
                continue;
            };
            if !self.before_write() {
                return None;
            }
            task.directory.touch();
            // Under a name of this run: what has one of an earlier run is removed in the end.
            if file.rename(&own).is_ok() && rustix::fs::ftruncate(file.fd(), size).is_ok() {
                return Some(Basis::Own(file));
            }
            file.discard();
        }
        let existing = task.existing.filter(|existing| {
            existing.kind == EntryKind::File && existing.size >= ASSEMBLED_MIN / 2
        })?;
        let old = dir.open_file(&task.entry.name).ok()?;
        let planned = stat_fd(old.as_fd()).is_ok_and(|found| found.same_state(&existing));
        if !planned || !asker.is_worth(old.as_fd(), existing.size.min(size)).ok()? {
            return None;
        }
        if !self.before_write() {
            return None;
        }
        task.directory.touch();
        let new = NewFile::create_lasting(&dir, &own, leftovers).ok()?;
        // A clone shares the blocks that stay.
        if rustix::fs::ioctl_ficlone(new.fd(), &old).is_ok()
            && let Ok(clone) = NewFile::adopt(&dir, &own, leftovers)
            && rustix::fs::ftruncate(clone.fd(), size).is_ok()
        {
            return Some(Basis::Own(clone));
        }
        if rustix::fs::ftruncate(new.fd(), 0).is_err()
            || rustix::fs::ftruncate(new.fd(), size).is_err()
        {
            new.discard();
            return None;
        }
        let sparse = existing.is_sparse() || has_holes(old.as_fd(), existing.size);
        let old = Old {
            file: old,
            size: existing.size,
            sparse,
        };
        Some(Basis::Old(old, new))
    }
}

/// Who asks the source about one file.
struct Asker<'a> {
    run: &'a Arc<Run>,
    wants: &'a dyn Wants,
    arrivals: &'a Arrivals,
    dir: DirId,
    part: u32,
    index: u32,
    path: Arc<[u8]>,
}

impl Asker<'_> {
    /// Compares some blocks with the source's, to see whether comparing them all is worth it.
    fn is_worth(&self, old: BorrowedFd<'_>, size: u64) -> Result<bool, Halt> {
        let samples = samples(size);
        let wants: Vec<PartWant> = (samples.iter())
            .map(|(offset, length)| self.blocks_want(*offset, *length))
            .collect();
        let ids: Vec<u64> = wants.iter().map(|want| want.id).collect();
        let compared = self.send(&wants).and_then(|()| {
            let mut here = Blocks::new(old, size, true);
            let (mut same, mut different) = (0, 0);
            for ((offset, length), id) in samples.iter().zip(&ids) {
                let ours = here.hashes(*offset, *length, &mut |_| true)?;
                let theirs = self.answer(*id)?;
                match (ours.as_deref(), theirs.as_slice()) {
                    // Holes cost nothing and tell nothing.
                    (_, [HOLE]) => {}
                    (Some([ours]), [theirs]) if ours == theirs && *theirs != MIXED => same += 1,
                    _ => different += 1,
                }
            }
            Ok(is_worth(same, different))
        });
        self.arrivals.answers.forget(ids.into_iter());
        compared
    }

    /// Goes through the file; returns when everything that is missing was asked for.
    fn work_through(
        &self,
        assembly: &Arc<Assembly>,
        size: u64,
        old: Option<&Old>,
    ) -> Result<(), Halt> {
        // Where the file itself is the basis, it may have holes and data anywhere.
        let own = (assembly.file.fd(), size, true);
        let (fd, length, sparse) = old.map_or(own, |old| {
            (old.file.as_fd(), old.size.min(size), old.sparse)
        });
        let mut here = Here {
            blocks: Blocks::new(fd, length, sparse),
            to: assembly.file.fd(),
            in_place: old.is_none(),
        };
        let mut asked = VecDeque::new();
        let worked = self.regions(assembly, size, (fd, length), &mut here, &mut asked);
        let left = asked.into_iter().filter_map(|(_, id)| id);
        self.arrivals.answers.forget(left);
        worked
    }

    fn regions(
        &self,
        assembly: &Arc<Assembly>,
        size: u64,
        (fd, length): (BorrowedFd<'_>, u64),
        here: &mut Here<'_>,
        asked: &mut VecDeque<(Range, Option<u64>)>,
    ) -> Result<(), Halt> {
        let mut next = 0;
        loop {
            while asked.len() < AHEAD && next < size {
                let region = (next, REGION.min(size - next));
                asked.push_back((region, self.ask_about(fd, length, region)?));
                next += region.1;
            }
            let Some((region, id)) = asked.pop_front() else {
                return Ok(());
            };
            let mut lacking = Lacking::default();
            match id {
                None => lacking.over_holes.add(region.0, region.1),
                Some(id) => {
                    let theirs = self.answer(id)?;
                    let reused = here.compare(region, &theirs, &mut lacking, self.run)?;
                    self.run.counters.bytes_unchanged.fetch_add(reused, Relaxed);
                }
            }
            self.ask_for(assembly, region, lacking)?;
        }
    }

    /// Asks for the hashes of a region; `None` if there is nothing here to compare them with.
    fn ask_about(
        &self,
        fd: BorrowedFd<'_>,
        length: u64,
        region: Range,
    ) -> Result<Option<u64>, Halt> {
        let end = length.min(region.0 + region.1);
        if next_extent(fd, region.0, end)?.is_none() {
            return Ok(None);
        }
        let want = self.blocks_want(region.0, region.1);
        let id = want.id;
        self.send(&[want])?;
        Ok(Some(id))
    }

    /// Asks for what is missing of a region.
    fn ask_for(
        &self,
        assembly: &Arc<Assembly>,
        region: Range,
        lacking: Lacking,
    ) -> Result<(), Halt> {
        let over_holes = lacking.over_holes.wants().into_iter();
        let over_data = lacking.over_data.wants().into_iter();
        let wants = over_holes
            .map(|ranges| (ranges, false))
            .chain(over_data.map(|ranges| (ranges, true)));
        for (ranges, over_data) in wants {
            lock(&assembly.state).open += 1;
            let bytes = over_data.then(|| ranges.iter().map(|(_, length)| length).sum());
            let part = FilePart::new(Arc::clone(assembly), region, bytes);
            let id = self.arrivals.expect_part(self.run, part);
            self.send(&[self.want(id, Wanted::Ranges(ranges))])?;
        }
        Ok(())
    }

    fn blocks_want(&self, offset: u64, length: u64) -> PartWant {
        let id = self.arrivals.next_id();
        (self.arrivals.answers).expect(id, Arc::clone(&self.path));
        self.want(id, Wanted::Blocks { offset, length })
    }

    fn want(&self, id: u64, what: Wanted) -> PartWant {
        PartWant {
            id,
            dir: self.dir,
            part: self.part,
            index: self.index,
            what,
        }
    }

    fn send(&self, wants: &[PartWant]) -> Result<(), Halt> {
        let _waiting = activity::during(Activity::Wait);
        self.wants.want_parts(wants).map_err(|error| {
            self.run.lost(error);
            Halt::End
        })
    }

    fn answer(&self, id: u64) -> Result<Vec<Hash>, Halt> {
        let _waiting = activity::during(Activity::Wait);
        match self.arrivals.answers.wait(id, || self.run.must_end()) {
            None => Err(Halt::End),
            Some(answer) => answer.map_err(Halt::Source),
        }
    }
}

/// What is missing of a region.
#[derive(Default)]
struct Lacking {
    /// Where the file has holes: what the source does not send of it is right.
    over_holes: Missing,
    /// Where something else lies.
    over_data: Missing,
}

/// What is compared with the source, and what is made of it.
struct Here<'a> {
    blocks: Blocks<'a>,
    to: BorrowedFd<'a>,
    /// The file that is read is the one that is made.
    in_place: bool,
}

impl Here<'_> {
    /// Compares a region; takes over what is the same, and adds the rest to `lacking`. Returns what was the same.
    fn compare(
        &mut self,
        (offset, length): Range,
        theirs: &[Hash],
        lacking: &mut Lacking,
        run: &Run,
    ) -> Result<u64, Halt> {
        if theirs.len() as u64 != length.div_ceil(BLOCK) {
            let lie = "the source told another number of hashes than was asked for";
            return Err(Halt::Source(ReadStatus::Failed(lie.to_owned())));
        }
        let mut reused = 0;
        for ((at, length), theirs) in blocks(offset, length).zip(theirs) {
            if run.must_end() {
                return Err(Halt::End);
            }
            let ours = self.blocks.kind(at, length)?;
            if *theirs == HOLE || *theirs == MIXED {
                // What comes of such a block leaves its holes alone.
                if self.in_place && ours != Kind::Hole && punch(self.to, at, length).is_err() {
                    // Without holes on demand the file is brought over anew.
                    return Err(Halt::Source(ReadStatus::Changed));
                }
                if *theirs == MIXED {
                    lacking.over_holes.add(at, length);
                }
                continue;
            }
            let takes = ours == Kind::Data && self.takes(at, length, theirs)?;
            if ours == Kind::Data {
                // That it was read is progress, whatever it was.
                run.counters.bytes_compared.fetch_add(length, Relaxed);
            }
            if takes {
                reused += length;
            } else if self.in_place && ours != Kind::Hole {
                lacking.over_data.add(at, length);
            } else {
                lacking.over_holes.add(at, length);
            }
        }
        Ok(reused)
    }

    /// Takes over a block if it is the source's.
    fn takes(&mut self, at: u64, length: u64, theirs: &Hash) -> Result<bool, Errno> {
        let Some(block) = self.blocks.read(at, length)? else {
            return Ok(false);
        };
        if hash_of(block) != *theirs {
            return Ok(false);
        }
        if !self.in_place {
            write_all_at(self.to, block, at)?;
        }
        Ok(true)
    }
}
