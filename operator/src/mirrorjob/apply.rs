//! Writes to the cluster on behalf of a job.
//!
//! Every write asks first whether this replica still leads, so that a process that was stopped cannot act on what it
//! knew before. Making an object that exists already is no error: its name says whose it is.

use std::fmt::Debug;
use std::sync::Arc;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::MirrorJobStatus;
use blit_crds::outcome::Reason;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Client, Error, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use thiserror::Error as ThisError;

use super::attempt::{RESULT_FINALIZER, wait};
use super::build::AttemptNames;
use super::build::MoverKind;
use super::placement::Wait;
use crate::leader::Leadership;

/// Who writes, for server-side apply.
pub const FIELD_MANAGER: &str = "blit-operator";
/// Finalizer of a MirrorJob while it has movers.
pub const MOVERS_FINALIZER: &str = "blit.dev/movers";

/// A write that was not done.
#[derive(Debug, ThisError)]
pub enum WriteError {
    /// Another replica may lead by now.
    #[error("this replica does not lead any more")]
    NotLeader,
    /// The object has changed since it was read.
    #[error("{what} has changed meanwhile")]
    Conflict {
        /// The object.
        what: String,
    },
    /// The API server refuses an object of the attempt, until somebody changes something.
    #[error("{}: {}", .0.reason, .0.message)]
    Rejected(Wait),
    /// The API server does not answer, or refuses.
    #[error("cannot {verb} {what}: {source}")]
    Api {
        /// What was tried.
        verb: &'static str,
        /// The object.
        what: String,
        /// Why.
        source: Box<Error>,
    },
}

/// What an attempt is made of.
trait Part:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + Serialize
    + Debug
{
}

impl<K> Part for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + Debug
{
}

/// The only way in which the reconciler writes.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    leadership: Arc<Leadership>,
}

impl Writer {
    /// Makes a writer that writes as long as this replica leads.
    pub fn new(client: Client, leadership: Arc<Leadership>) -> Self {
        Self { client, leadership }
    }

    /// Replaces the status of a job, if it has not changed since it was read. Returns the job as it is then.
    ///
    /// # Errors
    /// Fails with [`WriteError::Conflict`] if it has.
    pub async fn status(
        &self,
        job: &MirrorJob,
        status: &MirrorJobStatus,
    ) -> Result<MirrorJob, WriteError> {
        let patch = json!({
            "apiVersion": MirrorJob::api_version(&()), "kind": MirrorJob::kind(&()),
            "metadata": identity(job), "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.check()?;
        self.api::<MirrorJob>(job)
            .patch_status(&job.name_any(), &params, &Patch::Apply(patch))
            .await
            .map_err(failed(
                "patch",
                format!("status of MirrorJob {}", job.name_any()),
            ))
    }

    /// Sets or removes the finalizer of a job. Returns the job as it is then; `None` if it is gone.
    ///
    /// # Errors
    /// Fails with [`WriteError::Conflict`] if the job has changed since it was read.
    pub async fn movers_finalizer(
        &self,
        job: &MirrorJob,
        wanted: bool,
    ) -> Result<Option<MirrorJob>, WriteError> {
        if has_movers_finalizer(job) == wanted {
            return Ok(Some(job.clone()));
        }
        // Not by server-side apply: what others own too could not be taken away with it.
        let mut finalizers: Vec<&str> = job.finalizers().iter().map(String::as_str).collect();
        finalizers.retain(|finalizer| *finalizer != MOVERS_FINALIZER);
        if wanted {
            finalizers.push(MOVERS_FINALIZER);
        }
        let mut metadata = identity(job);
        metadata["finalizers"] = json!(finalizers);
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        self.check()?;
        let patched = self
            .api::<MirrorJob>(job)
            .patch(&job.name_any(), &params, &patch)
            .await;
        match patched {
            Ok(job) => Ok(Some(job)),
            Err(Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(failed("patch", format!("MirrorJob {}", job.name_any()))(
                error,
            )),
        }
    }

    /// Deletes a job whose time to live is over.
    ///
    /// # Errors
    /// Fails when the API server does not answer or refuses.
    pub async fn delete_job(&self, job: &MirrorJob) -> Result<(), WriteError> {
        // One that was made anew under the same name, or changed meanwhile, is not meant.
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: job.uid(),
                resource_version: job.resource_version(),
            }),
            ..DeleteParams::background()
        };
        self.delete::<MirrorJob>(job, &job.name_any(), &params)
            .await
    }

