//! A mover that `blit run` started ends with it, even when `run` is killed.

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

/// Environment variable with the process number of the `blit run` that started this mover. Not an argument,
/// because the arguments are exactly those of a pod.
pub const VARIABLE: &str = "BLIT_PARENT_PID";

/// The parent is gone already, or cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    /// The parent ended before this process could ask to be told.
    #[error("the `blit run` that started this mover has ended")]
    Gone,
    /// The kernel refused.
    #[error("cannot follow the process that started this mover: {0}")]
    Refused(#[from] nix::errno::Errno),
}

/// Asks the kernel to end this process, cleanly, when the `blit run` that started it ends. In a pod nothing
/// is asked.
pub fn follow() -> Result<(), ParentError> {
    let Some(parent) = std::env::var(VARIABLE)
        .ok()
        .and_then(|pid| pid.parse().ok())
    else {
        return Ok(());
    };
    set_pdeathsig(Signal::SIGTERM)?;
    // It may have ended before the call above.
    if getppid() == Pid::from_raw(parent) {
        Ok(())
    } else {
        Err(ParentError::Gone)
    }
}
