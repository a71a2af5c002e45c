//! A session as the source serves it, whoever dialled: it scans, does what the destination asks, and sends, until
//! the destination tells the result.

mod doors;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use blit_engine::run::{Listing, SourceError};
use blit_engine::tree::LocalSource;
use blit_engine::watch::Roster;
use blit_proto::v2::client_push_request::Message as Request;
use blit_proto::v2::server_push_response::Message as Response;
use blit_proto::v2::source_failed::Reason;
use blit_proto::v2::{ProgressUpdate, PushHeader, PushSummary, ServerPushResponse, SourceFailed};
use blit_proto::version;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use super::activity::{Activity, Watchdog, progressed};
use super::hashing::{self, Hashing};
use super::pulse::{self, Pulse, Tell};
use super::retained::Retained;
use super::scan::{Outbound, Scan, relist};
use super::streams::Streams;
use super::{OnEvents, OnSlow, PushOutcome, Stop};
use crate::data::queue::Queue;
use crate::data::sender::Sent;
use crate::error::TransportError;
use crate::location::Location;
use crate::wire::codes::Codes;
use crate::wire::mirror::said;
use crate::wire::{Violation, entry, parts, wants};

pub(super) use doors::{Doors, Opened, SinkDialler};

/// How long the destination gets to take the reason why the source gives up.
pub(super) const PARTING: Duration = Duration::from_secs(2);

/// How long it is waited for the destination to say why it closed a data connection.
const REASON_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a destination may not read data where there is no progress deadline.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Directories that are listed again at a time, at most: all names of each are in memory.
const RELISTS: usize = 16;

/// Directories of which the answer is not sent yet, at most: a destination asks for one on each of its threads.
const RELISTS_ASKED: usize = 4096;

/// What is served, and how.
#[derive(Clone)]
pub(crate) struct Offer {
    /// The tree; opened with extended attributes in the listing.
    pub(crate) source: Arc<LocalSource>,
    /// The tree as people write it, for messages and events of the destination.
    pub(crate) display: String,
    /// The tree is one file: the only entry of its listing.
    pub(crate) single_file: bool,
    /// The destination, for messages.
    pub(crate) peer: String,
    /// How long nothing may move before the session counts as stalled; `None`: for ever.
    pub(crate) progress_deadline: Option<Duration>,
    /// Threads that scan; `None`: chosen.
    pub(crate) scan_threads: Option<usize>,
    /// Told of a system call that takes long.
    pub(crate) on_slow: Arc<OnSlow>,
    /// Test switch: what is asked for is never sent.
    pub(crate) block_queue: bool,
    /// Ends the session early.
    pub(crate) stop: Stop,
}

impl Offer {
    /// Describes the root; what else a header has is up to who dials.
    pub(super) fn header(&self) -> Result<PushHeader, TransportError> {
        let root = self.source.root().map_err(|error| failed(&error))?;
        let dir = self.source.root_dir();
        let dir = dir.map_err(|error| TransportError::Source(error.to_string()))?;
        let location = Location::of(std::os::fd::AsFd::as_fd(&*dir))?;
        Ok(PushHeader {
            hello: Some(version::hello()),
            root: Some(entry::to_header(&root)),
            location: Some(location.to_wire()),
            display: self.display.clone(),
            single_file: self.single_file,
            ..PushHeader::default()
        })
    }

    /// Returns how long a destination may not read before its socket counts as lost.
    pub(super) fn longest_wait(&self) -> Duration {
        self.progress_deadline.unwrap_or(LONGEST_WAIT)
    }
}

/// Says what the status means with which the destination ended the session.
pub(super) type Explain = dyn Fn(&Status) -> TransportError + Send + Sync;

/// A session under way.
pub(super) struct Serving {
    offer: Offer,
    outbound: Outbound,
    explain: Box<Explain>,
    failures: mpsc::UnboundedSender<TransportError>,
    failed: mpsc::UnboundedReceiver<TransportError>,
    retained: Arc<Retained>,
    activity: Arc<Activity>,
    queue: Arc<Queue>,
    sent: Arc<Sent>,
    roster: Arc<Roster>,
    hashing: Option<Arc<Hashing>>,
    /// What makes the codes of what is sent, where the destination verifies.
    codes: Option<Arc<Codes>>,
    /// Room for directories that are to be listed again, and for those that are.
    relists: [Arc<Semaphore>; 2],
    streams: Streams,
    ended: mpsc::UnboundedSender<(u32, io::Result<()>)>,
    has_ended: mpsc::UnboundedReceiver<(u32, io::Result<()>)>,
    /// Takes the events of the run at the destination, where they were asked for.
    pub(super) on_events: Option<Arc<OnEvents>>,
}

