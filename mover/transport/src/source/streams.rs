//! The data streams of a session at the source: who sends on them, and what becomes of what was lost with one.
//!
//! A stream is over when its thread has ended and the other side has said how far it got; then what did not arrive
//! goes back to the queue. Half of those that take work prefer small files, whichever are left.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use blit_proto::v2::StreamState;

use crate::data::Close;
use crate::data::journal::{Arrived, Journal};
use crate::data::queue::{Preference, Queue};
use crate::planes::PlaneKind;
use crate::planes::race::Count;
use crate::wire::Violation;

/// Streams that are open at most: each has a thread.
const OPEN: usize = 64;

/// Files and pieces of files that are remembered at most until the destination says that they have arrived. It says so
/// often, and does not ask for so many at once.
const UNCONFIRMED: usize = 1 << 16;

/// Streams that are told of as lost, at most.
const LOST: usize = 64;

/// The streams of a session.
#[derive(Default)]
pub(super) struct Streams {
    streams: HashMap<u32, Stream>,
    /// Both sides replace streams that break.
    recovers: bool,
}

struct Stream {
    plane: PlaneKind,
    journal: Arc<Journal>,
    closer: Arc<dyn Close>,
    /// It takes no more work.
    left: bool,
    /// Its thread has ended.
    ended: bool,
    /// It broke for this side.
    broke: bool,
    /// How far it got at the other side, where it is over.
    arrived: Option<Arrived>,
}

impl Streams {
    /// Both sides replace streams that break: what was lost with one is sent again. Call it before the first is added.
    pub(super) fn recover(&mut self) {
        self.recovers = true;
    }

    /// Adds a stream; returns its journal. `None`: there is one with this number.
    pub(super) fn add(
        &mut self,
        number: u32,
        plane: PlaneKind,
        closer: Arc<dyn Close>,
    ) -> Option<Arc<Journal>> {
        if self.streams.contains_key(&number) {
            closer.close();
            return None;
        }
        let journal = Arc::new(match self.recovers {
            true => Journal::default(),
            false => Journal::forgetful(),
        });
        let stream = Stream {
            plane,
            journal: Arc::clone(&journal),
            closer,
            left: false,
            ended: false,
            broke: false,
            arrived: None,
        };
        self.streams.insert(number, stream);
        self.share_out();
        Some(journal)
    }

    /// The thread of a stream has ended. Returns true if the other side is to be asked how far it got: a stream that
    /// broke may look sound from there.
    pub(super) fn ended(
        &mut self,
        number: u32,
        how: &io::Result<()>,
        queue: &Queue,
    ) -> Result<bool, Violation> {
        let Some(stream) = self.streams.get_mut(&number) else {
            return Ok(false);
        };
        stream.ended = true;
        stream.left = true;
        stream.broke = how.is_err();
        if stream.broke {
            stream.closer.close();
        }
        let asks = stream.broke && stream.arrived.is_none();
        self.share_out();
        self.settle(number, queue)?;
        Ok(asks)
    }

    /// Takes how far a stream got at the other side.
    pub(super) fn state(&mut self, state: &StreamState, queue: &Queue) -> Result<(), Violation> {
        // One that is settled may be told of again.
        let Some(stream) = self.streams.get_mut(&state.stream) else {
            return Ok(());
        };
        let arrived = Arrived {
            frames: state.frames,
            bytes: state.bytes,
        };
        if !state.over {
            stream.journal.confirm(arrived)?;
            if state.leave && !stream.left {
                stream.left = true;
                stream.journal.leave(queue);
                self.share_out();
            }
            return Ok(());
        }
        stream.arrived = Some(arrived);
        stream.left = true;
        stream.closer.close();
        stream.journal.leave(queue);
        self.share_out();
        self.settle(state.stream, queue)
    }

    /// Has the streams of a plane take no more work. They end when they have sent what they have.
    pub(super) fn leave(&mut self, plane: PlaneKind, queue: &Queue) {
        for stream in self
            .streams
            .values_mut()
            .filter(|stream| stream.plane == plane)
        {
            stream.left = true;
            stream.journal.leave(queue);
        }
        self.share_out();
    }

    /// Has all but so many streams of a plane take no more work, the youngest first.
    pub(super) fn keep(&mut self, plane: PlaneKind, count: usize, queue: &Queue) {
        let takes_work = |stream: &Stream| stream.plane == plane && !stream.left;
        let open = self.streams.iter_mut();
        let mut open: Vec<_> = open.filter(|(_, stream)| takes_work(stream)).collect();
        open.sort_unstable_by_key(|(number, _)| **number);
        for (_, stream) in open.into_iter().skip(count) {
            stream.left = true;
            stream.journal.leave(queue);
        }
        self.share_out();
    }

    /// Returns the shortest round trip of the open streams.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let open = self.streams.values().filter(|stream| !stream.ended);
        open.filter_map(|stream| stream.closer.round_trip()).min()
    }

    /// Returns the streams that broke for this side and of which the other has not said how far they got. What one carried
    /// that ended in good order may be on its way still.
    pub(super) fn lost(&self) -> Vec<u32> {
        let unsaid = self.streams.iter();
        let unsaid = unsaid.filter(|(_, stream)| stream.broke && stream.arrived.is_none());
        unsaid.map(|(number, _)| *number).take(LOST).collect()
    }

    /// Returns true if no more streams are taken.
    pub(super) fn is_full(&self) -> bool {
        self.streams.len() >= OPEN
    }

    /// Ends a session whose other side takes content and never says so: what is remembered of it has a bound.
    pub(super) fn check_confirmed(&self) -> Result<(), Violation> {
        let waiting: usize = (self.streams.values())
            .map(|stream| stream.journal.weight())
            .sum();
        match waiting > UNCONFIRMED {
            true => Err(Violation::new("it is not said what has arrived")),
            false => Ok(()),
        }
    }

    /// Counts the streams of a plane that take work.
    pub(super) fn count(&self, plane: PlaneKind) -> Count {
        let open = self.streams.values();
        Count {
            open: open
                .filter(|stream| stream.plane == plane && !stream.left)
                .count(),
            dialled: 0,
        }
    }

    /// Closes the streams whose path swallows everything: their threads may wait for it very long. What became of the
    /// streams is then as with any that breaks.
    pub(super) fn close_silent(&self) {
        let open = self.streams.iter().filter(|(_, stream)| !stream.ended);
        for (number, stream) in open.filter(|(_, stream)| stream.closer.is_silent()) {
            tracing::debug!(stream = number, "a data connection is silent");
            stream.closer.close();
        }
    }

    /// Closes all.
    pub(super) fn close(&self) {
        for stream in self.streams.values() {
            stream.closer.close();
        }
    }

    /// Shares the kinds of work out between the streams that take any.
    fn share_out(&self) {
        let open = self.streams.iter().filter(|(_, stream)| !stream.left);
        let mut open: Vec<_> = open.collect();
        open.sort_unstable_by_key(|(number, _)| **number);
        let kinds = [Preference::Small, Preference::Large].into_iter().cycle();
        for ((_, stream), kind) in open.into_iter().zip(kinds) {
            stream.journal.prefer(kind);
        }
    }

    fn settle(&mut self, number: u32, queue: &Queue) -> Result<(), Violation> {
        let Some(stream) = self.streams.get(&number).filter(|stream| stream.ended) else {
            return Ok(());
        };
        let Some(arrived) = stream.arrived else {
            return Ok(());
        };
        stream.journal.settle(arrived, queue)?;
        self.streams.remove(&number);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
