//! The Secret with the identity of a mover. It never changes: an attempt has its own.

use blit_proto::pki::Identity;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::names::{AttemptNames, MoverKind};

/// Makes the Secret of a mover.
pub(super) fn of(names: &AttemptNames, kind: MoverKind, identity: &Identity) -> Secret {
    let entry = |name: &str, pem: &str| (name.to_owned(), ByteString(pem.as_bytes().to_vec()));
    let mut data = vec![
        entry("ca.crt", identity.ca_pem()),
        entry("tls.crt", identity.certificate_pem()),
        entry("tls.key", identity.key_pem()),
    ];
    data.extend(
        identity
            .operator_ca_pem()
            .map(|pem| entry("operator-ca.crt", pem)),
    );
    Secret {
        metadata: names.metadata(kind),
        type_: Some("kubernetes.io/tls".to_owned()),
        immutable: Some(true),
        data: Some(data.into_iter().collect()),
        ..Secret::default()
    }
}
