//! The tokens of one session: minted on demand, spent once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use blit_proto::v2::DataToken;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};

use super::Direction;
use super::first_frame::{self, ANSWER_BYTES, FRAME_BYTES, KEY_BYTES, NONCE_BYTES, Subject};
use crate::sync::lock;
use crate::wire::Violation;

/// How long a token can be used.
const LIFETIME: Duration = Duration::from_secs(30);

/// Tokens of a session that can be good at one time: who dials may ask for some as often as it likes. An honest one
/// needs four in half a second at most.
const UNSPENT: usize = 1024;

/// The tokens of one session that were minted and not yet spent.
pub(crate) struct TokenBook {
    encoding: EncodingKey,
    decoding: DecodingKey,
    session: String,
    direction: Direction,
    certificate: String,
    unspent: Mutex<HashMap<String, Unspent>>,
}

/// A socket was not let in. The reasons are for the log of the listener; the dialler learns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejected {
    #[error("the first frame is malformed")]
    Malformed,
    #[error("the token was not made by this session, or was altered")]
    Forged,
    #[error("the token has expired")]
    Expired,
    #[error("the token is for another session, direction or certificate")]
    Foreign,
    #[error("the token was used before, or never handed out")]
    Spent,
    #[error("the frame does not prove the key of the token")]
    NoProof,
}

/// A socket was let in.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// Which stream it is.
    pub(crate) stream: u32,
    /// What proves to the dialler that the listener is the right one.
    pub(crate) answer: [u8; ANSWER_BYTES],
}

/// What the dialler needs to open one socket.
pub(crate) struct Ticket {
    /// To be sent first.
    pub(crate) frame: [u8; FRAME_BYTES],
    key: [u8; KEY_BYTES],
    nonce: [u8; NONCE_BYTES],
    claims: Claims,
}

struct Unspent {
    key: [u8; KEY_BYTES],
    expires: u64,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    /// Id of the token.
    jti: String,
    /// Seconds since 1970 after which it is worth nothing.
    exp: u64,
    /// Session.
    sid: String,
    /// Number of the stream.
    stream: u32,
    /// Direction of the bytes.
    direction: Direction,
    /// SHA-256 of the certificate that the dialler showed on the control plane, base64url.
    #[serde(rename = "x5t#S256")]
    certificate: String,
}

/// No token can be made: the random number generator of the machine failed, or too many wait to be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a token: {0}")]
pub(crate) struct MintError(String);

impl TokenBook {
    /// Opens the book of a session with a key of its own; `certificate` (DER) is what the dialler showed
    /// on the control plane.
    pub(crate) fn new(
        session: &str,
        direction: Direction,
        certificate: &[u8],
    ) -> Result<Self, MintError> {
        let secret: [u8; 32] = random()?;
        Ok(Self {
            encoding: EncodingKey::from_secret(&secret),
            decoding: DecodingKey::from_secret(&secret),
            session: session.to_owned(),
            direction,
            certificate: fingerprint(certificate),
            unspent: Mutex::default(),
        })
    }

    /// Returns the session whose tokens are in the book.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// Makes a token for one socket.
    pub(crate) fn mint(&self, stream: u32, now: SystemTime) -> Result<DataToken, MintError> {
        let now = seconds(now);
        let key: [u8; KEY_BYTES] = random()?;
        let claims = Claims {
            jti: random_id()?,
            exp: now + LIFETIME.as_secs(),
            sid: self.session.clone(),
            stream,
            direction: self.direction,
            certificate: self.certificate.clone(),
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|error| MintError(error.to_string()))?;
        let mut unspent = lock(&self.unspent);
        unspent.retain(|_, other| other.expires > now);
        if unspent.len() >= UNSPENT {
            return Err(MintError(format!("{UNSPENT} are not spent")));
        }
        unspent.insert(
            claims.jti,
            Unspent {
                key,
                expires: claims.exp,
            },
        );
        Ok(DataToken {
            stream,
            token,
            key: key.to_vec(),
        })
    }

    /// Judges a first frame; the token in it is spent if it was good.
    pub(crate) fn redeem(
        &self,
        frame: &[u8; FRAME_BYTES],
        now: SystemTime,
    ) -> Result<Admitted, Rejected> {
        let frame = first_frame::decode(frame).map_err(|_| Rejected::Malformed)?;
        let claims = jsonwebtoken::decode::<Claims>(frame.token, &self.decoding, &signature_only())
            .map_err(|_| Rejected::Forged)?
            .claims;
        if claims.exp <= seconds(now) {
            return Err(Rejected::Expired);
        }
        if claims.sid != self.session
            || claims.direction != self.direction
            || claims.certificate != self.certificate
        {
            return Err(Rejected::Foreign);
        }
        // One lock from the look-up to the removal: of two sockets with one token, one gets in. A frame
        // without proof spends nothing, else whoever sees a token could use it up.
        let mut unspent = lock(&self.unspent);
        let token = unspent.get(&claims.jti).ok_or(Rejected::Spent)?;
        let answer = frame
            .answer(&token.key, claims.subject())
            .ok_or(Rejected::NoProof)?;
        unspent.remove(&claims.jti);
        Ok(Admitted {
            stream: claims.stream,
            answer,
        })
    }
}

impl Ticket {
    /// Prepares the first frame for a token that came over the control plane.
    pub(crate) fn new(token: &DataToken) -> Result<Self, Violation> {
        let invalid = |_| Violation::new("a token cannot be read");
        let key: [u8; KEY_BYTES] = token
            .key
            .as_slice()
            .try_into()
            .map_err(|_| Violation::new("the key of a token has not 32 bytes"))?;
        // Not checked here: only the listener can, and it came over the control plane.
        let claims = jsonwebtoken::dangerous::insecure_decode_claims::<Claims>(&token.token)
            .map_err(invalid)?;
        if claims.stream != token.stream {
            return Err(Violation::new("a token is for another stream"));
        }
        let nonce = random().map_err(|error| Violation::new(error.to_string()))?;
        let frame = first_frame::encode(&token.token, &key, claims.subject(), &nonce)?;
        Ok(Self {
            frame,
            key,
            nonce,
            claims,
        })
    }

    /// Returns true if the answer proves that the listener holds the key too.
    pub(crate) fn accepts(&self, answer: &[u8; ANSWER_BYTES]) -> bool {
        first_frame::check_answer(answer, &self.key, self.claims.subject(), &self.nonce)
    }
}

impl Claims {
    fn subject(&self) -> Subject<'_> {
        Subject {
            jti: &self.jti,
            stream: self.stream,
            direction: self.direction,
        }
    }
}

/// Returns the session that a first frame claims to be for. Nothing of it is proved: it only says whose book is
/// to judge it.
pub(crate) fn session_of(frame: &[u8; FRAME_BYTES]) -> Result<String, Rejected> {
    let frame = first_frame::decode(frame).map_err(|_| Rejected::Malformed)?;
    jsonwebtoken::dangerous::insecure_decode_claims::<Claims>(frame.token)
        .map(|claims| claims.sid)
        .map_err(|_| Rejected::Malformed)
}

/// Makes an id of 128 random bits, as text.
pub(crate) fn random_id() -> Result<String, MintError> {
    random::<16>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns a random key.
pub(crate) fn random_key() -> Result<[u8; 32], MintError> {
    random()
}

/// Only signature and algorithm: expiry is judged against a clock that is passed in.
pub(super) fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

fn fingerprint(certificate: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, certificate))
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], MintError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| MintError("no random numbers from this machine".to_owned()))?;
    Ok(bytes)
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
