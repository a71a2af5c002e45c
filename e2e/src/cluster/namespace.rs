//! A namespace for one test, and who may run beside it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace as Object, PersistentVolume, ServiceAccount};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::{DeleteParams, DynamicObject, ListParams, ObjectMeta, PostParams};
use kube::{Api, Resource};
use tokio::sync::RwLock;

use super::error::{Error, Result};
use super::job::{Job, mirrorjobs};
use super::node::Node;
use super::volume::VolumeBuilder;
use super::wait::{PATIENCE, eventually, until};
use super::{Cluster, report};

/// Label of everything that a test made outside its namespace: the name of the namespace.
pub(super) const LABEL: &str = "e2e.blit.dev/namespace";

/// A test that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(420);

/// Set to `1` to find the namespaces of successful tests afterwards.
const KEEP: &str = "BLIT_E2E_KEEP";

/// Folder of every node for what tests make.
const DATA: &str = "/data";

/// Ordinary tests share the cluster, one that breaks parts of it has it alone.
static CLUSTER: RwLock<()> = RwLock::const_new(());

/// Makes names different within one run.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// How the namespace of a test is made.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    enforce: Option<&'static str>,
    annotations: BTreeMap<String, String>,
    alone: bool,
}

/// The namespace of a running test.
#[derive(Clone)]
pub struct Namespace {
    /// The cluster.
    pub cluster: Cluster,
    /// Its name.
    pub name: String,
}

/// Runs a test in a namespace of its own, beside other tests.
///
/// # Panics
/// If the test fails: with its error and a report of what the cluster knows about the namespace.
#[track_caller]
pub fn with_temp_ns(name: &str, test: impl AsyncFnOnce(Namespace) -> Result<()>) {
    Setting::default().run(name, test);
}

/// Runs a test that breaks parts of the cluster: in a namespace of its own, while no other test runs.
///
/// # Panics
/// As [`with_temp_ns`].
#[track_caller]
pub fn alone(name: &str, test: impl AsyncFnOnce(Namespace) -> Result<()>) {
    let setting = Setting {
        alone: true,
        ..Setting::default()
    };
    setting.run(name, test);
}

impl Setting {
    /// A namespace where the API server enforces this Pod Security level: `restricted`, `baseline`.
    pub fn enforcing(level: &'static str) -> Self {
        Self {
            enforce: Some(level),
            ..Self::default()
        }
    }

    /// A namespace whose administrator allows movers this level: `Baseline`, `Privileged`.
    pub fn allowing(level: &str) -> Self {
        Self::default().allow(level)
    }

    /// Allows movers this level.
    pub fn allow(mut self, level: &str) -> Self {
        self.annotations
            .insert("blit.dev/pod-security".into(), level.into());
        self
    }

    /// Keeps other tests out while this one runs.
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Runs a test.
    ///
    /// # Panics
    /// As [`with_temp_ns`].
    #[track_caller]
    pub fn run(self, name: &str, test: impl AsyncFnOnce(Namespace) -> Result<()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap_or_else(|error| panic!("no runtime: {error}"));
        if let Err(text) = runtime.block_on(self.supervise(name, test)) {
            panic!("{text}");
        }
    }

