//! What a session at the destination consists of: the two faces that the engine sees, and the one place
//! where a session ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use blit_engine::entry::{DirId, Entry};
use blit_engine::run::{
    Arrivals, Elsewhere, Listing, Next, PartWant, SourceError, Want, Wanted, Wants,
};
use blit_engine::watch::{Wait, idle};
use blit_proto::v2::server_push_response::Message;
use blit_proto::v2::{
    DataStreams, DataTransferNegotiation, DirDone, ListingPart, ManifestComplete, Relist, Relisted,
    ServerPushResponse, SourceState,
};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::inbox::{Inbox, Taken};
use super::relisting::Relistings;
use super::streams::Streams;
use super::told::Told;
use crate::data::proof::Proof;
use crate::data::receiver::{ReceiveError, Received};
use crate::data::window::Window;
use crate::sync::{lock, wait};
use crate::wire::listing::ListingRules;
use crate::wire::{Violation, parts, split, wants};

/// What goes to the source.
pub(crate) type Outbound = mpsc::Sender<Result<ServerPushResponse, Status>>;

/// How long the last message to the source may take.
const LAST_WORD: Duration = Duration::from_secs(10);

/// How long a source may take to open another data stream when it has lost the last one. It gives up earlier itself.
const WITHOUT_STREAMS: Duration = Duration::from_secs(15);

/// Streams that a source may tell of at once as lost.
const LOST: usize = 64;

/// One session at the destination.
pub(crate) struct Link {
    root: Entry,
    /// The source can answer with hashes.
    hashes: bool,
    /// The source can send parts of files.
    parts: bool,
    inbox: Inbox<ListingPart>,
    rules: Mutex<ListingRules>,
    relists: Mutex<Relistings>,
    relisted: Condvar,
    outbound: Outbound,
    /// What is under way.
    pub(crate) window: Arc<Window>,
    /// Where content is handed in.
    pub(crate) arrivals: Arc<Arrivals>,
    /// What judges whether it is what was sent, in a session that verifies.
    pub(crate) proof: Option<Arc<Proof>>,
    /// Figures of the data plane.
    pub(crate) received: Arc<Received>,
    /// The data streams.
    pub(crate) streams: Streams,
    /// The source sends again what is lost with a stream.
    recovers: AtomicBool,
    lost: OnceLock<SourceError>,
    /// Told of each stream that is over, where this side opens another.
    redial: OnceLock<mpsc::UnboundedSender<()>>,
    /// What the source said about itself.
    told: Mutex<Told>,
    /// The run ends early: nobody is to wait for the source any more.
    given_up: watch::Sender<bool>,
    /// Turns true when the session is over, however it ended.
    over: watch::Sender<bool>,
    finished: AtomicBool,
    runtime: Handle,
}

impl Link {
    pub(crate) fn new(
        root: Entry,
        hashes: bool,
        parts: bool,
        proof: Option<Arc<Proof>>,
        outbound: Outbound,
        runtime: Handle,
    ) -> Arc<Self> {
        Arc::new(Self {
            root,
            hashes,
            parts,
            proof,
            inbox: Inbox::new(),
            rules: Mutex::new(ListingRules::new()),
            relists: Mutex::default(),
            relisted: Condvar::new(),
            outbound,
            window: Arc::default(),
            arrivals: Arrivals::new(),
            received: Arc::default(),
            streams: Streams::default(),
            recovers: AtomicBool::new(false),
            lost: OnceLock::new(),
            redial: OnceLock::new(),
            told: Mutex::new(Told::nothing(Instant::now())),
            given_up: watch::Sender::new(false),
            over: watch::Sender::new(false),
            finished: AtomicBool::new(false),
            runtime,
        })
    }

