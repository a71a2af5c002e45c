//! Opens data streams of a pull after the first: others in the place of those that broke, and more where they help. In a
//! pull it is the destination that dials, with tokens that it asks for.
//!
//! Invariants: streams come over the plane of the session; where that cannot be reached any more, content goes inside gRPC
//! from then on, if it may. One that is not needed is not cut off: the source is told, and ends it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use blit_proto::control::Client;
use blit_proto::v2::{DataToken, StreamsRequest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use super::link::Link;
use super::reading::receive;
use crate::data::{DataPlane, window};
use crate::error::TransportError;
use crate::planes::refill::{Refill, View};
use crate::planes::tuning::{Sample, Tuning, has_work};
use crate::planes::{PlaneKind, Tried};
use crate::tune;

/// How long the source may take to answer a request for tokens.
const ANSWER: Duration = Duration::from_secs(5);

/// How often it is looked how much has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Who opens the streams.
pub(super) struct Redialler {
    opener: Opener,
    /// What is used where TCP cannot be used any more, if that is allowed.
    grpc: Option<Arc<dyn DataPlane>>,
    course: Course,
}

/// How many streams there are to be, by what is seen of a session.
struct Course {
    wanted: usize,
    tuning: Tuning,
    refill: Refill,
    begun: Instant,
}

/// What it takes to open streams.
#[derive(Clone)]
pub(super) struct Opener {
    pub(super) link: Weak<Link>,
    pub(super) client: Client,
    pub(super) session: String,
    /// The plane in use.
    pub(super) plane: (PlaneKind, Arc<dyn DataPlane>),
}

/// What came of an attempt to open streams.
enum Came {
    /// One at least.
    Some,
    /// No token, so that nothing was dialled, and why.
    NoToken(String),
    /// None, though the plane was dialled since then.
    Nothing(Instant, String),
}

impl Redialler {
    /// Goes on with a session whose first streams are open. Where TCP cannot be used any more, content goes inside `grpc`.
    pub(super) fn new(opener: Opener, grpc: Option<Arc<dyn DataPlane>>) -> Self {
        Self {
            opener,
            grpc,
            course: Course::new(),
        }
    }

    /// Has as many streams open as there are to be, until there is no session any more. Told of each that is over.
    pub(super) async fn run(mut self, mut over: mpsc::UnboundedReceiver<()>) {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut attempts, mut dialled) = (JoinSet::new(), 0);
        loop {
            let next = self.course.next_look();
            let again = async {
                match next {
                    Some(time) => sleep_until(time.into()).await,
                    None => std::future::pending().await,
                }
            };
            let came = tokio::select! {
                stream = over.recv() => match stream {
                    Some(()) => None,
                    None => return,
                },
                Some(attempt) = attempts.join_next() => attempt.ok(),
                _ = tick.tick() => None,
                () = again => None,
            };
            let link = self.opener.link.upgrade();
            let Some(link) = link.filter(|link| !link.is_over()) else {
                return;
            };
            if let Some((count, came)) = came {
                dialled -= count;
                if let Some(reason) = self.course.learn(&link, came) {
                    self.leave_tcp(&link, reason);
                }
            }
            if self.opener.plane.0 == PlaneKind::Tcp {
                self.course.tune(&link);
            }
            let missing = self.course.missing(&link, dialled);
            if missing > 0 {
                dialled += missing;
                let opener = self.opener.clone();
                attempts.spawn(async move { (missing, opener.open(missing).await) });
            }
        }
    }

    fn leave_tcp(&mut self, link: &Link, reason: String) {
        if self.opener.plane.0 == PlaneKind::Tcp
            && let Some(grpc) = self.grpc.take()
        {
            let plane = PlaneKind::Tcp;
            link.streams.tried(vec![Tried { plane, reason }]);
            self.opener.plane = (PlaneKind::Grpc, grpc);
            self.course.begin_anew();
        }
    }
}

impl Course {
    fn new() -> Self {
        Self {
            wanted: tune::streams() as usize,
            tuning: Tuning::beginning_with(tune::streams() as usize),
            refill: Refill::default(),
            begun: Instant::now(),
        }
    }

