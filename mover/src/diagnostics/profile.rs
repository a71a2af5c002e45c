//! `blit profile`: measures what this machine does in one directory, and writes it down in the history.
//!
//! Small files are copied by the engine itself, as a run would; a large file is written and flushed, so that
//! it is the disk that is measured and not memory; single blocks are made durable one by one.
//!
//! Invariant: everything lies in one folder with a name of its own, which is removed also when the
//! measurement is interrupted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use blit_crds::outcome::ExitCode;
use blit_engine::fs::dir::display_path;
use blit_engine::fs::{Dir, FsError};
use blit_engine::run::{self, Cancel, Content, Handles, Job, Options, RunIdentity, new_run_id};
use blit_engine::tree::{LocalSource, ScanOptions};

use crate::history::entry::{Body, Entry, Profile};
use crate::history::file::HistoryFile;
use crate::history::place::kind_at;
use crate::report::terminal::say;
use crate::report::text;
use crate::signals::Signals;

/// Directories of small files.
const DIRECTORIES: usize = 20;
/// Small files in each.
const FILES: usize = 200;
/// Size of a small file.
const SMALL: usize = 4096;
/// Size of the large file.
const LARGE: u64 = 128 * 1024 * 1024;
/// Bytes written at once.
const PIECE: usize = 1024 * 1024;
/// Blocks that are made durable one by one.
const SYNCS: usize = 25;

/// A measurement that came to nothing.
#[derive(Debug, thiserror::Error)]
enum ProfileError {
    #[error("cannot measure in `{}`: {source}; name a directory that you may write to, on the file system that matters", display_path(.path))]
    Directory { path: PathBuf, source: io::Error },
    #[error(
        "`{}` has {} left, and the measurement needs {}; make room, or name another directory",
        display_path(.path), text::bytes(*.free), text::bytes(*.needed)
    )]
    NoSpace {
        path: PathBuf,
        free: u64,
        needed: u64,
    },
    #[error("the measurement failed: {0}")]
    Failed(#[from] io::Error),
    #[error("the measurement failed: {0}")]
    Engine(#[from] FsError),
    #[error("the measurement failed: not every small file was copied")]
    Incomplete,
    #[error("interrupted; what was made for the measurement is removed")]
    Interrupted,
}

impl ProfileError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Directory { source, .. } => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ExitCode::Usage,
                io::ErrorKind::StorageFull => ExitCode::DestinationFull,
                _ => ExitCode::PermissionDenied,
            },
            Self::NoSpace { .. } => ExitCode::DestinationFull,
            Self::Failed(_) | Self::Engine(_) | Self::Incomplete => ExitCode::OtherError,
            Self::Interrupted => ExitCode::Interrupted,
        }
    }
}

/// Measures, prints and remembers. Must be called on the main thread.
pub fn run(directory: &Path, json: bool) -> ExitCode {
    let profile = match measure(directory) {
        Ok(profile) => profile,
        Err(error) => {
            say(&format!("error: {error}"));
            return error.exit_code();
        }
    };
    let described = super::perf::describe_profile(&profile);
    let entry = Entry::now(Body::Profile(profile));
    if let Some(history) = HistoryFile::of_user()
        && let Err(error) = history.append(&entry)
    {
        let path = display_path(history.path());
        say(&format!(
            "warning: this is not in the history: cannot write `{path}`: {error}"
        ));
    }
    let text = match json {
        true => serde_json::to_string(&entry).unwrap_or_default() + "\n",
        false => described,
    };
    // A reader that went away has what it wanted.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::Complete
}

fn measure(directory: &Path) -> Result<Profile, ProfileError> {
    let cancel = Cancel::new();
    let signals = Signals::block().map_err(io::Error::from)?;
    let switch = cancel.clone();
    signals.cancel_then_exit(move || switch.cancel())?;
    room_in(directory)?;
    let work = Work::make(directory)?;
    let small_files_per_second = small(&work.0, &cancel)?;
    let large_bytes_per_second = large(&work.0, &cancel)?;
    let fsync_seconds = fsync(&work.0, &cancel)?;
    Ok(Profile {
        file_system: kind_at(directory),
        small_files_per_second,
        small_file_bytes: SMALL as u64,
        large_bytes_per_second,
        large_file_bytes: LARGE,
        fsync_seconds,
    })
}