    /// Makes a claim. One that exists already stays as it is.
    ///
    /// # Errors
    /// Fails with [`WriteError::Rejected`] when a quota or admission refuses it.
    pub async fn claim(
        &self,
        job: &MirrorJob,
        claim: &PersistentVolumeClaim,
    ) -> Result<(), WriteError> {
        self.create(job, claim).await.map(|_| ())
    }

    /// Makes a pod. Returns false if it exists already.
    ///
    /// # Errors
    /// Fails with [`WriteError::Rejected`] when a quota or admission refuses it.
    pub async fn pod(&self, job: &MirrorJob, pod: &Pod) -> Result<bool, WriteError> {
        self.create(job, pod).await
    }

    /// Asks whether a pod could be made, without making it.
    ///
    /// # Errors
    /// Fails with [`WriteError::Rejected`] when a quota or admission would refuse it.
    pub async fn try_pod(&self, job: &MirrorJob, pod: &Pod) -> Result<(), WriteError> {
        self.create_with(job, pod, true).await.map(|_| ())
    }

    /// Makes a Secret, in place of one that an earlier run of the operator left without a pod.
    ///
    /// # Errors
    /// Fails with [`WriteError::Rejected`] when a quota or admission refuses it.
    pub async fn secret(&self, job: &MirrorJob, secret: &Secret) -> Result<(), WriteError> {
        self.replace(job, secret).await
    }

    /// Makes a policy, in place of one that an earlier run of the operator left without a pod.
    ///
    /// # Errors
    /// Fails with [`WriteError::Rejected`] when a quota or admission refuses it.
    pub async fn policy(&self, job: &MirrorJob, policy: &NetworkPolicy) -> Result<(), WriteError> {
        self.replace(job, policy).await
    }

