//! Bearer tokens: what a daemon hands to people, and how it knows them again. Pure: time is a parameter.
//!
//! A token is a JWT (HS256) with what its holder may do, until when, and the pin of the daemon's authority,
//! so that a client needs nothing else to know the daemon. Only who has the key can make one.
//!
//! Invariants: anything unknown in a token makes it worthless; the algorithm is not the token's to choose.
//! Non-goals: revocation of one token (a new key revokes all), storage.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use blit_proto::control::access::Token;
use blit_proto::pki::PeerName;
use blit_proto::pki::daemon::{PIN_BYTES, Pin};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};

use super::grant::{Grant, Scopes};
use super::token::{MintError, random, random_id, seconds, signature_only};
use crate::path::RelPath;

/// Length of the key that signs tokens, in bytes.
pub const KEY_BYTES: usize = 32;

/// Longest token, in bytes: far below what a header of gRPC may have.
const TOKEN_BYTES: usize = 4096;

/// Longest prefix, in bytes: a token must fit.
const PREFIX_BYTES: usize = 1024;

/// Whom a token is for; keeps one of another program with the same key out.
const AUDIENCE: &str = "blit";

/// The key that signs the tokens of one daemon.
#[derive(Clone)]
pub struct TokenKey([u8; KEY_BYTES]);

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    /// Id of the token, for logs.
    jti: String,
    /// Audience.
    aud: String,
    /// Seconds since 1970 when it was made.
    iat: u64,
    /// Seconds since 1970 after which it is worth nothing.
    exp: u64,
    /// Scopes with spaces between them.
    scope: String,
    /// Path below the root, base64url.
    prefix: String,
    /// SHA-256 of the certificate of the daemon's authority, base64url.
    pin: String,
}

/// A token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueTokenError {
    /// The machine did not give what it takes.
    #[error("{0}")]
    Mint(String),
    /// The prefix is too long.
    #[error("a prefix of more than {PREFIX_BYTES} bytes fits no token; name a directory above it")]
    Prefix,
}

/// A token is worth nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Worthless {
    /// It is no token, or of somebody else.
    #[error("the token was not issued by this daemon, or was altered")]
    Foreign,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

/// A token cannot be read by a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no token of a blit daemon; copy the whole line that `blit serve --issue-token` printed"
)]
pub struct NoToken;

impl TokenKey {
    /// Makes a key.
    pub fn random() -> Result<Self, IssueTokenError> {
        random().map(Self).map_err(|error| mint(&error))
    }

    /// Takes a stored key; `None` if its length is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Returns the key, to be stored.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Makes a token.
    pub fn issue(
        &self,
        grant: &Grant,
        lifetime: Duration,
        pin: Pin,
        now: SystemTime,
    ) -> Result<Token, IssueTokenError> {
        let prefix = grant.prefix.to_bytes();
        if prefix.len() > PREFIX_BYTES {
            return Err(IssueTokenError::Prefix);
        }
        let iat = seconds(now);
        let claims = Claims {
            jti: random_id().map_err(|error| mint(&error))?,
            aud: AUDIENCE.to_owned(),
            iat,
            exp: iat.saturating_add(lifetime.as_secs()),
            scope: grant.scopes.words().join(" "),
            prefix: URL_SAFE_NO_PAD.encode(prefix),
            pin: URL_SAFE_NO_PAD.encode(pin.0),
        };
        let key = EncodingKey::from_secret(&self.0);
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
            .map(Token)
            .map_err(|error| IssueTokenError::Mint(error.to_string()))
    }

    /// Judges a token; returns its id and what it allows.
    pub(crate) fn check(&self, token: &str, now: SystemTime) -> Result<(String, Grant), Worthless> {
        if token.len() > TOKEN_BYTES {
            return Err(Worthless::Foreign);
        }
        let key = DecodingKey::from_secret(&self.0);
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &signature_only());
        let claims = claims.map_err(|_| Worthless::Foreign)?.claims;
        if claims.aud != AUDIENCE {
            return Err(Worthless::Foreign);
        }
        if claims.exp <= seconds(now) {
            return Err(Worthless::Expired);
        }
        let grant = grant(&claims.scope, ' ', &claims.prefix).ok_or(Worthless::Foreign)?;
        Ok((claims.jti, grant))
    }
}

/// Returns the pin that a token carries. The token is the client's own, so nothing is checked here.
pub fn pin_of(token: &Token) -> Result<Pin, NoToken> {
    if token.0.len() > TOKEN_BYTES {
        return Err(NoToken);
    }
    let claims = jsonwebtoken::dangerous::insecure_decode_claims::<Claims>(&token.0);
    let pin = URL_SAFE_NO_PAD.decode(claims.map_err(|_| NoToken)?.pin);
    let pin: [u8; PIN_BYTES] = pin.map_err(|_| NoToken)?.try_into().map_err(|_| NoToken)?;
    Ok(Pin(pin))
}

/// Returns the name in a certificate for a client that may do this.
pub fn client_name(name: &str, grant: &Grant) -> Result<PeerName, blit_proto::pki::PeerNameError> {
    let prefix = match grant.prefix.is_root() {
        true => "-".to_owned(),
        false => URL_SAFE_NO_PAD.encode(grant.prefix.to_bytes()),
    };
    PeerName::client(name, &grant.scopes.words().join("."), &prefix)
}

/// Returns what the name in a certificate allows.
pub(crate) fn grant_of(scopes: &str, prefix: &str) -> Option<Grant> {
    grant(scopes, '.', if prefix == "-" { "" } else { prefix })
}

fn grant(scopes: &str, separator: char, prefix: &str) -> Option<Grant> {
    let prefix = URL_SAFE_NO_PAD.decode(prefix).ok()?;
    Some(Grant {
        scopes: Scopes::parse(scopes, separator).ok()?,
        prefix: RelPath::new(&prefix).ok()?,
    })
}

fn mint(error: &MintError) -> IssueTokenError {
    IssueTokenError::Mint(error.to_string())
}

#[cfg(test)]
mod tests;
