//! `blit copy`, `blit mirror` and `blit pull`: from arguments to a transfer on this host, or from a daemon.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process;
use std::time::Instant;

use blit_crds::outcome::ExitCode;
use blit_engine::run::{Operation, Options, new_run_id};
use blit_proto::control::access::DaemonAccess;
use clap::Args;

use super::operand::{Operand, looks_like_rsync_remote};
use super::options::{Accepted, Advanced, Deletion, Output, Preview};
use super::planes::PlaneArgs;
use super::remote::{AccessArgs, AccessError, InvalidUrl, RemoteUrl};
use super::selection::Selection;
use crate::local::{self, Transfer};
use crate::{pull, push};

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

/// `blit pull`.
#[derive(Args, Clone, Debug)]
pub struct PullArgs {
    /// Delete at DST what the source does not have, as `mirror` does
    #[arg(long)]
    pub mirror: bool,
    /// What may be deleted.
    // Before what ends with a heading, under which it would be listed.
    #[command(flatten)]
    pub deletion: Deletion,
    /// What to pull, and where to.
    #[command(flatten)]
    pub trees: Trees,
}

/// What both commands take.
#[derive(Args, Clone, Debug)]
pub struct Trees {
    /// A directory, whose content is meant, or (except for a mirror) a single file. On another host:
    /// blit://HOST[:PORT]/PATH
    #[arg(value_name = "SRC")]
    pub source: OsString,
    /// A directory; for a file its new name, or the directory to put it in if it exists or ends in `/`. On another
    /// host: blit://HOST[:PORT]/PATH
    #[arg(value_name = "DST")]
    pub destination: OsString,
    /// Compare files of the same size by content, not by the time of their last change
    ///
    /// Both sides are read. Where the content is the same, only attributes are set; without the option
    /// another time means another content.
    #[arg(short = 'c', long)]
    pub checksum: bool,
    /// Prove that what was written is what the source has
    ///
    /// On one host what was written is read again and compared; between hosts both sides make keyed hashes
    /// of what is sent and what arrives. A file that differs is copied again, three times at most; then it
    /// fails, the destination keeps what it had, and the exit code is 14. What is read again may come from
    /// the memory of a host, so this proves the copying, not the disk: for that, run `blit verify` later.
    #[arg(long)]
    pub verify: bool,
    /// A look at what would be done, or was.
    #[command(flatten)]
    pub preview: Preview,
    /// What is said, and where.
    // Before what has a heading, under which it would be listed.
    #[command(flatten)]
    pub output: Output,
    /// Which entries are meant.
    #[command(flatten)]
    pub selection: Selection,
    /// By what this side gets in at another host.
    #[command(flatten)]
    pub access: AccessArgs,
    /// How content travels to another host.
    #[command(flatten)]
    pub planes: PlaneArgs,
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
        "`{0}` is on another host, and this command needs a path on this one; mount it, or run the command there"
    )]
    RemoteNotAvailable(String),
    /// An operand in the manner of rsync.
    #[error(
        "`{0}` looks like rsync's HOST:PATH, and there is no such file here; write blit://HOST/PATH, where a \
         daemon serves it, and for a local name `./{0}`"
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

impl PullArgs {
    /// Pulls, and returns how it ended. `started` is when the process began.
    pub fn run(self, started: Instant) -> process::ExitCode {
        let refused = if !RemoteUrl::is_remote(&self.trees.source) {
            Some(format!(
                "error: `{}` is on this host; pull takes its source from another, blit://HOST[:PORT]/PATH, and `blit copy` \
                 copies on one",
                self.trees.source.to_string_lossy()
            ))
        } else if !self.mirror && self.deletion.is_given() {
            Some(
                "error: --max-delete, --allow-empty-source and --delete-excluded are about deletions, and \
                 without --mirror a pull deletes nothing"
                    .to_owned(),
            )
        } else {
            None
        };
        if let Some(refused) = refused {
            self.trees.output.screen().line(&refused);
            return ExitCode::Usage.into();
        }
        let operation = match self.mirror {
            true => Operation::Mirror,
            false => Operation::Copy,
        };
        self.trees.run(operation, &self.deletion, started)
    }
}

