//! `blit copy` and `blit mirror`: from arguments to a transfer on this host.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process;
use std::time::Instant;

use blit_crds::outcome::ExitCode;
use blit_engine::run::{Operation, Options, new_run_id};
use clap::Args;

use super::operand::{Operand, looks_like_rsync_remote};
use super::options::{Accepted, Advanced, Deletion, Output, Preview};
use super::selection::Selection;
use crate::local::{self, Transfer};

/// `blit copy`.
#[derive(Args, Clone, Debug)]
pub struct CopyArgs {
    /// What to copy, and where to.
    #[command(flatten)]
    pub trees: Trees,
}

/// `blit mirror`.
#[derive(Args, Clone, Debug)]
pub struct MirrorArgs {
    /// What may be deleted.
    // Before what ends with a heading, under which it would be listed.
    #[command(flatten)]
    pub deletion: Deletion,
    /// What to mirror, and where to.
    #[command(flatten)]
    pub trees: Trees,
}

/// What both commands take.
#[derive(Args, Clone, Debug)]
pub struct Trees {
    /// A directory, which means its content; for `copy` also a file
    #[arg(value_name = "SRC")]
    pub source: OsString,
    /// A directory; for a file its new name, or the directory to put it in if it exists or ends in `/`
    #[arg(value_name = "DST")]
    pub destination: OsString,
    /// Compare files of the same size by content, not by the time of their last change
    ///
    /// Both sides are read. Where the content is the same, only attributes are set; without the option
    /// another time means another content.
    #[arg(short = 'c', long)]
    pub checksum: bool,
    /// A look at what would be done, or was.
    #[command(flatten)]
    pub preview: Preview,
    /// Which entries are meant.
    #[command(flatten)]
    pub selection: Selection,
    /// What is said, and where.
    #[command(flatten)]
    pub output: Output,
    /// What almost nobody needs.
    #[command(flatten)]
    pub advanced: Advanced,
    /// What is accepted and does nothing.
    #[command(flatten)]
    pub accepted: Accepted,
}

/// An operand that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OperandError {
    /// A remote operand.
    #[error(
        "`{0}` is on another host, and this version copies between hosts only inside a MirrorJob; use \
         `blit run -f`, or mount it and name the path"
    )]
    RemoteNotAvailable(String),
    /// An operand in the manner of rsync.
    #[error(
        "`{0}` looks like rsync's HOST:PATH, and there is no such file here; another host cannot be named \
         in this version, and for a local name write `./{0}`"
    )]
    RsyncRemote(String),
}

impl CopyArgs {
    /// Copies, and returns how it ended. `started` is when the process began.
    pub fn run(self, started: Instant) -> process::ExitCode {
        self.trees
            .run(Operation::Copy, &Deletion::default(), started)
    }
}

impl MirrorArgs {
    /// Mirrors, and returns how it ended. `started` is when the process began.
    pub fn run(self, started: Instant) -> process::ExitCode {
        self.trees.run(Operation::Mirror, &self.deletion, started)
    }
}

impl Trees {
    fn run(self, operation: Operation, deletion: &Deletion, started: Instant) -> process::ExitCode {
        let screen = self.output.screen();
        let options = Options {
            operation,
            max_delete: deletion.max_delete,
            allow_empty_source: deletion.allow_empty_source,
            delete_excluded: deletion.delete_excluded,
            without_special_files: false,
            checksum: self.checksum,
            fsync: self.advanced.fsync,
            dry_run: self.preview.dry_run,
            workers: self.advanced.worker_limit(),
            block_queue: crate::process::blocks_queue(blit_crds::mirrorjob::Side::Destination),
            ..Options::default()
        };
        let options = match self.selection.add_to(options) {
            Ok(options) => options,
            Err(error) => {
                screen.line(&format!("error: {error}"));
                return ExitCode::Usage.into();
            }
        };
        let roots = local_path(self.source).and_then(|s| Ok((s, local_path(self.destination)?)));
        let (source, destination) = match roots {
            Ok(roots) => roots,
            Err(error) => {
                screen.line(&format!("error: {error}"));
                return ExitCode::Usage.into();
            }
        };
        let run_id = new_run_id();
        let outputs = self.output.outputs(&screen, &run_id, &self.preview);
        local::run(
            &Transfer {
                source,
                destination,
                options,
                one_file_system: self.selection.one_file_system,
            },
            &run_id,
            outputs,
            started,
        )
        .into()
    }
}

pub(super) fn local_path(argument: OsString) -> Result<PathBuf, OperandError> {
    match Operand::new(argument) {
        Operand::Remote(url) => Err(OperandError::RemoteNotAvailable(url)),
        Operand::Local(path)
            if looks_like_rsync_remote(path.as_os_str()) && path.symlink_metadata().is_err() =>
        {
            Err(OperandError::RsyncRemote(
                path.to_string_lossy().into_owned(),
            ))
        }
        Operand::Local(path) => Ok(path),
    }
}
