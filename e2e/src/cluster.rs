//! A real Kubernetes cluster of two nodes on this machine, as tests use it.
//!
//! Every test has a namespace of its own ([`with_temp_ns`]); a failure prints what the cluster knows about
//! it. Tests run side by side; one that stops a part of the cluster runs alone ([`alone`]). Both nodes are
//! mount namespaces of this machine, so volumes are directories that tests fill and judge directly.
//!
//! Invariants: nothing waits by sleeping for what can be watched, and whoever waits too long says what was
//! seen last; objects are read as the JSON that users see, not as the types of the product.
//!
//! Non-goal: starting the cluster; `e2e/cluster/up` does.

mod audit;
mod capture;
mod data;
mod env;
mod error;
mod job;
mod kubectl;
mod metrics;
mod namespace;
mod node;
mod objects;
mod operator;
mod pod;
mod process;
mod record;
mod report;
mod volume;
mod wait;

use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};

pub use audit::{Audit, Request};
pub use capture::{Capture, Stream};
pub use data::{copy_of, every_kind, give, many, random, rewrite_share, unprivileged};
pub use env::Env;
pub use error::{Error, Result};
pub use job::{Job, Status, mirrorjobs};
pub use kubectl::{Said, helm, kubectl, plugin};
pub use metrics::{Metrics, Sample};
pub use namespace::{Namespace, Setting, alone, with_temp_ns};
pub use node::{Node, Rules, control_plane};
pub use operator::{NAMESPACE as OPERATOR_NAMESPACE, Operator};
pub use pod::{Idle, condition as pod_condition, is_gone, is_running, uid};
pub use process::{Process, of_pod};
pub use record::{Recorder, Writers};
pub use volume::{Volume, VolumeBuilder};
pub use wait::{PATIENCE, eventually, until};

/// Access to the cluster. Cheap to clone; each test makes its own, because the connections of a client
/// belong to one runtime.
#[derive(Clone)]
pub struct Cluster {
    /// What the script that started the cluster wrote down.
    pub env: Arc<Env>,
    /// The administrator's client.
    pub client: Client,
}

impl Cluster {
    /// Connects to the cluster of `$BLIT_CLUSTER`, by default `target/cluster`.
    pub async fn from_env() -> Result<Self> {
        let env = Env::read()?;
        let client = connect(&env).await?;
        Ok(Self {
            env: Arc::new(env),
            client,
        })
    }

    /// Objects of a kind that belongs to no namespace.
    pub fn all<K>(&self) -> Api<K>
    where
        K: Resource,
        K::DynamicType: Default,
    {
        Api::all(self.client.clone())
    }

    /// Objects of a kind in a namespace.
    pub fn in_namespace<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The operator that the chart installed.
    pub fn operator(&self) -> Operator {
        Operator::new(self.clone())
    }
}

/// Makes a client from the administrator's kubeconfig.
async fn connect(env: &Env) -> Result<Client> {
    // The first caller wins; the others find it done.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let path = env.get("KUBECONFIG")?;
    let broken = |error: kube::config::KubeconfigError| Error::Setup(format!("{path}: {error}"));
    let kubeconfig = Kubeconfig::read_from(path).map_err(broken)?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Ok(Client::try_from(config.map_err(broken)?)?)
}
