//! MirrorJobs as a user sees them: a spec in YAML, a status in JSON.

use std::time::Duration;

use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::gvk::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::error::{Error, Result};
use super::wait::{PATIENCE, shown, until};

/// A MirrorJob in the cluster.
#[derive(Clone, Debug)]
pub struct Job {
    api: Api<DynamicObject>,
    /// Its name.
    pub name: String,
    /// The UID that the API server gave it.
    pub uid: String,
}

/// What is known about a MirrorJob: the object as JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status(pub Value);

/// Returns the MirrorJobs of a namespace.
pub fn mirrorjobs(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("blit.dev", "v1alpha1", "MirrorJob");
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

impl Job {
    /// Creates a MirrorJob from its spec as YAML.
    pub(super) async fn create(api: Api<DynamicObject>, name: &str, spec: &str) -> Result<Self> {
        let spec: Value =
            serde_saphyr::from_str(spec).map_err(|error| Error::Manifest(error.to_string()))?;
        let object = json!({
            "apiVersion": "blit.dev/v1alpha1",
            "kind": "MirrorJob",
            "metadata": {"name": name},
            "spec": spec,
        });
        let object: DynamicObject =
            serde_json::from_value(object).map_err(|error| Error::Manifest(error.to_string()))?;
        let made = api.create(&PostParams::default(), &object).await?;
        Ok(Self {
            api,
            name: name.to_owned(),
            uid: made.metadata.uid.unwrap_or_default(),
        })
    }

    /// Returns the object now.
    pub async fn now(&self) -> Result<Status> {
        let object = self.api.get(&self.name).await?;
        Ok(Status(serde_json::to_value(object).unwrap_or(Value::Null)))
    }

    /// Waits until the condition holds, at most [`PATIENCE`].
    pub async fn until(&self, what: &str, condition: impl Fn(&Status) -> bool) -> Result<Status> {
        self.until_within(what, PATIENCE, condition).await
    }

    /// Waits until the condition holds, at most so long. Once the job is over nothing changes any more, so
    /// then it does not wait on.
    pub async fn until_within(
        &self,
        what: &str,
        patience: Duration,
        condition: impl Fn(&Status) -> bool,
    ) -> Result<Status> {
        let what = format!("MirrorJob {} to {what}", self.name);
        let found = until(&self.api, &self.name, &what, patience, |object| {
            object.is_none_or(|object| {
                let status = Status::of(object);
                condition(&status) || status.is_over()
            })
        })
        .await?;
        let hopeless = |last| Error::Hopeless {
            what: what.clone(),
            last,
        };
        let Some(object) = found else {
            return Err(hopeless("it is gone".into()));
        };
        let status = Status::of(&object);
        if condition(&status) {
            Ok(status)
        } else {
            Err(hopeless(shown(&object)))
        }
    }

    /// Waits until the job is complete.
    pub async fn complete(&self) -> Result<Status> {
        self.until("complete", |status| status.is("Complete")).await
    }

    /// Waits until the job has failed for this reason.
    pub async fn failed(&self, reason: &str) -> Result<Status> {
        let what = format!("fail with {reason}");
        self.until(&what, |status| {
            status.is("Failed") && status.text("/status/failure/reason") == reason
        })
        .await
    }

    /// Waits until the job waits for this reason, and returns a status that says so.
    pub async fn waits(&self, reason: &str) -> Result<Status> {
        let what = format!("wait with {reason}");
        self.until(&what, |status| status.waits_for(reason)).await
    }

    /// Waits until the job is in this phase.
    pub async fn phase(&self, phase: &str) -> Result<Status> {
        self.until(&format!("be {phase}"), |status| status.phase() == phase)
            .await
    }

    /// Changes fields of the spec.
    pub async fn change(&self, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.api
            .patch(&self.name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Deletes the job and waits until it is gone, finalizers and all.
    pub async fn delete(&self) -> Result<()> {
        self.api
            .delete(&self.name, &DeleteParams::default())
            .await?;
        self.gone_within(PATIENCE).await
    }

    /// Waits until the job is gone.
    pub async fn gone_within(&self, patience: Duration) -> Result<()> {
        let what = format!("MirrorJob {} to be gone", self.name);
        until(&self.api, &self.name, &what, patience, |object| {
            object.is_none_or(|object| object.metadata.uid.as_deref() != Some(self.uid.as_str()))
        })
        .await?;
        Ok(())
    }
}

impl Status {
    /// Reads an object.
    pub(super) fn of(object: &DynamicObject) -> Self {
        Self(serde_json::to_value(object).unwrap_or(Value::Null))
    }

    /// Returns what is at a JSON pointer.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer)
    }

    /// Returns the text at a pointer; empty if there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.at(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the integer at a pointer.
    pub fn number(&self, pointer: &str) -> Option<i64> {
        self.at(pointer).and_then(Value::as_i64)
    }

    /// Returns the figure of `status.progress` of this name, 0 if it is not there.
    pub fn progress(&self, field: &str) -> i64 {
        self.number(&format!("/status/progress/{field}"))
            .unwrap_or(0)
    }

    /// Returns the list at a pointer; empty if there is none.
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// Returns the phase.
    pub fn phase(&self) -> &str {
        self.text("/status/phase")
    }

    /// Returns the condition of this type.
    pub fn condition(&self, kind: &str) -> Option<&Value> {
        self.list("/status/conditions")
            .iter()
            .find(|condition| condition["type"] == kind)
    }

    /// Whether the condition of this type is True.
    pub fn is(&self, kind: &str) -> bool {
        self.condition(kind)
            .is_some_and(|condition| condition["status"] == "True")
    }

    /// Whether the condition of this type is False.
    pub fn is_not(&self, kind: &str) -> bool {
        self.condition(kind)
            .is_some_and(|condition| condition["status"] == "False")
    }

    /// Whether the job has ended.
    pub fn is_over(&self) -> bool {
        self.is("Complete") || self.is("Failed")
    }

    /// Whether the job has not ended and a condition that is not True gives this reason.
    pub fn waits_for(&self, reason: &str) -> bool {
        !self.is_over()
            && self
                .list("/status/conditions")
                .iter()
                .any(|condition| condition["reason"] == reason && condition["status"] != "True")
    }

    /// Returns all that the status says for people: messages of conditions, of the failure, what it waits for.
    pub fn said(&self) -> String {
        let conditions = self.list("/status/conditions").iter();
        let mut said: Vec<&str> = conditions
            .filter_map(|condition| condition["message"].as_str())
            .collect();
        said.push(self.text("/status/failure/message"));
        said.push(self.text("/status/waitingFor"));
        said.join("\n")
    }

    /// Returns the reasons of the attempts that were made, `Complete` for one that succeeded.
    pub fn attempts(&self) -> Vec<&str> {
        let attempts = self.list("/status/attempts").iter();
        attempts
            .map(|attempt| attempt["reason"].as_str().unwrap_or("Complete"))
            .collect()
    }

    /// Returns the node of a side, `source` or `destination`.
    pub fn node(&self, side: &str) -> &str {
        self.text(&format!("/status/{side}/node"))
    }
}