    /// Takes what came of an attempt; returns why the plane is to be left, if it is.
    fn learn(&mut self, link: &Link, came: Came) -> Option<String> {
        match came {
            Came::Some => self.refill.opened(),
            // That says nothing of the plane. How long a session may be without any stream is judged by the link.
            Came::NoToken(reason) => tracing::debug!(reason, "no data stream could be opened"),
            Came::Nothing(begun, reason) => {
                tracing::debug!(reason, "no data stream could be opened");
                let begun = begun.saturating_duration_since(self.begun);
                let now = self.begun.elapsed();
                return (self.refill.failed(open(link), begun, now)).then_some(reason);
            }
        }
        None
    }

    /// Wants as many streams over TCP as help, and has those that are too many end.
    fn tune(&mut self, link: &Link) {
        let streams = &link.streams;
        let open = streams.working(PlaneKind::Tcp);
        let waits = has_work(link.window.awaited(), open, window::BYTES);
        let sample = Sample {
            moved: link.received.bytes.load(Ordering::Relaxed),
            round_trip: streams.round_trip(),
            // Those that are to end still carry something. A source that is older than this never ends them, and is asked
            // for no more.
            has_work: waits && !streams.any_leaving(),
            open,
        };
        let wanted = self.tuning.look(&sample, self.begun.elapsed());
        if wanted != self.wanted {
            tracing::debug!(wanted, "the number of data streams changes");
            self.wanted = wanted;
        }
        if streams.keep(PlaneKind::Tcp, wanted) {
            link.confirm_now();
        }
    }

    /// Returns how many streams to open now, while so many are being opened.
    fn missing(&mut self, link: &Link, dialled: usize) -> usize {
        let view = View {
            wanted: self.wanted,
            open: open(link),
            dialled,
        };
        self.refill.look(&view, self.begun.elapsed())
    }

    /// Returns when to look again although nothing has happened.
    fn next_look(&self) -> Option<Instant> {
        let next = self.refill.next_look(self.begun.elapsed());
        next.map(|at| self.begun + at)
    }

    /// Another plane is used from now on.
    fn begin_anew(&mut self) {
        self.wanted = tune::streams() as usize;
        self.refill.begin_anew(self.begun.elapsed());
    }
}

/// Counts the streams that take work.
fn open(link: &Link) -> usize {
    let working = |plane| link.streams.working(plane);
    working(PlaneKind::Tcp) + working(PlaneKind::Grpc)
}

impl Opener {
    /// Opens so many streams, if so many tokens are given. Each begins to receive when it is open.
    async fn open(mut self, count: usize) -> Came {
        let tokens = match tokens(&mut self.client, &self.session, count).await {
            Ok(tokens) => tokens,
            Err(reason) => return Came::NoToken(reason),
        };
        let begun = Instant::now();
        let mut dials = JoinSet::new();
        for token in tokens.into_iter().take(count) {
            let opener = self.clone();
            dials.spawn_blocking(move || opener.dial(&token));
        }
        let mut came = Came::NoToken("the source gives no token".to_owned());
        while let Some(dialled) = dials.join_next().await {
            let reason = match dialled {
                Ok(Ok(())) => {
                    came = Came::Some;
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            if !matches!(came, Came::Some) {
                came = Came::Nothing(begun, reason);
            }
        }
        came
    }

    /// Opens one stream. It does not matter if nobody waits for this any more.
    fn dial(&self, token: &DataToken) -> Result<(), TransportError> {
        let (kind, plane) = &self.plane;
        let frames = plane.open_receiving(token)?;
        match self.link.upgrade().filter(|link| !link.is_over()) {
            Some(link) => receive(&link, token.stream, *kind, frames),
            None => frames.closer().close(),
        }
        Ok(())
    }
}

/// Asks the source of a session for tokens for so many streams. It may give fewer.
pub(super) async fn tokens(
    client: &mut Client,
    session: &str,
    count: usize,
) -> Result<Vec<DataToken>, String> {
    let request = StreamsRequest {
        session: session.to_owned(),
        // Far below the limit.
        tokens: count as u32,
        ..StreamsRequest::default()
    };
    let answer = timeout(ANSWER, client.streams(request)).await;
    let answer = answer.map_err(|_| "no answer to a request for a token".to_owned())?;
    let answer = answer.map_err(|status| status.message().to_owned())?;
    Ok(answer.into_inner().one_time_tokens)
}

#[cfg(test)]
mod tests;
