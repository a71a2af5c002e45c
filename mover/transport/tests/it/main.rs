//! Sessions over loopback, with real trees and with peers that lie.

#![expect(clippy::unwrap_used, reason = "a failure is what a test is for")]

mod any_certificate;
mod door;
mod fake;
mod harness;
mod hashes;
mod identities;
mod loss;
mod lying_destination;
mod lying_giver;
mod lying_source;
mod planes;
mod pull;
mod served;
mod sessions;
mod stalled;
