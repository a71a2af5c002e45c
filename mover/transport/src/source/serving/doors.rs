//! The data streams of a source: where they come from, and what is done when one is open, leaves or breaks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use blit_proto::v2::StreamState;
use tokio::sync::mpsc;
use tonic::Code;

use super::{Serving, spawn};
use crate::data::FrameSink;
use crate::data::sender::Sender;
use crate::dialler::{self, Dialler};
use crate::error::TransportError;
use crate::planes::PlaneKind;
use crate::planes::race::Step;
use crate::planes::tuning::Sample;
use crate::wire::Violation;

/// A data stream that was opened: its number, its plane, and where to send.
pub(in crate::source) type Opened = (u32, PlaneKind, Box<dyn FrameSink>);

/// Who opens streams to send on.
pub(in crate::source) type SinkDialler = Dialler<Box<dyn FrameSink>>;

/// What happens to it.
pub(super) type Event = dialler::Event<Box<dyn FrameSink>>;

/// Where data streams come from.
pub(in crate::source) enum Doors {
    /// The destination opens them.
    Listening {
        opened: mpsc::UnboundedReceiver<Opened>,
        /// It opens others in the place of those that break.
        recovers: bool,
    },
    /// This side does.
    Dialling(Box<SinkDialler>),
}

impl Doors {
    pub(super) async fn next(&mut self) -> Event {
        match self {
            Self::Listening { opened, .. } => match opened.recv().await {
                Some(opened) => Event::Opened(opened),
                // Nobody opens any more.
                None => std::future::pending().await,
            },
            Self::Dialling(dialler) => dialler.next().await,
        }
    }

    /// Returns true if streams that break are replaced.
    pub(super) fn recovers(&self) -> bool {
        match self {
            Self::Listening { recovers, .. } => *recovers,
            Self::Dialling(dialler) => dialler.recovers(),
        }
    }
}

impl Serving {
    /// Opens and leaves data streams as is best.
    pub(super) fn race(&mut self, dialler: &mut SinkDialler) -> Result<(), TransportError> {
        loop {
            let tcp = self.streams.count(PlaneKind::Tcp);
            match dialler.look(tcp, self.streams.count(PlaneKind::Grpc)) {
                None => return Ok(()),
                Some(Step::LeaveGrpc) => self.streams.leave(PlaneKind::Grpc, &self.queue),
                Some(_) => return Err(dialler.error()),
            }
        }
    }

    /// Has as many streams as help, where this side opens them and they can be left again.
    pub(super) fn tune(&mut self, doors: &mut Doors) {
        let Doors::Dialling(dialler) = doors else {
            return;
        };
        if dialler.recovers() {
            let wanted = dialler.tune(&Sample {
                moved: self.sent.bytes.load(Ordering::Relaxed),
                round_trip: self.streams.round_trip(),
                has_work: self.queue.has_work(),
                open: self.streams.count(PlaneKind::Tcp).open,
            });
            self.streams.keep(PlaneKind::Tcp, wanted, &self.queue);
        }
    }

    /// Takes what comes through the doors.
    pub(super) fn door(&mut self, event: Event) -> Result<(), TransportError> {
        match event {
            Event::Opened((_, _, sink)) if self.streams.is_full() => {
                sink.closer().close();
                Ok(())
            }
            Event::Opened((number, plane, sink)) => {
                self.activity.moved();
                self.start_sender(number, plane, sink)
            }
            Event::Answer(answer) => self.states(&answer.states),
            // The destination is done with the session. How it ended is said where the session is, and not here.
            // Whose token has expired meanwhile is told that instead.
            Event::Refused(status)
                if matches!(status.code(), Code::NotFound | Code::Unauthenticated) =>
            {
                tracing::debug!(%status, "asked for streams of a session that is over");
                Ok(())
            }
            Event::Refused(status) => Err((self.explain)(&status)),
            Event::Failed(_, error) => Err(error),
            Event::Look => Ok(()),
        }
    }

    /// Takes how far streams got at the destination.
    pub(super) fn states(&mut self, states: &[StreamState]) -> Result<(), TransportError> {
        for state in states {
            self.streams.state(state, &self.queue)?;
        }
        Ok(())
    }

    /// The thread of a stream has ended: what was lost with it is sent again over another, where both sides can.
    pub(super) fn stream_ended(
        &mut self,
        number: u32,
        how: &io::Result<()>,
        doors: &Doors,
    ) -> Result<(), TransportError> {
        let reason = match how {
            Ok(()) => "a data connection was closed".to_owned(),
            Err(error) => format!("a data connection broke: {error}"),
        };
        if !doors.recovers() {
            return Err(self.lost(&reason));
        }
        tracing::debug!(stream = number, reason, "a data stream is over");
        let asks = self.streams.ended(number, how, &self.queue)?;
        // One that listens says it when it is asked what it does.
        if let (true, Doors::Dialling(dialler)) = (asks, doors) {
            dialler.lost(number);
        }
        Ok(())
    }

    /// Starts the thread of a data stream.
    fn start_sender(
        &mut self,
        stream: u32,
        plane: PlaneKind,
        sink: Box<dyn FrameSink>,
    ) -> Result<(), TransportError> {
        let Some(journal) = self.streams.add(stream, plane, sink.closer()) else {
            return Err(Violation::new("two data streams have one number").into());
        };
        tracing::debug!(stream, %plane, "a data stream is open");
        let sender = Sender {
            sink,
            queue: Arc::clone(&self.queue),
            journal,
            source: Arc::clone(&self.offer.source),
            sent: Arc::clone(&self.sent),
            codes: self.codes.clone(),
        };
        let ended = self.ended.clone();
        let roster = Arc::clone(&self.roster);
        spawn(format!("blit-send-{stream}"), move || {
            let _enlisted = roster.enlist();
            // Nobody listens once the session is over.
            let _ = ended.send((stream, sender.run()));
        })
    }
}