    /// Takes what the source says about itself.
    pub(crate) fn source_state(&self, mut state: SourceState) {
        let lost = std::mem::take(&mut state.lost).into_iter().take(LOST);
        // The receiver of one that is open here finds that out, and all goes on as with any that breaks. Of the others the
        // source has not heard, or heard too early, or there never was one here.
        let over = lost.filter(|stream| self.streams.is_over_or_close(*stream));
        let states: Vec<_> = over
            .map(|stream| self.streams.final_state(stream))
            .collect();
        if !states.is_empty() {
            let message = Some(Message::Streams(DataStreams { states }));
            // It asks again.
            let _ = self.outbound.try_send(Ok(ServerPushResponse { message }));
        }
        lock(&self.told).take(state, Instant::now());
    }

    /// Returns when the source last said something about itself.
    pub(super) fn heard(&self) -> Option<Instant> {
        lock(&self.told).heard()
    }

    /// Takes a piece of the listing.
    pub(crate) async fn part(&self, part: ListingPart) -> Result<(), Violation> {
        lock(&self.rules).part(&part)?;
        self.inbox.put(part).await;
        Ok(())
    }

    /// Takes the end of the listing.
    pub(crate) fn complete(&self, end: &ManifestComplete) -> Result<(), Violation> {
        lock(&self.rules).complete(end)?;
        self.inbox.complete();
        Ok(())
    }

    /// Takes a part of the answer to a relist.
    pub(crate) fn relisted(&self, message: Relisted) -> Result<(), Violation> {
        if lock(&self.relists).take(message)? {
            self.relisted.notify_all();
        }
        Ok(())
    }

    /// The source sends again what is lost with a stream: such a loss is not the end of the session.
    pub(crate) fn recover(&self) {
        self.recovers.store(true, Ordering::Relaxed);
    }

    /// This side opens streams in the place of those that are over: it is told of each.
    pub(super) fn redial(&self) -> mpsc::UnboundedReceiver<()> {
        let (redial, over) = mpsc::unbounded_channel();
        // Set once, by who opens the session.
        let _ = self.redial.set(redial);
        over
    }

    /// Tells the source how far streams got, if it takes a message now.
    pub(super) fn confirm_now(&self) {
        if self.recovers.load(Ordering::Relaxed) {
            let states = self.streams.progress();
            let message = Some(Message::Streams(DataStreams { states }));
            // There is a next time.
            let _ = self.outbound.try_send(Ok(ServerPushResponse { message }));
        }
    }

    /// Returns true when no stream is needed any more.
    pub(super) fn is_over(&self) -> bool {
        self.finished.load(Ordering::SeqCst) || self.lost.get().is_some()
    }

    /// The receiver of a stream has ended.
    pub(super) fn stream_over(self: &Arc<Self>, number: u32, ended: Result<(), ReceiveError>) {
        let reason = match &ended {
            Ok(()) => "a data connection was closed".to_owned(),
            Err(error) => error.to_string(),
        };
        let broke_the_protocol = matches!(ended, Err(ReceiveError::Protocol(_)));
        let state = self.streams.over(number);
        if broke_the_protocol || !self.recovers.load(Ordering::Relaxed) {
            return self.fail(SourceError::Lost(reason));
        }
        if self.is_over() {
            return;
        }
        tracing::debug!(stream = number, reason, "a data stream is over");
        let states = state.into_iter().collect();
        // If the session is over, nothing is sent again.
        let _ = self.send(Message::Streams(DataStreams { states }));
        if let Some(redial) = self.redial.get() {
            // Nobody opens another when the session is over.
            let _ = redial.send(());
        }
        if !self.streams.any_open() {
            let (link, had) = (Arc::downgrade(self), self.streams.count());
            self.runtime.spawn(async move {
                tokio::time::sleep(WITHOUT_STREAMS).await;
                if let Some(link) = link.upgrade() {
                    link.check_streams(had, &reason);
                }
            });
        }
    }

    /// Ends a session that has been without a data stream for too long, ever since it had had so many. One whose streams come
    /// and go is ended by the progress deadline, if nothing moves.
    fn check_streams(&self, had: usize, reason: &str) {
        if !self.streams.any_open() && self.streams.count() == had {
            self.fail(SourceError::Lost(format!(
                "{reason}, and no other was opened within {} s",
                WITHOUT_STREAMS.as_secs()
            )));
        }
    }

