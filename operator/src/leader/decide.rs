//! What to do about a Lease. Pure.

use std::time::Duration;

use super::{LEASE_DURATION, RETRY_PERIOD};

/// What counts of a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// Who holds it; `None` if it was given back.
    pub holder: Option<String>,
    /// How long it is valid after its last change, as its holder wrote; `None` if it does not say.
    pub duration: Option<Duration>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nobody holds it, or whoever does is gone: try to take it.
    Acquire,
    /// We hold it: renew it.
    Renew,
    /// Somebody else holds it: look again after this time.
    Wait(Duration),
}

/// Returns what `me` does about a Lease (`None`: there is none) at `now`, when its last change was first
/// seen here at `observed`. Both times are of the same local clock.
pub fn evaluate(lease: Option<&LeaseView>, me: &str, observed: Duration, now: Duration) -> Action {
    let Some(lease) = lease else {
        return Action::Acquire;
    };
    let holder = lease.holder.as_deref().unwrap_or_default();
    if holder.is_empty() {
        return Action::Acquire;
    }
    if holder == me {
        return Action::Renew;
    }
    let end = observed.saturating_add(lease.duration.unwrap_or(LEASE_DURATION));
    match end.checked_sub(now) {
        Some(left) if !left.is_zero() => Action::Wait(left.min(RETRY_PERIOD)),
        _ => Action::Acquire,
    }
}
