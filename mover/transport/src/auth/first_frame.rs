//! The first frame on a data socket and its answer.
//!
//! Frame, 1,024 bytes: magic (8), length of the token (2, big-endian), token, nonce (32), HMAC-SHA256 (32),
//! zeros. Answer, 40 bytes: magic (8), HMAC-SHA256 (32). Both codes are made with the key of the token over
//! a label, the id of the token with its length, stream, direction and nonce.

use aws_lc_rs::hmac;

use super::Direction;
use crate::wire::Violation;
use crate::wire::reader::Reader;

/// Length of the first frame, in bytes: fixed, so that a listener never reads more of a stranger.
pub(crate) const FRAME_BYTES: usize = 1024;

/// Length of the answer, in bytes.
pub(crate) const ANSWER_BYTES: usize = MAGIC.len() + MAC_BYTES;

/// Length of the key of a token, in bytes.
pub(crate) const KEY_BYTES: usize = 32;

/// Length of a nonce, in bytes.
pub(crate) const NONCE_BYTES: usize = 32;

const MAGIC: &[u8; 8] = b"BLITDP2\0";
const MAC_BYTES: usize = 32;
/// Longest token that leaves room for the rest.
const TOKEN_BYTES: usize = FRAME_BYTES - MAGIC.len() - 2 - NONCE_BYTES - MAC_BYTES;

/// What both codes are made over, besides the nonce.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// Id of the token.
    pub(crate) jti: &'a str,
    /// Number of the stream.
    pub(crate) stream: u32,
    /// Direction of the bytes.
    pub(crate) direction: Direction,
}

/// A first frame taken apart; nothing of it has been checked.
#[derive(Debug)]
pub(crate) struct FirstFrame<'a> {
    /// The token.
    pub(crate) token: &'a str,
    nonce: [u8; NONCE_BYTES],
    mac: [u8; MAC_BYTES],
}

/// Makes the first frame.
pub(crate) fn encode(
    token: &str,
    key: &[u8; KEY_BYTES],
    subject: Subject<'_>,
    nonce: &[u8; NONCE_BYTES],
) -> Result<[u8; FRAME_BYTES], Violation> {
    if token.len() > TOKEN_BYTES {
        return Err(Violation::new("a token is too long for the first frame"));
    }
    let mac = code(Side::Dialler, key, subject, nonce);
    let mut frame = [0; FRAME_BYTES];
    let mut at = 0;
    // Fits, see above.
    let length = (token.len() as u16).to_be_bytes();
    for piece in [
        MAGIC.as_slice(),
        &length,
        token.as_bytes(),
        nonce,
        mac.as_ref(),
    ] {
        frame[at..at + piece.len()].copy_from_slice(piece);
        at += piece.len();
    }
    Ok(frame)
}

/// Takes a first frame apart.
pub(crate) fn decode(frame: &[u8; FRAME_BYTES]) -> Result<FirstFrame<'_>, Violation> {
    let mut reader = Reader::new(frame);
    if &reader.array::<8>()? != MAGIC {
        return Err(Violation::new(
            "the first frame does not begin with the magic of Blit",
        ));
    }
    let length = usize::from(reader.u16()?);
    if length > TOKEN_BYTES {
        return Err(Violation::new("the token in the first frame is too long"));
    }
    let token = std::str::from_utf8(reader.slice(length)?)
        .map_err(|_| Violation::new("the token in the first frame is not text"))?;
    let (nonce, mac) = (reader.array()?, reader.array()?);
    while !reader.is_empty() {
        if reader.u8()? != 0 {
            return Err(Violation::new("the padding of the first frame is not zero"));
        }
    }
    Ok(FirstFrame { token, nonce, mac })
}

impl FirstFrame<'_> {
    /// Returns the answer if the frame proves the key, and nothing otherwise.
    pub(crate) fn answer(
        &self,
        key: &[u8; KEY_BYTES],
        subject: Subject<'_>,
    ) -> Option<[u8; ANSWER_BYTES]> {
        verify(Side::Dialler, key, subject, &self.nonce, &self.mac).then(|| {
            let mut answer = [0; ANSWER_BYTES];
            answer[..MAGIC.len()].copy_from_slice(MAGIC);
            let mac = code(Side::Listener, key, subject, &self.nonce);
            answer[MAGIC.len()..].copy_from_slice(mac.as_ref());
            answer
        })
    }
}

/// Returns true if an answer proves that the listener holds the key.
pub(crate) fn check_answer(
    answer: &[u8; ANSWER_BYTES],
    key: &[u8; KEY_BYTES],
    subject: Subject<'_>,
    nonce: &[u8; NONCE_BYTES],
) -> bool {
    let (magic, mac) = answer.split_at(MAGIC.len());
    magic == MAGIC && verify(Side::Listener, key, subject, nonce, mac)
}

/// Who makes a code; keeps a frame from serving as its own answer.
#[derive(Clone, Copy)]
enum Side {
    Dialler,
    Listener,
}

fn message(side: Side, subject: Subject<'_>, nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
    let label: &[u8] = match side {
        Side::Dialler => b"blit data dialler\0",
        Side::Listener => b"blit data listener\0",
    };
    let direction: &[u8] = match subject.direction {
        Direction::Push => b"push",
        Direction::Pull => b"pull",
    };
    let length = (subject.jti.len() as u64).to_be_bytes();
    let stream = subject.stream.to_be_bytes();
    [
        label,
        &length,
        subject.jti.as_bytes(),
        &stream,
        direction,
        nonce,
    ]
    .concat()
}

fn code(
    side: Side,
    key: &[u8; KEY_BYTES],
    subject: Subject<'_>,
    nonce: &[u8; NONCE_BYTES],
) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, &message(side, subject, nonce))
}

fn verify(
    side: Side,
    key: &[u8; KEY_BYTES],
    subject: Subject<'_>,
    nonce: &[u8; NONCE_BYTES],
    mac: &[u8],
) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    // Takes the same time whether or not it agrees.
    hmac::verify(&key, &message(side, subject, nonce), mac).is_ok()
}

#[cfg(test)]
mod tests;
