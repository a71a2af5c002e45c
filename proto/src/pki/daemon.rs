//! Certificates of a daemon: an authority that lasts, its server certificate, those of clients, and the TLS
//! configurations of both sides.
//!
//! A client knows the daemon by the SHA-256 of the authority's certificate (the *pin*) or by the certificate
//! itself. It may show a certificate of its own; without one the daemon lets it in as far as TLS goes, and
//! asks every call for a bearer token.
//!
//! Invariants: TLS 1.3; a client talks to nobody but a `blit://daemon/NAME` whose chain ends at what it
//! trusts; a certificate that a client does show must be of this authority and name a client.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use rcgen::{Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs as provider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerIncompatible, RootCertStore, ServerConfig, SignatureScheme, version::TLS13,
};

use super::tls::{ALPN_H2, TlsError, configuration, expect, roots};
use super::{Authority, Identity, IdentityError, IssueError, PeerPattern, authority_params};

/// How long the authority of a daemon and what it signs are valid: 10 years. A pin is worth nothing after that.
const VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Name of the authority; the same each time, so that it can go on with a stored key.
const SUBJECT: &str = "of a daemon";

/// Length of a pin, in bytes.
pub const PIN_BYTES: usize = 32;

/// SHA-256 of the certificate of an authority.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin(pub [u8; PIN_BYTES]);

/// Whom a client takes for the daemon.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Who shows a chain that ends at the authority with this pin.
    Pin(Pin),
    /// Who was signed for by this authority, PEM.
    Authority(String),
}

/// A certificate of a client with its key, both PEM.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// The daemon showed no chain to the authority that was pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon has another authority than the one that the token was made for")]
pub struct PinMismatch;

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").finish_non_exhaustive()
    }
}

impl Pin {
    /// Returns the pin of an authority, whose certificate is given as PEM.
    pub fn of_pem(authority: &str) -> Result<Self, IdentityError> {
        let certificate =
            CertificateDer::from_pem_slice(authority.as_bytes()).map_err(|error| {
                IdentityError::Invalid {
                    what: "the authority (ca.crt)",
                    reason: error.to_string(),
                }
            })?;
        Ok(Self::of(&certificate))
    }

    fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut pin = [0; PIN_BYTES];
        pin.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        Self(pin)
    }
}

/// Makes the authority of a daemon, valid from `now`. Returns it with its key, PEM, which is to be kept.
pub fn new_authority(now: SystemTime) -> Result<(Authority, String), IssueError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let certificate = authority_params(SUBJECT, now, VALIDITY)
        .self_signed(&key)
        .map_err(failed)?
        .pem();
    let key_pem = key.serialize_pem();
    Ok((authority(certificate, key, now, VALIDITY), key_pem))
}

/// Goes on with the stored authority of a daemon: what it signs is valid from `now` for `valid`.
pub fn stored_authority(
    certificate: String,
    key: &str,
    now: SystemTime,
    valid: Duration,
) -> Result<Authority, IssueError> {
    let key = KeyPair::from_pem(key).map_err(failed)?;
    Ok(authority(certificate, key, now, valid))
}

fn authority(certificate: String, key: KeyPair, now: SystemTime, validity: Duration) -> Authority {
    Authority {
        issuer: Issuer::new(authority_params(SUBJECT, now, VALIDITY), key),
        certificate,
        now,
        validity,
    }
}

fn failed(source: rcgen::Error) -> IssueError {
    IssueError {
        subject: "a daemon".to_owned(),
        source,
    }
}

/// Returns the configuration of a daemon. It shows its authority too, so that a client can look for the pin.
pub fn server_config(identity: &Identity) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(provider::default_provider());
    let (certificate, key) = identity.leaf()?;
    let (ca, _) = identity.authorities()?;
    let clients =
        WebPkiClientVerifier::builder_with_provider(roots([ca.clone()])?.into(), provider.clone())
            // The authority would be sent to anybody who connects.
            .clear_root_hint_subjects()
            .allow_unauthenticated()
            .build()
            .map_err(|error| TlsError::Configuration(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(configuration)?
        .with_client_cert_verifier(Arc::new(Clients(clients)))
        .with_single_cert(vec![certificate, ca], key)
        .map_err(configuration)?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.send_tls13_tickets = 0;
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

/// Returns the configuration of a client: the handshake fails unless the server is a daemon that it trusts.
pub fn client_config(
    trust: &Trust,
    own: Option<&ClientCertificate>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(provider::default_provider());
    let verifier = Daemons {
        trusted: match trust {
            Trust::Pin(pin) => Trusted::Pin(*pin),
            Trust::Authority(pem) => Trusted::Roots(roots([pem_certificate(pem, "--tls-ca")?])?),
        },
        algorithms: provider.signature_verification_algorithms,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(configuration)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).map_err(|error| {
                IdentityError::Invalid {
                    what: "the key of the client (--tls-key)",
                    reason: error.to_string(),
                }
            })?;
            let certificate = pem_certificate(&own.certificate, "--tls-cert")?;
            builder
                .with_client_auth_cert(vec![certificate], key)
                .map_err(configuration)?
        }
    };
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.enable_sni = false;
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

fn pem_certificate(
    pem: &str,
    option: &'static str,
) -> Result<CertificateDer<'static>, IdentityError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| IdentityError::Invalid {
        what: option,
        reason: error.to_string(),
    })
}

#[derive(Debug)]
enum Trusted {
    Pin(Pin),
    Roots(RootCertStore),
}

#[derive(Debug)]
struct Daemons {
    trusted: Trusted,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Daemons {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let pinned;
        let roots = match &self.trusted {
            Trusted::Roots(roots) => roots,
            Trusted::Pin(pin) => {
                let authority = intermediates.iter().find(|shown| Pin::of(shown) == *pin);
                let authority = authority.ok_or_else(|| {
                    let mismatch = OtherError(Arc::new(PinMismatch));
                    Error::InvalidCertificate(CertificateError::Other(mismatch))
                })?;
                let mut store = RootCertStore::empty();
                store.add(authority.clone().into_owned())?;
                pinned = store;
                &pinned
            }
        };
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, &[], now, self.algorithms.all)?;
        expect(end_entity, &[PeerPattern::AnyDaemon])?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Checks the certificate of a client that shows one.
#[derive(Debug)]
struct Clients(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.0.verify_client_cert(end_entity, intermediates, now)?;
        expect(end_entity, &[PeerPattern::AnyClient])?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
