//! The other host as a person names it, `blit://HOST[:PORT]/PATH`, and by what this side gets in there.
//!
//! Invariant: a token never stands on a command line, where every user of the host could read it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use blit_crds::outcome::ExitCode;
use blit_engine::entry::Escaped;
use blit_engine::fs::dir::display_path;
use blit_proto::control::access::{DaemonAccess, Token};
use blit_proto::pki::daemon::{ClientCertificate, Trust};
use blit_transport::auth::bearer::{NoToken, pin_of};
use blit_transport::client::Remote;
use blit_transport::path::{InvalidPath, RelPath};
use clap::Args;

use crate::serve::CONTROL_PORT;

/// Environment variable with a token.
pub const TOKEN_VARIABLE: &str = "BLIT_TOKEN";

/// How a remote operand begins.
const SCHEME: &[u8] = b"blit://";

/// Largest file with a token or a certificate, in bytes.
const FILE_BYTES: u64 = 64 << 10;

/// A place at a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteUrl {
    host: String,
    port: u16,
    /// The path below the root of the daemon, as it was written but for the percent-encoding.
    path: Vec<u8>,
}

/// A remote operand that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{url}`: {reason}; write blit://HOST[:PORT]/PATH")]
pub struct InvalidUrl {
    url: String,
    reason: String,
}

/// By what this side gets in at a daemon.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Other hosts")]
pub struct AccessArgs {
    /// Read the token from a file; without the option it is taken from the variable BLIT_TOKEN
    ///
    /// The daemon makes it: blit serve --identity DIR --issue-token. It also says which daemon is the
    /// right one.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Show this certificate instead of a token
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Key of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Talk only to a daemon whose certificate this authority signed
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
}

/// This side has no access to a daemon.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// There is neither token nor certificate.
    #[error(
        "there is no token for another host; put the line that `blit serve --identity DIR --issue-token` prints \
         into the variable BLIT_TOKEN, or into a file and name that (--token-file)"
    )]
    None,
    /// The certificate of the daemon's authority is missing.
    #[error(
        "--tls-cert says who you are, but not who the daemon is; name its authority too (--tls-ca)"
    )]
    NoAuthority,
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}; check the path and its permissions", display_path(.path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was given is no token.
    #[error("{place}: {error}")]
    Token {
        /// Where it was found.
        place: String,
        /// What is wrong.
        error: NoToken,
    },
}

impl AccessError {
    /// Returns the exit code for this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::None | Self::NoAuthority => ExitCode::NotAuthenticated,
            Self::Token { .. } => ExitCode::NotAuthenticated,
            Self::Read { .. } => ExitCode::Usage,
        }
    }
}

impl RemoteUrl {
    /// Returns true if an operand is on another host.
    pub fn is_remote(argument: &OsStr) -> bool {
        let start = argument.as_bytes().get(..SCHEME.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
    }

    /// Parses an operand that is on another host.
    pub fn parse(argument: &OsStr) -> Result<Self, InvalidUrl> {
        let bytes = argument.as_bytes();
        parse(bytes).map_err(|reason| InvalidUrl {
            url: Escaped(bytes).to_string(),
            reason,
        })
    }

    /// Returns the address of the control plane, `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Returns the path below the root of the daemon.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Returns the last name of the path; `None` for the root.
    pub fn file_name(&self) -> Option<OsString> {
        let path = RelPath::new(&self.path).ok()?;
        let (_, name) = path.split_last()?;
        Some(OsStr::from_bytes(name).to_owned())
    }

    /// Returns true if the path was written as that of a directory.
    pub fn names_directory(&self) -> bool {
        self.path.is_empty() || self.path.ends_with(b"/")
    }

    /// Returns the daemon, for somebody with this access.
    pub fn remote(&self, access: DaemonAccess) -> Remote {
        Remote {
            address: self.address(),
            access,
        }
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blit://{}/{}", self.address(), Escaped(&self.path))
    }
}

impl AccessArgs {
    /// Returns true if nothing was given: what local runs need.
    pub fn is_empty(&self) -> bool {
        let Self {
            token_file,
            tls_cert,
            tls_key,
            tls_ca,
        } = self;
        [token_file, tls_cert, tls_key, tls_ca]
            .iter()
            .all(|option| option.is_none())
    }

