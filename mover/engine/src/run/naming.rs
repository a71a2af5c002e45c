//! How a file comes to be at the destination: made without a name or under one that nobody takes for it, and given its own when
//! it is whole.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustix::io::Errno;

use super::files::Outcome;
use super::orchestrator::Run;
use super::planner::FileTask;
use crate::activity::{self, Activity};
use crate::apply::file::{Made, NewFile};
use crate::apply::remove;
use crate::entry::{Entry, Kind, Xattrs};
use crate::fs::{Dir, nameless};

impl Run {
    /// Makes the file of a task, in whichever way shows nobody half of it and costs least.
    pub(super) fn create(
        self: &Arc<Self>,
        task: &FileTask,
        dir: &Arc<Dir>,
    ) -> Result<NewFile, Outcome> {
        if !self.before_write() {
            return Err(Outcome::Cancelled);
        }
        let _naming = activity::during(Activity::Metadata);
        let mode = task.entry.meta.mode;
        let leftovers = &task.directory.leftovers;
        let named = || NewFile::create(dir, &self.names.unique(), None, leftovers);
        let created = if let Some(key) = self.partial_key(task) {
            // A later run can continue it.
            let name = self.names.of_partial(&key);
            NewFile::create_lasting(dir, &name, leftovers).or_else(|_| named())
        } else if task.directory.is_private() {
            match NewFile::create(dir, &task.entry.name, Some(mode), leftovers) {
                // An attempt that failed left it there.
                Err(Errno::EXIST) => named(),
                created => created,
            }
        } else if let Some(created) = self.create_in_folder(task, dir) {
            created
        } else if self.needs_no_name(task) {
            match NewFile::nameless(dir, &task.entry.name, mode, leftovers) {
                // Another file system is mounted here.
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => named(),
                Err(Errno::NOSPC) => {
                    self.only_names_find_room.store(true, Relaxed);
                    named()
                }
                created => created,
            }
        } else {
            named()
        };
        task.directory.touch();
        created.map_err(|errno| match errno {
            Errno::NOSPC | Errno::DQUOT => Outcome::Full,
            errno => Outcome::Failed(format!("cannot create: {errno}")),
        })
    }

    /// Creates the file of a task in this thread's folder in the task's directory, where that is faster. `None` where it is to be
    /// created otherwise.
    fn create_in_folder(&self, task: &FileTask, dir: &Dir) -> Option<Result<NewFile, Errno>> {
        let in_way = task.existing.map(|meta| meta.kind);
        // A directory in the way is swapped for what is made, and what it is swapped for must stay in the directory.
        let suits = in_way != Some(Kind::Directory) && task.directory.is_wide();
        let folders = &task.directory.folders;
        let folder = suits.then(|| folders.own(dir, &self.names))??;
        let (name, mode) = (self.names.unique(), Some(task.entry.meta.mode));
        match NewFile::create(&folder, &name, mode, &task.directory.leftovers) {
            // There is no more room elsewhere.
            Err(errno) if !matches!(errno, Errno::NOSPC | Errno::DQUOT) => {
                folders.give_up();
                None
            }
            created => Some(created),
        }
    }

    /// Returns true if a file of the task that is cut off leaves nothing behind that is worth a name.
    fn needs_no_name(&self, task: &FileTask) -> bool {
        // At the root, where the state of the run goes again too: elsewhere names may stay that were given once.
        let works = || {
            let name = self.names.unique();
            self.root.node.open().is_ok_and(|dir| {
                self.root.touch();
                let works = nameless::works_in(&dir, &name);
                if works {
                    self.root.leftovers.remove(&dir, &name);
                }
                works
            })
        };
        // What is read again to be proven is found by a name.
        task.existing.is_none()
            && !self.options.verify
            && nameless::suits(task.entry.meta.size)
            && !self.only_names_find_room.load(Relaxed)
            && *self.nameless.get_or_init(works)
    }

    /// Creates the file of a task whose content arrives.
    pub(super) fn create_for_arrival(self: &Arc<Self>, task: &FileTask) -> Result<NewFile, Errno> {
        let dir = task.directory.node.open().map_err(|error| error.errno)?;
        self.create(task, &dir).map_err(|outcome| match outcome {
            Outcome::Full => Errno::NOSPC,
            Outcome::Cancelled => Errno::CANCELED,
            _ => Errno::IO,
        })
    }

    pub(super) fn publish_file(
        self: &Arc<Self>,
        task: &FileTask,
        new: &NewFile,
        entry: &Entry,
        xattrs: &Xattrs,
    ) -> Outcome {
        activity::begin(Activity::Metadata);
        let dir = match task.directory.node.open() {
            Ok(dir) => dir,
            Err(error) => return Outcome::Failed(error.brief()),
        };
        let inherits = self.inherits_acl(&task.directory, &dir);
        let give_name = |from: &Dir, made: Made<'_>| match made {
            Made::Named(temporary) => self.give_name((from, temporary), &dir, task),
            Made::Nameless(file) => self.give_first_name(&dir, file, task),
        };
        // Of one that may get more names others want to know the inode.
        let alike = task.directory.is_private() && task.group.is_none() && !inherits;
        let published = if alike {
            let birth = &task.directory.birth;
            let applied = new.publish_alike(entry, xattrs, birth, &self.ability, give_name);
            applied.map(|applied| (None, applied))
        } else {
            let published = new.publish(entry, xattrs, inherits, &self.ability, give_name);
            published.map(|(inode, applied)| (Some(inode), applied))
        };
        match published {
            Ok((inode, applied)) => {
                self.note_not_kept(|| task.path(), &applied);
                Outcome::Done(inode)
            }
            Err(Errno::NOSPC | Errno::DQUOT) => Outcome::Full,
            Err(Errno::CANCELED) => Outcome::Cancelled,
            Err(errno) => Outcome::Failed(format!("cannot finish: {errno}")),
        }
    }

    /// Gives what was made under a temporary name its final one in `dir`, and removes a directory that had it; of such a task
    /// the temporary name is in `dir` too.
    pub(super) fn give_name(
        &self,
        (from, temporary): (&Dir, &[u8]),
        dir: &Dir,
        task: &FileTask,
    ) -> Result<(), Errno> {
        if !self.before_write() {
            return Err(Errno::CANCELED);
        }
        if task
            .existing
            .is_none_or(|meta| meta.kind != Kind::Directory)
        {
            return dir.rename_from(from, temporary, &task.entry.name);
        }
        dir.exchange(temporary, &task.entry.name)?;
        remove::remove(dir, temporary, &task.path(), &self.removal());
        Ok(())
    }

    /// Gives what was made without a name its final one.
    fn give_first_name(
        &self,
        dir: &Dir,
        file: BorrowedFd<'_>,
        task: &FileTask,
    ) -> Result<(), Errno> {
        if !self.before_write() {
            return Err(Errno::CANCELED);
        }
        match nameless::link(file, dir, &task.entry.name) {
            // Somebody has made it since the directory was listed. It is replaced as one that was there then.
            Err(Errno::EXIST) => {
                let temporary = self.names.unique();
                nameless::link(file, dir, &temporary)?;
                self.give_name((dir, &temporary), dir, task)
                    .inspect_err(|_| task.directory.leftovers.remove(dir, &temporary))
            }
            // It is tried again at the end.
            Err(Errno::NOSPC) => {
                self.only_names_find_room.store(true, Relaxed);
                Err(Errno::NOSPC)
            }
            linked => linked,
        }
    }
}
