//! The progress deadline of sessions that write at a daemon: one in which nothing moves gives back its place.

use std::time::Duration;

use blit_engine::run::Cancel;

use crate::pod::watchdog;
use crate::report::figures::Figures;
use crate::report::output::{OnFigures, Outputs};

/// How long a run that does not move may take to end before that is logged.
const GRACE: Duration = Duration::from_secs(30);

/// Adds what ends a run in which nothing moves for so long.
pub(super) fn watched(
    outputs: Outputs,
    deadline: Duration,
    cancel: &Cancel,
    who: &str,
) -> std::io::Result<Outputs> {
    let (cancel, who) = (cancel.clone(), who.to_owned());
    // A daemon does not end for one run that hangs in a system call; it keeps its place.
    let stuck = move || tracing::error!(who, "a run that does not move cannot be ended");
    let feed = watchdog::watch(deadline, GRACE, move || cancel.stall(), stuck)?;
    Ok(outputs.with(OnFigures(move |figures: &Figures| feed.figures(figures))))
}
