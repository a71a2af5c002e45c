//! A run whose source is at a daemon: this side dials, decides and writes.
//!
//! Invariant: wrong usage (exit code 2), a source that does not exist among it, is found before anything is written.

pub(crate) mod file;

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use blit_crds::outcome::ExitCode;
use blit_engine::fs::dir::display_path;
use blit_engine::fs::{Dir, FsError};
use blit_engine::run::{
    self, Cancel, DestinationRoot, Job, Listing, Operation, Options, RunIdentity,
};
use blit_proto::control::access::{Access, DaemonAccess};
use blit_transport::TransportError;
use blit_transport::destination::{PullConfig, Session, pull};
use blit_transport::location::Overlap;
use blit_transport::planes::{PlanePolicy, Tried};
use blit_transport::reach::Target;
use blit_transport::source::Stop;

use crate::cli::remote::RemoteUrl;
use crate::history;
use crate::history::entry::Run;
use crate::history::place::{FileSystems, kind_at};
use crate::local::file::{FileError, touch};
use crate::local::operation_name;
use crate::pod::code_of_session;
use crate::process::peak_memory;
use crate::report::live::{Live, Plane};
use crate::report::output::{Output, Outputs};
use crate::report::record::{EntryPath, Record, Start, SummaryRecord};
use crate::report::reporter::Reporter;
use crate::report::summary::{self, Setting, code_of_root};
use crate::report::{rpc, status};
use crate::roots::{self, RootError};
use crate::signals::Signals;
use file::OneFile;

/// How content travels, as long as nothing says otherwise.
const TRANSPORT: &str = "TCP";

/// What to pull, where to, and how.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// A directory, which means its content, or for `copy` a file.
    pub source: RemoteUrl,
    /// By what this side gets in there.
    pub access: DaemonAccess,
    /// A directory, or for a file its new name.
    pub destination: PathBuf,
    /// How.
    pub options: Options,
    /// Directories of other file systems below the source are taken without their content.
    pub one_file_system: bool,
    /// Which data planes may be used.
    pub planes: PlanePolicy,
}

/// A pull that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// There is no session.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The destination cannot be used.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The two roots are in each other's way.
    #[error(transparent)]
    Overlap(#[from] Overlap),
    /// A file has no place.
    #[error(transparent)]
    File(#[from] FileError),
    /// A call on the destination failed.
    #[error(transparent)]
    Call(#[from] FsError),
    /// `mirror` was asked for a file.
    #[error(
        "`{0}` is a file, and only directories can be mirrored; use `blit copy` or `blit pull` without --mirror"
    )]
    MirrorOfFile(RemoteUrl),
    /// The machine did not give what a run needs.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl PullError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Transport(error) => code_of_session(error),
            Self::Root(error) => error.exit_code(),
            Self::File(error) => error.exit_code(),
            Self::Call(error) => code_of_root(error.errno),
            Self::Overlap(_) | Self::MirrorOfFile(_) => ExitCode::Usage,
            Self::System(_) => ExitCode::OtherError,
        }
    }
}

/// Runs a transfer to its end and returns how it ended. `started` is when the process began.
pub fn run(transfer: &Transfer, run_id: &str, output: Outputs, started: Instant) -> ExitCode {
    let output = Arc::new(output);
    let record = match receive(transfer, run_id, &output, started) {
        Ok(record) => record,
        Err(error) if error.exit_code() == ExitCode::Usage => {
            // Wrong usage is no run, so it has no summary.
            let (path, message) = (EntryPath::default(), error.to_string());
            output.take(&Record::Error { path, message });
            return ExitCode::Usage;
        }
        Err(error) => {
            let setting = setting(started, TRANSPORT, 0);
            summary::of_failure(error.exit_code(), error.to_string(), &setting)
        }
    };
    let code = record.code();
    let places = FileSystems {
        source: String::new(),
        destination: kind_at(&transfer.destination),
        same: false,
    };
    let remembered = Run::new(operation_name(transfer.options.operation), places, &record);
    output.take(&Record::Summary(Box::new(record)));
    if !transfer.options.dry_run {
        history::remember(remembered);
    }
    code
}

fn setting(since: Instant, transport: &'static str, bytes_sent: u64) -> Setting {
    Setting {
        since,
        transport,
        bytes_sent,
        peak_memory: peak_memory(),
    }
}

