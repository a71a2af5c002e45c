//! Everything between two hosts: one session that carries a listing one way, wants the other way, and
//! bytes over sockets of their own.
//!
//! - [`destination`]: listens and takes one session, or dials one, and gives the engine a listing and arriving
//!   content.
//! - [`source`]: dials, or is dialled by way of a daemon; scans, sends.
//! - [`monitor`]: where a run that needs no session is followed and ended.
//! - [`daemon`]: takes sessions of many clients, and answers their questions. [`client`]: asks them. [`trial`]: tries a
//!   connection to one, step by step.
//! - `wire`: what messages and frames mean, without input or output. [`auth`]: tokens for data sockets and
//!   for people, and what they allow. [`path`]: a path below a root.
//!   `control`: the gRPC server. `dialler`: opens data streams from the side that dials. `refusals`: what the log says of strangers. [`data`]: the data plane. `tune`: socket options, and what the kernel knows of a path.
//!
//! Invariants:
//! - The destination decides; nothing that a source sends can widen what is deleted or name anything
//!   outside the root. The source opens only names that it listed itself.
//! - Every length that comes from a peer has a limit that is checked before memory is taken for it.
//! - A peer that breaks the protocol ends its session with an error; it never causes a panic.
//! - No byte of content moves over a socket before both ends have proved that they hold its token.
//!
//! Non-goals: files (blit-engine), Kubernetes, arguments, terminal output. There is no
//! resumption of a file in a later session yet.

pub mod auth;
pub mod client;
pub mod daemon;
pub mod data;
pub mod destination;
pub mod error;
pub mod location;
pub mod monitor;
pub mod path;
pub mod planes;
pub mod reach;
pub mod source;
pub mod trial;

mod control;
mod dialler;
mod refusals;
mod stop;
mod sync;
mod tune;
mod wire;

pub use error::{DataFailure, Kind, TransportError};
