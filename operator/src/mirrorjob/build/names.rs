//! Names, labels and ownership of the objects of an attempt.

use std::collections::BTreeMap;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{API_VERSION, KIND, Side};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use super::Facts;
use crate::mirrorjob::validate::ValidatedJob;

/// Label with the UID of the job: what selectors use, because names of jobs come again.
const JOB_UID: &str = "blit.dev/job-uid";
/// Label with the name of the job, for people.
const JOB: &str = "blit.dev/mirrorjob";
/// Label with the side.
const SIDE: &str = "blit.dev/side";
/// Label with the number of the attempt.
const ATTEMPT: &str = "blit.dev/attempt";

/// Longest name of a pod that is also its host name.
const MAX_NAME: usize = 63;
/// Characters of the hash that tells jobs of one name apart.
const HASH: usize = 8;

/// Names, labels and ownership of the objects of one attempt.
#[derive(Clone, Debug)]
pub struct AttemptNames {
    job: String,
    namespace: Option<String>,
    job_uid: String,
    attempt: u32,
    owner: Option<OwnerReference>,
}

impl AttemptNames {
    /// Takes them from the job and the number of the attempt.
    pub fn new(job: &ValidatedJob, facts: &Facts) -> Self {
        let owner = job.uid().map(|uid| OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            name: job.name().to_owned(),
            uid: uid.to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        });
        Self {
            job: job.name().to_owned(),
            namespace: job.namespace().map(str::to_owned),
            job_uid: facts.job_uid.clone(),
            attempt: facts.attempt,
            owner,
        }
    }

    /// Returns the name of every object of a side: `NAME-HASH-aN-SIDE`, NAME cut to fit.
    pub fn of(&self, side: Side) -> String {
        let hash = &blake3::hash(self.job_uid.as_bytes()).to_hex()[..HASH];
        let tail = format!("-{hash}-a{}-{side}", self.attempt);
        let room = MAX_NAME.saturating_sub(tail.len());
        let head: String = self.job.replace('.', "-").chars().take(room).collect();
        format!("{}{tail}", head.trim_end_matches('-'))
    }

    /// Returns the metadata of every object of a side.
    pub(super) fn metadata(&self, side: Side) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.of(side)),
            namespace: self.namespace.clone(),
            labels: Some(self.labels(side)),
            owner_references: self.owner.clone().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }

    /// Returns the selector of the pod of a side.
    pub(super) fn selector(&self, side: Side) -> LabelSelector {
        let labels = [
            (JOB_UID, self.job_uid.clone()),
            (ATTEMPT, self.attempt.to_string()),
            (SIDE, side.to_string()),
        ];
        LabelSelector {
            match_labels: Some(owned(labels)),
            ..LabelSelector::default()
        }
    }

    fn labels(&self, side: Side) -> BTreeMap<String, String> {
        owned([
            ("app.kubernetes.io/name", "blit".to_owned()),
            ("app.kubernetes.io/component", "mover".to_owned()),
            ("app.kubernetes.io/instance", self.job.clone()),
            ("app.kubernetes.io/managed-by", "blit-operator".to_owned()),
            (JOB, self.job.clone()),
            (JOB_UID, self.job_uid.clone()),
            (ATTEMPT, self.attempt.to_string()),
            (SIDE, side.to_string()),
        ])
    }
}

/// Returns a UID for a job that no API server knows: always the same for one namespace and name.
pub fn stand_in_uid(job: &MirrorJob) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    let place = format!(
        "{}/{}",
        part(&job.metadata.namespace),
        part(&job.metadata.name)
    );
    format!(
        "unapplied-{}",
        &blake3::hash(place.as_bytes()).to_hex()[..16]
    )
}

fn owned<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
