//! Zeros over a data stream, for long enough to measure and no longer: the end that sends, and the end that counts.
//!
//! Invariants: bytes and time are bounded at both ends, whatever the other does, by whoever closes the stream when its time
//! is over.

use std::io;
use std::time::{Duration, Instant};

use blit_proto::v2::DataTried;

use crate::data::{FrameSink, FrameStream};
use crate::tune::path::Path;
use crate::wire::Violation;

/// Bytes that are sent at once, and that are counted at once.
const BLOCK: usize = 128 << 10;

/// How long bytes are sent.
const SENDING: Duration = Duration::from_secs(1);

/// Bytes that are sent at least, however long that takes: with less there is nothing to measure.
const LEAST: usize = 4 * BLOCK;

/// Bytes that are sent at most.
const MOST: usize = 4 << 30;

/// How long a stream lasts at most: what was sent has to arrive.
pub(crate) const LONGEST: Duration = Duration::from_secs(10);

/// What went through a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Bytes after the first block.
    pub bytes: u64,
    /// What they took.
    pub took: Duration,
    /// What the kernel of the side that sent knows, where the stream was a socket and that side says it.
    pub path: Option<Path>,
}

impl Measured {
    /// Reads what a daemon says came of what was sent.
    pub(crate) fn from_wire(tried: &DataTried, path: Option<Path>) -> Result<Self, Violation> {
        let took = Duration::try_from_secs_f64(tried.seconds);
        Ok(Self {
            bytes: tried.bytes,
            took: took.map_err(|_| Violation::new("a time is none"))?,
            path,
        })
    }

    /// Returns bytes a second; `None` where there is too little to tell.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a throughput for people"
    )]
    pub fn rate(&self) -> Option<u64> {
        let seconds = self.took.as_secs_f64();
        (self.bytes > 0 && seconds > 0.0).then(|| (self.bytes as f64 / seconds) as u64)
    }
}

/// Sends zeros for a while, and then nothing any more. Returns what the kernel knows of the path.
pub(crate) fn give(sink: &mut dyn FrameSink) -> io::Result<Option<Path>> {
    let (zeros, begun) = (vec![0; BLOCK], Instant::now());
    let mut sent = 0;
    while sent < LEAST || (sent < MOST && begun.elapsed() < SENDING) {
        sink.send(&zeros, false)?;
        sent += BLOCK;
    }
    let path = sink.closer().path(begun.elapsed());
    sink.finish()?;
    Ok(path)
}

/// Takes what comes until the stream ends, or for as long as one may last; then it is closed.
pub(crate) fn measure(stream: &mut dyn FrameStream) -> Measured {
    let (mut block, mut first) = (vec![0; BLOCK], None);
    let mut measured = Measured::default();
    // A block that is cut off was on its way when the time was over.
    while matches!(stream.receive(&mut block), Ok(true)) {
        let now = Instant::now();
        let first = *first.get_or_insert(now);
        if now > first {
            measured.bytes += BLOCK as u64;
            measured.took = now - first;
        }
        if measured.took >= LONGEST {
            break;
        }
    }
    stream.closer().close();
    measured
}
