//! A run whose destination is at a daemon: this side dials, reads and sends; the daemon decides, writes and tells what
//! happens, which is shown here as that of a run on this host.
//!
//! Invariant: wrong usage (exit code 2) is found before anything is dialled, a source that does not exist among it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use blit_crds::mirrorjob::Side;
use blit_crds::outcome::ExitCode;
use blit_engine::fs::FsError;
use blit_engine::fs::dir::display_path;
use blit_engine::run::{Operation, Options};
use blit_engine::tree::{LocalSource, ScanOptions};
use blit_proto::control::access::DaemonAccess;
use blit_transport::TransportError;
use blit_transport::daemon::Ask;
use blit_transport::planes::PlanePolicy;
use blit_transport::source::{DaemonPush, PushOutcome, Stop, push_to_daemon};

use crate::cli::remote::RemoteUrl;
use crate::history;
use crate::history::entry::Run;
use crate::history::place::{FileSystems, kind_at};
use crate::local::operation_name;
use crate::pod::code_of_session;
use crate::process::{blocks_queue, peak_memory};
use crate::report::output::{Output, Outputs};
use crate::report::record::{EntryPath, Record, Start, SummaryRecord};
use crate::report::summary::{self, Setting, code_of_root};
use crate::report::{relay, rpc, status};
use crate::roots::{self, RootError};
use crate::signals::Signals;

/// How content travels, as long as nothing says otherwise.
const TRANSPORT: &str = "TCP";

/// What to push, where to, and how.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// A directory, which means its content, or for `copy` a file.
    pub source: PathBuf,
    /// A directory, or for a file its new name.
    pub destination: RemoteUrl,
    /// By what this side gets in there.
    pub access: DaemonAccess,
    /// How.
    pub options: Options,
    /// Directories of other file systems below the source are taken without their content.
    pub one_file_system: bool,
    /// Which data planes may be used.
    pub planes: PlanePolicy,
}

/// A push that cannot begin, or came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The session failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The source cannot be used.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A call on the source failed.
    #[error(transparent)]
    Call(#[from] FsError),
    /// `mirror` was asked for a file.
    #[error(
        "`{}` is a file, and only directories can be mirrored; use `blit copy` or `blit push` without --mirror", display_path(.0)
    )]
    MirrorOfFile(PathBuf),
    /// The source is neither directory nor file.
    #[error("the source `{}` is neither a directory nor a regular file; name the directory that holds it", display_path(.0))]
    NeitherFileNorDirectory(PathBuf),
    /// An option is about threads of this host only.
    #[error(
        "--workers and --max-threads limit threads that write, and those are the daemon's; leave them out of a push"
    )]
    Workers,
    /// The machine did not give what a run needs.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl PushError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Transport(error) => code_of_session(error),
            Self::Root(error) => error.exit_code(),
            Self::Call(error) => code_of_root(error.errno),
            Self::MirrorOfFile(_) | Self::NeitherFileNorDirectory(_) | Self::Workers => {
                ExitCode::Usage
            }
            Self::System(_) => ExitCode::OtherError,
        }
    }
}

/// Runs a transfer to its end and returns how it ended. `started` is when the process began.
pub fn run(transfer: &Transfer, run_id: &str, output: Outputs, started: Instant) -> ExitCode {
    let output = Arc::new(output);
    let record = match send(transfer, run_id, &output, started) {
        Ok(record) => record,
        Err(error) if error.exit_code() == ExitCode::Usage => {
            // Wrong usage is no run, so it has no summary.
            let (path, message) = (EntryPath::default(), error.to_string());
            output.take(&Record::Error { path, message });
            return ExitCode::Usage;
        }
        Err(error) => {
            let setting = Setting {
                since: started,
                transport: TRANSPORT,
                bytes_sent: 0,
                peak_memory: peak_memory(),
            };
            summary::of_failure(error.exit_code(), error.to_string(), &setting)
        }
    };
    let code = record.code();
    let places = FileSystems {
        source: kind_at(&transfer.source),
        destination: String::new(),
        same: false,
    };
    let remembered = Run::new(operation_name(transfer.options.operation), places, &record);
    output.take(&Record::Summary(Box::new(record)));
    if !transfer.options.dry_run {
        history::remember(remembered);
    }
    code
}

