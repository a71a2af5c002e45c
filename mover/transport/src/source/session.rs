//! The session as the source runs it: connect, open data streams, then do what the destination asks until
//! it tells the result.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use blit_engine::run::{Listing, SourceError};
use blit_engine::watch::Roster;
use blit_proto::control::{self, Connection, ControlError};
use blit_proto::pki::PeerPattern;
use blit_proto::v2::client_push_request::Message as Request;
use blit_proto::v2::server_push_response::Message as Response;
use blit_proto::v2::source_failed::Reason;
use blit_proto::v2::{
    ClientPushRequest, DataTransferNegotiation, ProgressUpdate, PushHeader, PushSummary,
    ServerPushResponse, SourceFailed,
};
use blit_proto::version;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::activity::{Activity, Watchdog, progressed};
use super::hashing::{self, Hashing};
use super::pulse::{self, Pulse};
use super::retained::Retained;
use super::scan::{Outbound, Scan, relist};
use super::{PushConfig, PushOutcome};
use crate::data::queue::{Preference, Queue};
use crate::data::sender::{Sender, Sent};
use crate::data::tcp::TcpPlane;
use crate::data::{Close, DataPlane, FrameSink};
use crate::error::TransportError;
use crate::location::Location;
use crate::wire::{Violation, entry, wants};

/// First pause between two attempts to reach the destination; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long the destination may take to answer the header.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Messages of the listing that wait to be sent, at most: of 256 KiB each.
const OUTBOUND: usize = 4;

/// How long the destination gets to take the reason why the source gives up.
const PARTING: Duration = Duration::from_secs(2);

/// How long it is waited for the destination to say why it closed a data connection.
const REASON_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a destination may not read data where there is no progress deadline.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Runs one push from the first dial to the summary.
pub(super) async fn run(
    config: &PushConfig,
    expected: PeerPattern,
) -> Result<PushOutcome, TransportError> {
    let connection = tokio::select! {
        connection = dial(config, &expected) => connection?,
        reason = config.stop.stopped() => return Err(TransportError::Interrupted(reason)),
    };
    let (outbound, requests) = mpsc::channel(OUTBOUND);
    let (failures, failed) = mpsc::unbounded_channel();
    let session = Session {
        config,
        connection,
        outbound,
        failures,
        retained: Arc::default(),
        activity: Arc::default(),
        queue: Arc::default(),
        sent: Arc::default(),
        roster: Roster::new(),
        hashing: None,
        closers: Vec::new(),
    };
    session.run(requests, failed).await
}

/// Tries to reach the destination for as long as patience lasts.
async fn dial(config: &PushConfig, expected: &PeerPattern) -> Result<Connection, TransportError> {
    let deadline = Instant::now() + config.patience;
    let mut pause = FIRST_PAUSE;
    let mut last = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let connecting = control::connect(&config.connect, &config.identity, expected.clone());
        let error = match timeout(left, connecting).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            // What the attempt before met says more than that this one was cut off.
            Err(_) => last.unwrap_or_else(|| ControlError::Unreachable {
                address: config.connect.clone(),
                reason: format!("no answer within {} s", config.patience.as_secs()),
            }),
        };
        let retry = matches!(error, ControlError::Unreachable { .. });
        if !retry || Instant::now() + pause >= deadline {
            return Err(error.into());
        }
        tracing::debug!(%error, "trying again");
        last = Some(error);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

struct Session<'a> {
    config: &'a PushConfig,
    connection: Connection,
    outbound: Outbound,
    failures: mpsc::UnboundedSender<TransportError>,
    retained: Arc<Retained>,
    activity: Arc<Activity>,
    queue: Arc<Queue>,
    sent: Arc<Sent>,
    roster: Arc<Roster>,
    hashing: Option<Arc<Hashing>>,
    closers: Vec<Arc<dyn Close>>,
}

