//! The data streams of a session at the destination: which are open, how far each got, and what became of planes
//! that could not be used.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use blit_proto::v2::StreamState;

use crate::data::Close;
use crate::data::receiver::Reached;
use crate::planes::{PlaneKind, Tried};
use crate::sync::lock;

/// Streams that one session may have had in all; each was asked for with a token.
const STREAMS: usize = 4096;

/// Planes that are remembered as tried.
const TRIED: usize = 16;

/// Takes a plane that could not be used.
pub(super) type OnTried = dyn Fn(&Tried) + Send + Sync;

/// The streams of a session.
#[derive(Default)]
pub(crate) struct Streams {
    state: Mutex<State>,
    on_tried: OnceLock<Box<OnTried>>,
}

#[derive(Default)]
struct State {
    streams: HashMap<u32, Stream>,
    /// Numbers of streams that never came, and are not to come any more: the source was told that nothing arrived.
    refused: HashSet<u32>,
    tried: Vec<Tried>,
    /// What is to be said of the first plane if the session were over now: another is used, and it was not given up yet.
    doubt: Option<Tried>,
    /// What the source tries first, if it said so.
    first: Option<PlaneKind>,
    last: Option<PlaneKind>,
    next_token: u32,
    closed: bool,
}

struct Stream {
    plane: PlaneKind,
    reached: Arc<Reached>,
    /// Until it is over: a socket is kept for as long as something can close it.
    closer: Option<Arc<dyn Close>>,
    /// The source is to take no more work for it.
    leaving: bool,
    over: bool,
}

impl Streams {
    /// Adds a stream; returns where its receiver counts. `None`: the session is over, or the number is taken.
    pub(crate) fn add(
        &self,
        number: u32,
        plane: PlaneKind,
        closer: Arc<dyn Close>,
    ) -> Option<Arc<Reached>> {
        let mut state = lock(&self.state);
        let full = state.streams.len() >= STREAMS || state.streams.contains_key(&number);
        if state.closed || full || state.refused.contains(&number) {
            closer.close();
            return None;
        }
        let reached = Arc::<Reached>::default();
        let stream = Stream {
            plane,
            reached: Arc::clone(&reached),
            closer: Some(closer),
            leaving: false,
            over: false,
        };
        state.streams.insert(number, stream);
        state.last = Some(plane);
        Some(reached)
    }

    /// A stream is over; returns how far it got.
    pub(crate) fn over(&self, number: u32) -> Option<StreamState> {
        let mut state = lock(&self.state);
        let stream = state.streams.get_mut(&number)?;
        stream.over = true;
        // The other end of a call waits for this.
        stream.close();
        stream.closer = None;
        Some(stream.state(number))
    }

    /// Closes a stream that its other end takes for lost. Returns true if it is over, or never was.
    pub(crate) fn is_over_or_close(&self, number: u32) -> bool {
        let state = lock(&self.state);
        let Some(stream) = state.streams.get(&number) else {
            return true;
        };
        stream.close();
        stream.over
    }

    /// Returns how far a stream got that is over. One that never came cannot come any more.
    pub(crate) fn final_state(&self, number: u32) -> StreamState {
        let mut state = lock(&self.state);
        if !state.streams.contains_key(&number) && state.refused.len() < STREAMS {
            state.refused.insert(number);
        }
        let stream = state.streams.get(&number);
        let never = StreamState {
            stream: number,
            over: true,
            ..StreamState::default()
        };
        stream.map_or(never, |stream| stream.state(number))
    }

    /// Returns how far the open streams got.
    pub(crate) fn progress(&self) -> Vec<StreamState> {
        let state = lock(&self.state);
        let open = state.streams.iter().filter(|(_, stream)| !stream.over);
        open.map(|(number, stream)| stream.state(*number)).collect()
    }

    /// Returns numbers for new streams.
    pub(crate) fn numbers(&self, count: u32) -> std::ops::Range<u32> {
        let mut state = lock(&self.state);
        let first = state.next_token;
        state.next_token = first.saturating_add(count);
        first..state.next_token
    }

    /// Returns how many streams there were.
    pub(crate) fn count(&self) -> usize {
        lock(&self.state).streams.len()
    }

