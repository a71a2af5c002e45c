//! What all movers do alike: outputs, roots, signals, the progress deadline, and the end.

use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use blit_crds::mirrorjob::{SelectedTransport, Side, TriedTransport};
use blit_crds::outcome::ExitCode;
use blit_engine::fs::Dir;
use blit_engine::fs::dir::display_path;
use blit_engine::run::{Cancel, DestinationRoot, new_run_id};
use blit_transport::destination::ProgressPublisher;
use blit_transport::planes::{PlaneKind, Tried};

use super::error::PodError;
use super::{parent, watchdog};
use crate::cli::SideArgs;
use crate::logging;
use crate::process::peak_memory;
use crate::report::figures::Figures;
use crate::report::json::JsonLines;
use crate::report::live::{Live, Plane};
use crate::report::output::{OnFigures, Output, Outputs};
use crate::report::record::{Record, SummaryRecord};
use crate::report::summary::{self, Setting};
use crate::report::terminal::{Screen, Style, Terminal};
use crate::report::{status, termination};
use crate::roots::{self, RootError};
use crate::signals::Signals;

/// How long a run that does not move may take to end when it is cancelled. Longer than a socket needs to
/// find out that the other host is gone (20 s).
const GRACE: Duration = Duration::from_secs(30);

/// A mover under way.
#[derive(Clone)]
pub(super) struct Mover {
    /// Id of the run.
    pub run_id: String,
    /// Where events go.
    pub output: Arc<Outputs>,
    side: Side,
    transport: Arc<Mutex<SelectedTransport>>,
    tried: Arc<Mutex<Vec<TriedTransport>>>,
    args: SideArgs,
    started: Instant,
}

impl Mover {
    /// Begins: from now on events go to stdout and diagnostics to stderr. `started` is when the process
    /// began.
    pub(super) fn new(
        side: Side,
        transport: SelectedTransport,
        args: SideArgs,
        started: Instant,
    ) -> Self {
        let run_id = new_run_id();
        let screen = Screen::new(Style::Hidden);
        logging::init(&screen, 1);
        // A line for every entry would fill the log of a pod.
        let json = JsonLines::new(Box::new(std::io::stdout()), run_id.clone(), false);
        let output = Outputs::default()
            .with(Terminal::new(screen, false, false))
            .with(json);
        Self {
            run_id,
            output: Arc::new(output),
            side,
            transport: Arc::new(Mutex::new(transport)),
            tried: Arc::default(),
            args,
            started,
        }
    }

    /// Does what must come before the first thread.
    pub(super) fn prepare(&self) -> Result<Signals, PodError> {
        let signals = Signals::block().map_err(std::io::Error::from)?;
        parent::follow()?;
        Ok(signals)
    }

    /// Opens the directory of this side; that of a destination is made if it is missing.
    pub(super) fn root(&self) -> Result<Dir, PodError> {
        let (role, create) = match self.side {
            Side::Source => ("the source", false),
            Side::Destination => ("the destination", true),
        };
        let volume = open_volume(&self.args.root, role)?;
        let (path, named) = (&self.args.path, self.named());
        Ok(roots::open_within(&volume, path, &named, role, create)?)
    }

