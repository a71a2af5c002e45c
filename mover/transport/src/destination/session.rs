//! A session as the program sees it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use blit_engine::run::{Content, Listing, SourceError, Wants};
use blit_proto::v2::server_push_response::Message;
use blit_proto::v2::{PushHeader, PushSummary, RunEvents};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::ProgressPublisher;
use super::link::Link;
use crate::data::tcp::Desk;
use crate::location::{Location, Overlap};
use crate::planes::{PlaneKind, Tried};

/// How long the source may take to close after it was told the result.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the source may take to close after this side gave up.
const PARTING: Duration = Duration::from_secs(2);

/// How long threads of a runtime may take to end.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// A session with a source. Dropping it without [`Session::finish`] breaks it off.
pub struct Session {
    link: Arc<Link>,
    peer: PeerInfo,
    progress: ProgressPublisher,
    desk: Option<Desk>,
    /// Taken by who waits for it.
    source_closed: Option<oneshot::Receiver<()>>,
    opened: Instant,
    /// What the session lives on, where nothing else keeps it: the side that dialled has no server.
    runtime: Option<Runtime>,
}

/// Who the source is.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// The name in its certificate.
    pub name: String,
    /// The source as people write it.
    pub display: String,
    /// The source is one file: the only entry of the listing. The root that holds it is not meant.
    pub single_file: bool,
    pub(super) location: Option<Location>,
}

impl PeerInfo {
    /// Takes what a header says of the source; `name` is what its certificate says.
    pub(super) fn new(name: String, header: PushHeader) -> Self {
        let display = header.display.chars().filter(|c| !c.is_control());
        Self {
            name,
            display: display.take(4096).collect(),
            single_file: header.single_file,
            location: header.location.map(Location::from_wire),
        }
    }
}

/// What the run came to, for the source and for those who follow progress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunResult {
    /// Exit code.
    pub exit_code: u32,
    /// One word, such as `complete`.
    pub result: String,
    /// What happened and what to do about it, for people.
    pub message: String,
    /// Counters by the names of the summary event.
    pub counters: BTreeMap<String, u64>,
    /// The summary event as JSON, for a client that asked for events; else empty.
    pub record: Vec<u8>,
}

impl From<RunResult> for PushSummary {
    fn from(result: RunResult) -> Self {
        Self {
            exit_code: result.exit_code,
            result: result.result,
            message: result.message,
            counters: result.counters.into_iter().collect(),
            record: result.record,
            ..Self::default()
        }
    }
}

/// Figures of the data plane of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Which plane.
    pub transport: &'static str,
    /// The same.
    pub plane: PlaneKind,
    /// Planes that could not be used, also one that was not given up yet.
    pub tried: Vec<Tried>,
    /// Data streams that were opened.
    pub streams: usize,
    /// Content bytes received.
    pub bytes_received: u64,
    /// Of these, bytes that the source sent without a copy.
    pub bytes_zero_copy: u64,
    /// Content bytes a second since the session was opened.
    pub bytes_per_second: f64,
}

impl Figures {
    /// Returns the share of bytes sent without a copy, 0 to 1.
    pub fn zero_copy_share(&self) -> f64 {
        if self.bytes_received == 0 {
            return 0.0;
        }
        self.bytes_zero_copy as f64 / self.bytes_received as f64
    }
}

impl Session {
    pub(super) fn new(
        link: Arc<Link>,
        peer: PeerInfo,
        progress: ProgressPublisher,
        desk: Option<Desk>,
        source_closed: oneshot::Receiver<()>,
    ) -> Self {
        Self {
            link,
            peer,
            progress,
            desk,
            source_closed: Some(source_closed),
            opened: Instant::now(),
            runtime: None,
        }
    }

    /// Keeps the runtime on which the session lives.
    pub(super) fn on(mut self, runtime: Runtime) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Returns what sends events to the source, which has asked for them. It waits while the source does not read,
    /// and returns false when there is none any more.
    pub fn events(&self) -> impl Fn(Vec<Vec<u8>>) -> bool + Send + Sync + use<> {
        let link = Arc::clone(&self.link);
        move |events| link.send(Message::Events(RunEvents { events })).is_ok()
    }