fn send(
    transfer: &Transfer,
    run_id: &str,
    output: &Arc<Outputs>,
    started: Instant,
) -> Result<SummaryRecord, PushError> {
    let signals = Signals::block().map_err(std::io::Error::from)?;
    if transfer.options.workers.is_some() {
        return Err(PushError::Workers);
    }
    let (source, file_name) = open(transfer)?;
    let stop = Stop::new();
    let switch = stop.clone();
    signals.cancel_then_exit(move || switch.stop("a signal"))?;
    tracing::debug!(run_id, "pushing");
    output.take(&Record::Start(Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        operation: Some(operation_name(transfer.options.operation).to_owned()),
        source: Some(display_path(&transfer.source)),
        destination: Some(transfer.destination.to_string()),
        listen: None,
    }));
    let url = &transfer.destination;
    let ask = Ask {
        path: url.path().to_vec(),
        options: transfer.options.clone(),
        entries: output.wants_entries(),
        single_file: file_name.is_some(),
        into_directory: url.names_directory(),
        file_name: file_name.unwrap_or_default(),
    };
    let (slow, events) = (Arc::clone(output), Arc::clone(output));
    let fallback = Arc::clone(output);
    let outcome = push_to_daemon(DaemonPush {
        remote: url.remote(transfer.access.clone()),
        ask,
        source,
        display: display_path(&transfer.source),
        on_slow: Arc::new(move |call, path, took| {
            slow.take(&Record::Slow {
                call: call.to_owned(),
                path: EntryPath::new(path),
                seconds: took.as_secs_f64(),
            });
        }),
        block_queue: blocks_queue(Side::Source),
        on_events: Arc::new(move |batch| relay::replay(batch, &*events)),
        planes: transfer.planes,
        on_tried: Arc::new(move |tried| fallback.take(&Record::fallback(tried))),
        stop,
    })?;
    Ok(record(&outcome, started))
}

/// Opens the source; of one file, returns its name too.
fn open(transfer: &Transfer) -> Result<(Arc<LocalSource>, Option<Vec<u8>>), PushError> {
    let path = &transfer.source;
    // Attributes travel with the listing.
    let scan = ScanOptions {
        xattrs: true,
        one_file_system: transfer.one_file_system,
        ..ScanOptions::default()
    };
    let mirror = transfer.options.operation == Operation::Mirror;
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && mirror => Err(PushError::MirrorOfFile(path.clone())),
        Ok(metadata) if metadata.is_file() => one_file(path, scan),
        Ok(metadata) if !metadata.is_dir() => Err(PushError::NeitherFileNorDirectory(path.clone())),
        // Whatever else is wrong, opening it says so.
        _ => Ok((
            LocalSource::from_dir(roots::open_source(path)?, scan)?,
            None,
        )),
    }
}

/// Opens the directory that holds a file, which is all that is listed of it.
fn one_file(
    path: &Path,
    scan: ScanOptions,
) -> Result<(Arc<LocalSource>, Option<Vec<u8>>), PushError> {
    // A link that was named stands for the file it leads to, as on one host.
    let path = std::fs::canonicalize(path)?;
    let neither = || PushError::NeitherFileNorDirectory(path.clone());
    let (parent, name) = (
        path.parent().ok_or_else(neither)?,
        path.file_name().ok_or_else(neither)?,
    );
    let name = name.as_bytes().to_vec();
    let scan = ScanOptions {
        only: Some(name.clone().into()),
        ..scan
    };
    let source = LocalSource::from_dir(roots::open_source(parent)?, scan)?;
    Ok((source, Some(name)))
}

/// Returns the last event: what the daemon says of the run, and what only this side knows.
fn record(outcome: &PushOutcome, started: Instant) -> SummaryRecord {
    let told = &outcome.summary;
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = outcome.bytes_zero_copy as f64 / outcome.bytes_sent as f64;
    let own = SummaryRecord {
        duration_seconds: started.elapsed().as_secs_f64(),
        ..SummaryRecord::default()
    };
    SummaryRecord {
        bytes_sent: outcome.bytes_sent,
        zero_copy_share: (outcome.bytes_sent > 0).then_some(share),
        peak_memory: peak_memory(),
        transport: told.transport.clone(),
        tried: status::tried_of(told),
        ..relay::summary(&told.record).unwrap_or_else(|| rpc::pushed(told, own))
    }
}
