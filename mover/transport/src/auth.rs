//! Who may open a data socket: one-time tokens, and the proof on both sides that they are held. Who may do
//! what at a daemon: [`bearer`] tokens, and the [`grant`] that they carry.
//!
//! A token is a JWT that only the listener can make and that goes over the data socket in the clear. With
//! it, over the control plane, goes a random key that never does. The dialler proves the key in its first
//! frame, the listener in its answer; a copy of the frame is worth nothing, because the token is spent.
//!
//! Time is a parameter everywhere. Non-goals: sockets, encryption of what follows.

pub mod bearer;
pub(crate) mod first_frame;
pub mod grant;
pub(crate) mod pending;
pub(crate) mod token;

/// Which way the bytes of a data socket go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    /// From the dialler to the listener.
    Push,
    /// From the listener to the dialler.
    Pull,
}