    /// Tells the source how far streams got. Beside the wants: so what it remembers is bounded as they are.
    fn confirm(&self) -> Result<(), SourceError> {
        if !self.recovers.load(Ordering::Relaxed) {
            return Ok(());
        }
        let states = self.streams.progress();
        self.send(Message::Streams(DataStreams { states }))
    }

    /// Ends the session with an error, once: whoever waits for anything gets it.
    pub(crate) fn fail(&self, error: SourceError) {
        if self.finished.load(Ordering::SeqCst) || self.lost.set(error.clone()).is_err() {
            return;
        }
        tracing::debug!(%error, "the session is over");
        self.inbox.close(error.clone());
        self.window.close(error.clone());
        {
            // Held so that nobody checks for the error and then misses the wake-up.
            let _relists = lock(&self.relists);
            self.relisted.notify_all();
        }
        self.close_streams();
        // The source learns why, if it listens.
        let _ = self
            .outbound
            .try_send(Err(Status::aborted(error.to_string())));
        self.over.send_replace(true);
        self.arrivals.disconnect(error);
    }

    /// The run has ended: whatever breaks from now on does not matter.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::SeqCst);
        // A run that ended early takes no more of the listing. What is still coming is read and dropped,
        // so that the source's goodbye behind it is heard.
        self.inbox
            .close(SourceError::Lost("the run has ended".to_owned()));
    }

    /// Closes the data plane.
    pub(crate) fn close_streams(&self) {
        self.streams.close();
    }

    /// Returns the runtime that the session lives on.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Returns why the session is over, if it broke off.
    pub(crate) fn lost(&self) -> Option<&SourceError> {
        self.lost.get()
    }

    /// Sends to the source from a thread of the engine; waits while the source does not read.
    pub(crate) fn send(&self, message: Message) -> Result<(), SourceError> {
        let response = Ok(ServerPushResponse {
            message: Some(message),
        });
        let response = match self.outbound.try_send(response) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(self.gone()),
            Err(mpsc::error::TrySendError::Full(response)) => response,
        };
        let (mut over, mut given_up) = (self.over.subscribe(), self.given_up.subscribe());
        let sending = async {
            tokio::select! {
                sent = self.outbound.send(response) => sent.map_err(|_| self.gone()),
                _ = over.wait_for(|over| *over) => Err(self.gone()),
                _ = given_up.wait_for(|given_up| *given_up) => Err(self.gone()),
            }
        };
        idle(Wait::Message, || self.runtime.block_on(sending))
    }

    /// Sends the last message; waits for the source to take it, but not for long. Returns whether it was sent.
    pub(crate) fn send_last(&self, message: Message) -> bool {
        let response = Ok(ServerPushResponse {
            message: Some(message),
        });
        let sending = self.outbound.send_timeout(response, LAST_WORD);
        self.runtime.block_on(sending).is_ok()
    }

    /// Tells the source that it broke the protocol, if it listens.
    pub(crate) fn refuse(&self, violation: &Violation) {
        let _ = self
            .outbound
            .try_send(Err(Status::invalid_argument(violation.to_string())));
    }

    fn gone(&self) -> SourceError {
        let gone = || SourceError::Lost("the connection was closed".to_owned());
        self.lost.get().cloned().unwrap_or_else(gone)
    }
}

impl Listing for Link {
    fn root(&self) -> Result<Entry, SourceError> {
        Ok(self.root.clone())
    }

    fn next(&self, wait: Duration) -> Result<Next, SourceError> {
        match self.inbox.take(wait)? {
            Taken::Piece(piece) => match split::part_from_wire(piece) {
                Ok(part) => Ok(Next::Part(part)),
                Err(violation) => {
                    let error = SourceError::Lost(violation.to_string());
                    self.fail(error.clone());
                    Err(error)
                }
            },
            Taken::Nothing => Ok(Next::Pending),
            Taken::Complete => Ok(Next::Finished),
        }
    }

