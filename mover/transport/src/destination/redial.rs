//! Opens the data streams of a pull: the first, others in the place of those that broke, and more where they help. In a
//! pull it is the destination that dials, with tokens that it asks for.
//!
//! Invariants: what is opened, and when, is decided as in a push; a stream that comes is received from at once. One that is
//! not needed is not cut off: the source is told, and ends it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use blit_engine::run::SourceError;
use blit_proto::v2::DataToken;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tonic::{Code, Status};

use super::link::Link;
use super::reading::receive;
use crate::data::{FrameStream, window};
use crate::dialler::{Ask, Dialler, End, Event, Planes};
use crate::error::TransportError;
use crate::planes::race::{Count, Step};
use crate::planes::tuning::{Sample, has_work};
use crate::planes::{PlaneKind, PlanePolicy, Tried};

/// How often it is looked how much has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What happens to who opens the streams.
type Happened = Event<Box<dyn FrameStream>>;

/// Who opens the streams.
pub(super) struct Redialler {
    link: Weak<Link>,
    dialler: Dialler<Box<dyn FrameStream>>,
    /// Told of each stream that is over.
    over: mpsc::UnboundedReceiver<()>,
}

impl Redialler {
    /// Will open streams of a session over the planes of a policy, the first with `tokens`. Where the source `recovers`, there
    /// are others later.
    pub(super) fn new(
        link: &Arc<Link>,
        planes: Planes,
        (policy, recovers): (PlanePolicy, bool),
        ask: Box<Ask>,
        tokens: Vec<DataToken>,
    ) -> Self {
        let telling = Arc::downgrade(link);
        let on_tried = Arc::new(move |tried: &Tried| {
            if let Some(link) = telling.upgrade() {
                link.streams.tried(vec![tried.clone()]);
            }
        });
        Self {
            link: Arc::downgrade(link),
            dialler: Dialler::new(planes, (policy, recovers), on_tried, ask, tokens),
            over: link.redial(),
        }
    }

    /// Waits for the first stream, whichever plane it is of; [`Self::run`] has the others come. `explain` says what it means
    /// that the source does not answer.
    pub(super) async fn begin(
        &mut self,
        link: &Arc<Link>,
        explain: impl Fn(&Status) -> TransportError,
    ) -> Result<(), TransportError> {
        loop {
            self.look(link)?;
            // How a session ended that is over already, the run will find.
            if link.streams.any_open() || link.is_over() {
                return Ok(());
            }
            match self.dialler.next().await {
                Event::Refused(status) if !has_no_more(&status) => return Err(explain(&status)),
                happened => take(link, happened)?,
            }
        }
    }

    /// Has as many streams open as there are to be, of the plane that is best, until there is no session any more.
    pub(super) async fn run(mut self) {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let happened = tokio::select! {
                happened = self.dialler.next() => happened,
                stream = self.over.recv() => match stream {
                    Some(()) => Event::Look,
                    None => return,
                },
                _ = tick.tick() => Event::Look,
            };
            let Some(link) = self.link.upgrade() else {
                if let Event::Opened((_, _, frames)) = happened {
                    frames.abandon();
                }
                return;
            };
            let done = take(&link, happened).and_then(|()| self.look(&link));
            if link.is_over() {
                return;
            }
            if let Err(error) = done {
                return link.fail(SourceError::Lost(error.to_string()));
            }
            if self.dialler.recovers() {
                let wanted = self.dialler.tune(&seen(&link));
                keep(&link, PlaneKind::Tcp, wanted);
            }
        }
    }

    /// Opens and leaves streams as is best.
    fn look(&mut self, link: &Link) -> Result<(), TransportError> {
        let count = |plane| Count {
            open: link.streams.working(plane),
            dialled: 0,
        };
        loop {
            match (self.dialler).look(count(PlaneKind::Tcp), count(PlaneKind::Grpc)) {
                None => break,
                Some(Step::LeaveGrpc) => keep(link, PlaneKind::Grpc, 0),
                Some(_) => return Err(self.dialler.error()),
            }
        }
        let plane = link.streams.plane().as_str();
        link.streams.doubt(self.dialler.unsaid(plane));
        Ok(())
    }
}

/// Returns true for the answer of a source that has no tokens but the first, because it is older, or of which the session is
/// over: how that ended is said there.
fn has_no_more(status: &Status) -> bool {
    matches!(status.code(), Code::Unimplemented | Code::NotFound)
}

/// Takes what happened.
fn take(link: &Arc<Link>, happened: Happened) -> Result<(), TransportError> {
    match happened {
        Event::Opened((number, plane, frames)) => receive(link, number, plane, frames),
        // That says nothing of a plane, and those that are open go on.
        Event::Refused(status) => tracing::debug!(%status, "no token for a data stream"),
        Event::Failed(_, error) => return Err(error),
        // Who sends says how far streams got; the tokens are with the dialler.
        Event::Answer(_) | Event::Look => {}
    }
    Ok(())
}

/// Returns what is seen of a session over TCP.
fn seen(link: &Link) -> Sample {
    let streams = &link.streams;
    let open = streams.working(PlaneKind::Tcp);
    let waits = has_work(link.window.awaited(), open, window::BYTES);
    Sample {
        moved: link.received.bytes.load(Ordering::Relaxed),
        round_trip: streams.round_trip(),
        // Those that are to end still carry something. A source that is older than this never ends them, and is asked
        // for no more.
        has_work: waits && !streams.any_leaving(),
        open,
    }
}

/// Has all but so many streams of a plane end.
fn keep(link: &Link, plane: PlaneKind, count: usize) {
    if link.streams.keep(plane, count) {
        link.confirm_now();
    }
}

#[cfg(test)]
mod tests;