    /// Opens the directory of the destination. A dry run makes nothing: where it is missing it gets the
    /// volume instead.
    pub(super) fn destination(&self, dry_run: bool) -> Result<(Dir, DestinationRoot), PodError> {
        if !dry_run {
            return Ok((self.root()?, DestinationRoot::Exists));
        }
        // A volume is there on a cluster; `run` makes the directory that stands for one only when it writes.
        let (volume, was) = roots::open_or_make(&self.args.root, true)?;
        if was == DestinationRoot::Missing {
            return Ok((volume, was));
        }
        let (path, named) = (&self.args.path, self.named());
        match roots::open_within(&volume, path, &named, "the destination", false) {
            Ok(dir) => Ok((dir, DestinationRoot::Exists)),
            Err(RootError::Missing(_)) => Ok((volume, DestinationRoot::Missing)),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the root as messages call it.
    pub(super) fn display(&self) -> String {
        display_path(&self.named())
    }

    /// Returns the path of the root, its volume included.
    pub(super) fn named(&self) -> PathBuf {
        named(&self.args.root, &self.args.path)
    }

    /// Events go where they always go, to those who follow progress, and to the watchdog of the progress
    /// deadline.
    pub(super) fn outputs(
        &self,
        publisher: ProgressPublisher,
        plane: impl Fn() -> Plane + Send + Sync + 'static,
        cancel: &Cancel,
    ) -> Result<Outputs, PodError> {
        let outputs = Outputs::default()
            .with(Arc::clone(&self.output))
            .with(Live::new(plane, move |update| publisher.publish(update)));
        let Some(deadline) = self.args.progress_deadline else {
            return Ok(outputs);
        };
        let (cancel, mover) = (cancel.clone(), self.clone());
        let feed = watchdog::watch(
            deadline,
            GRACE,
            move || cancel.stall(),
            move || mover.give_up(ExitCode::Stalled),
        )?;
        Ok(outputs.with(OnFigures(move |figures: &Figures| feed.figures(figures))))
    }

    /// Content travels by another plane from now on.
    pub(super) fn travels_by(&self, plane: PlaneKind) {
        let selected = match plane {
            PlaneKind::Tcp => SelectedTransport::Tcp,
            PlaneKind::Grpc => SelectedTransport::Grpc,
        };
        *self
            .transport
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = selected;
    }

    /// Says that a data plane could not be used.
    pub(super) fn fell_back(&self, tried: &Tried) {
        self.output.take(&Record::fallback(tried));
        self.gave_up(tried);
    }

    /// Remembers a data plane that could not be used for the last word.
    fn gave_up(&self, tried: &Tried) {
        let mut known = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = status::tried(tried.plane.as_str(), &tried.reason);
        status::add_tried(&mut known, tried);
    }

    fn selected(&self) -> SelectedTransport {
        *self
            .transport
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the word for how content travels.
    pub(super) fn transport(&self) -> &'static str {
        match self.selected() {
            SelectedTransport::Local => "Local",
            SelectedTransport::Tcp => "TCP",
            SelectedTransport::Grpc => "GRPC",
            SelectedTransport::Rdma => "RDMA",
        }
    }

    /// Returns what the engine does not know. The time to the first byte begins at `since`.
    pub(super) fn setting(&self, since: Option<Instant>, bytes_sent: u64) -> Setting {
        Setting {
            since: since.unwrap_or(self.started),
            transport: self.transport(),
            bytes_sent,
            peak_memory: peak_memory(),
        }
    }

    /// Ends: the last event, the termination message, the exit code.
    pub(super) fn finish(&self, ended: Result<SummaryRecord, PodError>) -> process::ExitCode {
        let record = ended.unwrap_or_else(|error| {
            let (code, setting) = (error.exit_code(), self.setting(None, 0));
            if let Some(tried) = error.tried() {
                self.gave_up(&tried);
            }
            let mut record = summary::of_failure(code, error.to_string(), &setting);
            record.transport_unavailable = error.is_of_planes();
            if error.names_files() {
                record.public_message = Some(format!("{}; {}", code.meaning(), code.remedy()));
            }
            record
        });
        self.last_word(&record);
        record.code().into()
    }

    /// Ends at once, when threads that are stuck cannot be waited for.
    pub(super) fn give_up(&self, code: ExitCode) -> ! {
        let message = format!("{}; {}", code.meaning(), code.remedy());
        self.last_word(&summary::of_failure(code, message, &self.setting(None, 0)));
        process::exit(code.code().into())
    }

    fn last_word(&self, record: &SummaryRecord) {
        let known = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tried = known.clone();
        drop(known);
        status::add_tried(&mut tried, record.tried.iter().cloned());
        if let Some(file) = &self.args.termination_message {
            let tried = tried.clone();
            let written = termination::message(self.side, self.selected(), tried, record)
                .to_json()
                .map_err(std::io::Error::from)
                .and_then(|json| std::fs::write(file, json));
            if let Err(error) = written {
                let file = display_path(file);
                tracing::warn!(%error, file, "cannot write the termination message");
            }
        }
        let record = SummaryRecord {
            tried,
            ..record.clone()
        };
        self.output.take(&Record::Summary(Box::new(record)));
    }
}

/// Opens a mounted volume.
pub(super) fn open_volume(path: &Path, role: &'static str) -> Result<Dir, PodError> {
    match roots::open_source(path) {
        // The volume is what is missing, whatever side it is.
        Err(RootError::NotDirectory { path, .. }) => {
            Err(RootError::NotDirectory { role, path }.into())
        }
        other => Ok(other?),
    }
}

/// Returns the path of a directory within a volume.
pub(super) fn named(volume: &Path, path: &Path) -> PathBuf {
    let below = path.strip_prefix("/").unwrap_or(path);
    if below.as_os_str().is_empty() {
        volume.to_owned()
    } else {
        volume.join(below)
    }
}
