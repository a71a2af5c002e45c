//! What is watched: the MirrorJobs, and the pods that carry the label of one. Other objects are read when they are needed.

use std::sync::Arc;

use blit_crds::MirrorJob;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};

use crate::workqueue::JobKey;

/// What is watched in one namespace, or in all.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// Its jobs.
    pub jobs: Store<MirrorJob>,
    /// Its movers.
    pub pods: Store<Pod>,
}

/// What is watched in all namespaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cache {
    scopes: Vec<Scope>,
}

impl Cache {
    /// Puts together what is watched.
    pub(crate) fn new(scopes: Vec<Scope>) -> Self {
        Self { scopes }
    }

    /// Returns every scope.
    pub(crate) fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// Returns a job.
    pub(crate) fn job(&self, key: &JobKey) -> Option<Arc<MirrorJob>> {
        let reference = ObjectRef::new(&key.name).within(&key.namespace);
        self.scopes
            .iter()
            .find_map(|scope| scope.jobs.get(&reference))
    }

    /// Returns every job.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = Arc<MirrorJob>> {
        self.scopes.iter().flat_map(|scope| scope.jobs.state())
    }

    /// Returns the movers of a job: the pods in its namespace that it owns. Labels alone could be anybody's.
    pub(crate) fn movers(&self, job: &MirrorJob) -> Vec<Arc<Pod>> {
        let (namespace, uid) = (job.namespace(), job.uid());
        self.pods()
            .filter(|pod| pod.namespace() == namespace && controller(pod) == uid.as_deref())
            .collect()
    }

    /// Returns the pods that a job of this name owns or owned, but for one with this UID.
    pub(crate) fn orphans(&self, key: &JobKey, but: Option<&str>) -> Vec<Arc<Pod>> {
        self.pods()
            .filter(|pod| owner(pod).as_ref() == Some(key) && controller(pod) != but)
            .collect()
    }

    /// Returns every mover.
    pub(crate) fn pods(&self) -> impl Iterator<Item = Arc<Pod>> {
        self.scopes.iter().flat_map(|scope| scope.pods.state())
    }
}

/// Returns the key of a job.
pub(crate) fn key(job: &MirrorJob) -> JobKey {
    JobKey::new(job.namespace().unwrap_or_default(), job.name_any())
}

/// Returns the UID of the object that owns a pod.
fn controller(pod: &Pod) -> Option<&str> {
    let mut owners = pod.owner_references().iter();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    Some(&owner.uid)
}

/// Returns the key of the job that owns a pod.
pub(crate) fn owner(pod: &Pod) -> Option<JobKey> {
    let mut owners = pod.owner_references().iter();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    Some(JobKey::new(pod.namespace()?, &owner.name))
}