    fn done(&self, dir: DirId, part: u32, keep: bool) {
        // If the session is over, nobody keeps anything.
        let _ = self.send(Message::DirDone(DirDone {
            dir: dir.0,
            part,
            keep,
        }));
    }

    fn elsewhere(&self) -> Elsewhere {
        // How long that may take has a limit of its own.
        if self.redial.get().is_some() && !self.streams.any_open() {
            return Elsewhere::Busy("a data stream in the place of those that broke".to_owned());
        }
        lock(&self.told).judge(Instant::now())
    }

    fn hashed_elsewhere(&self) -> u64 {
        lock(&self.told).bytes_hashed()
    }

    fn relist(&self, dir: DirId) -> Result<Vec<Box<[u8]>>, SourceError> {
        if !lock(&self.relists).begin(dir.0) {
            return Err(SourceError::Other(
                "the directory is being listed already".to_owned(),
            ));
        }
        let result = self.send(Message::Relist(Relist { dir: dir.0 }));
        let relists = lock(&self.relists);
        let mut relists = idle(Wait::Relist, || {
            let mut relists = relists;
            while result.is_ok()
                && self.lost.get().is_none()
                && !*self.given_up.borrow()
                && relists.is_open(dir.0)
            {
                relists = wait(&self.relisted, relists);
            }
            relists
        });
        let answer = relists.end(dir.0);
        result?;
        match answer {
            Some(answer) => answer.map_err(SourceError::Other),
            None => Err(self.gone()),
        }
    }
}

impl Wants for Link {
    fn want(&self, mut wanted: &[Want]) -> Result<(), SourceError> {
        while !wanted.is_empty() {
            let most = wanted.len().min(wants::WANTS_PER_MESSAGE);
            let count = self.window.admit(&wanted[..most])?;
            let (now, later) = wanted.split_at(count);
            let (hashes, content): (Vec<Want>, Vec<Want>) = now.iter().partition(|want| want.hash);
            self.confirm()?;
            self.send(Message::Negotiation(DataTransferNegotiation {
                files_to_upload: wants::pack(&content).into(),
                files_to_hash: wants::pack(&hashes),
                ..DataTransferNegotiation::default()
            }))?;
            wanted = later;
        }
        Ok(())
    }

    fn give_up(&self) {
        self.given_up.send_replace(true);
        self.window
            .close(SourceError::Lost("the run ends".to_owned()));
        // Held so that nobody checks and then misses the wake-up.
        let _relists = lock(&self.relists);
        self.relisted.notify_all();
    }

    fn can_hash(&self) -> bool {
        self.hashes
    }

    fn can_assemble(&self) -> bool {
        self.parts
    }

    fn want_parts(&self, wanted: &[PartWant]) -> Result<(), SourceError> {
        let weighed: Vec<Want> = wanted.iter().map(weigh).collect();
        let mut done = 0;
        while done < wanted.len() {
            let most = wanted.len().min(done + parts::PARTS_PER_MESSAGE);
            let count = self.window.admit(&weighed[done..most])?;
            self.confirm()?;
            let (ranges_to_upload, blocks_to_hash) = parts::pack(&wanted[done..done + count]);
            self.send(Message::Negotiation(DataTransferNegotiation {
                ranges_to_upload,
                blocks_to_hash,
                ..DataTransferNegotiation::default()
            }))?;
            done += count;
        }
        Ok(())
    }
}

/// Returns a wanted part as the window counts it.
fn weigh(part: &PartWant) -> Want {
    let (size, hash) = match &part.what {
        Wanted::Ranges(ranges) => (ranges.iter().map(|(_, length)| length).sum(), false),
        Wanted::Blocks { .. } => (0, true),
    };
    Want {
        id: part.id,
        dir: part.dir,
        part: part.part,
        index: part.index,
        size,
        hash,
    }
}

#[cfg(test)]
mod tests;
