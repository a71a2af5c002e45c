//! The two directories of a run as a person names them: opened once, made where that is asked, and never
//! one inside the other.
//!
//! Invariant: nothing is made before it is known that the destination does not lie inside the source.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use blit_crds::outcome::ExitCode;
use blit_engine::fs::dir::display_path;
use blit_engine::fs::relation::{Relation, relation};
use blit_engine::fs::{Dir, Errno, FsError};
use blit_engine::run::DestinationRoot;

use crate::report::summary::code_of_root;

/// A root cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The source does not exist.
    #[error("the source `{}` does not exist; check the path, and that its volume is mounted", display_path(.0))]
    Missing(PathBuf),
    /// The root of a daemon does not exist.
    #[error("the root `{}` does not exist; check the path, and that its volume is mounted", display_path(.0))]
    MissingServed(PathBuf),
    /// The destination does not exist, where it is not made.
    #[error("the destination `{}` does not exist; check the path, and that its volume is mounted", display_path(.0))]
    MissingDestination(PathBuf),
    /// What should be a directory is something else.
    #[error("{role} `{}` is not a directory; name a directory", display_path(.path))]
    NotDirectory {
        /// Which root.
        role: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// The two roots are the same directory.
    #[error("source and destination are the same directory, `{}`; choose another destination", display_path(.0))]
    Same(PathBuf),
    /// One root contains the other.
    #[error("the {inner} is inside the {outer}, at `{}`; choose a destination outside the source that does not contain it", display_path(.path))]
    Nested {
        /// Which root is inside.
        inner: &'static str,
        /// Which root contains it.
        outer: &'static str,
        /// The inner one.
        path: PathBuf,
    },
    /// A path within a volume leads through a symbolic link or out of it.
    #[error(
        "the path `{}` leads through a symbolic link or out of the volume; name the \
         directory itself", display_path(.0)
    )]
    Escapes(PathBuf),
    /// A call failed.
    #[error("{0}")]
    Failed(#[from] FsError),
}

impl RootError {
    /// Returns the exit code for this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Missing(_)
            | Self::MissingServed(_)
            | Self::MissingDestination(_)
            | Self::NotDirectory { .. }
            | Self::Same(_)
            | Self::Nested { .. }
            | Self::Escapes(_) => ExitCode::Usage,
            Self::Failed(error) => code_of_root(error.errno),
        }
    }
}

/// Opens the root of a source.
pub fn open_source(path: &Path) -> Result<Dir, RootError> {
    Dir::open_root(path).map_err(|error| match error.errno {
        Errno::NOENT => RootError::Missing(path.to_owned()),
        Errno::NOTDIR => RootError::NotDirectory {
            role: "the source",
            path: path.to_owned(),
        },
        _ => error.into(),
    })
}

/// Opens the root that a daemon serves.
pub fn open_served(path: &Path) -> Result<Dir, RootError> {
    Dir::open_root(path).map_err(|error| match error.errno {
        Errno::NOENT => RootError::MissingServed(path.to_owned()),
        Errno::NOTDIR => RootError::NotDirectory {
            role: "the root",
            path: path.to_owned(),
        },
        _ => error.into(),
    })
}

/// Opens the root of a destination that must exist.
pub fn open_existing_destination(path: &Path) -> Result<Dir, RootError> {
    Dir::open_root(path).map_err(|error| match error.errno {
        Errno::NOENT => RootError::MissingDestination(path.to_owned()),
        Errno::NOTDIR => RootError::NotDirectory {
            role: "the destination",
            path: path.to_owned(),
        },
        _ => error.into(),
    })
}

/// Opens a directory within a volume. `named` is the whole path and `role` what messages call it; with
/// `create` what is missing below the volume is made.
pub fn open_within(
    volume: &Dir,
    path: &Path,
    named: &Path,
    role: &'static str,
    create: bool,
) -> Result<Dir, RootError> {
    volume
        .beneath(path, create)
        .map_err(|error| match error.errno {
            Errno::NOENT => RootError::Missing(named.to_owned()),
            Errno::NOTDIR => RootError::NotDirectory {
                role,
                path: named.to_owned(),
            },
            Errno::LOOP | Errno::XDEV => RootError::Escapes(named.to_owned()),
            errno => FsError::new(error.action, named.as_os_str().as_bytes(), errno).into(),
        })
}

/// Judges where a directory within a volume lies that may not exist yet, without making anything.
pub fn check_within(
    volume: &Dir,
    path: &Path,
    named: &Path,
    source: &Dir,
    source_path: &Path,
) -> Result<(), RootError> {
    // Links and missing parts are for the one who opens it.
    for existing in path.ancestors() {
        if let Ok(dir) = volume.beneath(existing, false) {
            let found = of_existing(between(source, &dir, named)?, existing == path);
            return judge(found, source_path, named);
        }
    }
    Ok(())
}

