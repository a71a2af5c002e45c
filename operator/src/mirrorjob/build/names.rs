//! Names, labels and ownership of the objects of an attempt.

use std::collections::BTreeMap;
use std::fmt;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{API_VERSION, KIND, Side};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use super::labels::{ATTEMPT, DESTINATION, JOB, JOB_UID, LOCAL, SIDE, SOURCE};
use crate::mirrorjob::validate::ValidatedJob;

/// Longest name of a pod that is also its host name.
const MAX_NAME: usize = 63;
/// Characters of the hash that tells jobs of one name apart.
const HASH: usize = 8;

/// What a mover does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MoverKind {
    /// It reads.
    Source,
    /// It writes.
    Destination,
    /// Both, alone.
    Local,
}

impl MoverKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Destination, Self::Source, Self::Local];

    /// Returns the word in names and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => SOURCE,
            Self::Destination => DESTINATION,
            Self::Local => LOCAL,
        }
    }
}

impl From<Side> for MoverKind {
    fn from(side: Side) -> Self {
        match side {
            Side::Source => Self::Source,
            Side::Destination => Self::Destination,
        }
    }
}

impl fmt::Display for MoverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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
    /// Takes them from the job and the number of the attempt. `job_uid` stands for the UID of a job that no API
    /// server knows.
    pub fn new(job: &ValidatedJob, job_uid: &str, attempt: u32) -> Self {
        Self {
            job: job.name().to_owned(),
            namespace: job.namespace().map(str::to_owned),
            job_uid: job_uid.to_owned(),
            attempt,
            owner: job.uid().map(|uid| owner(job.name(), uid)),
        }
    }

    /// Takes them from a job of the API server, valid or not.
    pub fn of_object(job: &MirrorJob, attempt: u32) -> Self {
        let name = job.metadata.name.clone().unwrap_or_default();
        let uid = job.metadata.uid.clone().unwrap_or_default();
        Self {
            owner: Some(owner(&name, &uid)),
            job: name,
            namespace: job.metadata.namespace.clone(),
            job_uid: uid,
            attempt,
        }
    }

    /// Returns the name of every object of a mover: `NAME-HASH-aN-SIDE`, NAME cut to fit.
    pub fn of(&self, kind: impl Into<MoverKind>) -> String {
        let hash = &blake3::hash(self.job_uid.as_bytes()).to_hex()[..HASH];
        let tail = format!("-{hash}-a{}-{}", self.attempt, kind.into());
        let room = MAX_NAME.saturating_sub(tail.len());
        let head: String = self.job.replace('.', "-").chars().take(room).collect();
        format!("{}{tail}", head.trim_end_matches('-'))
    }

    /// Returns the metadata of every object of a mover.
    pub(super) fn metadata(&self, kind: MoverKind) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.of(kind)),
            namespace: self.namespace.clone(),
            labels: Some(self.labels(kind)),
            owner_references: self.owner.clone().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }

    /// Returns the selector of the pod of a mover.
    pub(super) fn selector(&self, kind: MoverKind) -> LabelSelector {
        let labels = [
            (JOB_UID, self.job_uid.clone()),
            (ATTEMPT, self.attempt.to_string()),
            (SIDE, kind.to_string()),
        ];
        LabelSelector {
            match_labels: Some(owned(labels)),
            ..LabelSelector::default()
        }
    }

    fn labels(&self, kind: MoverKind) -> BTreeMap<String, String> {
        owned([
            ("app.kubernetes.io/name", "blit".to_owned()),
            ("app.kubernetes.io/component", "mover".to_owned()),
            ("app.kubernetes.io/instance", label_value(&self.job)),
            ("app.kubernetes.io/managed-by", "blit-operator".to_owned()),
            (JOB, label_value(&self.job)),
            (JOB_UID, self.job_uid.clone()),
            (ATTEMPT, self.attempt.to_string()),
            (SIDE, kind.to_string()),
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

fn owner(name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// A name as the value of a label, which has at most 63 characters.
fn label_value(name: &str) -> String {
    let head: String = name.chars().take(MAX_NAME).collect();
    head.trim_end_matches(['-', '.', '_']).to_owned()
}

fn owned<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
