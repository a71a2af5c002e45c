//! The `blit` program: its command line and what the commands do.
//!
//! [`cli`] parses and dispatches, [`local`] copies on one host, [`verify`] compares,
//! [`pod`] is one side of a MirrorJob, [`serve`] a daemon,
//! [`embedded`] runs a whole MirrorJob on one host, [`report`] is everything that is said meanwhile,
//! [`history`] what is remembered of it on this machine, [`diagnostics`] shows that and looks at the machine.
//!
//! Invariant: every run ends with an exit code of `blit_crds::outcome`, and with `--json` every run that got
//! past its arguments ends with a summary event.
//!
//! Non-goals: files (blit-engine), the wire (blit-transport), clusters (blit-operator).

pub mod cli;
pub mod diagnostics;
pub mod embedded;
pub mod history;
pub mod local;
mod logging;
pub mod pod;
mod process;
pub mod pull;
pub mod push;
mod reception;
pub mod report;
pub mod roots;
pub mod serve;
mod signals;
pub mod verify;
