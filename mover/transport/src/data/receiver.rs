//! The loop of a receiver thread: reads frames and hands what they carry to the engine.
//!
//! Invariant: whatever arrives was asked for, and is read to its end even where nobody needs it any more,
//! so that the next frame begins where it should.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use blit_engine::fs::hash::Hash;
use blit_engine::run::{Arrivals, Incoming, ReadStatus, Tail};

use super::FrameStream;
use super::journal::Arrived;
use super::passage::Passage;
use super::proof::{Proof, altered};
use super::window::Window;
use crate::wire::Violation;
use crate::wire::codes::Passing;
use crate::wire::files;
use crate::wire::frame::{FILES_BYTES, HEADER_BYTES, Header};
use crate::wire::reader::Reader;

/// Bytes of a large file that are received before they are written.
const PIECE_BYTES: usize = 256 << 10;

/// What the receiver threads of a session got.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Content bytes.
    pub(crate) bytes: AtomicU64,
    /// Of these, bytes that the source sent without a copy.
    pub(crate) zero_copy: AtomicU64,
}

/// One receiver thread.
pub(crate) struct Receiver {
    /// Where frames come from.
    pub(crate) stream: Box<dyn FrameStream>,
    /// What may arrive.
    pub(crate) window: Arc<Window>,
    /// Where it goes.
    pub(crate) arrivals: Arc<Arrivals>,
    /// Figures.
    pub(crate) received: Arc<Received>,
    /// What judges whether it is what was sent, in a session that verifies.
    pub(crate) proof: Option<Arc<Proof>>,
    /// How far this stream got.
    pub(crate) reached: Arc<Reached>,
}

/// How far a stream got: what its other end need not send again.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    frames: AtomicU64,
    bytes: AtomicU64,
}

impl Reached {
    /// Returns how far it got. The bytes of a frame under way are right once the stream is over.
    pub(crate) fn now(&self) -> Arrived {
        Arrived {
            frames: self.frames.load(Ordering::Acquire),
            bytes: self.bytes.load(Ordering::Acquire),
        }
    }

    fn frame(&self) {
        self.bytes.store(0, Ordering::Release);
        self.frames.fetch_add(1, Ordering::Release);
    }
}