/// Judges how two open directories lie to each other.
pub fn check_apart(
    source: &Dir,
    source_path: &Path,
    destination: &Dir,
    path: &Path,
) -> Result<(), RootError> {
    judge(between(source, destination, path)?, source_path, path)
}

/// Opens the root of a destination, and makes it with its missing parents; a dry run makes nothing and gets
/// what is there of the path. `source` is what must neither contain it nor lie inside it.
pub fn open_destination(
    path: &Path,
    source: &Dir,
    source_path: &Path,
    dry_run: bool,
) -> Result<(Dir, DestinationRoot), RootError> {
    check_destination(path, source, source_path)?;
    let (dir, was) = open_or_make(path, dry_run)?;
    if was != DestinationRoot::Missing {
        check_apart(source, source_path, &dir, path)?;
    }
    Ok((dir, was))
}

/// Opens a directory, and makes it with its missing parents; a dry run makes nothing and gets what is there
/// of the path.
pub fn open_or_make(path: &Path, dry_run: bool) -> Result<(Dir, DestinationRoot), RootError> {
    let existing = deepest_existing(path)?;
    if existing.path == path {
        return Ok((existing.dir, DestinationRoot::Exists));
    }
    if dry_run {
        return Ok((existing.dir, DestinationRoot::Missing));
    }
    make(path)?;
    Ok((Dir::open_root(path)?, DestinationRoot::Made))
}

/// Judges where a destination lies that may not exist yet, without making anything.
pub fn check_destination(path: &Path, source: &Dir, source_path: &Path) -> Result<(), RootError> {
    let existing = deepest_existing(path)?;
    let found = between(source, &existing.dir, &existing.path)?;
    judge(of_existing(found, existing.path == path), source_path, path)
}

/// Makes a directory and its missing parents.
pub fn make(path: &Path) -> Result<(), RootError> {
    std::fs::create_dir_all(path).map_err(|error| fs_error("make directory", path, &error).into())
}

/// Translates an error of the standard library, which has no path.
pub fn fs_error(action: &'static str, path: &Path, error: &io::Error) -> FsError {
    let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
    FsError::new(action, path.as_os_str().as_bytes(), errno)
}

struct Existing {
    dir: Dir,
    path: PathBuf,
}

/// Finds the deepest directory on the way to `path` that exists.
fn deepest_existing(path: &Path) -> Result<Existing, RootError> {
    for ancestor in path.ancestors() {
        // What is left of a relative path is the working directory.
        let named = if ancestor.as_os_str().is_empty() {
            Path::new(".")
        } else {
            ancestor
        };
        match Dir::open_root(named) {
            Ok(dir) => {
                return Ok(Existing {
                    dir,
                    path: ancestor.to_owned(),
                });
            }
            Err(FsError {
                errno: Errno::NOENT,
                ..
            }) => {}
            Err(FsError {
                errno: Errno::NOTDIR,
                ..
            }) if is_other_kind(named) => {
                let role = "the destination";
                return Err(RootError::NotDirectory {
                    role,
                    path: named.to_owned(),
                });
            }
            Err(FsError {
                errno: Errno::NOTDIR,
                ..
            }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Existing {
        dir: Dir::open_root(Path::new("/"))?,
        path: PathBuf::from("/"),
    })
}

/// `a/b` fails with ENOTDIR where `a` is a file; the message should name `a`.
fn is_other_kind(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_dir())
}

fn between(source: &Dir, destination: &Dir, path: &Path) -> Result<Relation, RootError> {
    relation(source, destination)
        .map_err(|errno| FsError::new("look above", path.as_os_str().as_bytes(), errno).into())
}

/// Says what the place of the part of a path that exists means for the whole. What is still to be made lies
/// inside whatever that part lies inside; the part itself may well contain the source.
fn of_existing(found: Relation, whole: bool) -> Relation {
    match found {
        found if whole => found,
        Relation::Same | Relation::Inside => Relation::Inside,
        Relation::Apart | Relation::Contains => Relation::Apart,
    }
}

fn judge(found: Relation, source: &Path, destination: &Path) -> Result<(), RootError> {
    let (inner, outer, path) = match found {
        Relation::Apart => return Ok(()),
        Relation::Same => return Err(RootError::Same(destination.to_owned())),
        Relation::Inside => ("destination", "source", destination),
        Relation::Contains => ("source", "destination", source),
    };
    Err(RootError::Nested {
        inner,
        outer,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests;
