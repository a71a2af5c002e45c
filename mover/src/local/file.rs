//! A single file as a source: a listing of one entry under the name it is to get, and its content.
//!
//! The content does not come from a directory handle, because the name at the source is another one; it
//! arrives as from another host, but written by the kernel where it can (reflink, copy_file_range, sendfile).
//! The destination directory keeps its own attributes: it is not part of what is copied.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use blit_crds::outcome::ExitCode;
use blit_engine::entry::{DirId, Entry, is_valid_name};
use blit_engine::fs::copy::{Copier, CopyError, Ladder, has_holes};
use blit_engine::fs::dir::{display_path, stat_fd};
use blit_engine::fs::hash::{Hash, blake3_of};
use blit_engine::fs::same::{CompareError, Comparer, Side};
use blit_engine::fs::{Dir, Errno, FsError, xattr};
use blit_engine::run::{
    Arrivals, Content, DestinationRoot, End, Incoming, Listing, Next, Part, ReadStatus,
    SourceError, Summary, Tail, Want, Wants,
};

use crate::cli::operand::names_directory;
use crate::report::summary::code_of_root;
use crate::roots::fs_error;

/// Bytes moved at once where the kernel cannot copy by itself.
const BUFFER: usize = 256 * 1024;

/// A file cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The destination ends in something that cannot be the name of a file.
    #[error("`{}` has no name that a file can get; name the file or the directory to put it in", display_path(.0))]
    NoName(PathBuf),
    /// Source and destination are the same file.
    #[error("source and destination are the same file, `{}`; choose another destination", display_path(.0))]
    Same(PathBuf),
    /// A call failed.
    #[error("{0}")]
    Failed(#[from] FsError),
}

impl FileError {
    /// Returns the exit code for this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::NoName(_) | Self::Same(_) => ExitCode::Usage,
            Self::Failed(error) => code_of_root(error.errno),
        }
    }
}

/// Returns where a file goes: the directory, and its name there. `name` is that of the source.
pub(crate) fn place(
    name: Option<&OsStr>,
    destination: &Path,
) -> Result<(PathBuf, OsString), FileError> {
    let into_directory = names_directory(destination.as_os_str()) || destination.is_dir();
    let (parent, name) = match into_directory {
        true => (destination, name),
        false => (
            destination.parent().unwrap_or_else(|| Path::new("/")),
            destination.file_name(),
        ),
    };
    let parent = match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    };
    let name = name.filter(|name| is_valid_name(name.as_bytes()));
    let name = name.ok_or_else(|| FileError::NoName(destination.to_owned()))?;
    Ok((parent.to_owned(), name.to_owned()))
}

/// Sets the times of a directory to now.
pub(crate) fn touch(dir: &Dir) {
    use nix::sys::time::TimeSpec;
    let now = TimeSpec::UTIME_NOW;
    if let Err(errno) = nix::sys::stat::futimens(dir, &now, &now) {
        tracing::debug!(%errno, "cannot set the time of the destination directory");
    }
}

/// A file to copy.
pub(super) struct OneFile {
    file: File,
    path: PathBuf,
    entry: Entry,
    /// The destination directory as it is: what a run takes for the source's root.
    root: Entry,
    destination: Dir,
    arrivals: Arc<Arrivals>,
    listed: AtomicBool,
}

