//! Pods of a test: a workload that holds a claim, and what to wait for in any pod.

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use kube::api::{DeleteParams, ListParams};

use super::Namespace;
use super::error::Result;
use super::wait::{PATIENCE, until};

/// A pod that mounts claims and does nothing.
#[derive(Clone, Debug, Default)]
pub struct Idle {
    /// Name of the pod.
    pub name: String,
    /// Claims that it mounts.
    pub claims: Vec<String>,
    /// Further lines of the pod's spec, as YAML in flow style, for example `nodeName: a`.
    pub spec: Vec<String>,
}

impl Idle {
    /// A pod with one claim.
    pub fn with(name: &str, claim: &str) -> Self {
        Self {
            name: name.to_owned(),
            claims: vec![claim.to_owned()],
            spec: Vec::new(),
        }
    }

    /// Adds a line to the spec.
    pub fn spec(mut self, line: impl Into<String>) -> Self {
        self.spec.push(line.into());
        self
    }

    /// Creates the pod.
    pub async fn create(&self, namespace: &Namespace) -> Result<Pod> {
        let volumes: String = self
            .claims
            .iter()
            .map(|claim| {
                format!("\n  - {{name: {claim}, persistentVolumeClaim: {{claimName: {claim}}}}}")
            })
            .collect();
        let mounts: String = self
            .claims
            .iter()
            .map(|claim| format!("\n    - {{name: {claim}, mountPath: /volumes/{claim}}}"))
            .collect();
        let further: String = self.spec.iter().map(|line| format!("\n  {line}")).collect();
        let yaml = format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {}}}
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: idle
    image: blit.test/busybox:latest
    imagePullPolicy: Never
    command: [/bin/busybox, sleep, \"86400\"]
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
    volumeMounts:{mounts}
  volumes:{volumes}{further}
",
            self.name
        );
        namespace.create(&yaml).await
    }

    /// Creates the pod and waits until it runs.
    pub async fn run(&self, namespace: &Namespace) -> Result<Pod> {
        self.create(namespace).await?;
        namespace.running_pod(&self.name).await
    }
}

impl Namespace {
    /// Waits until a pod runs.
    pub async fn running_pod(&self, name: &str) -> Result<Pod> {
        self.until_pod(name, "run", |pod| pod.is_some_and(is_running))
            .await
    }

    /// Waits for something in a pod; returns an empty pod if it is its absence.
    pub async fn until_pod(
        &self,
        name: &str,
        what: &str,
        condition: impl FnMut(Option<&Pod>) -> bool,
    ) -> Result<Pod> {
        let what = format!("pod {name} to {what}");
        let found = until(&self.api::<Pod>(), name, &what, PATIENCE, condition).await?;
        Ok(found.unwrap_or_default())
    }

    /// Returns the pods of the movers of a job, of all attempts.
    pub async fn movers(&self, job: &str) -> Result<Vec<Pod>> {
        let ours = ListParams::default().labels(&format!("blit.dev/mirrorjob={job}"));
        Ok(self.api::<Pod>().list(&ours).await?.items)
    }

    /// Returns the mover of a side (`source`, `destination`, `local`) that has not ended, if there is one.
    pub async fn mover(&self, job: &str, side: &str) -> Result<Option<Pod>> {
        let movers = self.movers(job).await?;
        Ok(movers.into_iter().find(|pod| {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            side_of(pod) == Some(side)
                && pod.metadata.deletion_timestamp.is_none()
                && matches!(phase, None | Some("Pending" | "Running"))
        }))
    }

    /// Waits for the first pod of a side, whatever its state.
    pub async fn until_mover(&self, job: &str, side: &str) -> Result<Pod> {
        let what = format!("a {side} mover of {job}");
        super::eventually(&what, PATIENCE, async || {
            let pods = self.movers(job).await.map_err(|error| error.to_string())?;
            let found = pods.into_iter().find(|pod| side_of(pod) == Some(side));
            found.ok_or_else(|| "no pod".to_owned())
        })
        .await
    }

    /// Waits until no mover of a job can do anything any more.
    pub async fn no_movers_run(&self, job: &str) -> Result<()> {
        super::eventually("the end of all movers", PATIENCE, async || {
            let pods = self.movers(job).await.map_err(|error| error.to_string())?;
            let busy = pods.iter().find(|pod| !is_gone(Some(pod)));
            busy.map_or(Ok(()), |pod| Err(super::wait::shown(pod)))
        })
        .await
    }

    /// Waits for the running mover of a side.
    pub async fn running_mover(&self, job: &str, side: &str) -> Result<Pod> {
        let what = format!("a running {side} mover of {job}");
        super::eventually(&what, PATIENCE, async || {
            match self.mover(job, side).await {
                Ok(Some(pod)) if is_running(&pod) => Ok(pod),
                Ok(other) => Err(other
                    .as_ref()
                    .map_or_else(|| "no pod".into(), super::wait::shown)),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// Deletes a pod at once and waits until it is gone.
    pub async fn delete_pod(&self, name: &str) -> Result<()> {
        let pods = self.api::<Pod>();
        pods.delete(name, &DeleteParams::default().grace_period(0))
            .await?;
        self.until_pod(name, "be gone", |pod| pod.is_none()).await?;
        Ok(())
    }
}

/// Returns a condition of a pod.
pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether all containers of a pod run.
pub fn is_running(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    phase == Some("Running") && condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Whether a pod has ended or is not there.
pub fn is_gone(pod: Option<&Pod>) -> bool {
    pod.is_none_or(|pod| {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    })
}

/// Returns the side of a mover.
fn side_of(pod: &Pod) -> Option<&str> {
    let labels = pod.metadata.labels.as_ref()?;
    labels.get("blit.dev/side").map(String::as_str)
}

/// Returns the UID of a pod.
pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}
