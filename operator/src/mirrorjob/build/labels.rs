//! The labels of the objects of an attempt, and how they are read back from a pod.

use k8s_openapi::api::core::v1::Pod;

/// Label with the UID of the job: what selectors use, because names of jobs come again.
pub const JOB_UID: &str = "blit.dev/job-uid";
/// Label with the name of the job, for people.
pub const JOB: &str = "blit.dev/mirrorjob";
/// Label that says what the mover does: [`SOURCE`], [`DESTINATION`] or [`LOCAL`].
pub const SIDE: &str = "blit.dev/side";
/// Label with the number of the attempt.
pub const ATTEMPT: &str = "blit.dev/attempt";

/// A mover that reads.
pub const SOURCE: &str = "source";
/// A mover that writes.
pub const DESTINATION: &str = "destination";
/// A mover that does both.
pub const LOCAL: &str = "local";

/// Name of the container of every mover.
pub const CONTAINER: &str = "mover";

/// Annotation of a listening mover with the certificate of the attempt's authority, by which the operator knows
/// the mover again after a restart. It is public; the operator may not read Secrets.
pub const AUTHORITY: &str = "blit.dev/authority";

/// Returns the UID of the job that a mover belongs to.
pub fn job_uid(pod: &Pod) -> Option<&str> {
    label(pod, JOB_UID)
}

/// Returns the name of the job that a mover belongs to.
pub fn job(pod: &Pod) -> Option<&str> {
    label(pod, JOB)
}

/// Returns what a mover does.
pub fn side(pod: &Pod) -> Option<&str> {
    label(pod, SIDE)
}

/// Returns the number of the attempt that a mover belongs to.
pub fn attempt(pod: &Pod) -> Option<u32> {
    label(pod, ATTEMPT)?.parse().ok()
}

/// Returns the certificate of the authority of a listening mover's attempt.
pub fn authority(pod: &Pod) -> Option<&str> {
    pod.metadata
        .annotations
        .as_ref()?
        .get(AUTHORITY)
        .map(String::as_str)
}

fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(key).map(String::as_str)
}
