//! TLS configurations for both sides: version 1.3, mutual, the peer identified by the URI in its
//! certificate.
//!
//! Invariants: a handshake succeeds only if the certificate of the peer was signed by the authority of
//! the attempt (operators: or by the authority for operators), is valid now, and names exactly one peer,
//! which is expected. Sessions are never resumed, so that this is checked every time. Keys may be taken out of a connection,
//! for a kernel that goes on with it.
//! Non-goals: names of hosts; where a peer can be reached says nothing about who it is.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerIncompatible, RootCertStore, ServerConfig, SignatureScheme, version::TLS13,
};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::daemon::PinMismatch;
use super::{Identity, IdentityError, PeerName, PeerPattern};

/// Protocol spoken inside TLS.
pub(super) const ALPN_H2: &[u8] = b"h2";

/// A TLS configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The identity is not usable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Certificate, key and authority do not go together.
    #[error("certificate, key and authority do not go together: {0}")]
    Configuration(String),
}

/// A certificate does not say who its holder is, or somebody else than expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The certificate cannot be read, or holds none or several names.
    #[error("the certificate of the peer does not name exactly one blit:// peer")]
    NoName,
    /// It is a valid certificate of somebody else.
    #[error("the peer is {found}, expected {expected}")]
    Unexpected {
        /// Who it is.
        found: PeerName,
        /// Who was expected.
        expected: String,
    },
}

/// Returns the configuration for listening: only peers that match one of `accepted` get in.
pub fn server_config(
    identity: &Identity,
    accepted: Vec<PeerPattern>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let (certificate, key) = identity.leaf()?;
    let verifier = ClientVerifier::new(identity, accepted, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(configuration)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(vec![certificate], key)
        .map_err(configuration)?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.send_tls13_tickets = 0;
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

/// Returns the configuration for dialling: the handshake fails unless the server is `expected`.
pub fn client_config(
    identity: &Identity,
    expected: PeerPattern,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let (certificate, key) = identity.leaf()?;
    let (ca, _) = identity.authorities()?;
    let verifier = ServerVerifier {
        roots: roots([ca])?,
        expected,
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(configuration)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![certificate], key)
        .map_err(configuration)?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.enable_sni = false;
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

/// Returns who a certificate was issued to. The signature is not checked here.
pub fn peer_name(certificate: &CertificateDer<'_>) -> Result<PeerName, PeerError> {
    let (_, certificate) =
        X509Certificate::from_der(certificate.as_ref()).map_err(|_| PeerError::NoName)?;
    let mut uris = certificate.extensions().iter().flat_map(|extension| {
        let names = match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => names.general_names.as_slice(),
            _ => &[],
        };
        names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
    });
    let (Some(uri), None) = (uris.next(), uris.next()) else {
        return Err(PeerError::NoName);
    };
    uri.parse().map_err(|_| PeerError::NoName)
}

/// Returns what is wrong in words; rustls shows errors of verifiers only as debug output.
pub fn explain(error: &Error) -> String {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return error.to_string();
    };
    let peer = other.0.downcast_ref::<PeerError>().map(ToString::to_string);
    let pin = || {
        other
            .0
            .downcast_ref::<PinMismatch>()
            .map(ToString::to_string)
    };
    peer.or_else(pin).unwrap_or_else(|| error.to_string())
}

#[derive(Debug)]
struct ServerVerifier {
    roots: RootCertStore,
    expected: PeerPattern,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        expect(end_entity, std::slice::from_ref(&self.expected))?;
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

/// Checks clients. The name that a certificate claims decides which authorities may have signed it, so
/// that the authority for operators cannot vouch for a mover.
#[derive(Debug)]
struct ClientVerifier {
    movers: Arc<dyn ClientCertVerifier>,
    operators: Arc<dyn ClientCertVerifier>,
    accepted: Vec<PeerPattern>,
}

impl ClientVerifier {
    fn new(
        identity: &Identity,
        accepted: Vec<PeerPattern>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let (ca, operator_ca) = identity.authorities()?;
        let verifier = |roots: RootCertStore| {
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
                // The authorities would be sent to anybody who connects.
                .clear_root_hint_subjects()
                .build()
                .map_err(|error| TlsError::Configuration(error.to_string()))
        };
        let movers = verifier(roots([ca.clone()])?)?;
        let operators = match operator_ca {
            Some(operator_ca) => verifier(roots([ca, operator_ca])?)?,
            None => Arc::clone(&movers),
        };
        Ok(Self {
            movers,
            operators,
            accepted,
        })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verifier = match peer_name(end_entity) {
            Ok(PeerName::Operator { .. }) => &self.operators,
            _ => &self.movers,
        };
        let verified = verifier.verify_client_cert(end_entity, intermediates, now)?;
        expect(end_entity, &self.accepted)?;
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
        self.movers.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.movers.supported_verify_schemes()
    }
}

pub(super) fn expect(
    certificate: &CertificateDer<'_>,
    accepted: &[PeerPattern],
) -> Result<(), Error> {
    let refuse =
        |error| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))));
    let found = peer_name(certificate).map_err(refuse)?;
    if accepted.iter().any(|pattern| pattern.matches(&found)) {
        return Ok(());
    }
    let expected = accepted
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" or ");
    Err(refuse(PeerError::Unexpected { found, expected }))
}

pub(super) fn roots<const N: usize>(
    authorities: [CertificateDer<'static>; N],
) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for authority in authorities {
        store.add(authority).map_err(configuration)?;
    }
    Ok(store)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function for map_err"
)]
pub(super) fn configuration(error: Error) -> TlsError {
    TlsError::Configuration(error.to_string())
}

#[cfg(test)]
mod tests;