impl Session<'_> {
    async fn run(
        mut self,
        requests: mpsc::Receiver<ClientPushRequest>,
        mut failed: mpsc::UnboundedReceiver<TransportError>,
    ) -> Result<PushOutcome, TransportError> {
        let header = self.header()?;
        // The channel is empty, so this does not wait.
        let _ = self.outbound.send(request(Request::Header(header))).await;
        // Scanning begins while the destination answers.
        self.start_scan()?;
        let mut responses = None;
        let result = self.converse(requests, &mut responses, &mut failed).await;
        if let Err(error) = &result {
            self.part(error, responses).await;
        }
        self.queue.close();
        if let Some(hashing) = &self.hashing {
            hashing.close();
        }
        for closer in &self.closers {
            closer.close();
        }
        let summary = result?;
        Ok(PushOutcome {
            summary,
            bytes_sent: self.sent.bytes.load(Ordering::Relaxed),
            bytes_zero_copy: self.sent.zero_copy.load(Ordering::Relaxed),
            files_sent: self.sent.files.load(Ordering::Relaxed),
        })
    }

    fn header(&self) -> Result<PushHeader, TransportError> {
        let config = self.config;
        let root = config
            .source
            .root()
            .map_err(|error| source_failed(&error))?;
        let dir = config.source.root_dir();
        let dir = dir.map_err(|error| TransportError::Source(error.to_string()))?;
        let location = Location::of(std::os::fd::AsFd::as_fd(&*dir))?;
        Ok(PushHeader {
            hello: Some(version::hello()),
            job_uid: config.job_uid.clone(),
            attempt: config.attempt,
            root: Some(entry::to_header(&root)),
            location: Some(location.to_wire()),
            supports_rdma: false,
            rdma_qp: 0,
            display: config.display.clone(),
        })
    }

    fn start_scan(&self) -> Result<(), TransportError> {
        let scan = Arc::new(Scan::new(
            Arc::clone(&self.config.source),
            Arc::clone(&self.retained),
            Arc::clone(&self.activity),
            self.outbound.clone(),
        ));
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        for number in 0..self.config.scan_threads.unwrap_or(processors).clamp(1, 16) {
            let (scan, failures) = (Arc::clone(&scan), self.failures.clone());
            let roster = Arc::clone(&self.roster);
            spawn(format!("blit-scan-{number}"), move || {
                let _enlisted = roster.enlist();
                if let Err(error) = scan.run() {
                    // Nobody listens once the session is over.
                    let _ = failures.send(source_failed(&error));
                }
            })?;
        }
        Ok(())
    }

    /// Talks to the destination until it tells the result.
    async fn converse(
        &mut self,
        requests: mpsc::Receiver<ClientPushRequest>,
        responses: &mut Option<Streaming<ServerPushResponse>>,
        failed: &mut mpsc::UnboundedReceiver<TransportError>,
    ) -> Result<PushSummary, TransportError> {
        let mut client = self.connection.client();
        let answer = timeout(ANSWER_TIMEOUT, client.push(ReceiverStream::new(requests)));
        tokio::pin!(answer);
        let stop = self.config.stop.clone();
        let answer = tokio::select! {
            answer = &mut answer => answer,
            reason = stop.stopped() => {
                // The destination may have opened the session, and then wants to know as well.
                if let Ok(Ok(Ok(response))) = timeout(PARTING, answer).await {
                    *responses = Some(response.into_inner());
                }
                return Err(TransportError::Interrupted(reason));
            }
        };
        let answer = answer.map_err(|_| self.lost("no answer to the header"))?;
        let stream = answer
            .map_err(|status| self.connection.explain(&status))?
            .into_inner();
        let stream = responses.insert(stream);
        let mut watchdog = self
            .config
            .progress_deadline
            .map(|limit| Watchdog::new(limit, Instant::now()));
        let mut tick = tokio::time::interval(pulse::EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pulse = Pulse::new(
            Arc::clone(&self.roster),
            self.connection.client(),
            &self.config.source,
        );
        let mut progress = ProgressUpdate::default();
        let mut open = false;
        loop {
            let message = tokio::select! {
                message = stream.message() => message,
                Some(error) = failed.recv() => return Err(self.better(error, stream).await),
                reason = stop.stopped() => return Err(TransportError::Interrupted(reason)),
                _ = tick.tick() => {
                    pulse.beat(&*self.config.on_slow);
                    let sent = self.sent.bytes.load(Ordering::Relaxed);
                    let now = Instant::now();
                    let stalled = watchdog
                        .as_mut()
                        .is_some_and(|dog| dog.is_stalled(&self.activity, sent, now));
                    if stalled {
                        let deadline = self.config.progress_deadline.unwrap_or_default();
                        return Err(TransportError::Stalled { deadline });
                    }
                    continue;
                }
            };
            let message = match message {
                Ok(Some(response)) => response.message,
                Ok(None) => return Err(self.lost("the destination closed the session")),
                Err(status) => return Err(self.broken(&status)),
            };
            match message {
                Some(Response::Negotiation(negotiation)) if !open => {
                    open = true;
                    self.activity.moved();
                    if let Err(error) = self.open(negotiation).await {
                        return Err(self.better(error, stream).await);
                    }
                }
                _ if !open => {
                    return Err(Violation::new("the destination does not negotiate first").into());
                }
                Some(Response::Summary(summary)) => return Ok(summary),
                Some(Response::Progress(update)) => {
                    if progressed(&progress, &update) {
                        self.activity.moved();
                    }
                    progress = update;
                }
                Some(message) => {
                    self.activity.moved();
                    self.serve(message)?;
                }
                // A kind of message that this version does not know.
                None => {}
            }
        }
    }

    /// Where a data connection failed because the destination ended the session, returns why it did.
    async fn better(
        &self,
        error: TransportError,
        stream: &mut Streaming<ServerPushResponse>,
    ) -> TransportError {
        if !matches!(
            error,
            TransportError::Lost { .. } | TransportError::Data { .. }
        ) {
            return error;
        }
        let end = async {
            loop {
                match stream.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(status) => return Some(status),
                }
            }
        };
        match timeout(REASON_TIMEOUT, end).await {
            Ok(Some(status)) => self.broken(&status),
            Ok(None) | Err(_) => error,
        }
    }

    /// Opens the data streams.
    async fn open(&mut self, first: DataTransferNegotiation) -> Result<(), TransportError> {
        let theirs = first.hello.unwrap_or_default();
        let agreed = version::negotiate(&version::hello(), &theirs);
        let agreed = agreed.map_err(|mismatch| ControlError::Incompatible {
            reason: mismatch.to_string(),
        })?;
        let port = u16::try_from(first.data_port)
            .ok()
            .filter(|port| *port != 0);
        let port = port.ok_or_else(|| Violation::new("the data port is not a port"))?;
        if first.version != agreed || first.one_time_tokens.is_empty() {
            return Err(Violation::new("the negotiation is incomplete").into());
        }
        // With everything else that control's address has, such as the scope of a link-local one.
        let mut address = self.connection.remote();
        address.set_port(port);
        let longest_wait = self.config.progress_deadline.unwrap_or(LONGEST_WAIT);
        let plane: Arc<dyn DataPlane> = Arc::new(TcpPlane {
            address,
            longest_wait,
        });
        let mut opening = tokio::task::JoinSet::new();
        for token in first.one_time_tokens.into_iter().take(64) {
            let plane = Arc::clone(&plane);
            opening.spawn_blocking(move || plane.open(&token).map(|sink| (token.stream, sink)));
        }
        while let Some(opened) = opening.join_next().await {
            let (stream, sink) = opened.map_err(std::io::Error::other)??;
            self.start_sender(stream, sink)?;
        }
        tracing::debug!(plane = plane.name(), %address, "the data streams are open");
        self.serve(Response::Negotiation(DataTransferNegotiation {
            files_to_upload: first.files_to_upload,
            files_to_hash: first.files_to_hash,
            ..DataTransferNegotiation::default()
        }))
    }

    fn start_sender(
        &mut self,
        stream: u32,
        sink: Box<dyn FrameSink>,
    ) -> Result<(), TransportError> {
        self.closers.push(sink.closer());
        let sender = Sender {
            sink,
            queue: Arc::clone(&self.queue),
            source: Arc::clone(&self.config.source),
            preference: if stream.is_multiple_of(2) {
                Preference::Small
            } else {
                Preference::Large
            },
            sent: Arc::clone(&self.sent),
        };
        let failures = self.failures.clone();
        let peer = self.config.connect.clone();
        let roster = Arc::clone(&self.roster);
        spawn(format!("blit-send-{stream}"), move || {
            let _enlisted = roster.enlist();
            if let Err(error) = sender.run() {
                let reason = format!("a data connection broke: {error}");
                let _ = failures.send(TransportError::Lost { peer, reason });
            }
        })
    }

    /// Does what the destination asks; never waits.
    fn serve(&mut self, message: Response) -> Result<(), TransportError> {
        match message {
            Response::Negotiation(further) => {
                let wanted = wants::unpack(&further.files_to_upload)?;
                if !wanted.is_empty() {
                    self.queue.push(self.retained.find(&wanted)?);
                }
                let compared = wants::unpack(&further.files_to_hash)?;
                if !compared.is_empty() {
                    let jobs = self.retained.find(&compared)?;
                    self.hashing()?.push(jobs)?;
                }
            }
            Response::DirDone(done) => {
                self.retained
                    .done(&self.config.source, done.dir, done.part, done.keep)?;
            }
            Response::Relist(asked) => {
                let (source, outbound) = (Arc::clone(&self.config.source), self.outbound.clone());
                let roster = Arc::clone(&self.roster);
                tokio::task::spawn_blocking(move || {
                    let _enlisted = roster.enlist();
                    for message in relist(&source, asked.dir) {
                        // Fails when the session is over.
                        let _ = outbound.blocking_send(request(Request::Relisted(message)));
                    }
                });
            }
            // Dealt with by the caller.
            Response::Progress(_) | Response::Summary(_) => {}
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
            &self.config.source,
            &self.queue,
            &self.activity,
            &self.roster,
        )?;
        Ok(new)
    }

    /// Tells the destination why the source gives up, so that it need not guess.
    async fn part(&self, error: &TransportError, responses: Option<Streaming<ServerPushResponse>>) {
        let Some(mut responses) = responses else {
            return;
        };
        let reason = match error {
            TransportError::Source(_) => Reason::Root,
            TransportError::Interrupted(_) => Reason::Interrupted,
            TransportError::Stalled { .. } => Reason::Stalled,
            TransportError::Data { .. } => Reason::Data,
            _ => Reason::Unspecified,
        };
        let failed = SourceFailed {
            reason: reason.into(),
            message: error.to_string(),
        };
        let parting = async {
            let _ = self.outbound.send(request(Request::Failed(failed))).await;
            // The destination ends the stream when it has read that.
            while let Ok(Some(_)) = responses.message().await {}
        };
        if timeout(PARTING, parting).await.is_err() {
            tracing::debug!("the destination did not take the reason");
        }
    }

    fn broken(&self, status: &tonic::Status) -> TransportError {
        match self.connection.explain(status) {
            ControlError::Refused { reason, .. } | ControlError::Unreachable { reason, .. } => {
                self.lost(&reason)
            }
            error => error.into(),
        }
    }

    fn lost(&self, reason: &str) -> TransportError {
        TransportError::Lost {
            peer: self.config.connect.clone(),
            reason: reason.to_owned(),
        }
    }
}

fn request(message: Request) -> ClientPushRequest {
    ClientPushRequest {
        message: Some(message),
    }
}

fn source_failed(error: &SourceError) -> TransportError {
    TransportError::Source(error.to_string())
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<(), TransportError> {
    std::thread::Builder::new().name(name).spawn(work)?;
    Ok(())
}
