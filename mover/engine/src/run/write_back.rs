//! Has what arrives of large files written to the device while the rest is still coming, by a thread of its own.
//!
//! A run that ends with a `syncfs` would otherwise begin to write when the last byte is there: the kernel leaves what is
//! dirty in memory for 30 s, or until it is a tenth of it.
//!
//! Invariants: nobody waits for this thread before the end of the run, and it keeps at most [`DEPTH`] files open. Non-goals:
//! durability, which is the `syncfs`; small files, of which each would be a call.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::fs::flush;
use crate::tree::node::lock;

/// Pieces that wait. Of what is more than the device takes the kernel decides when it is written.
const DEPTH: usize = 64;

/// Pieces that were written to memory.
pub(super) struct WriteBack {
    noting: Mutex<Option<SyncSender<Piece>>>,
    noted: Mutex<Receiver<Piece>>,
}

struct Piece {
    file: OwnedFd,
    offset: u64,
    length: u64,
}

impl WriteBack {
    pub(super) fn new() -> Self {
        let (noting, noted) = sync_channel(DEPTH);
        Self {
            noting: Mutex::new(Some(noting)),
            noted: Mutex::new(noted),
        }
    }

    /// Notes a piece that is in its file. Without room, or without a handle, it is left to the kernel.
    pub(super) fn note(&self, file: impl AsFd, offset: u64, length: u64) {
        if let Some(noting) = &*lock(&self.noting)
            && let Ok(file) = file.as_fd().try_clone_to_owned()
        {
            let _ = noting.try_send(Piece {
                file,
                offset,
                length,
            });
        }
    }

    /// Has pieces written until [`Self::close`].
    pub(super) fn work(&self) {
        for piece in &*lock(&self.noted) {
            // What fails here fails again, and is told, when everything is flushed.
            let _ = flush::begin(piece.file.as_fd(), piece.offset, piece.length);
        }
    }

    /// Nothing is noted any more; the thread ends when it has done what was.
    pub(super) fn close(&self) {
        lock(&self.noting).take();
    }
}