impl Serving {
    pub(super) fn new(offer: Offer, outbound: Outbound, explain: Box<Explain>) -> Self {
        let (failures, failed) = mpsc::unbounded_channel();
        let queue = Arc::new(Queue::new(offer.block_queue));
        let (ended, has_ended) = mpsc::unbounded_channel();
        Self {
            offer,
            outbound,
            explain,
            failures,
            failed,
            retained: Arc::default(),
            activity: Arc::default(),
            queue,
            sent: Arc::default(),
            roster: Roster::new(),
            hashing: None,
            codes: None,
            relists: [RELISTS_ASKED, RELISTS].map(|most| Arc::new(Semaphore::new(most))),
            streams: Streams::default(),
            ended,
            has_ended,
            on_events: None,
        }
    }

    /// Takes the key with which what is sent is proven, if the destination verifies. Before streams are opened.
    pub(super) fn prove(&mut self, key: &[u8]) -> Result<(), Violation> {
        if !key.is_empty() {
            let codes = Codes::new(key);
            let codes =
                codes.ok_or_else(|| Violation::new("the key of codes has not its length"))?;
            self.codes = Some(Arc::new(codes));
        }
        Ok(())
    }

    /// Starts the threads that scan.
    pub(super) fn start_scan(&self) -> Result<(), TransportError> {
        let scan = Arc::new(Scan::new(
            Arc::clone(&self.offer.source),
            Arc::clone(&self.retained),
            Arc::clone(&self.activity),
            self.outbound.clone(),
        ));
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        for number in 0..self.offer.scan_threads.unwrap_or(processors).clamp(1, 16) {
            let (scan, failures) = (Arc::clone(&scan), self.failures.clone());
            let roster = Arc::clone(&self.roster);
            spawn(format!("blit-scan-{number}"), move || {
                let _enlisted = roster.enlist();
                if let Err(error) = scan.run() {
                    // Nobody listens once the session is over.
                    let _ = failures.send(failed(&error));
                }
            })?;
        }
        Ok(())
    }