    /// Returns where the state of the run is published.
    pub fn progress(&self) -> ProgressPublisher {
        self.progress.clone()
    }

    /// Returns the listing of the source.
    pub fn listing(&self) -> Arc<dyn Listing> {
        Arc::clone(&self.link) as Arc<dyn Listing>
    }

    /// Returns where content is asked for and arrives.
    pub fn content(&self) -> Content {
        let wants = Arc::clone(&self.link) as Arc<dyn Wants>;
        Content::Arriving {
            wants,
            arrivals: Arc::clone(&self.link.arrivals),
        }
    }

    /// Returns who the source is.
    pub fn peer(&self) -> &PeerInfo {
        &self.peer
    }

    /// Tells whether the root of this side and that of the source are on one host and in each other's way.
    pub fn overlap(&self, destination: BorrowedFd<'_>) -> io::Result<Option<Overlap>> {
        let Some(source) = &self.peer.location else {
            return Ok(None);
        };
        Ok(Location::overlap(source, &Location::of(destination)?))
    }

    /// Returns why the session broke off, if it did.
    pub fn lost(&self) -> Option<SourceError> {
        self.link.lost().cloned()
    }

    /// Returns the figures so far.
    pub fn figures(&self) -> Figures {
        let bytes_received = self.link.received.bytes.load(Ordering::Relaxed);
        let seconds = self.opened.elapsed().as_secs_f64().max(1e-3);
        Figures {
            transport: self.link.streams.plane().as_str(),
            plane: self.link.streams.plane(),
            tried: self.link.streams.tried_in_the_end(),
            streams: self.link.streams.count(),
            bytes_received,
            bytes_zero_copy: self.link.received.zero_copy.load(Ordering::Relaxed),
            bytes_per_second: bytes_received as f64 / seconds,
        }
    }

    /// Has somebody told of data planes that could not be used, also of those before. Call it once.
    pub fn on_tried(&self, tell: impl Fn(&Tried) + Send + Sync + 'static) {
        self.link.streams.on_tried(Box::new(tell));
    }

    /// Returns what tells, at any time, which data plane is in use, and which could not be.
    pub fn planes(&self) -> impl Fn() -> (PlaneKind, Vec<Tried>) + Send + Sync + use<> {
        let link = Arc::clone(&self.link);
        move || (link.streams.plane(), link.streams.all_tried())
    }

    /// Returns what tells, at any time, how many bytes the source sent without a copy.
    pub fn bytes_zero_copy(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let received = Arc::clone(&self.link.received);
        move || received.zero_copy.load(Ordering::Relaxed)
    }

    /// Tells the result to the source and to those who follow progress, and ends the session.
    ///
    /// Waits for the source to take it, for some seconds at most.
    pub fn finish(mut self, result: RunResult) -> Figures {
        let figures = self.figures();
        let summary = PushSummary {
            bytes_received: figures.bytes_received,
            bytes_zero_copy: figures.bytes_zero_copy,
            bytes_per_second: figures.bytes_per_second,
            zero_copy_share: figures.zero_copy_share(),
            streams: figures.streams as u32,
            transport: figures.transport.to_owned(),
            tried: figures.tried.iter().map(Tried::to_wire).collect(),
            ..result.into()
        };
        self.progress
            .finish(|update| update.summary = Some(summary.clone()));
        self.link.finish();
        if self.link.lost().is_none() && self.link.send_last(Message::Summary(summary)) {
            self.wait_for_source(CLOSE_TIMEOUT);
        }
        self.link.close_streams();
        self.desk = None;
        figures
    }

    fn wait_for_source(&mut self, limit: Duration) {
        let Some(closed) = self.source_closed.take() else {
            return;
        };
        let wait = async { tokio::time::timeout(limit, closed).await };
        if self.link.runtime().block_on(wait).is_err() {
            tracing::warn!("the source did not close the session");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Nothing happens if the session was finished.
        self.link
            .fail(SourceError::Lost("the destination gave up".to_owned()));
        if let Some(runtime) = self.runtime.take() {
            // A source that is not waited for does not learn why.
            self.wait_for_source(PARTING);
            runtime.shutdown_timeout(GRACE);
        }
    }
}