fn room_in(directory: &Path) -> Result<(), ProfileError> {
    // Small files twice, in blocks and inodes of their own, and the large one.
    let needed = LARGE + 4 * (DIRECTORIES * FILES * SMALL) as u64;
    let found = rustix::fs::statvfs(directory).map_err(|errno| ProfileError::Directory {
        path: directory.to_owned(),
        source: errno.into(),
    })?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    match free < needed {
        true => Err(ProfileError::NoSpace {
            path: directory.to_owned(),
            free,
            needed,
        }),
        false => Ok(()),
    }
}

/// The folder of a measurement; dropping it removes it.
struct Work(PathBuf);

impl Work {
    fn make(directory: &Path) -> Result<Self, ProfileError> {
        let path = directory.join(format!(".blit.profile-{}", new_run_id()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|source| ProfileError::Directory {
                path: directory.to_owned(),
                source,
            })?;
        Ok(Self(path))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            let path = display_path(&self.0);
            say(&format!("warning: cannot remove `{path}`: {error}"));
        }
    }
}

fn go_on(cancel: &Cancel) -> Result<(), ProfileError> {
    match cancel.is_cancelled() {
        true => Err(ProfileError::Interrupted),
        false => Ok(()),
    }
}

/// Content that no file system can make smaller, from a simple generator.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(length)
    .collect()
}

fn small(work: &Path, cancel: &Cancel) -> Result<f64, ProfileError> {
    let (source, destination) = (work.join("source"), work.join("destination"));
    let content = noise(SMALL);
    for n in 0..DIRECTORIES {
        let directory = source.join(n.to_string());
        fs::create_dir_all(&directory)?;
        for n in 0..FILES {
            fs::write(directory.join(n.to_string()), &content)?;
        }
        go_on(cancel)?;
    }
    fs::create_dir(&destination)?;
    let begun = Instant::now();
    let tree = LocalSource::open(&source, ScanOptions::default())?;
    let handles: Arc<dyn Handles> = Arc::clone(&tree) as Arc<dyn Handles>;
    let job = Job {
        destination: Dir::open_root(&destination)?,
        listing: tree,
        content: Content::Handles(handles),
        options: Options::default(),
        identity: RunIdentity::default(),
    };
    let summary = run::run(job, Arc::new(()), cancel.clone());
    let took = begun.elapsed();
    go_on(cancel)?;
    #[expect(clippy::cast_precision_loss, reason = "some thousand")]
    let files = (DIRECTORIES * FILES) as f64;
    match summary.is_complete() && summary.progress.files_copied == (DIRECTORIES * FILES) as u64 {
        true => Ok(files / took.as_secs_f64()),
        false => Err(ProfileError::Incomplete),
    }
}

fn large(work: &Path, cancel: &Cancel) -> Result<f64, ProfileError> {
    let content = noise(PIECE);
    let mut file = File::create_new(work.join("large"))?;
    let begun = Instant::now();
    let mut written = 0;
    while written < LARGE {
        file.write_all(&content)?;
        written += content.len() as u64;
        go_on(cancel)?;
    }
    file.sync_data()?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let bytes = written as f64;
    Ok(bytes / begun.elapsed().as_secs_f64())
}

fn fsync(work: &Path, cancel: &Cancel) -> Result<f64, ProfileError> {
    let content = noise(SMALL);
    let path = work.join("synced");
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut times = Vec::with_capacity(SYNCS);
    for n in 0..SYNCS {
        let begun = Instant::now();
        file.write_all_at(&content, (n * SMALL) as u64)?;
        file.sync_all()?;
        times.push(begun.elapsed());
        go_on(cancel)?;
    }
    times.sort_unstable();
    Ok(times[SYNCS / 2].as_secs_f64())
}