/// A stream cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error("a data connection broke: {0}")]
    Stream(#[from] io::Error),
    #[error(transparent)]
    Protocol(#[from] Violation),
}

impl Receiver {
    /// Works until the stream ends between two frames.
    pub(crate) fn run(mut self) -> Result<(), ReceiveError> {
        let mut buffer = vec![0; PIECE_BYTES];
        let mut passage = Passage::default();
        let mut header = [0; HEADER_BYTES];
        while self.stream.receive(&mut header)? {
            match Header::decode(&header)? {
                Header::Files { count, length } => {
                    let payload = self.payload(&mut buffer, length)?;
                    self.files(payload, count)?;
                }
                Header::Chunk { id, offset, length } => {
                    self.chunk(&mut buffer, &mut passage, (id, offset, length))?;
                }
                Header::End { id, length } => {
                    // An end is short but for long extended attributes; those get a buffer of their own.
                    let mut own = Vec::new();
                    let buffer = if length > FILES_BYTES {
                        &mut own
                    } else {
                        &mut buffer
                    };
                    let end = files::decode_end(self.payload(buffer, length)?)?;
                    self.received
                        .zero_copy
                        .fetch_add(end.zero_copy, Ordering::Relaxed);
                    if let Some(proof) = &self.proof {
                        proof.end(id, &end.tail, end.code);
                    }
                    match (self.window.ended(id, end.tail)?, &self.proof) {
                        (Some(tail), _) => self.end(id, tail),
                        (None, Some(proof)) if self.window.expects(id).is_err() => proof.forget(id),
                        (None, _) => {}
                    }
                }
            }
            self.reached.frame();
        }
        Ok(())
    }

    fn files(&self, payload: &[u8], count: u32) -> Result<(), Violation> {
        let mut reader = Reader::new(payload);
        for _ in 0..count {
            let mut file = files::next_record(&mut reader)?;
            let is_hash = self.window.whole(file.id)?;
            let proof = self.proof.as_ref();
            let is_altered = proof.is_some_and(|proof| !proof.is_proven(&file));
            if is_altered {
                file.tail = altered(file.tail);
            }
            if is_hash && self.arrivals.expects_blocks(file.id) {
                // Of a file that is compared by blocks the hashes are what it costs.
                let bytes = file.content.len() as u64;
                self.received.bytes.fetch_add(bytes, Ordering::Relaxed);
                self.arrivals.blocks(file.id, file.content, file.tail);
                continue;
            }
            if is_hash {
                let hash = match is_altered {
                    true => Hash::default(),
                    false => hash_of(file.content, &file.tail.status)?,
                };
                self.arrivals.hashed(file.id, hash, file.tail);
                continue;
            }
            self.received
                .bytes
                .fetch_add(file.content.len() as u64, Ordering::Relaxed);
            self.arrivals.whole(file.id, file.content, file.tail);
        }
        if reader.is_empty() {
            Ok(())
        } else {
            Err(Violation::new("bytes follow the last file of a frame"))
        }
    }

    fn chunk(
        &mut self,
        buffer: &mut [u8],
        passage: &mut Passage,
        (id, offset, length): (u64, u64, u32),
    ) -> Result<(), ReceiveError> {
        // Before it is known whether the file may arrive: from then on it cannot be proven without this piece.
        let mut passing = (self.proof.as_ref()).map(|proof| proof.passing(id, offset, length));
        self.window.expects(id)?;
        let incoming = self.arrivals.incoming(id);
        passage.begin();
        let mut done = 0;
        while done < length as usize {
            let (left, at) = (length as usize - done, offset + done as u64);
            let carried = match (&incoming, &passing) {
                // What nobody has to look at need not come to this process.
                (Some(incoming), None) => passage.carry(&mut *self.stream, incoming, at, left),
                _ => Ok(None),
            };
            let got = carried.transpose().unwrap_or_else(|| {
                let piece = &mut buffer[..PIECE_BYTES.min(left)];
                self.copy(piece, at, incoming.as_deref(), passing.as_mut())
            });
            match got {
                Ok(count) => {
                    let bytes = &self.received.bytes;
                    bytes.fetch_add(count as u64, Ordering::Relaxed);
                    done += count;
                }
                Err(error) => {
                    // What has arrived of it is not sent again.
                    self.window.piece(id, done as u64)?;
                    if let (Some(proof), Some(passing)) = (&self.proof, passing) {
                        proof.cut(id, at, left as u32, passing);
                    }
                    self.reached.bytes.store(done as u64, Ordering::Release);
                    return Err(error.into());
                }
            }
        }
        if let (Some(proof), Some(passing)) = (&self.proof, &passing) {
            proof.passed(id, passing);
        }
        if let Some(incoming) = &incoming {
            incoming.complete(offset, u64::from(length));
        }
        if let Some(tail) = self.window.piece(id, u64::from(length))? {
            self.end(id, tail);
        }
        Ok(())
    }

    /// Receives a piece into memory, and writes it to its file.
    fn copy(
        &mut self,
        piece: &mut [u8],
        at: u64,
        incoming: Option<&Incoming>,
        passing: Option<&mut Passing>,
    ) -> io::Result<usize> {
        if !self.stream.receive(piece)? {
            return Err(ended_early());
        }
        if let Some(passing) = passing {
            passing.pass(piece);
        }
        if let Some(incoming) = incoming {
            // The engine keeps the error with the file; the stream goes on.
            let _ = incoming.write_at(piece, at);
            incoming.arrived(piece.len() as u64);
        }
        Ok(piece.len())
    }

    /// Ends a file of which everything is there.
    fn end(&self, id: u64, tail: Tail) {
        let tail = match &self.proof {
            Some(proof) => proof.settle(id, tail),
            None => tail,
        };
        self.arrivals.end(id, tail);
    }

    /// Reads the payload of a frame whose length was checked.
    fn payload<'b>(&mut self, buffer: &'b mut Vec<u8>, length: u32) -> io::Result<&'b [u8]> {
        let length = length as usize;
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        let payload = &mut buffer[..length];
        if length > 0 && !self.stream.receive(payload)? {
            return Err(ended_early());
        }
        Ok(payload)
    }
}

/// Reads an answer: a hash, or nothing where the status says why. Then the hash does not count.
fn hash_of(content: &[u8], status: &ReadStatus) -> Result<Hash, Violation> {
    match content.try_into() {
        Ok(hash) if *status == ReadStatus::Stable => Ok(hash),
        _ if content.is_empty() && *status != ReadStatus::Stable => Ok(Hash::default()),
        _ => Err(Violation::new("an answer is not a hash")),
    }
}

fn ended_early() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the stream ended in the middle of a frame",
    )
}

#[cfg(test)]
mod tests;
