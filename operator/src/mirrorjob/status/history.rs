//! The attempts of a job: which one is open, which ones count, and when the next may begin.
//!
//! An attempt is open from when its number is written until its end is. Attempts that ended because of something
//! outside the job (a drained node, a suspension) do not count, and neither do those before one that moved data.

use blit_crds::mirrorjob::{Attempt, MirrorJobStatus};
use blit_crds::outcome::{Class, Reason};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How many attempts a status remembers.
const REMEMBERED: usize = 10;
/// Pause after the first failure, as for a Kubernetes Job.
const FIRST_BACK_OFF: SignedDuration = SignedDuration::from_secs(10);
/// Longest pause, as for a Kubernetes Job.
const LONGEST_BACK_OFF: SignedDuration = SignedDuration::from_secs(360);

/// Returns the number of the attempt that is under way.
pub fn open(status: &MirrorJobStatus) -> Option<u32> {
    let last = status.attempts.last()?;
    last.end_time
        .is_none()
        .then(|| u32::try_from(last.number).unwrap_or_default())
}

/// Returns when the attempt that is under way began.
pub fn open_since(status: &MirrorJobStatus) -> Option<Timestamp> {
    let last = status.attempts.last()?;
    last.end_time
        .is_none()
        .then_some(last.start_time.as_ref()?.0)
}

/// Returns whether an attempt to use one pod found no node that takes it.
pub fn alone_refused(status: &MirrorJobStatus) -> bool {
    status
        .attempts
        .iter()
        .any(|attempt| attempt.reason.as_deref() == Some(Reason::Unschedulable.as_str()))
}

/// Returns when the next attempt may begin.
pub fn next_start(status: &MirrorJobStatus) -> Option<Timestamp> {
    let last = status.attempts.last()?;
    let ended = last.end_time.as_ref()?.0;
    if last.reason.as_deref() == Some(Reason::Unschedulable.as_str()) {
        return Some(ended);
    }
    // Attempts that do not count make the pause longer all the same.
    let doublings = u32::try_from(fruitless(status).count().saturating_sub(1)).unwrap_or(0);
    let pause = FIRST_BACK_OFF
        .checked_mul(2_i32.saturating_pow(doublings.min(10)))
        .unwrap_or(LONGEST_BACK_OFF)
        .min(LONGEST_BACK_OFF);
    ended.checked_add(pause).ok()
}

/// Writes down that an attempt begins.
pub(super) fn begin(status: &mut MirrorJobStatus, now: Timestamp) {
    status.attempts_total = status.attempts_total.saturating_add(1);
    status.attempts.push(Attempt {
        number: status.attempts_total,
        start_time: Some(Time(now)),
        ..Attempt::default()
    });
    let excess = status.attempts.len().saturating_sub(REMEMBERED);
    status.attempts.drain(..excess);
}

/// Failed attempts that count against the back-off limit: those since data last moved. Attempts that are no longer
/// remembered count if all that are remembered do.
pub(super) fn failures(status: &MirrorJobStatus) -> i32 {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let fruitless: Vec<&Attempt> = fruitless(status).collect();
    let counted = fruitless.iter().filter(|attempt| counts(attempt)).count();
    let remembered = status.attempts.len();
    if fruitless.len() < remembered || counted < fruitless.len() {
        return number(counted);
    }
    let forgotten = status.attempts_total.saturating_sub(number(remembered));
    number(counted).saturating_add(forgotten)
}

/// Whether every failed attempt that counts ended because nothing moved, as far as is remembered.
pub(super) fn only_stalled(status: &MirrorJobStatus) -> bool {
    let mut counted = fruitless(status)
        .filter(|attempt| counts(attempt))
        .peekable();
    let stalled = Reason::Stalled.as_str();
    counted.peek().is_some() && counted.all(|attempt| attempt.reason.as_deref() == Some(stalled))
}

/// The last attempts that ended without having moved data, the newest first.
fn fruitless(status: &MirrorJobStatus) -> impl Iterator<Item = &Attempt> {
    let ended = status
        .attempts
        .iter()
        .rev()
        .filter(|attempt| attempt.end_time.is_some());
    ended.take_while(|attempt| attempt.bytes_done == 0)
}

/// Whether an attempt counts: not if something outside the job ended it or kept it from starting.
fn counts(attempt: &Attempt) -> bool {
    let word = attempt.reason.as_deref();
    let known = Reason::ALL
        .into_iter()
        .find(|reason| Some(reason.as_str()) == word);
    !known.is_some_and(|reason| {
        matches!(reason, Reason::PodDisrupted | Reason::Interrupted)
            || reason.class() == Class::Waiting
    })
}
