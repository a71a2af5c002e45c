//! Certificates: who a peer is, and how that is checked.
//!
//! Each attempt of a job has an [`Authority`] of its own that signs one leaf for each side; its key is
//! gone when the value is dropped. A leaf carries one URI ([`PeerName`]) that says which job, attempt and
//! role it is for. [`tls`] accepts nobody else.
//!
//! A daemon has an authority that lasts, see [`daemon`].
//!
//! Invariants: ECDSA P-256; leaves are valid from one hour ago for 30 days; keys never appear in `Debug`.
//! Non-goals: revocation (an attempt is shorter than its certificates), names of hosts.

pub mod daemon;
mod identity;
mod peer;
pub mod tls;

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};

pub use identity::{Identity, IdentityError};
pub use peer::{PeerName, PeerNameError, PeerPattern, Role};

/// How far before now a certificate is valid, for clocks that differ.
const BACKDATE: Duration = Duration::from_secs(3600);

/// How long a certificate is valid: longer than any attempt may last (20 days).
const VALIDITY: Duration = Duration::from_secs(30 * 24 * 3600);

/// A certificate authority for one attempt. Dropping it drops its key: nobody can sign for it any more.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    now: SystemTime,
    /// How long what it signs is valid.
    validity: Duration,
}

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a certificate for {subject}: {source}")]
pub struct IssueError {
    subject: String,
    source: rcgen::Error,
}

impl Authority {
    /// Makes an authority for the job and attempt that `subject` names, valid from `now`.
    pub fn new(subject: &str, now: SystemTime) -> Result<Self, IssueError> {
        let error = |source| IssueError {
            subject: subject.to_owned(),
            source,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(error)?;
        let params = authority_params(subject, now, VALIDITY);
        let certificate = params.self_signed(&key).map_err(error)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
            now,
            validity: VALIDITY,
        })
    }

    /// Makes a key and signs a certificate for it that says it is `peer`.
    pub fn issue(&self, peer: &PeerName) -> Result<Identity, IssueError> {
        let uri = peer.to_string();
        let error = |source| IssueError {
            subject: uri.clone(),
            source,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(error)?;
        let mut params = validity(self.now, self.validity);
        params.distinguished_name = common_name("blit");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Whoever holds a mover's certificate may dial and listen: that depends on the direction.
        params.extended_key_usages = match peer {
            PeerName::Mover { .. } => {
                vec![
                    ExtendedKeyUsagePurpose::ServerAuth,
                    ExtendedKeyUsagePurpose::ClientAuth,
                ]
            }
            PeerName::Operator { .. } | PeerName::Client { .. } => {
                vec![ExtendedKeyUsagePurpose::ClientAuth]
            }
            PeerName::Daemon { .. } => vec![ExtendedKeyUsagePurpose::ServerAuth],
        };
        let name = uri.as_str().try_into().map_err(error)?;
        params.subject_alt_names = vec![SanType::URI(name)];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer).map_err(error)?;
        Ok(Identity::new(
            self.certificate.clone(),
            leaf.pem(),
            key.serialize_pem(),
        ))
    }

    /// Returns the certificate of the authority, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }
}

fn authority_params(subject: &str, now: SystemTime, valid: Duration) -> CertificateParams {
    let mut params = validity(now, valid);
    params.distinguished_name = common_name(&format!("blit authority {subject}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn validity(now: SystemTime, valid: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + valid).into();
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

#[cfg(test)]
mod tests;
