//! `blit mover source|destination|local`: the command lines that a MirrorJob is turned into.
//!
//! They are written by a program (`blit_crds::arguments`), so every argument is explicit.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use blit_engine::run::{MaxDelete, Operation, Options};
use clap::{Args, Subcommand, ValueEnum};

use super::planes::PlaneArgs;
use super::selection::{FilterArgs, SelectionError};
use crate::pod;

/// The two sides, and both in one.
#[derive(Subcommand, Debug)]
pub enum MoverCommand {
    /// Read a volume and push it to the destination mover
    Source(SourceArgs),
    /// Receive from a source mover, decide, write, delete and report
    Destination(DestinationArgs),
    /// Copy between two volumes of this host, and report like a destination
    ///
    /// No content touches the network. What listens serves Ping, Progress and Cancel to an operator.
    Local(LocalArgs),
}

/// What every mover is told.
#[derive(Args, Clone, Debug)]
pub struct SideArgs {
    /// The mounted volume
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,
    /// The directory within the volume, resolved below it without following symbolic links
    #[arg(long, value_name = "/REL", value_parser = absolute)]
    pub path: PathBuf,
    /// Folder with ca.crt, tls.crt and tls.key, and operator-ca.crt for those who may watch and cancel
    #[arg(long, value_name = "DIR")]
    pub identity: PathBuf,
    /// UID of the MirrorJob
    #[arg(long, value_name = "UID")]
    pub job_uid: String,
    /// Number of the attempt, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempt: u32,
    /// End with exit code 40 if nothing moves for this long
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub progress_deadline: Option<Duration>,
    /// Write how it ended to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub termination_message: Option<PathBuf>,
}

/// `blit mover source`.
#[derive(Args, Clone, Debug)]
pub struct SourceArgs {
    /// What every mover is told.
    #[command(flatten)]
    pub side: SideArgs,
    /// Address of the destination's control plane
    #[arg(long, value_name = "HOST:PORT")]
    pub connect: String,
    /// Which data planes may be used.
    #[command(flatten)]
    pub planes: PlaneArgs,
}

/// What who writes is told.
#[derive(Args, Clone, Debug)]
pub struct WriteArgs {
    /// Whether what the source does not have is deleted
    #[arg(long, value_enum)]
    pub operation: OperationArg,
    /// Address and port of the control plane; port 0 is chosen by the kernel
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: SocketAddr,
    /// Refuse to delete more than N entries, or N% of the destination
    #[arg(long, value_name = "N|N%")]
    pub max_delete: Option<MaxDelete>,
    /// Mirror an empty source
    #[arg(long)]
    pub allow_empty_source: bool,
    /// Compare files of the same size by content
    #[arg(long)]
    pub checksum: bool,
    /// Prove that what is written is what the source has
    #[arg(long)]
    pub verify: bool,
    /// Write no device, no set-user-id or set-group-id bit and no file capability
    ///
    /// What is left out is counted as not kept.
    #[arg(long)]
    pub no_special_files: bool,
    /// Change nothing, and report what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// What is left out.
    #[command(flatten)]
    pub filters: FilterArgs,
}

/// `blit mover destination`.
#[derive(Args, Clone, Debug)]
pub struct DestinationArgs {
    /// What every mover is told.
    #[command(flatten)]
    pub side: SideArgs,
    /// Port of the data plane, on the same address; 0 is chosen by the kernel
    // Before what ends with a heading, under which it would be listed.
    #[arg(long, value_name = "PORT")]
    pub data_port: u16,
    /// What who writes is told.
    #[command(flatten)]
    pub write: WriteArgs,
}

/// `blit mover local`. The root and the path that every mover is told are those of the destination.
#[derive(Args, Clone, Debug)]
pub struct LocalArgs {
    /// The mounted volume that is read
    #[arg(long, value_name = "DIR")]
    pub source_root: PathBuf,
    /// The directory within that volume, resolved below it without following symbolic links
    #[arg(long, value_name = "/REL", value_parser = absolute)]
    pub source_path: PathBuf,
    /// What every mover is told.
    #[command(flatten)]
    pub side: SideArgs,
    /// What who writes is told.
    #[command(flatten)]
    pub write: WriteArgs,
}

impl WriteArgs {
    /// Returns the options of the engine for a mover.
    pub fn options(&self) -> Result<Options, SelectionError> {
        Ok(Options {
            dry_run: self.dry_run,
            filters: Arc::new(self.filters.exact()?),
            operation: self.operation.into(),
            max_delete: self.max_delete,
            allow_empty_source: self.allow_empty_source,
            without_special_files: self.no_special_files,
            checksum: self.checksum,
            verify: self.verify,
            // Success is reported to somebody else, so it must be true after a crash of this node.
            fsync: true,
            block_queue: crate::process::blocks_queue(blit_crds::mirrorjob::Side::Destination),
            ..Options::default()
        })
    }
}

/// Whether a run deletes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum OperationArg {
    /// Delete nothing
    Copy,
    /// Delete what the source does not have
    Mirror,
}

impl From<OperationArg> for Operation {
    fn from(operation: OperationArg) -> Self {
        match operation {
            OperationArg::Copy => Self::Copy,
            OperationArg::Mirror => Self::Mirror,
        }
    }
}

impl OperationArg {
    /// Returns the word used on the command line and in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Mirror => "mirror",
        }
    }
}

impl MoverCommand {
    /// Runs a mover, and returns how it ended. `started` is when the process began.
    pub fn run(self, started: Instant) -> ExitCode {
        match self {
            Self::Source(args) => pod::run_source(args, started),
            Self::Destination(args) => pod::run_destination(args, started),
            Self::Local(args) => pod::run_local(args, started),
        }
    }
}

/// Parses the path within a volume. It is written absolute, as in a manifest.
fn absolute(text: &str) -> Result<PathBuf, String> {
    if !text.starts_with('/') {
        return Err("must begin with `/`, which stands for the root of the volume".to_owned());
    }
    if text.split('/').any(|component| component == "..") {
        return Err("must not contain `..`; name the directory itself".to_owned());
    }
    Ok(text.into())
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1; leave the option out for no deadline".to_owned()),
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => Err("must be a number of seconds".to_owned()),
    }
}
