//! Sessions over loopback, with real trees and with peers that lie.

#![expect(clippy::unwrap_used, reason = "a failure is what a test is for")]

mod harness;
mod sessions;
