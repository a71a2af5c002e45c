//! Opens data streams from the side that dials, for as long as there is a session: what to open, and when, says
//! [`Race`]; tokens are asked for when they are needed. In a push it opens streams to send on, in a pull to receive from.
//!
//! Invariants: a token is used once. What was opened and is not taken is closed. Non-goals: what goes over a stream, and who
//! has to end one that is not needed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use blit_proto::control::Client;
use blit_proto::v2::{DataToken, StreamsRequest, StreamsResponse};
use tokio::sync::mpsc;
use tonic::Status;

use crate::data::{DataPlane, FrameSink, FrameStream};
use crate::error::{DataFailure, TransportError};
use crate::planes::race::{Count, PATIENCE, Race, Step, View};
use crate::planes::tuning::{Sample, Tuning};
use crate::planes::{PlaneKind, PlanePolicy, Tried};
use crate::source::OnTried;
use crate::tune;

/// How long a token is used that was not needed at once; it is good for half as long again.
const FRESH: Duration = Duration::from_secs(20);

/// How long nobody is asked for tokens who has refused some.
const REFUSED: Duration = Duration::from_secs(5);

/// The planes of a session.
pub(crate) struct Planes {
    /// Where data is taken over TCP, for messages.
    pub(crate) address: SocketAddr,
    pub(crate) tcp: Arc<dyn DataPlane>,
    pub(crate) grpc: Arc<dyn DataPlane>,
}

/// This end of a stream.
pub(crate) trait End: Sized + Send + 'static {
    /// Opens a stream over a plane.
    fn open(plane: &dyn DataPlane, token: &DataToken) -> Result<Self, TransportError>;

    /// Closes it, unused.
    fn abandon(self);
}

impl End for Box<dyn FrameSink> {
    fn open(plane: &dyn DataPlane, token: &DataToken) -> Result<Self, TransportError> {
        plane.open(token)
    }

    fn abandon(self) {
        self.closer().close();
    }
}

impl End for Box<dyn FrameStream> {
    fn open(plane: &dyn DataPlane, token: &DataToken) -> Result<Self, TransportError> {
        plane.open_receiving(token)
    }

    fn abandon(self) {
        self.closer().close();
    }
}

/// What the other side will answer about streams.
type Answering = Pin<Box<dyn Future<Output = Result<StreamsResponse, Status>> + Send>>;

/// Asks the other side of a session about its streams.
pub(crate) type Ask = dyn Fn(StreamsRequest) -> Answering + Send + Sync;

/// Returns what asks over the control plane.
pub(crate) fn asking(client: Client, session: String) -> Box<Ask> {
    Box::new(move |request| {
        let (mut client, session) = (client.clone(), session.clone());
        Box::pin(async move {
            let request = StreamsRequest { session, ..request };
            Ok(client.streams(request).await?.into_inner())
        })
    })
}

/// Who opens the streams of a session.
pub(crate) struct Dialler<S> {
    planes: Planes,
    policy: PlanePolicy,
    /// The other side replaces streams that break, and takes those that go inside gRPC.
    recovers: bool,
    on_tried: Arc<OnTried>,
    ask: Box<Ask>,
    race: Race,
    tuning: Tuning,
    begun: Instant,
    tokens: VecDeque<(Instant, DataToken)>,
    asked: bool,
    /// When the other side last gave no answer to a question.
    refused: Option<Instant>,
    dialled: [usize; 2],
    /// The other side was told that TCP cannot be used.
    gave_up: bool,
    /// Why a plane could not be used the last time.
    failures: [Option<TransportError>; 2],
    events: mpsc::UnboundedSender<Event<S>>,
    happened: mpsc::UnboundedReceiver<Event<S>>,
    view: View,
}

/// What happens to a dialler.
pub(crate) enum Event<S> {
    /// A stream is open: its number, its plane, and this end of it.
    Opened((u32, PlaneKind, S)),
    /// The other side has answered.
    Answer(StreamsResponse),
    /// The other side did not answer as it should.
    Refused(Status),
    /// Time has passed, or something was noted.
    Look,
    /// A stream could not be opened, and never will be.
    Failed(PlaneKind, TransportError),
}

