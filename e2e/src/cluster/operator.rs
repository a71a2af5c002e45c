//! The operator that the chart installed: its pods, its leader, its figures.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{ListParams, LogParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::Cluster;
use super::error::{Error, Result};
use super::metrics::Metrics;
use super::pod::{is_running, uid};
use super::process::{self, Process};
use super::wait::{PATIENCE, eventually, until};

/// The namespace that `make cluster-up` installs the chart into.
pub const NAMESPACE: &str = "blit-system";

/// Labels of the operator's pods.
const LABELS: &str = "app.kubernetes.io/name=blit,app.kubernetes.io/component=operator";
/// The lease that its leader holds.
const LEASE: &str = "blit-operator";
/// Port of its figures.
const METRICS: u16 = 8080;

/// The operator.
#[derive(Clone)]
pub struct Operator {
    cluster: Cluster,
}

impl Operator {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// Returns its pods.
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = self.cluster.in_namespace(NAMESPACE);
        let ours = ListParams::default().labels(LABELS);
        Ok(pods.list(&ours).await?.items)
    }

    /// Waits for a leader and returns its pod.
    pub async fn leader(&self) -> Result<Pod> {
        let leases: Api<Lease> = self.cluster.in_namespace(NAMESPACE);
        eventually("a leader of the operator", PATIENCE, async || {
            let lease = leases.get(LEASE).await.map_err(|error| error.to_string())?;
            let holder = lease.spec.and_then(|spec| spec.holder_identity);
            let holder = holder.unwrap_or_default();
            let pods = self.pods().await.map_err(|error| error.to_string())?;
            let leads = |pod: &Pod| {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                !name.is_empty() && holder.starts_with(name) && is_running(pod)
            };
            pods.into_iter()
                .find(leads)
                .ok_or_else(|| format!("the lease is held by `{holder}`"))
        })
        .await
    }

    /// Returns the process of a pod of the operator.
    pub fn process(&self, pod: &Pod) -> Result<Process> {
        let found = process::of_pod(uid(pod))?.into_iter().next();
        found.ok_or_else(|| Error::Setup("the pod of the operator has no process".into()))
    }

    /// Returns its settings, as the chart wrote them.
    pub async fn settings(&self) -> Result<Value> {
        let maps: Api<ConfigMap> = self.cluster.in_namespace(NAMESPACE);
        let ours = ListParams::default().labels("app.kubernetes.io/name=blit");
        let maps = maps.list(&ours).await?.items;
        let found = maps
            .iter()
            .find_map(|map| map.data.as_ref()?.get("operator.yaml"));
        let text = found.ok_or_else(|| Error::Setup("there is no operator.yaml".into()))?;
        serde_saphyr::from_str(text).map_err(|error| Error::Setup(error.to_string()))
    }

    /// Returns its Deployment.
    pub async fn deployment(&self) -> Result<Deployment> {
        let deployments: Api<Deployment> = self.cluster.in_namespace(NAMESPACE);
        let ours = ListParams::default().labels(LABELS);
        let found = deployments.list(&ours).await?.items.into_iter().next();
        found.ok_or_else(|| Error::Setup(format!("the chart is not installed in {NAMESPACE}")))
    }

    /// Sets the number of replicas and waits until so many are ready and no other pod is left.
    pub async fn scale(&self, replicas: usize) -> Result<()> {
        let name = self.deployment().await?.metadata.name.unwrap_or_default();
        let deployments: Api<Deployment> = self.cluster.in_namespace(NAMESPACE);
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        deployments
            .patch_scale(&name, &PatchParams::default(), &patch)
            .await?;
        let what = format!("{replicas} replicas of the operator");
        until(&deployments, &name, &what, PATIENCE, |deployment| {
            let ready = deployment
                .and_then(|deployment| deployment.status.as_ref())
                .and_then(|status| status.ready_replicas);
            usize::try_from(ready.unwrap_or(0)) == Ok(replicas)
        })
        .await?;
        eventually(&what, PATIENCE, async || match self.pods().await {
            Ok(pods) if pods.len() == replicas => Ok(()),
            Ok(pods) => Err(format!("{} pods", pods.len())),
            Err(error) => Err(error.to_string()),
        })
        .await
    }

    /// Reads the figures of a pod of the operator.
    pub async fn metrics_of(&self, pod: &Pod) -> Result<Metrics> {
        let address = pod
            .status
            .as_ref()
            .and_then(|status| status.pod_ip.as_deref());
        let address = address.ok_or_else(|| Error::Setup("the operator has no address".into()))?;
        Metrics::scrape(address, METRICS, "/metrics").await
    }

    /// Reads the figures of the leader.
    pub async fn metrics(&self) -> Result<Metrics> {
        self.metrics_of(&self.leader().await?).await
    }

    /// Waits until the figures of the leader are as expected.
    pub async fn until_metrics(
        &self,
        what: &str,
        condition: impl Fn(&Metrics) -> bool,
    ) -> Result<Metrics> {
        eventually(what, Duration::from_secs(30), async || {
            let metrics = self.metrics().await.map_err(|error| error.to_string())?;
            if condition(&metrics) {
                Ok(metrics)
            } else {
                Err(metrics.text)
            }
        })
        .await
    }

    /// Returns the last lines of the log of every pod of the operator.
    pub async fn log(&self, lines: i64) -> Result<String> {
        let pods: Api<Pod> = self.cluster.in_namespace(NAMESPACE);
        let mut log = String::new();
        for pod in self.pods().await? {
            let name = pod.metadata.name.unwrap_or_default();
            let last = LogParams {
                tail_lines: Some(lines),
                ..LogParams::default()
            };
            let text = pods.logs(&name, &last).await;
            let text = text.unwrap_or_else(|error| error.to_string());
            log += &format!("--- {name}\n{text}\n");
        }
        Ok(log)
    }
}
