//! What a mirror costs at least: `floor SRC DST` makes the system calls that the promises of Blit need, on as many threads as
//! there are processors, and does nothing else. `make bench` measures it beside Blit, so that its page can say how much of a
//! run is the kernel's.
//!
//! Left out is all that Blit does between the calls: planning, order, link groups, filters, the guard and the second listing of
//! deletions, the state in the destination, events, history, an orderly end. Attributes are compared and not copied, apart from
//! mode and time. It is no tool for data: what is not a file or a directory ends it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use blit_engine::entry::{Kind, Meta};
use blit_engine::fs::dir::{MODE_PRIVATE_DIR, MODE_PRIVATE_FILE, stat_fd};
use blit_engine::fs::{Dir, nameless, xattr};
use rustix::fs::{Mode, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

/// Files of one task.
const BATCH: usize = 64;
/// Up to this size a file is read and written at once; `SMALL` of the engine.
const SMALL: u64 = 128 * 1024;
/// Bytes of one `sendfile`.
const PIECE: usize = 2 << 20;
/// `XFS_SUPER_MAGIC` of `linux/magic.h`.
const XFS: rustix::fs::FsWord = 0x5846_5342;

fn main() {
    // One thread that fails would leave the others waiting for what it had in hand.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |reason| {
        tell(reason);
        std::process::exit(1);
    }));
    let [source, destination]: [OsString; 2] = std::env::args_os()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .expect("floor SRC DST");
    let [source, destination] =
        [source, destination].map(|path| Dir::open_root(Path::new(&path)).expect("open a root"));
    let meta = source.stat_self().expect("stat");
    let root = Arc::new(Pair {
        source,
        destination,
        meta,
        new: false,
        folders: Folders::default(),
        _parent: None,
    });
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = Work {
        queue: Mutex::new(vec![Task::List(root)]),
        open: AtomicUsize::new(1),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for number in 0..threads {
            let work = &work;
            scope.spawn(move || work.until_done(number));
        }
    });
}

/// A directory on both sides; gets its attributes when the last task in it or below it is done.
struct Pair {
    source: Dir,
    destination: Dir,
    meta: Meta,
    /// Nobody else uses it.
    new: bool,
    folders: Folders,
    _parent: Option<Arc<Self>>,
}

/// Where files of a directory of xfs are made, one for each thread.
type Folders = Mutex<Vec<(usize, Arc<Dir>)>>;

enum Task {
    List(Arc<Pair>),
    Files(Arc<Pair>, Vec<Vec<u8>>),
    Delete(Arc<Pair>, Vec<Vec<u8>>),
    Remove(Arc<Pair>, Vec<u8>),
}

struct Work {
    queue: Mutex<Vec<Task>>,
    /// Tasks that are not done.
    open: AtomicUsize,
    changed: Condvar,
}

impl Work {
    fn until_done(&self, thread: usize) {
        let mut buffer = vec![0; SMALL as usize];
        while let Some(task) = self.next() {
            match task {
                Task::List(pair) => self.list(&pair),
                Task::Files(pair, names) => {
                    for name in names {
                        file(&pair, &name, thread, &mut buffer).expect("a file");
                    }
                }
                Task::Delete(pair, names) => {
                    for name in names {
                        pair.destination.unlink(&name).expect("unlink");
                    }
                }
                Task::Remove(pair, name) => remove(&pair.destination, &name).expect("remove"),
            }
            self.done();
        }
    }

    fn next(&self) -> Option<Task> {
        let mut queue = self.queue.lock().expect("a lock");
        loop {
            if let Some(task) = queue.pop() {
                return Some(task);
            }
            if self.open.load(Ordering::Acquire) == 0 {
                return None;
            }
            queue = self.changed.wait(queue).expect("a lock");
        }
    }

    fn add(&self, task: Task) {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.queue.lock().expect("a lock").push(task);
        self.changed.notify_one();
    }