impl<S: End> Dialler<S> {
    pub(crate) fn new(
        planes: Planes,
        (policy, recovers): (PlanePolicy, bool),
        on_tried: Arc<OnTried>,
        ask: Box<Ask>,
        tokens: Vec<DataToken>,
    ) -> Self {
        let (events, happened) = mpsc::unbounded_channel();
        let now = Instant::now();
        let streams = if recovers {
            tune::streams() as usize
        } else {
            tokens.len().min(64)
        };
        Self {
            planes,
            policy,
            recovers,
            on_tried,
            ask,
            race: Race::new(policy, streams),
            tuning: Tuning::beginning_with(tune::streams() as usize),
            begun: now,
            tokens: tokens.into_iter().map(|token| (now, token)).collect(),
            asked: false,
            refused: None,
            dialled: [0; 2],
            gave_up: false,
            failures: [None, None],
            events,
            happened,
            view: View::default(),
        }
    }

    /// Waits for the next event; may be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Event<S> {
        let next = self.race.next_look(&self.view, self.begun.elapsed());
        let look = async {
            match next {
                Some(at) => tokio::time::sleep_until((self.begun + at).into()).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            event = self.happened.recv() => event,
            () = look => None,
        };
        // A sender is in `self`, so that nothing but time makes it `None`.
        match event.unwrap_or(Event::Look) {
            Event::Opened(opened) => {
                self.dialled[index(opened.1)] -= 1;
                Event::Opened(opened)
            }
            Event::Failed(plane, error) => {
                tracing::debug!(%plane, %error, "a data stream could not be opened");
                self.dialled[index(plane)] -= 1;
                let lies = matches!(error, TransportError::Protocol(_));
                let stranger = matches!(error, TransportError::DataNotAuthenticated { .. });
                if lies || !self.recovers || stranger && !self.policy.grpc {
                    return Event::Failed(plane, error);
                }
                self.failures[index(plane)] = Some(error);
                Event::Look
            }
            Event::Answer(mut answer) => {
                let tokens = std::mem::take(&mut answer.one_time_tokens);
                self.asked &= tokens.is_empty();
                let now = Instant::now();
                self.tokens
                    .extend(tokens.into_iter().take(64).map(|token| (now, token)));
                Event::Answer(answer)
            }
            Event::Refused(status) => {
                (self.asked, self.refused) = (false, Some(Instant::now()));
                Event::Refused(status)
            }
            event @ Event::Look => event,
        }
    }

    /// Does what is to be done, but for what is the business of the streams themselves. Call it after each event with
    /// how many take work; returns what the caller has to do.
    pub(crate) fn look(&mut self, tcp: Count, grpc: Count) -> Option<Step> {
        let now = Instant::now();
        self.tokens
            .retain(|(came, _)| now.duration_since(*came) < FRESH);
        let refused = |at: Instant| now.duration_since(at) < REFUSED;
        loop {
            self.view = View {
                tcp: Count {
                    dialled: self.dialled[index(PlaneKind::Tcp)],
                    ..tcp
                },
                grpc: Count {
                    dialled: self.dialled[index(PlaneKind::Grpc)],
                    ..grpc
                },
                tokens: self.tokens.len(),
                asked: self.asked || self.refused.is_some_and(refused),
            };
            match self.race.step(&self.view, self.begun.elapsed())? {
                Step::Ask(count) => {
                    self.asked = true;
                    self.tell(StreamsRequest {
                        // Far below the limit.
                        tokens: count as u32,
                        ..StreamsRequest::default()
                    });
                }
                Step::Dial(plane, count) => {
                    for _ in 0..count {
                        self.dial(plane);
                    }
                }
                Step::GiveUpTcp => self.give_up_tcp(),
                step @ (Step::LeaveGrpc | Step::End) => return Some(step),
            }
        }
    }

