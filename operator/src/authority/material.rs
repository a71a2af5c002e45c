//! Keys and certificates of the operator: made, renewed and judged. No cluster, no clock.

use std::time::{Duration, SystemTime};

use blit_proto::pki::{Identity, PeerName, PeerNameError};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use thiserror::Error;
use x509_parser::pem::parse_x509_pem;

use super::OperatorIdentity;

/// How far before now a certificate is valid, for clocks that differ.
const BACKDATE: Duration = Duration::from_secs(3600);

/// How long the authority is valid.
const CA_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How long a client certificate is valid.
const LEAF_VALIDITY: Duration = Duration::from_secs(30 * 24 * 3600);

/// A client certificate with less than this left is renewed.
const LEAF_RENEWAL: Duration = Duration::from_secs(10 * 24 * 3600);

/// An authority with less than this left is replaced: it must outlive the certificates it signs, and the
/// attempts (20 days) that begin now.
const CA_RENEWAL: Duration = Duration::from_secs(31 * 24 * 3600);

/// What the operator calls itself in its certificate.
const OPERATOR_NAME: &str = "blit-operator";

/// What the Secret holds, PEM.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Material {
    pub(super) ca: String,
    pub(super) ca_key: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

/// What is to be done with a Secret.
pub(super) enum Verdict {
    /// There is none.
    Missing,
    /// It can be used.
    Good(OperatorIdentity),
    /// The authority is good, but the client certificate is not, or not for long.
    LeafDue(Material),
    /// It cannot be used, and why.
    Unusable(String),
}

/// A certificate of the operator cannot be made.
#[derive(Debug, Error)]
pub enum MaterialError {
    /// Keys or signatures fail.
    #[error("cannot make a certificate for the operator: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The name cannot stand in a certificate.
    #[error("cannot name the operator in its certificate: {0}")]
    Name(#[from] PeerNameError),
}

impl Material {
    /// Makes an authority and a client certificate, valid from `now`.
    pub(super) fn new(now: SystemTime) -> Result<Self, MaterialError> {
        let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = authority_params(&ca_key);
        params.not_before = (now - BACKDATE).into();
        params.not_after = (now + CA_VALIDITY).into();
        let authority = Self {
            ca: params.self_signed(&ca_key)?.pem(),
            ca_key: ca_key.serialize_pem(),
            certificate: String::new(),
            key: String::new(),
        };
        authority.with_new_leaf(now)
    }

    /// Makes another client certificate with the same authority.
    pub(super) fn with_new_leaf(self, now: SystemTime) -> Result<Self, MaterialError> {
        let ca_key = KeyPair::from_pem(&self.ca_key)?;
        let issuer = Issuer::new(authority_params(&ca_key), ca_key);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.not_before = (now - BACKDATE).into();
        params.not_after = (now + LEAF_VALIDITY).into();
        params.distinguished_name = common_name("blit operator");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let name = PeerName::operator(OPERATOR_NAME)?.to_string();
        params.subject_alt_names = vec![SanType::URI(name.as_str().try_into()?)];
        params.use_authority_key_identifier_extension = true;
        Ok(Self {
            certificate: params.signed_by(&key, &issuer)?.pem(),
            key: key.serialize_pem(),
            ..self
        })
    }
}

/// Returns what is to be done with what a Secret holds.
pub(super) fn judge(stored: &Material, now: SystemTime) -> Verdict {
    let Some(ca) = Facts::of(&stored.ca, &stored.ca_key) else {
        return Verdict::Unusable("ca.crt and ca.key are not a pair".to_owned());
    };
    if ca.left(now) < CA_RENEWAL {
        return Verdict::Unusable("its authority expires".to_owned());
    }
    let leaf = Facts::of(&stored.certificate, &stored.key);
    match leaf.filter(|leaf| leaf.issuer == ca.subject && leaf.left(now) > LEAF_RENEWAL) {
        Some(leaf) => Verdict::Good(OperatorIdentity {
            identity: Identity::new(
                stored.ca.clone(),
                stored.certificate.clone(),
                stored.key.clone(),
            ),
            ca_pem: stored.ca.clone(),
            renew_at: leaf.end - LEAF_RENEWAL,
        }),
        None => Verdict::LeafDue(stored.clone()),
    }
}

/// What counts of a certificate whose key is at hand.
struct Facts {
    subject: Vec<u8>,
    issuer: Vec<u8>,
    start: SystemTime,
    end: SystemTime,
}

impl Facts {
    /// Reads a certificate; `None` if it cannot be read or the key is another's.
    fn of(certificate: &str, key: &str) -> Option<Self> {
        let key = KeyPair::from_pem(key).ok()?;
        let (_, pem) = parse_x509_pem(certificate.as_bytes()).ok()?;
        let certificate = pem.parse_x509().ok()?;
        if *certificate.public_key().subject_public_key.data != *key.public_key_raw() {
            return None;
        }
        let time = |seconds: i64| {
            let since = Duration::from_secs(u64::try_from(seconds).ok()?);
            SystemTime::UNIX_EPOCH.checked_add(since)
        };
        let validity = certificate.validity();
        Some(Self {
            subject: certificate.subject().as_raw().to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
            start: time(validity.not_before.timestamp())?,
            end: time(validity.not_after.timestamp())?,
        })
    }

    /// Returns how long the certificate is valid from `now` on; nothing if it is not valid yet.
    fn left(&self, now: SystemTime) -> Duration {
        if now < self.start {
            return Duration::ZERO;
        }
        self.end.duration_since(now).unwrap_or_default()
    }
}

/// The parameters of the authority with this key but for its time. Its name is made from the key, so that
/// a certificate tells which authority signed it.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let id = blake3::hash(key.public_key_raw()).to_hex();
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("blit operator authority {}", &id[..16]));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