    fn done(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            drop(self.queue.lock().expect("a lock"));
            self.changed.notify_all();
        }
    }

    fn list(&self, pair: &Arc<Pair>) {
        let (mut files, mut seen) = (Vec::with_capacity(BATCH), HashSet::new());
        let mut each = |name: &[u8], kind| {
            if !pair.new {
                seen.insert(name.to_vec());
            }
            match kind {
                rustix::fs::FileType::Directory => {
                    self.add(Task::List(Arc::new(below(pair, name))))
                }
                _ => files.push(name.to_vec()),
            }
            if files.len() == BATCH {
                self.add(Task::Files(Arc::clone(pair), std::mem::take(&mut files)));
            }
            true
        };
        pair.source.read_entries(&mut each).expect("list");
        if !files.is_empty() {
            self.add(Task::Files(Arc::clone(pair), files));
        }
        if !pair.new {
            self.delete(pair, &seen);
        }
    }

    fn delete(&self, pair: &Arc<Pair>, seen: &HashSet<Vec<u8>>) {
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        let listed = pair.destination.reopen().expect("open");
        let mut each = |name: &[u8], kind| {
            // A folder of the other thread is not the user's.
            if !seen.contains(name) && !name.starts_with(b".blit.") {
                match kind {
                    rustix::fs::FileType::Directory => directories.push(name.to_vec()),
                    _ => files.push(name.to_vec()),
                }
            }
            true
        };
        listed.read_entries(&mut each).expect("list");
        for names in files.chunks(BATCH) {
            self.add(Task::Delete(Arc::clone(pair), names.to_vec()));
        }
        for name in directories {
            self.add(Task::Remove(Arc::clone(pair), name));
        }
    }
}

fn below(parent: &Arc<Pair>, name: &[u8]) -> Pair {
    let source = parent.source.open_dir(name).expect("open");
    let meta = source.stat_self().expect("stat");
    let opened = if parent.new {
        Err(Errno::NOENT)
    } else {
        parent.destination.open_dir(name)
    };
    let new = opened.is_err();
    let destination = opened.unwrap_or_else(|_| {
        parent
            .destination
            .mkdir(name, MODE_PRIVATE_DIR)
            .expect("mkdir");
        parent.destination.open_dir(name).expect("open")
    });
    Pair {
        source,
        destination,
        meta,
        new,
        folders: Folders::default(),
        _parent: Some(Arc::clone(parent)),
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for (thread, _) in self.folders.lock().expect("a lock").iter() {
            self.destination
                .rmdir(&folder_name(*thread))
                .expect("rmdir");
        }
        finish(self.destination.as_fd(), &self.meta, true);
    }
}

fn remove(dir: &Dir, name: &[u8]) -> Result<(), Errno> {
    let gone = dir.open_dir(name)?;
    let mut directories = Vec::new();
    gone.reopen()?.read_entries(|name, kind| {
        match kind {
            rustix::fs::FileType::Directory => directories.push(name.to_vec()),
            _ => gone.unlink(name).expect("unlink"),
        }
        true
    })?;
    directories
        .iter()
        .try_for_each(|name| remove(&gone, name))?;
    dir.rmdir(name)
}

fn file(pair: &Pair, name: &[u8], thread: usize, buffer: &mut [u8]) -> Result<(), Errno> {
    let listed = pair.source.stat(name)?;
    assert!(listed.kind == Kind::File, "only files and directories");
    let existing = if pair.new {
        None
    } else {
        pair.destination.stat(name).ok()
    };
    if existing.is_some_and(|there| (there.size, there.mtime) == (listed.size, listed.mtime)) {
        let (theirs, ours) = (
            xattr::of_name(&pair.source, name)?,
            xattr::of_name(&pair.destination, name)?,
        );
        assert!(theirs == ours, "attributes are not copied");
        return Ok(());
    }
    let from = pair.source.open_file(name)?;
    let new = New::make(pair, name, existing.is_some(), listed.mode & 0o777, thread)?;
    xattr::of_fd(from.as_fd())?;
    copy(from.as_fd(), new.file.as_fd(), listed.size, buffer)?;
    let after = stat_fd(from.as_fd())?;
    assert!(
        (after.size, after.mtime) == (listed.size, listed.mtime),
        "the source changes"
    );
    let private = matches!(new.place, Place::Temporary);
    finish(new.file.as_fd(), &listed, private);
    new.name(pair, name)
}