    /// Takes what is seen of the session; returns how many streams over TCP are wanted from now on.
    pub(crate) fn tune(&mut self, sample: &Sample) -> usize {
        let wanted = self.tuning.look(sample, self.begun.elapsed());
        if wanted != self.race.wanted_tcp() {
            tracing::debug!(wanted, "the number of data streams changes");
            self.race.want_tcp(wanted);
        }
        wanted
    }

    /// Returns true if streams that break are replaced.
    pub(crate) fn recovers(&self) -> bool {
        self.recovers
    }

    /// Asks how far a stream got that broke.
    pub(crate) fn lost(&self, stream: u32) {
        self.tell(StreamsRequest {
            lost: vec![stream],
            ..StreamsRequest::default()
        });
    }

    /// Returns why content did not go over TCP, where the session was over by this plane before TCP was given up.
    pub(crate) fn unsaid(&self, transport: &str) -> Option<Tried> {
        let was_grpc = transport == PlaneKind::Grpc.as_str();
        let is_unsaid = was_grpc && self.policy.tcp && !self.gave_up;
        is_unsaid.then(|| self.why_not_tcp("no connection yet when the run was over"))
    }

    /// Returns why no plane can be used.
    pub(crate) fn error(&mut self) -> TransportError {
        let [tcp, grpc] = &mut self.failures;
        // A port that swallows everything is still being dialled: nothing has failed yet.
        let silent = || TransportError::Data {
            address: self.planes.address,
            reason: DataFailure::Unreachable(silence()),
        };
        match (tcp.take(), grpc.take()) {
            (tcp, Some(grpc)) if self.policy.tcp => {
                let tcp = tcp.unwrap_or_else(silent);
                TransportError::Planes(format!("TCP: {tcp}; inside gRPC: {grpc}"))
            }
            (tcp, None) if self.policy.tcp => tcp.unwrap_or_else(silent),
            (_, Some(grpc)) => TransportError::Planes(format!("inside gRPC: {grpc}")),
            (_, None) => TransportError::Planes("inside gRPC: no answer in time".to_owned()),
        }
    }

    fn dial(&mut self, plane: PlaneKind) {
        let Some((_, token)) = self.tokens.pop_front() else {
            return;
        };
        self.dialled[index(plane)] += 1;
        let dialled = match plane {
            PlaneKind::Tcp => Arc::clone(&self.planes.tcp),
            PlaneKind::Grpc => Arc::clone(&self.planes.grpc),
        };
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            let event = match S::open(&*dialled, &token) {
                Ok(end) => Event::Opened((token.stream, plane, end)),
                Err(error) => Event::Failed(plane, error),
            };
            if let Err(unheard) = events.send(event)
                && let Event::Opened((_, _, end)) = unheard.0
            {
                end.abandon();
            }
        });
    }

    fn give_up_tcp(&mut self) {
        self.gave_up = true;
        let tried = self.why_not_tcp(&silence());
        (self.on_tried)(&tried);
        self.tell(StreamsRequest {
            tried: vec![tried.to_wire()],
            ..StreamsRequest::default()
        });
    }

    fn why_not_tcp(&self, nothing_yet: &str) -> Tried {
        let reason = match &self.failures[index(PlaneKind::Tcp)] {
            Some(TransportError::Data { address, reason }) => format!("{address}: {reason}"),
            Some(error) => error.to_string(),
            None => format!("{}: {nothing_yet}", self.planes.address),
        };
        let plane = PlaneKind::Tcp;
        Tried { plane, reason }
    }

    fn tell(&self, request: StreamsRequest) {
        let (answering, events) = ((self.ask)(request), self.events.clone());
        tokio::spawn(async move {
            let event = match answering.await {
                Ok(answer) => Event::Answer(answer),
                Err(status) => Event::Refused(status),
            };
            // Nobody listens once the session is over.
            let _ = events.send(event);
        });
    }
}

/// What is said of a port that does not even refuse.
fn silence() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}

fn index(plane: PlaneKind) -> usize {
    match plane {
        PlaneKind::Tcp => 0,
        PlaneKind::Grpc => 1,
    }
}
