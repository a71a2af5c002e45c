//! Pieces of the listing between the connection, which brings them, and the engine, which takes them.
//!
//! Bounded: a connection whose engine is busy is not read, and so the source waits. One side is
//! asynchronous, the other blocks.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use blit_engine::run::SourceError;
use blit_engine::watch::{Wait, waits};
use tokio::sync::Semaphore;

use crate::sync::{lock, wait_timeout};

/// Pieces that wait, at most: of 256 KiB each, decoded about three times that.
const CAPACITY: usize = 8;

/// A bounded queue that ends with a mark or an error.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    room: Semaphore,
}

#[derive(Debug)]
struct State<T> {
    pieces: VecDeque<T>,
    complete: bool,
    lost: Option<SourceError>,
}

/// What [`Inbox::take`] found.
#[derive(Debug)]
pub(crate) enum Taken<T> {
    /// A piece.
    Piece(T),
    /// None in time.
    Nothing,
    /// There will be none any more.
    Complete,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        let state = State {
            pieces: VecDeque::new(),
            complete: false,
            lost: None,
        };
        let room = Semaphore::new(CAPACITY);
        Self {
            state: Mutex::new(state),
            filled: Condvar::new(),
            room,
        }
    }

    /// Puts a piece in; waits for room. After the end it is dropped.
    pub(crate) async fn put(&self, piece: T) {
        // An error means that the inbox was closed.
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
            lock(&self.state).pieces.push_back(piece);
            self.filled.notify_one();
        }
    }

    /// Marks that the pieces that are in are the last.
    pub(crate) fn complete(&self) {
        lock(&self.state).complete = true;
        self.filled.notify_all();
    }

    /// Ends everything with an error; what is in is dropped.
    pub(crate) fn close(&self, error: SourceError) {
        let mut state = lock(&self.state);
        state.lost.get_or_insert(error);
        state.pieces.clear();
        drop(state);
        self.room.close();
        self.filled.notify_all();
    }

    /// Takes a piece; waits up to `limit` for one.
    pub(crate) fn take(&self, limit: Duration) -> Result<Taken<T>, SourceError> {
        let deadline = Instant::now() + limit;
        let mut state = lock(&self.state);
        loop {
            if let Some(error) = &state.lost {
                return Err(error.clone());
            }
            if let Some(piece) = state.pieces.pop_front() {
                self.room.add_permits(1);
                return Ok(Taken::Piece(piece));
            }
            if state.complete {
                return Ok(Taken::Complete);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Taken::Nothing);
            }
            waits(Wait::Listing);
            state = wait_timeout(&self.filled, state, left);
        }
    }
}

#[cfg(test)]
mod tests;