fn receive(
    transfer: &Transfer,
    run_id: &str,
    output: &Arc<Outputs>,
    started: Instant,
) -> Result<SummaryRecord, PullError> {
    let signals = Signals::block().map_err(std::io::Error::from)?;
    let (cancel, stop) = (Cancel::new(), Stop::new());
    let (switch, dialling) = (cancel.clone(), stop.clone());
    signals.cancel_then_exit(move || {
        switch.cancel();
        dialling.stop("a signal");
    })?;
    let session = pull(&PullConfig {
        target: Target {
            address: transfer.source.address(),
            access: Access::Daemon(transfer.access.clone()),
        },
        path: transfer.source.path().to_vec(),
        verify: transfer.options.verify,
        one_file_system: transfer.one_file_system,
        planes: transfer.planes,
        // Somebody waits, who knows whether the daemon runs.
        patience: std::time::Duration::ZERO,
        stop,
    })?;
    let Prepared {
        destination,
        root,
        listing,
        file,
    } = prepare(transfer, &session)?;
    output.take(&Record::Start(Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        operation: Some(operation_name(transfer.options.operation).to_owned()),
        source: Some(transfer.source.to_string()),
        destination: Some(display_path(&transfer.destination)),
        listen: None,
    }));
    let fallback = Arc::clone(output);
    session.on_tried(move |tried| fallback.take(&Record::fallback(tried)));
    let (publisher, zero_copy) = (session.progress(), session.bytes_zero_copy());
    let planes = session.planes();
    let plane = move || {
        let (plane, tried) = planes();
        Plane {
            tried: tried.iter().map(Tried::to_wire).collect(),
            transport: plane.as_str(),
            zero_copy: zero_copy() > 0,
        }
    };
    let outputs = Outputs::default()
        .with(Arc::clone(output))
        .with(Live::new(plane, move |update| publisher.publish(update)));
    let job = Job {
        destination,
        listing,
        content: session.content(),
        options: Options {
            destination: root,
            ..transfer.options.clone()
        },
        identity: RunIdentity {
            run_id: run_id.to_owned(),
            source: transfer.source.to_string(),
            ..RunIdentity::default()
        },
    };
    let ended = run::run(job, Arc::new(Reporter::new(outputs)), cancel);
    if let Some(file) = file.filter(|_| ended.progress.files_copied > 0) {
        touch(&file);
    }
    let figures = session.figures();
    let record = SummaryRecord {
        zero_copy_share: (figures.bytes_received > 0).then(|| figures.zero_copy_share()),
        tried: status::all_tried(&figures.tried),
        ..summary::of_run(
            &ended,
            &setting(started, figures.transport, figures.bytes_received),
        )
    };
    session.finish(rpc::result(&record));
    Ok(record)
}

struct Prepared {
    destination: Dir,
    root: DestinationRoot,
    listing: Arc<dyn Listing>,
    /// Of one file that is to be written: the directory that it goes to, which has been changed then although
    /// the run gives it back the time it had.
    file: Option<Dir>,
}

/// Opens the destination, once it is known that it is not in the way of the source.
fn prepare(transfer: &Transfer, session: &Session) -> Result<Prepared, PullError> {
    let dry_run = transfer.options.dry_run;
    if session.peer().single_file {
        return prepare_file(transfer, session);
    }
    // Nothing is made yet.
    let (there, was) = roots::open_or_make(&transfer.destination, true)?;
    match session.overlap(there.as_fd())? {
        // What is still to be made cannot hold the source.
        Some(Overlap::SourceInside) if was == DestinationRoot::Missing => {}
        Some(_) if was == DestinationRoot::Missing => {
            return Err(Overlap::DestinationInside.into());
        }
        Some(overlap) => return Err(overlap.into()),
        None => {}
    }
    let (destination, root) = match was {
        DestinationRoot::Missing if !dry_run => roots::open_or_make(&transfer.destination, false)?,
        _ => (there, was),
    };
    Ok(Prepared {
        destination,
        root,
        listing: session.listing(),
        file: None,
    })
}

fn prepare_file(transfer: &Transfer, session: &Session) -> Result<Prepared, PullError> {
    if transfer.options.operation == Operation::Mirror {
        return Err(PullError::MirrorOfFile(transfer.source.clone()));
    }
    let name = transfer.source.file_name();
    let (parent, place) = crate::local::file::place(name.as_deref(), &transfer.destination)?;
    let (destination, root) = roots::open_or_make(&parent, transfer.options.dry_run)?;
    if root != DestinationRoot::Missing
        && session.overlap(destination.as_fd())? == Some(Overlap::Same)
        && name.as_deref() == Some(&*place)
    {
        return Err(FileError::Same(transfer.destination.clone()).into());
    }
    let listing = OneFile::new(session.listing(), &destination, &place)?;
    let file = match transfer.options.dry_run {
        true => None,
        false => Some(destination.reopen().map_err(|errno| {
            FsError::new(
                "open",
                std::os::unix::ffi::OsStrExt::as_bytes(parent.as_os_str()),
                errno,
            )
        })?),
    };
    Ok(Prepared {
        destination,
        root,
        listing: Arc::new(listing),
        file,
    })
}
