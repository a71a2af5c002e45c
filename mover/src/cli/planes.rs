//! The options of who dials another host: how content may travel.

use super::options::ADVANCED;
use blit_transport::planes::PlanePolicy;
use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

/// Forces content into gRPC, as the option does.
const FORCE_GRPC: &str = "BLIT_FORCE_GRPC_DATA";

/// What is encrypted on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Encryption {
    /// Names, metadata and keys; content travels in the clear
    #[default]
    ControlPlane,
    /// The content of files too
    All,
}

/// Which data planes may be used.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct PlaneArgs {
    /// Send content inside gRPC, over the control port, instead of a port of its own
    ///
    /// It is encrypted and slower. Without this it is done where the data port cannot be reached.
    #[arg(long, env = FORCE_GRPC, value_parser = FalseyValueParser::new())]
    #[arg(help_heading = ADVANCED)]
    pub force_grpc_data: bool,
    /// What is encrypted: the control plane, or the content of files too
    #[arg(long, value_enum, default_value_t = Encryption::ControlPlane, value_name = "WHAT")]
    pub encryption: Encryption,
    /// End with exit code 30 where the data port cannot be reached
    #[arg(long, help_heading = ADVANCED)]
    pub no_fallback: bool,
}

/// An option about content that travels was given, and both sides are on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "SRC and DST are both on this host, so no content travels; leave out --force-grpc-data, --encryption and --no-fallback"
)]
pub struct Unused;

impl PlaneArgs {
    /// Returns what the transport is told.
    pub fn policy(self) -> PlanePolicy {
        let policy = match (self.force_grpc_data, self.no_fallback) {
            (true, _) => PlanePolicy::GRPC,
            (false, true) => PlanePolicy::TCP,
            (false, false) => PlanePolicy::ANY,
        };
        PlanePolicy {
            encrypt: self.encryption == Encryption::All,
            ..policy
        }
    }
    /// Returns the policy of a run that needs none, on one host.
    pub fn unused_here(self) -> Result<PlanePolicy, Unused> {
        // The variable is meant for runs that go elsewhere.
        let forced = self.force_grpc_data && std::env::var_os(FORCE_GRPC).is_none();
        let given = forced || self.no_fallback || self.encryption == Encryption::All;
        if given {
            Err(Unused)
        } else {
            Ok(PlanePolicy::ANY)
        }
    }
}
