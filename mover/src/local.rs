//! A run on one host: both trees are opened here, and the engine copies between their handles.
//!
//! Invariant: no socket is opened. Wrong usage (exit code 2) is found before anything is written.

pub(crate) mod file;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use blit_crds::outcome::ExitCode;
use blit_engine::fs::Dir;
use blit_engine::fs::dir::display_path;
use blit_engine::run::{
    self, Cancel, Content, DestinationRoot, Handles, Job, Listing, Operation, Options, RunIdentity,
};
use blit_engine::tree::{LocalSource, ScanOptions};

use crate::history;
use crate::history::entry::Run;
use crate::history::place::FileSystems;
use crate::process::peak_memory;
use crate::report::output::{Output, Outputs};
use crate::report::record::{EntryPath, Record, Start};
use crate::report::reporter::Reporter;
use crate::report::summary::{self, Setting};
use crate::roots::{self, RootError};
use crate::signals::Signals;
use file::{FileError, OneFile};

/// What to copy, where to, and how.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// A directory, which means its content, or for `copy` a file.
    pub source: PathBuf,
    /// A directory, or for a file its new name.
    pub destination: PathBuf,
    /// How.
    pub options: Options,
    /// Directories of other file systems below the source are taken without their content.
    pub one_file_system: bool,
}

/// A run on one host that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A root cannot be used.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A file cannot be copied.
    #[error(transparent)]
    File(#[from] FileError),
    /// `mirror` was asked for a file.
    #[error(
        "`{}` is a file, and only directories can be mirrored; use `blit copy` for a file", display_path(.0)
    )]
    MirrorOfFile(PathBuf),
    /// The source is neither directory nor file.
    #[error("the source `{}` is neither a directory nor a regular file; name the directory that holds it", display_path(.0))]
    NeitherFileNorDirectory(PathBuf),
    /// Signals cannot be taken.
    #[error("cannot wait for signals: {0}")]
    Signals(#[from] std::io::Error),
}

impl LocalError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Root(error) => error.exit_code(),
            Self::File(error) => error.exit_code(),
            Self::MirrorOfFile(_) | Self::NeitherFileNorDirectory(_) => ExitCode::Usage,
            Self::Signals(_) => ExitCode::OtherError,
        }
    }
}

/// Runs a transfer to its end and returns how it ended. `started` is when the process began.
pub fn run(transfer: &Transfer, run_id: &str, output: Outputs, started: Instant) -> ExitCode {
    let reporter = Arc::new(Reporter::new(output));
    let ended = transfer_all(transfer, run_id, &reporter);
    let setting = || Setting {
        since: started,
        transport: "Local",
        bytes_sent: 0,
        peak_memory: peak_memory(),
    };
    let record = match ended {
        Ok(ended) => summary::of_run(&ended, &setting()),
        Err(error) if error.exit_code() == ExitCode::Usage => {
            // Wrong usage is no run, so it has no summary.
            let (path, message) = (EntryPath::default(), error.to_string());
            reporter.output().take(&Record::Error { path, message });
            return ExitCode::Usage;
        }
        Err(error) => summary::of_failure(error.exit_code(), error.to_string(), &setting()),
    };
    let code = record.code();
    let operation = operation_name(transfer.options.operation);
    // Before it the destination may not have been there.
    let places = FileSystems::of(&transfer.source, &transfer.destination);
    let remembered = Run::new(operation, places, &record);
    reporter.output().take(&Record::Summary(Box::new(record)));
    if !transfer.options.dry_run {
        history::remember(remembered);
    }
    code
}

fn transfer_all(
    transfer: &Transfer,
    run_id: &str,
    reporter: &Arc<Reporter<Outputs>>,
) -> Result<run::Summary, LocalError> {
    let signals = Signals::block().map_err(std::io::Error::from)?;
    let Prepared {
        destination,
        listing,
        content,
        file,
        root,
    } = prepare(transfer)?;
    let cancel = Cancel::new();
    let switch = cancel.clone();
    signals.cancel_then_exit(move || switch.cancel())?;
    reporter.output().take(&Record::Start(Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        operation: Some(operation_name(transfer.options.operation).to_owned()),
        source: Some(display_path(&transfer.source)),
        destination: Some(display_path(&transfer.destination)),
        listen: None,
    }));
    let places = FileSystems::of(&transfer.source, &transfer.destination);
    let first_workers = match transfer.options.workers {
        // It would be looked up for nothing, which can take a moment.
        Some(_) => None,
        None => history::foreseen_workers(&places),
    };
    let identity = RunIdentity {
        run_id: run_id.to_owned(),
        source: display_path(&transfer.source),
        ..RunIdentity::default()
    };
    let job = Job {
        destination,
        listing,
        content,
        options: Options {
            destination: root,
            first_workers,
            ..transfer.options.clone()
        },
        identity,
    };
    let events = Arc::clone(reporter);
    let ended = run::run(job, events, cancel);
    if let Some(file) = file.filter(|_| !transfer.options.dry_run) {
        file.finish(&ended);
    }
    Ok(ended)
}

pub(crate) fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Copy => "copy",
        Operation::Mirror => "mirror",
    }
}

struct Prepared {
    destination: Dir,
    listing: Arc<dyn Listing>,
    content: Content,
    file: Option<Arc<OneFile>>,
    root: DestinationRoot,
}

fn prepare(transfer: &Transfer) -> Result<Prepared, LocalError> {
    let Transfer {
        source,
        destination,
        options,
        one_file_system,
    } = transfer;
    match std::fs::metadata(source) {
        Ok(metadata) if metadata.is_file() && options.operation == Operation::Mirror => {
            Err(LocalError::MirrorOfFile(source.clone()))
        }
        Ok(metadata) if metadata.is_file() => prepare_file(source, destination, options),
        Ok(metadata) if !metadata.is_dir() => {
            Err(LocalError::NeitherFileNorDirectory(source.clone()))
        }
        // Whatever else is wrong, opening it says so.
        _ => prepare_tree(source, destination, options, *one_file_system),
    }
}

fn prepare_tree(
    source: &Path,
    destination: &Path,
    options: &Options,
    one_file_system: bool,
) -> Result<Prepared, LocalError> {
    let source_dir = roots::open_source(source)?;
    let (destination, root) =
        roots::open_destination(destination, &source_dir, source, options.dry_run)?;
    // A mount below the source may lead to the destination all the same; the scan looks out for it.
    let forbidden = (root != DestinationRoot::Missing)
        .then(|| destination.stat_self().ok())
        .flatten()
        .map(|meta| meta.inode());
    let scan = ScanOptions {
        forbidden,
        one_file_system,
        ..ScanOptions::default()
    };
    let tree = LocalSource::from_dir(source_dir, scan).map_err(RootError::from)?;
    let handles: Arc<dyn Handles> = Arc::clone(&tree) as Arc<dyn Handles>;
    Ok(Prepared {
        destination,
        listing: tree,
        content: Content::Handles(handles),
        file: None,
        root,
    })
}

fn prepare_file(
    source: &Path,
    destination: &Path,
    options: &Options,
) -> Result<Prepared, LocalError> {
    let (parent, name) = file::place(source.file_name(), destination)?;
    let (destination, root) = roots::open_or_make(&parent, options.dry_run)?;
    let file = OneFile::open(source, &destination, &name, root)?;
    Ok(Prepared {
        destination,
        content: file.content(options.verify),
        listing: Arc::clone(&file) as Arc<dyn Listing>,
        file: Some(file),
        root,
    })
}

#[cfg(test)]
mod tests;