    /// Runs the test under the lock; the error is the whole report.
    async fn supervise(
        self,
        name: &str,
        test: impl AsyncFnOnce(Namespace) -> Result<()>,
    ) -> Result<(), String> {
        let (_alone, _beside) = if self.alone {
            (Some(CLUSTER.write().await), None)
        } else {
            (None, Some(CLUSTER.read().await))
        };
        let cluster = Cluster::from_env().await.map_err(|e| e.to_string())?;
        let namespace = self.make(cluster, name).await.map_err(|e| e.to_string())?;
        let begin = Instant::now();
        let run = AssertUnwindSafe(test(namespace.clone())).catch_unwind();
        let failure = match tokio::time::timeout(LONGEST, run).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(error))) => Some(error.to_string()),
            Ok(Err(panic)) => Some(said(panic.as_ref())),
            Err(_) => Some(format!("the test did not end within {LONGEST:?}")),
        };
        report::took(&namespace, begin.elapsed());
        match failure {
            None if std::env::var_os(KEEP).is_some() => Ok(()),
            None => namespace.delete().await.map_err(|e| e.to_string()),
            Some(failure) => Err(report::save(&namespace, &failure).await),
        }
    }

    /// Makes a further namespace, for a test that needs two. The test deletes it.
    pub async fn beside(self, first: &Namespace) -> Result<Namespace> {
        self.make(first.cluster.clone(), "second").await
    }

    async fn make(self, cluster: Cluster, name: &str) -> Result<Namespace> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{}-{number}", std::process::id());
        let mut labels = BTreeMap::from([(LABEL.to_owned(), name.clone())]);
        if let Some(level) = self.enforce {
            labels.insert("pod-security.kubernetes.io/enforce".into(), level.into());
        }
        let object = Object {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(labels),
                annotations: Some(self.annotations),
                ..ObjectMeta::default()
            },
            ..Object::default()
        };
        let made = cluster.all().create(&PostParams::default(), &object).await;
        made.map_err(Error::from)?;
        // Pods are refused before it exists.
        let accounts: Api<ServiceAccount> = cluster.in_namespace(&name);
        let what = "the service account of the namespace";
        until(&accounts, "default", what, PATIENCE, |found| {
            found.is_some()
        })
        .await?;
        Ok(Namespace { cluster, name })
    }
}

impl Namespace {
    /// Objects of a kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        self.cluster.in_namespace(&self.name)
    }

    /// MirrorJobs of this namespace.
    pub fn jobs(&self) -> Api<DynamicObject> {
        mirrorjobs(&self.cluster.client, &self.name)
    }

    /// Creates a MirrorJob from its spec as YAML.
    pub async fn job(&self, name: &str, spec: &str) -> Result<Job> {
        Job::create(self.jobs(), name, spec).await
    }

    /// Creates an object from YAML.
    pub async fn create<K>(&self, yaml: &str) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
        K::DynamicType: Default,
    {
        let object: K =
            serde_saphyr::from_str(yaml).map_err(|error| Error::Manifest(error.to_string()))?;
        Ok(self.api().create(&PostParams::default(), &object).await?)
    }

    /// The folder of the namespace's data on every node, as the nodes see it.
    pub fn folder(&self) -> PathBuf {
        Path::new(DATA).join(&self.name)
    }

    /// Begins a claim with a volume on a node; see [`VolumeBuilder`].
    pub fn volume(&self, claim: &str, node: Node) -> VolumeBuilder {
        VolumeBuilder::new(self.clone(), claim, node)
    }

    /// Removes the namespace, its volumes and their data. The cluster goes on removing what was in it.
    pub async fn delete(&self) -> Result<()> {
        let now = DeleteParams::default();
        let namespaces = self.cluster.all::<Object>();
        match namespaces
            .delete(&self.name, &now)
            .await
            .map_err(Error::from)
        {
            // A test may have deleted it.
            Err(error) if error.code() == Some(404) => {}
            deleted => drop(deleted?),
        }
        let ours = ListParams::default().labels(&format!("{LABEL}={}", self.name));
        let volumes: Api<PersistentVolume> = self.cluster.all();
        volumes.delete_collection(&now, &ours).await?;
        let attachments: Api<VolumeAttachment> = self.cluster.all();
        attachments.delete_collection(&now, &ours).await?;
        for node in Node::BOTH {
            let data = node.seen(&self.cluster.env, &self.folder())?;
            remove(&data).await?;
        }
        Ok(())
    }
}

/// Removes the data of a test. A mover that is just being ended may still make a file there.
async fn remove(data: &Path) -> Result<()> {
    eventually(
        "the data of the test to be gone",
        PATIENCE,
        async || match std::fs::remove_dir_all(data) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(format!("{}: {error}", data.display())),
        },
    )
    .await
}

/// Returns the message of a panic.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "the test panicked".to_owned())
}
