//! Who the operator is for movers: its own authority and the client certificate that it signs.
//!
//! Both live in one Secret of the operator's namespace, shared by all replicas: `ca.crt`, `ca.key`, `tls.crt`
//! and `tls.key`. Movers get `ca.crt` as `operator-ca.crt` and let its holder ping, follow and cancel only. The
//! authority's key is kept, other than an attempt's, because an authority must outlive every attempt that
//! trusts it: it is valid for ten years, the client certificate for 30 days, and that is renewed when
//! less than a third is left.
//!
//! Invariants: only that Secret is read and written (get, create, update), every write is guarded by its
//! resourceVersion, and of two replicas that make it the first wins. A Secret that is broken or about to
//! expire is replaced as a whole; attempts that run then cannot be followed any more, but finish.
//! Non-goals: the authorities of attempts ([`crate::identity`]).

mod material;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

use blit_proto::pki::Identity;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client, Error};
use thiserror::Error;
use tracing::{info, warn};

use material::{Material, Verdict};

pub use material::MaterialError;

/// Name of the Secret.
pub const SECRET_NAME: &str = "blit-operator-ca";

/// How often a write may lose against another replica before that is an error.
const WRITES: usize = 5;

/// The operator's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorIdentity {
    /// Its certificate and key, and its own authority.
    pub identity: Identity,
    /// Certificate of its authority, PEM: what movers trust as `operator-ca.crt`.
    pub ca_pem: String,
    /// When [`load`] should be called again.
    pub renew_at: SystemTime,
}

/// The identity of the operator cannot be had.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// The API server refuses.
    #[error(
        "cannot {verb} Secret {namespace}/{SECRET_NAME}: {source}; the operator needs get, create and update on it"
    )]
    Secret {
        /// What was tried.
        verb: &'static str,
        /// Namespace of the operator.
        namespace: String,
        /// Why.
        source: Box<Error>,
    },
    /// Other replicas always were faster.
    #[error(
        "cannot write Secret {namespace}/{SECRET_NAME}: it changed {WRITES} times meanwhile; look for another program that writes it"
    )]
    Contended {
        /// Namespace of the operator.
        namespace: String,
    },
    /// A certificate cannot be made.
    #[error(transparent)]
    Material(#[from] MaterialError),
}

impl OperatorIdentity {
    /// Returns the identity with which the operator dials the movers of an attempt: it is known to them
    /// by the operator's authority, and they to it by their own (`attempt_ca`, PEM).
    pub fn towards(&self, attempt_ca: &str) -> Identity {
        Identity::new(
            attempt_ca.to_owned(),
            self.identity.certificate_pem().to_owned(),
            self.identity.key_pem().to_owned(),
        )
    }
}

/// Reads the operator's identity from its namespace; makes or renews it where that is due at `now`.
///
/// # Errors
/// Fails when the Secret cannot be read or written.
pub async fn load(
    client: &Client,
    namespace: &str,
    now: SystemTime,
) -> Result<OperatorIdentity, AuthorityError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let failed = |verb| {
        move |source| AuthorityError::Secret {
            verb,
            namespace: namespace.to_owned(),
            source: Box::new(source),
        }
    };
    for _ in 0..WRITES {
        let found = api.get_opt(SECRET_NAME).await.map_err(failed("get"))?;
        let verdict = found.as_ref().map_or(Verdict::Missing, |secret| {
            material::judge(&stored(secret), now)
        });
        let fresh = match verdict {
            Verdict::Good(identity) => return Ok(identity),
            Verdict::Missing => Material::new(now)?,
            Verdict::LeafDue(material) => material.with_new_leaf(now)?,
            Verdict::Unusable(reason) => {
                warn!("makes a new authority of the operator: {reason}");
                Material::new(now)?
            }
        };
        let secret = secret(namespace, found.as_ref(), &fresh);
        let params = PostParams::default();
        let (verb, written) = match found {
            Some(_) => ("update", api.replace(SECRET_NAME, &params, &secret).await),
            None => ("create", api.create(&params, &secret).await),
        };
        match written {
            Ok(_) => info!("wrote the identity of the operator"),
            // Another replica was faster: take what it wrote.
            Err(Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(failed(verb)(error)),
        }
    }
    Err(AuthorityError::Contended {
        namespace: namespace.to_owned(),
    })
}

/// Reads what a Secret holds; what is missing or not text is empty, and judged later.
fn stored(secret: &Secret) -> Material {
    let data = secret.data.clone().unwrap_or_default();
    let text = |name: &str| {
        let bytes = data.get(name).map(|bytes| bytes.0.clone());
        String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    };
    Material {
        ca: text("ca.crt"),
        ca_key: text("ca.key"),
        certificate: text("tls.crt"),
        key: text("tls.key"),
    }
}

/// Returns the Secret to write; with the resourceVersion of the one that was read.
fn secret(namespace: &str, before: Option<&Secret>, material: &Material) -> Secret {
    let files = [
        ("ca.crt", &material.ca),
        ("ca.key", &material.ca_key),
        ("tls.crt", &material.certificate),
        ("tls.key", &material.key),
    ];
    let labels = [
        ("app.kubernetes.io/name", "blit"),
        ("app.kubernetes.io/component", "operator"),
    ];
    let kept = before.map_or_else(ObjectMeta::default, |secret| secret.metadata.clone());
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let mut all_labels = kept.labels.clone().unwrap_or_default();
    all_labels.extend(labels.map(owned));
    Secret {
        metadata: ObjectMeta {
            name: Some(SECRET_NAME.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(all_labels),
            managed_fields: None,
            ..kept
        },
        data: Some(
            files
                .map(|(name, text)| (name.to_owned(), ByteString(text.clone().into_bytes())))
                .into(),
        ),
        ..Secret::default()
    }
}