    /// Returns the access, reading the files that hold it.
    pub fn access(&self) -> Result<DaemonAccess, AccessError> {
        let certificate = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(ClientCertificate {
                certificate: read(certificate)?,
                key: read(key)?,
            }),
            _ => None,
        };
        let token = self.token(certificate.is_some())?;
        let trust = match (&self.tls_ca, &token) {
            (Some(authority), _) => Trust::Authority(read(authority)?),
            (None, Some((token, place))) => Trust::Pin(pin_of(token).map_err(|error| {
                let place = place.clone();
                AccessError::Token { place, error }
            })?),
            (None, None) if certificate.is_some() => return Err(AccessError::NoAuthority),
            (None, None) => return Err(AccessError::None),
        };
        if token.is_none() && certificate.is_none() {
            return Err(AccessError::None);
        }
        Ok(DaemonAccess {
            trust,
            certificate,
            token: token.map(|(token, _)| token),
        })
    }

    /// Returns the token and where it was found. The variable is not looked at where a certificate was named.
    fn token(&self, certificate: bool) -> Result<Option<(Token, String)>, AccessError> {
        if let Some(file) = &self.token_file {
            let token = Token(read(file)?.trim().to_owned());
            return Ok(Some((token, display_path(file))));
        }
        let variable = std::env::var(TOKEN_VARIABLE).ok();
        let token = variable.map(|token| token.trim().to_owned());
        let token = token.filter(|token| !token.is_empty() && !certificate);
        Ok(token.map(|token| (Token(token), TOKEN_VARIABLE.to_owned())))
    }
}

fn read(path: &Path) -> Result<String, AccessError> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES).read_to_string(&mut text))
        .map_err(|source| AccessError::Read {
            path: path.to_owned(),
            source,
        })?;
    Ok(text)
}

fn parse(url: &[u8]) -> Result<RemoteUrl, String> {
    let rest = url.get(SCHEME.len()..).unwrap_or_default();
    let (authority, path) = match rest.iter().position(|byte| *byte == b'/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, &b"/"[..]),
    };
    let authority = std::str::from_utf8(authority).map_err(|_| "the host is not text")?;
    if authority.contains('@') {
        return Err("a URL holds no user and no token; a token goes into BLIT_TOKEN".to_owned());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']').ok_or("`[` without `]`")?;
            let address: std::net::Ipv6Addr = host
                .parse()
                .map_err(|_| "what is in brackets is no IPv6 address")?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err("something follows the brackets".to_owned()),
            };
            (format!("[{address}]"), port)
        }
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address stands in brackets".to_owned());
            }
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (authority.to_owned(), None),
        },
    };
    let named = |c: char| c.is_alphanumeric() || "[]:-._".contains(c);
    if host.is_empty() || !host.chars().all(named) {
        return Err("the host is missing or no name".to_owned());
    }
    let port = match port {
        None => CONTROL_PORT,
        Some(port) => (port.parse().ok().filter(|port| *port > 0))
            .ok_or("the port is not a number from 1 to 65535")?,
    };
    let path = decode(&path[1..])?;
    RelPath::new(&path).map_err(|error: InvalidPath| error.to_string())?;
    Ok(RemoteUrl { host, port, path })
}

/// Decodes `%41`. Everything else stands for itself.
fn decode(path: &[u8]) -> Result<Vec<u8>, String> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || {
                    let digit = bytes.next().and_then(|byte| char::from(*byte).to_digit(16));
                    digit.and_then(|digit| u8::try_from(digit).ok())
                };
                match (digit(), digit()) {
                    (Some(high), Some(low)) => high * 16 + low,
                    _ => {
                        return Err(
                            "`%` is followed by two hexadecimal digits; `%` itself is %25"
                                .to_owned(),
                        );
                    }
                }
            }
            b'?' | b'#' => {
                return Err("in a path `?` is written %3F, and `#` is written %23".to_owned());
            }
            other => *other,
        });
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests;