    /// Asks a pod to end within its grace period.
    ///
    /// # Errors
    /// Fails when the API server does not answer or refuses.
    pub async fn end_pod(&self, job: &MirrorJob, pod: &Pod) -> Result<(), WriteError> {
        // A pod that came later under the same name is another one.
        let params = DeleteParams {
            preconditions: pod.uid().map(|uid| Preconditions {
                uid: Some(uid),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        self.delete::<Pod>(job, &pod.name_any(), &params).await
    }

    /// Takes the finalizer off a pod whose result has been read.
    ///
    /// # Errors
    /// Fails with [`WriteError::Conflict`] if the pod has changed since it was read.
    pub async fn release_pod(&self, pod: &Pod) -> Result<(), WriteError> {
        let finalizers: Vec<&String> = pod.finalizers().iter().collect();
        let others: Vec<&String> = finalizers
            .iter()
            .copied()
            .filter(|finalizer| *finalizer != RESULT_FINALIZER)
            .collect();
        if others.len() == finalizers.len() {
            return Ok(());
        }
        let patch = json!({"metadata": {
            "uid": pod.uid(), "resourceVersion": pod.resource_version(), "finalizers": others,
        }});
        self.check()?;
        let name = pod.name_any();
        let namespace = pod.namespace().unwrap_or_default();
        let patched = Api::<Pod>::namespaced(self.client.clone(), &namespace)
            .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        match patched {
            Ok(_) => Ok(()),
            Err(Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(failed("patch", format!("Pod {name}"))(error)),
        }
    }

    /// Deletes the Secrets and policies of an attempt.
    ///
    /// # Errors
    /// Fails when the API server does not answer or refuses.
    pub async fn forget_attempt(
        &self,
        job: &MirrorJob,
        attempt: u32,
        kinds: &[MoverKind],
    ) -> Result<(), WriteError> {
        let names = AttemptNames::of_object(job, attempt);
        let params = DeleteParams::default();
        for kind in kinds {
            let name = names.of(*kind);
            self.delete::<Secret>(job, &name, &params).await?;
            self.delete::<NetworkPolicy>(job, &name, &params).await?;
        }
        Ok(())
    }

    /// Makes an object, in place of one of the same name.
    async fn replace<K: Part>(&self, job: &MirrorJob, object: &K) -> Result<(), WriteError> {
        if self.create(job, object).await? {
            return Ok(());
        }
        let params = DeleteParams::default();
        self.delete::<K>(job, &object.name_any(), &params).await?;
        self.create(job, object).await.map(|_| ())
    }

    /// Makes an object. Returns false if it exists already.
    async fn create<K: Part>(&self, job: &MirrorJob, object: &K) -> Result<bool, WriteError> {
        self.create_with(job, object, false).await
    }

    async fn create_with<K: Part>(
        &self,
        job: &MirrorJob,
        object: &K,
        dry_run: bool,
    ) -> Result<bool, WriteError> {
        self.check()?;
        let params = PostParams {
            dry_run,
            field_manager: Some(FIELD_MANAGER.to_owned()),
        };
        match self.api::<K>(job).create(&params, object).await {
            Ok(_) => Ok(true),
            Err(Error::Api(status)) if status.is_already_exists() => Ok(false),
            Err(error) => Err(rejected::<K>(&object.name_any(), error)),
        }
    }

    /// Deletes an object. One that is gone already is no error.
    async fn delete<K: Part>(
        &self,
        job: &MirrorJob,
        name: &str,
        params: &DeleteParams,
    ) -> Result<(), WriteError> {
        self.check()?;
        match self.api::<K>(job).delete(name, params).await {
            Ok(_) => Ok(()),
            Err(Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(failed("delete", format!("{} {name}", K::kind(&())))(error)),
        }
    }

    fn api<K>(&self, job: &MirrorJob) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &job.namespace().unwrap_or_default())
    }

    fn check(&self) -> Result<(), WriteError> {
        if self.leadership.still_leader() {
            Ok(())
        } else {
            Err(WriteError::NotLeader)
        }
    }
}

/// Returns whether a job has the finalizer of one with movers.
pub fn has_movers_finalizer(job: &MirrorJob) -> bool {
    job.finalizers()
        .iter()
        .any(|finalizer| finalizer == MOVERS_FINALIZER)
}

/// What makes a patch hit this very object in this very state.
fn identity(job: &MirrorJob) -> serde_json::Value {
    json!({
        "name": job.name_any(), "namespace": job.namespace(), "uid": job.uid(),
        "resourceVersion": job.resource_version(),
    })
}

fn failed(verb: &'static str, what: String) -> impl FnOnce(Error) -> WriteError {
    move |error| match &error {
        Error::Api(status) if status.is_conflict() => WriteError::Conflict { what },
        _ => WriteError::Api {
            verb,
            what,
            source: Box::new(error),
        },
    }
}

/// What a refusal to make an object means for the job.
fn rejected<K: Resource<DynamicType = ()>>(name: &str, error: Error) -> WriteError {
    let kind = K::kind(&());
    let Error::Api(status) = &error else {
        return failed("create", format!("{kind} {name}"))(error);
    };
    let told = &status.message;
    let found = match status.code {
        403 if told.contains("exceeded quota") => wait(
            Reason::QuotaExceeded,
            format!(
                "the namespace's quota has no room for {kind} {name}: {told}; free some, raise the quota, or ask for less in \
                 spec.mover.resources"
            ),
        ),
        // A LimitRange, Pod Security or another admission plugin; 422 is what the object itself breaks.
        403 | 422 if !told.contains("cannot create resource") => wait(
            Reason::PodRejected,
            format!(
                "the API server refuses {kind} {name}: {told}; change spec.mover, or what refuses it in the namespace"
            ),
        ),
        _ => return failed("create", format!("{kind} {name}"))(error),
    };
    WriteError::Rejected(found)
}
