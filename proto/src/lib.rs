//! The `blit.v2` protocol: messages, who may speak, and how to dial.
//!
//! Responsibility: the generated messages and service ([`v2`]), versions ([`version`]), the certificates
//! that say who a peer is and the TLS configurations that check them ([`pki`]), and a client for the
//! control plane ([`control`]).
//!
//! Invariants:
//! - TLS 1.3 only, and what counts is the URI in a certificate (`blit://UID/ATTEMPT/ROLE`), not the address
//!   that it was reached at. Movers both show one; clients of a daemon show one or a bearer token.
//! - The key of an attempt's certificate authority exists only while [`pki::Authority`] does.
//!
//! Non-goals: the server and the data plane (blit-transport), files, Kubernetes.

pub mod control;
pub mod pki;
pub mod version;

/// Messages and service of package `blit.v2`, generated from `blit.proto`.
#[allow(
    missing_docs,
    unused_qualifications,
    unreachable_pub,
    clippy::all,
    clippy::or_fun_call,
    clippy::use_self,
    reason = "generated code"
)]
pub mod v2 {
    tonic::include_proto!("blit.v2");
}

/// Longest message on the control plane, in bytes: the default limit of gRPC. Listings stay far below it
/// ([`LISTING_PART_BYTES`]); one entry with large extended attributes may come near.
pub const MESSAGE_BYTES: usize = 4 << 20;

/// Longest piece of a listing, in bytes, unless a single entry is longer.
pub const LISTING_PART_BYTES: usize = 256 << 10;
