//! By what a client gets in, and whom it takes for the right peer.

use std::fmt;
use std::sync::Arc;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use super::ControlError;
use crate::pki::daemon::{self, ClientCertificate, Trust};
use crate::pki::tls::{self, TlsError};
use crate::pki::{Identity, PeerPattern};

/// Access to the control plane of a mover or of a daemon.
#[derive(Clone, Debug)]
pub enum Access {
    /// To a mover: by the identity of this side, to this peer.
    Mover(Identity, PeerPattern),
    /// To a daemon.
    Daemon(DaemonAccess),
}

/// Access to a daemon: by a token, a certificate, or both.
#[derive(Clone, Debug)]
pub struct DaemonAccess {
    /// Whom this side takes for the daemon.
    pub trust: Trust,
    /// Certificate of this side.
    pub certificate: Option<ClientCertificate>,
    /// Bearer token of this side.
    pub token: Option<Token>,
}

/// A bearer token. It is a secret: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Access {
    /// Returns the configuration for dialling.
    pub fn tls(&self) -> Result<Arc<rustls::ClientConfig>, TlsError> {
        match self {
            Self::Mover(identity, expected) => tls::client_config(identity, expected.clone()),
            Self::Daemon(access) => {
                daemon::client_config(&access.trust, access.certificate.as_ref())
            }
        }
    }

    pub(super) fn bearer(&self) -> Result<Bearer, ControlError> {
        let Self::Daemon(DaemonAccess {
            token: Some(Token(token)),
            ..
        }) = self
        else {
            return Ok(Bearer(None));
        };
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| {
            ControlError::Identity(
                "the token holds characters that no token has; copy the whole line that was \
                     printed when it was issued"
                    .to_owned(),
            )
        })?;
        value.set_sensitive(true);
        Ok(Bearer(Some(value)))
    }

    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Mover(..) => "both sides need the identity of the same attempt",
            Self::Daemon(_) => {
                "use a token that this daemon issued for what you want to do (blit serve --identity DIR \
                 --issue-token), by BLIT_TOKEN or --token-file"
            }
        }
    }
}

/// Puts the bearer token into every call.
#[derive(Clone, Debug)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}
