//! What a `MirrorJob` must keep beyond the types and bounds of its schema.
//!
//! In a cluster the API server enforces the same through CEL, from `mirrorjob/rules.rs`; a run without
//! one, and an operator that meets an object from before a rule, come here. Beside the rules there is
//! [`unsupported`]: fields that are part of the resource but have no effect in this version, which are
//! refused rather than ignored.
//!
//! Only creation is judged. That most of `spec` cannot be changed concerns the API server alone.

mod rules;
#[cfg(test)]
mod tests;
pub mod unsupported;

use crate::finding::Finding;
use crate::mirrorjob::MirrorJob;

/// Returns everything that is wrong with a job; nothing is wrong if the list is empty.
pub fn validate(job: &MirrorJob) -> Vec<Finding> {
    let mut findings = rules::broken(job);
    findings.extend(unsupported::requested(&job.spec));
    findings
}