/// A file that nobody takes for a whole one.
struct New {
    file: OwnedFd,
    place: Place,
}

enum Place {
    Final,
    Nameless,
    Temporary,
    Folder(Arc<Dir>),
}

impl New {
    fn make(
        pair: &Pair,
        name: &[u8],
        replaces: bool,
        mode: u32,
        thread: usize,
    ) -> Result<Self, Errno> {
        static ON_XFS: OnceLock<bool> = OnceLock::new();
        let on_xfs =
            || rustix::fs::fstatfs(&pair.destination).is_ok_and(|found| found.f_type == XFS);
        let (file, place) = if pair.new {
            (pair.destination.create_file(name, mode)?, Place::Final)
        } else if *ON_XFS.get_or_init(on_xfs) {
            let folder = folder(pair, thread)?;
            (folder.create_file(name, mode)?, Place::Folder(folder))
        } else if replaces {
            (
                pair.destination
                    .create_file(&temporary(name), MODE_PRIVATE_FILE)?,
                Place::Temporary,
            )
        } else {
            (
                nameless::create(&pair.destination, name, mode)?,
                Place::Nameless,
            )
        };
        Ok(Self { file, place })
    }

    fn name(self, pair: &Pair, name: &[u8]) -> Result<(), Errno> {
        match self.place {
            Place::Final => Ok(()),
            Place::Nameless => nameless::link(self.file.as_fd(), &pair.destination, name),
            Place::Temporary => pair.destination.rename(&temporary(name), name),
            Place::Folder(folder) => pair.destination.rename_from(&folder, name, name),
        }
    }
}

fn temporary(name: &[u8]) -> Vec<u8> {
    [b".blit.", name].concat()
}

fn folder_name(thread: usize) -> Vec<u8> {
    format!(".blit.folder.{thread}").into_bytes()
}

fn folder(pair: &Pair, thread: usize) -> Result<Arc<Dir>, Errno> {
    let mut folders = pair.folders.lock().expect("a lock");
    if let Some((_, folder)) = folders.iter().find(|(user, _)| *user == thread) {
        return Ok(Arc::clone(folder));
    }
    let name = folder_name(thread);
    pair.destination.mkdir(&name, MODE_PRIVATE_DIR)?;
    let folder = Arc::new(pair.destination.open_dir(&name)?);
    folders.push((thread, Arc::clone(&folder)));
    Ok(folder)
}

fn copy(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    size: u64,
    buffer: &mut [u8],
) -> Result<(), Errno> {
    if size <= SMALL {
        let read = rustix::io::pread(from, &mut *buffer, 0)?;
        for (number, piece) in buffer[..read].chunks(64 * 1024).enumerate() {
            rustix::io::pwrite(to, piece, number as u64 * 64 * 1024)?;
        }
        return Ok(());
    }
    let mut at = 0;
    while at < size {
        at += rustix::fs::sendfile(to, from, Some(&mut at.clone()), PIECE)? as u64;
    }
    Ok(())
}

/// Sets mode, where that is said or it has set-id bits, and time.
fn finish(fd: BorrowedFd<'_>, meta: &Meta, mode: bool) {
    if mode || meta.mode > 0o777 {
        rustix::fs::fchmod(fd, Mode::from_raw_mode(meta.mode)).expect("chmod");
    }
    let omit = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    let mtime = Timespec {
        tv_sec: meta.mtime.seconds,
        tv_nsec: meta.mtime.nanoseconds.into(),
    };
    rustix::fs::futimens(
        fd,
        &Timestamps {
            last_access: omit,
            last_modification: mtime,
        },
    )
    .expect("set times");
}