    /// Returns true if a stream is open.
    pub(crate) fn any_open(&self) -> bool {
        lock(&self.state)
            .streams
            .values()
            .any(|stream| !stream.over)
    }

    /// Counts the streams of a plane that take work.
    pub(super) fn working(&self, plane: PlaneKind) -> usize {
        let state = lock(&self.state);
        let streams = state.streams.values();
        streams.filter(|stream| stream.works(plane)).count()
    }

    /// Returns true if a stream is open that is to end.
    pub(super) fn any_leaving(&self) -> bool {
        let state = lock(&self.state);
        let mut streams = state.streams.values();
        streams.any(|stream| stream.leaving && !stream.over)
    }

    /// Has all but so many streams of a plane end, the youngest first: the source is told so with how far they got. Returns
    /// true if there are any that had not been told of.
    pub(super) fn keep(&self, plane: PlaneKind, count: usize) -> bool {
        let mut state = lock(&self.state);
        let streams = state.streams.iter_mut();
        let mut open: Vec<_> = streams.filter(|(_, stream)| stream.works(plane)).collect();
        open.sort_unstable_by_key(|(number, _)| **number);
        let too_many = open.into_iter().skip(count);
        too_many.map(|(_, stream)| stream.leaving = true).count() > 0
    }

    /// Returns the shortest round trip of the open streams.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let state = lock(&self.state);
        let closers = state
            .streams
            .values()
            .filter_map(|stream| stream.closer.as_ref());
        closers.filter_map(|closer| closer.round_trip()).min()
    }

    /// Content is to go over this plane first.
    pub(super) fn begin_with(&self, plane: PlaneKind) {
        lock(&self.state).first = Some(plane);
    }

    /// Returns the plane in use, or that was used last; before there is a stream, the one that is tried first.
    pub(crate) fn plane(&self) -> PlaneKind {
        let state = lock(&self.state);
        let open = |plane| {
            let mut streams = state.streams.values();
            streams.any(|stream| stream.plane == plane && !stream.over)
        };
        match state.last {
            _ if open(PlaneKind::Tcp) => PlaneKind::Tcp,
            _ if open(PlaneKind::Grpc) => PlaneKind::Grpc,
            last => last.or(state.first).unwrap_or(PlaneKind::Tcp),
        }
    }

    /// Closes all streams, and those that come later.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        for stream in state.streams.values() {
            stream.close();
        }
    }

    /// Takes planes that could not be used.
    pub(crate) fn tried(&self, tried: Vec<Tried>) {
        for tried in tried {
            let mut state = lock(&self.state);
            if state.tried.len() >= TRIED || state.tried.contains(&tried) {
                continue;
            }
            state.tried.push(tried.clone());
            drop(state);
            if let Some(on_tried) = self.on_tried.get() {
                on_tried(&tried);
            }
        }
    }

    /// Returns the planes that could not be used.
    pub(crate) fn all_tried(&self) -> Vec<Tried> {
        lock(&self.state).tried.clone()
    }

    /// Takes what is to be said of a plane that is not used, if the session is over before it was given up.
    pub(super) fn doubt(&self, doubt: Option<Tried>) {
        lock(&self.state).doubt = doubt;
    }

    /// Returns the planes that could not be used until now.
    pub(super) fn tried_in_the_end(&self) -> Vec<Tried> {
        let state = lock(&self.state);
        state.tried.iter().chain(&state.doubt).cloned().collect()
    }

    /// Tells of planes that could not be used, from now on and before.
    pub(super) fn on_tried(&self, tell: Box<OnTried>) {
        let state = lock(&self.state);
        for tried in &state.tried {
            tell(tried);
        }
        // Set once, by the owner of the session.
        let _ = self.on_tried.set(tell);
    }
}

impl Stream {
    /// Returns true for one of a plane that takes work.
    fn works(&self, plane: PlaneKind) -> bool {
        self.plane == plane && !self.leaving && !self.over
    }

    fn close(&self) {
        if let Some(closer) = &self.closer {
            closer.close();
        }
    }

    fn state(&self, number: u32) -> StreamState {
        let arrived = self.reached.now();
        StreamState {
            stream: number,
            frames: arrived.frames,
            over: self.over,
            bytes: if self.over { arrived.bytes } else { 0 },
            leave: self.leaving && !self.over,
        }
    }
}

#[cfg(test)]
mod tests;