impl Trees {
    /// Transfers, and returns how it ended. `started` is when the process began.
    pub(super) fn run(
        self,
        operation: Operation,
        deletion: &Deletion,
        started: Instant,
    ) -> process::ExitCode {
        let screen = self.output.screen();
        let options = Options {
            operation,
            max_delete: deletion.max_delete,
            allow_empty_source: deletion.allow_empty_source,
            delete_excluded: deletion.delete_excluded,
            without_special_files: false,
            checksum: self.checksum,
            verify: self.verify,
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
        let run_id = new_run_id();
        let outputs = self.output.outputs(&screen, &run_id, &self.preview);
        let one_file_system = self.selection.one_file_system;
        let transfer = match self.access.transfer(self.source, self.destination) {
            Ok(transfer) => transfer,
            Err(error) => {
                screen.line(&format!("error: {error}"));
                return error.exit_code().into();
            }
        };
        let planes = match transfer {
            Operands::Push(..) | Operands::Pull(..) => Ok(self.planes.policy()),
            Operands::Local(..) => self.planes.unused_here(),
        };
        let planes = match planes {
            Ok(planes) => planes,
            Err(unused) => {
                screen.line(&format!("error: {unused}"));
                return ExitCode::Usage.into();
            }
        };
        match transfer {
            Operands::Local(source, destination) => local::run(
                &Transfer {
                    source,
                    destination,
                    options,
                    one_file_system,
                },
                &run_id,
                outputs,
                started,
            ),
            Operands::Push(source, destination, access) => push::run(
                &push::Transfer {
                    source,
                    destination,
                    access,
                    options,
                    one_file_system,
                    planes,
                },
                &run_id,
                outputs,
                started,
            ),
            Operands::Pull(source, access, destination) => pull::run(
                &pull::Transfer {
                    source,
                    access,
                    destination,
                    options,
                    one_file_system,
                    planes,
                },
                &run_id,
                outputs,
                started,
            ),
        }
        .into()
    }
}

/// Where both sides are.
enum Operands {
    Local(PathBuf, PathBuf),
    Push(PathBuf, RemoteUrl, DaemonAccess),
    Pull(RemoteUrl, DaemonAccess, PathBuf),
}

/// The operands of a transfer cannot be used.
#[derive(Debug, thiserror::Error)]
enum TransferError {
    #[error(transparent)]
    Operand(#[from] OperandError),
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("SRC and DST are both on other hosts; run blit on one of them, and name its path")]
    BothRemote,
    #[error(
        "SRC and DST are both on this host, which asks for no token or certificate; leave out --token-file and \
         --tls-…, or name another host: blit://HOST[:PORT]/PATH"
    )]
    BothHere,
}

impl TransferError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Access(error) => error.exit_code(),
            Self::Operand(_) | Self::Url(_) | Self::BothRemote | Self::BothHere => ExitCode::Usage,
        }
    }
}

impl AccessArgs {
    /// Sorts the operands.
    fn transfer(&self, source: OsString, destination: OsString) -> Result<Operands, TransferError> {
        match (
            RemoteUrl::is_remote(&source),
            RemoteUrl::is_remote(&destination),
        ) {
            (true, true) => Err(TransferError::BothRemote),
            (true, false) => {
                let (url, destination) = (RemoteUrl::parse(&source)?, local_path(destination)?);
                Ok(Operands::Pull(url, self.access()?, destination))
            }
            (false, true) => {
                let (source, url) = (local_path(source)?, RemoteUrl::parse(&destination)?);
                Ok(Operands::Push(source, url, self.access()?))
            }
            (false, false) if !self.is_empty() => Err(TransferError::BothHere),
            (false, false) => Ok(Operands::Local(
                local_path(source)?,
                local_path(destination)?,
            )),
        }
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
