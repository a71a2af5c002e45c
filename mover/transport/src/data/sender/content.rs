//! Sending the content of one piece of a large file, at the pace of the file system that it comes from.

use std::io;
use std::sync::Arc;

use blit_engine::fs::copy::read_full_at;
use blit_engine::run::ReadStatus;

use super::Sender;
use crate::data::FileSent;
use crate::data::large::{LargeFile, Piece};
use crate::data::reading::unreadable;
use crate::wire::codes::{Codes, Passing};

/// Bytes of a large file that are read at once where they pass through memory, in a session that verifies.
const PASS_BYTES: usize = 256 << 10;

impl Sender {
    /// Sends content of a file as the stream does it best, at the pace of the file system.
    pub(super) fn content(
        &mut self,
        file: &LargeFile,
        offset: u64,
        length: u32,
    ) -> io::Result<FileSent> {
        let (file, source) = (file.file(), Arc::clone(&self.source));
        let (end, whole) = (file.entry().meta.size, offset + u64::from(length));
        let mut reading = source.pace().begin(file.fd(), u64::from(length));
        let mut sent = FileSent::default();
        let mut at = offset;
        while at < whole {
            let (left, is_broken) = ((whole - at) as usize, sent.problem.is_some());
            let mut step = |want| {
                let part = self.sink.send_file(file.fd(), at, want as u32)?;
                sent.zero_copy += part.zero_copy;
                sent.problem = sent.problem.take().or(part.problem);
                Ok::<_, io::Error>(want)
            };
            let moved = match is_broken {
                // What is left is zeros most likely. A disk that takes half a minute for an error is not asked by the page.
                true => step(left)?,
                false => reading.step_ahead(at, end, left, step)?,
            };
            at += moved as u64;
        }
        Ok(sent)
    }

    /// Sends a piece through memory, and makes its code of the same bytes: of all of them, also where the stream breaks,
    /// because the rest is sent again and belongs to the same code.
    pub(super) fn pass(
        &mut self,
        codes: &Codes,
        file: &LargeFile,
        piece: Piece,
        begun: io::Result<()>,
    ) -> (FileSent, Passing, io::Result<()>) {
        let mut code = codes.piece(file.origin.id, piece.offset, piece.length);
        let mut buffer = vec![0; PASS_BYTES.min(piece.length as usize)];
        let (mut done, length) = (0, piece.length as usize);
        let (file, source) = (file.file(), Arc::clone(&self.source));
        let mut reading = source.pace().begin(file.fd(), length as u64);
        let (mut problem, mut outcome) = (None, begun);
        while done < length {
            let (at, mut wanted) = (piece.offset + done as u64, PASS_BYTES.min(length - done));
            let read = match &problem {
                None => reading.step_ahead(at, file.entry().meta.size, wanted, |want| {
                    wanted = want;
                    read_full_at(file.fd(), &mut buffer[..want], at)
                }),
                Some(_) => Ok(0),
            };
            let read = read.unwrap_or_else(|errno| {
                problem = Some(unreadable(errno));
                0
            });
            let part = &mut buffer[..wanted];
            if read < part.len() {
                // Shorter than it was: what is missing is padded.
                part[read..].fill(0);
                problem.get_or_insert(ReadStatus::Changed);
            }
            code.pass(part);
            done += part.len();
            if outcome.is_ok() {
                outcome = self.sink.send(part, done < length);
            }
        }
        let zero_copy = 0;
        (FileSent { zero_copy, problem }, code, outcome)
    }
}