    /// Does what the destination asks until it tells the result. Data streams come through `doors`.
    pub(super) async fn converse(
        &mut self,
        stream: &mut (impl Stream<Item = Result<ServerPushResponse, Status>> + Unpin),
        doors: &mut Doors,
        tell: Tell,
    ) -> Result<PushSummary, TransportError> {
        let deadline = self.offer.progress_deadline;
        let mut watchdog = deadline.map(|limit| Watchdog::new(limit, Instant::now()));
        let mut tick = tokio::time::interval(pulse::EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pulse = Pulse::new(
            Arc::clone(&self.roster),
            Arc::clone(&self.queue),
            Arc::clone(&self.activity),
            tell,
            &self.offer.source,
        );
        if doors.recovers() {
            self.streams.recover();
        }
        let mut progress = ProgressUpdate::default();
        let stop = self.offer.stop.clone();
        loop {
            if let Doors::Dialling(dialler) = &mut *doors
                && let Err(error) = self.race(dialler)
            {
                return Err(self.better(error, stream).await);
            }
            let message = tokio::select! {
                message = stream.next() => message,
                event = doors.next() => {
                    if let Err(error) = self.door(event) {
                        return Err(self.better(error, stream).await);
                    }
                    continue;
                }
                Some((number, how)) = self.has_ended.recv() => {
                    if let Err(error) = self.stream_ended(number, &how, doors) {
                        return Err(self.better(error, stream).await);
                    }
                    continue;
                }
                Some(error) = self.failed.recv() => return Err(self.better(error, stream).await),
                reason = stop.stopped() => return Err(TransportError::Interrupted(reason)),
                _ = tick.tick() => {
                    pulse.beat(&*self.offer.on_slow, self.streams.lost());
                    self.streams.close_silent();
                    self.tune(doors);
                    if matches!(doors, Doors::Listening { .. }) {
                        self.streams.check_confirmed()?;
                    }
                    let sent = self.sent.bytes.load(Ordering::Relaxed);
                    let now = Instant::now();
                    let stalled = watchdog
                        .as_mut()
                        .is_some_and(|dog| dog.is_stalled(&self.activity, sent, now));
                    if stalled {
                        return Err(TransportError::Stalled {
                            deadline: deadline.unwrap_or_default(),
                            waited: pulse.state().waits_for,
                        });
                    }
                    continue;
                }
            };
            let message = match message {
                Some(Ok(response)) => response.message,
                Some(Err(status)) => return Err((self.explain)(&status)),
                None => return Err(self.lost("the destination closed the session")),
            };
            match message {
                Some(Response::Summary(summary)) => return Ok(summary),
                Some(Response::Progress(update)) => {
                    if progressed(&progress, &update) {
                        self.activity.moved();
                    }
                    progress = update;
                }
                // Said at intervals, also when nothing moves.
                Some(message @ Response::Streams(_)) => self.serve(message)?,
                Some(message) => {
                    self.activity.moved();
                    self.serve(message)?;
                }
                // A kind of message that this version does not know.
                None => {}
            }
        }
    }

    /// Waits for what fails while the session is being opened.
    pub(super) async fn failure(&mut self) -> TransportError {
        match self.failed.recv().await {
            Some(error) => error,
            // A sender is in `self`.
            None => std::future::pending().await,
        }
    }

    /// Where a data connection failed because the destination ended the session, returns why it did.
    pub(super) async fn better(
        &self,
        error: TransportError,
        stream: &mut (impl Stream<Item = Result<ServerPushResponse, Status>> + Unpin),
    ) -> TransportError {
        if !matches!(
            error,
            TransportError::Lost { .. } | TransportError::Data { .. } | TransportError::Planes(_)
        ) {
            return error;
        }
        let end = async {
            loop {
                match stream.next().await {
                    Some(Ok(_)) => {}
                    None => return None,
                    Some(Err(status)) => return Some(status),
                }
            }
        };
        match timeout(REASON_TIMEOUT, end).await {
            Ok(Some(status)) => (self.explain)(&status),
            Ok(None) | Err(_) => error,
        }
    }

    /// Does what the destination asks; never waits.
    pub(super) fn serve(&mut self, message: Response) -> Result<(), TransportError> {
        match message {
            Response::Negotiation(further) => {
                let wanted = wants::unpack(&further.files_to_upload)?;
                if !wanted.is_empty() {
                    self.check_room(wanted.len())?;
                    self.queue.push(self.retained.find(&wanted)?);
                }
                let compared = wants::unpack(&further.files_to_hash)?;
                if !compared.is_empty() {
                    let jobs = self.retained.find(&compared)?;
                    self.hashing()?.push(jobs)?;
                }
                self.serve_parts(&further.ranges_to_upload, &further.blocks_to_hash)?;
            }
            Response::DirDone(done) => {
                self.retained
                    .done(&self.offer.source, done.dir, done.part, done.keep)?;
            }
            Response::Relist(asked) => self.relist(asked.dir)?,
            Response::Events(happened) => {
                if let Some(on_events) = &self.on_events {
                    on_events(&happened.events);
                }
            }
            Response::Streams(streams) => self.states(&streams.states)?,
            // Dealt with by the caller.
            Response::Progress(_) | Response::Summary(_) => {}
        }
        Ok(())
    }

    /// Lists a directory again when it is its turn, and sends the names.
    fn relist(&self, dir: u64) -> Result<(), Violation> {
        let [asked, listed] = self.relists.each_ref().map(Arc::clone);
        let asked = asked.try_acquire_owned();
        let asked =
            asked.map_err(|_| Violation::new("too many directories are to be listed again"))?;
        let (source, outbound) = (Arc::clone(&self.offer.source), self.outbound.clone());
        let roster = Arc::clone(&self.roster);
        tokio::spawn(async move {
            // Never closed.
            let turn = tokio::select! {
                turn = listed.acquire_owned() => turn,
                () = outbound.closed() => return,
            };
            let listing = tokio::task::spawn_blocking(move || {
                let _held = (asked, turn);
                let _enlisted = roster.enlist();
                for message in relist(&source, dir) {
                    // Fails when the session is over.
                    if outbound
                        .blocking_send(said(Request::Relisted(message)))
                        .is_err()
                    {
                        return;
                    }
                }
            });
            // It ends by itself.
            drop(listing);
        });
        Ok(())
    }

    /// Checks that a destination does not want more at once than one does that keeps its window.
    fn check_room(&self, more: usize) -> Result<(), Violation> {
        match self.queue.has_room(more) {
            true => Ok(()),
            false => Err(Violation::new("too many files are wanted at once")),
        }
    }

    /// Does what is asked of parts of files.
    fn serve_parts(&mut self, ranges: &[u8], blocks: &[u8]) -> Result<(), TransportError> {
        let (named, ranges): (Vec<_>, Vec<_>) = parts::unpack_ranges(ranges)?.into_iter().unzip();
        if !named.is_empty() {
            self.check_room(ranges.iter().map(Vec::len).sum())?;
            let jobs = self.retained.find(&named)?;
            self.queue
                .push_ranges(jobs.into_iter().zip(ranges).collect());
        }
        let (named, blocks): (Vec<_>, Vec<_>) = parts::unpack_blocks(blocks)?.into_iter().unzip();
        if !named.is_empty() {
            let jobs = self.retained.find(&named)?;
            let jobs = jobs.into_iter().zip(blocks).collect();
            self.hashing()?.push_blocks(jobs)?;
        }
        Ok(())
    }

    /// Returns what hashes; its threads begin when they are needed.
    fn hashing(&mut self) -> Result<Arc<Hashing>, TransportError> {
        if let Some(hashing) = &self.hashing {
            return Ok(Arc::clone(hashing));
        }
        let new = Arc::default();
        self.hashing = Some(Arc::clone(&new));
        hashing::start(
            &new,
            &self.offer.source,
            &self.queue,
            &self.activity,
            &self.roster,
        )?;
        Ok(new)
    }

    /// Tells the destination why the source gives up, so that it need not guess.
    pub(super) async fn part(
        &self,
        error: &TransportError,
        responses: &mut (impl Stream<Item = Result<ServerPushResponse, Status>> + Unpin),
    ) {
        let reason = match error {
            TransportError::Source(_) => Reason::Root,
            TransportError::Interrupted(_) => Reason::Interrupted,
            TransportError::Stalled { .. } => Reason::Stalled,
            TransportError::Data { .. }
            | TransportError::Lost { .. }
            | TransportError::Planes(_) => Reason::Data,
            _ => Reason::Unspecified,
        };
        let failed = SourceFailed {
            reason: reason.into(),
            message: error.to_string(),
        };
        let parting = async {
            let _ = self.outbound.send(said(Request::Failed(failed))).await;
            // The destination ends the stream when it has read that.
            while let Some(Ok(_)) = responses.next().await {}
        };
        if timeout(PARTING, parting).await.is_err() {
            tracing::debug!("the destination did not take the reason");
        }
    }

    /// Ends everything; returns what came of it.
    pub(super) fn end(
        self,
        result: Result<PushSummary, TransportError>,
    ) -> Result<PushOutcome, TransportError> {
        self.queue.close();
        if let Some(hashing) = &self.hashing {
            hashing.close();
        }
        self.streams.close();
        let summary = result?;
        Ok(PushOutcome {
            summary,
            bytes_sent: self.sent.bytes.load(Ordering::Relaxed),
            bytes_zero_copy: self.sent.zero_copy.load(Ordering::Relaxed),
            files_sent: self.sent.files.load(Ordering::Relaxed),
        })
    }

    pub(super) fn lost(&self, reason: &str) -> TransportError {
        lost(&self.offer.peer, reason)
    }
}

/// Says that a session broke off.
pub(super) fn lost(peer: &str, reason: &str) -> TransportError {
    TransportError::Lost {
        peer: peer.to_owned(),
        reason: reason.to_owned(),
    }
}

fn failed(error: &SourceError) -> TransportError {
    TransportError::Source(error.to_string())
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<(), TransportError> {
    std::thread::Builder::new().name(name).spawn(work)?;
    Ok(())
}

#[cfg(test)]
mod tests;