impl OneFile {
    /// Opens the file at `path`, to be copied into `destination` under `name`. `root` is what that was before.
    pub(super) fn open(
        path: &Path,
        destination: &Dir,
        name: &OsStr,
        root: DestinationRoot,
    ) -> Result<Arc<Self>, FileError> {
        let failed = |action: &'static str| {
            move |errno| FsError::new(action, path.as_os_str().as_bytes(), errno)
        };
        if !is_valid_name(name.as_bytes()) {
            return Err(FileError::NoName(name.into()));
        }
        let file = File::open(path).map_err(|error| fs_error("open", path, &error))?;
        let meta = stat_fd(file.as_fd()).map_err(failed("read attributes of"))?;
        if root != DestinationRoot::Missing
            && destination
                .stat(name.as_bytes())
                .is_ok_and(|there| there.inode() == meta.inode())
        {
            return Err(FileError::Same(path.to_owned()));
        }
        let xattrs = xattr::of_fd(file.as_fd()).map_err(failed("read extended attributes of"))?;
        let entry = Entry {
            name: name.as_bytes().into(),
            meta,
            target: None,
            dir: None,
            xattrs: Some(xattrs),
        };
        let destination = destination
            .reopen()
            .map_err(|errno| FsError::new("open", name.as_bytes(), errno))?;
        let root = root_of(&destination)?;
        Ok(Arc::new(Self {
            file,
            path: path.to_owned(),
            entry,
            root,
            destination,
            arrivals: Arrivals::new(),
            listed: AtomicBool::new(false),
        }))
    }

    /// Returns the content for a run.
    /// With `verify`, what was written is read again and compared.
    pub(super) fn content(self: &Arc<Self>, verify: bool) -> Content {
        let wants = Arc::new(Sender {
            file: Arc::clone(self),
            verify,
        });
        Content::Arriving {
            wants,
            arrivals: Arc::clone(&self.arrivals),
        }
    }

    /// Call it when the run has ended: a directory that got a new file has been changed, although the run
    /// gave it back the time it had.
    pub(super) fn finish(&self, ended: &Summary) {
        if ended.progress.files_copied > 0 {
            touch(&self.destination);
        }
    }

    fn send(&self, id: u64, verify: bool) {
        let mut bytes = 0;
        let status = match self.arrivals.incoming(id) {
            // It cannot be written; the run knows why.
            None => ReadStatus::Stable,
            Some(incoming) => match self.copy_into(&incoming, &mut bytes) {
                Ok(()) if verify => self.prove(&incoming),
                Ok(()) => self.verify(),
                Err(errno) => failed("read", &self.path, errno),
            },
        };
        self.arrivals.end(
            id,
            Tail {
                status,
                bytes,
                fresh: None,
            },
        );
    }

    /// Copies in the kernel where that works, else through memory. An error of writing stays with the file
    /// that arrives, and is reported at its end.
    fn copy_into(&self, incoming: &Incoming, bytes: &mut u64) -> Result<(), Errno> {
        let meta = &self.entry.meta;
        let mut moved = |n| {
            *bytes += n;
            incoming.arrived(n);
            true
        };
        let copied = incoming.fd().map(|to| {
            let (from, sparse) = (self.file.as_fd(), has_holes(self.file.as_fd(), meta.size));
            Copier::default().copy(&Ladder::default(), from, to, meta.size, sparse, &mut moved)
        });
        match copied {
            Some(Ok(())) => Ok(()),
            Some(Err(CopyError::Read(errno))) => Err(errno),
            Some(Err(CopyError::Write(_) | CopyError::Cancelled)) | None => {
                self.write_plainly(incoming, &mut moved)
            }
        }
    }

    fn write_plainly(
        &self,
        incoming: &Incoming,
        moved: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), Errno> {
        let mut buffer = vec![0; BUFFER];
        let mut offset = 0;
        loop {
            let read = match self.file.read_at(&mut buffer, offset) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
            };
            let written = incoming.write_at(&buffer[..read], offset);
            moved(read as u64);
            if written.is_err() {
                return Ok(());
            }
            offset += read as u64;
        }
    }

    /// Answers with the hash of the content.
    fn hash(&self, id: u64) {
        let meta = &self.entry.meta;
        let hashed = blake3_of(self.file.as_fd(), meta.size, meta.is_sparse(), &mut |_| {
            true
        });
        let (hash, status) = match hashed {
            Ok(hash) => (hash.unwrap_or_default(), self.verify()),
            Err(errno) => (Hash::default(), failed("read", &self.path, errno)),
        };
        let tail = Tail {
            status,
            bytes: 0,
            fresh: None,
        };
        self.arrivals.hashed(id, hash, tail);
    }

    /// Compares what was written with the source.
    fn prove(&self, incoming: &Incoming) -> ReadStatus {
        // An error of writing stays with the file that arrives.
        let Ok(written) = incoming.reopen() else {
            return self.verify();
        };
        let sparse = self.entry.meta.is_sparse();
        let sides = [self.file.as_fd(), written.as_fd()].map(|fd| Side { fd, sparse });
        let (size, mut go_on) = (self.entry.meta.size, |_| true);
        let same = Comparer::default().same(sides[0], sides[1], 0, size, &mut go_on);
        match (same, self.verify()) {
            (Err(CompareError::First(errno)), _) => failed("read", &self.path, errno),
            (Err(CompareError::Second(errno)), _) => failed("read again", &self.path, errno),
            (Ok(false), ReadStatus::Stable) => ReadStatus::Altered,
            (_, status) => status,
        }
    }

    fn verify(&self) -> ReadStatus {
        match stat_fd(self.file.as_fd()) {
            Ok(now) if now.same_state(&self.entry.meta) => ReadStatus::Stable,
            Ok(_) => ReadStatus::Changed,
            Err(errno) => failed("read attributes of", &self.path, errno),
        }
    }
}

fn failed(action: &'static str, path: &Path, errno: Errno) -> ReadStatus {
    ReadStatus::Failed(FsError::new(action, path.as_os_str().as_bytes(), errno).to_string())
}

/// Returns the destination directory as it is: what a run takes for the root of a source that is one file.
pub(crate) fn root_of(destination: &Dir) -> Result<Entry, FsError> {
    let failed = |errno| FsError::new("read attributes of", b"", errno);
    Ok(Entry {
        name: Box::default(),
        meta: destination.stat_self().map_err(failed)?,
        target: None,
        dir: Some(DirId::ROOT),
        xattrs: Some(xattr::of_fd(destination.as_fd()).map_err(failed)?),
    })
}

impl Listing for OneFile {
    fn root(&self) -> Result<Entry, SourceError> {
        Ok(self.root.clone())
    }

    fn next(&self, _wait: Duration) -> Result<Next, SourceError> {
        if self.listed.swap(true, Ordering::Relaxed) {
            return Ok(Next::Finished);
        }
        let end = Some(End::Complete { count: 1 });
        Ok(Next::Part(Part {
            dir: DirId::ROOT,
            part: 0,
            entries: vec![self.entry.clone()],
            end,
        }))
    }

    fn done(&self, _dir: DirId, _part: u32, _keep: bool) {}

    fn relist(&self, _dir: DirId) -> Result<Vec<Box<[u8]>>, SourceError> {
        Ok(vec![self.entry.name.clone()])
    }
}

/// Answers the only want there can be, from a thread of its own as a socket would.
struct Sender {
    file: Arc<OneFile>,
    verify: bool,
}

impl Wants for Sender {
    fn want(&self, wants: &[Want]) -> Result<(), SourceError> {
        for want in wants {
            let (file, id, hash) = (Arc::clone(&self.file), want.id, want.hash);
            let verify = self.verify;
            let answer = move || {
                let arrivals = Arc::clone(&file.arrivals);
                arrivals.visit(|| match hash {
                    true => file.hash(id),
                    false => file.send(id, verify),
                });
            };
            std::thread::Builder::new()
                .name("file".to_owned())
                .spawn(answer)
                .map_err(|error| SourceError::Other(format!("cannot start a thread: {error}")))?;
        }
        Ok(())
    }

    fn can_hash(&self) -> bool {
        true
    }
}
