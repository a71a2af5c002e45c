//! Claims bound to directories of a node.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::error::{Error, Result};
use super::namespace::{LABEL, Namespace};
use super::node::Node;
use super::wait::{PATIENCE, until};

/// A claim whose data is a directory that the test can see.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Name of the claim.
    pub claim: String,
    /// Name of the PersistentVolume.
    pub name: String,
    /// The node where it is.
    pub node: Node,
    /// Its directory, as this machine sees it.
    pub path: PathBuf,
}

/// A claim to be made: ReadWriteOnce, owned by the user of a Restricted mover, unless told otherwise.
pub struct VolumeBuilder {
    namespace: Namespace,
    claim: String,
    node: Node,
    mode: &'static str,
    owner: u32,
    path: Option<PathBuf>,
    block: bool,
    anywhere: bool,
    unbound: bool,
}

/// Label of a volume: the claim it is for.
const CLAIM: &str = "e2e.blit.dev/claim";
/// Storage class of volumes made by hand, which are bound when there is a pod.
const LATE: &str = "manual";
/// User and group of a mover that is not told another.
const MOVER: u32 = 65_532;

impl VolumeBuilder {
    pub(super) fn new(namespace: Namespace, claim: &str, node: Node) -> Self {
        Self {
            namespace,
            claim: claim.to_owned(),
            node,
            mode: "ReadWriteOnce",
            owner: MOVER,
            path: None,
            block: false,
            anywhere: false,
            unbound: false,
        }
    }

    /// Gives it another access mode.
    pub fn mode(mut self, mode: &'static str) -> Self {
        self.mode = mode;
        self
    }

    /// Gives its root another owner and group.
    pub fn owner(mut self, owner: u32) -> Self {
        self.owner = owner;
        self
    }

    /// Puts it at a directory of the node that exists; that is left as it is.
    pub fn at(mut self, path: &Path) -> Self {
        self.path = Some(path.to_path_buf());
        self
    }

    /// Makes it a block device as far as Kubernetes knows.
    pub fn block(mut self) -> Self {
        self.block = true;
        self
    }

    /// Makes it a volume that every node can mount, as network storage: what is in it differs by node, and
    /// the test sees that of the node it named.
    pub fn anywhere(mut self) -> Self {
        self.anywhere = true;
        self
    }

    /// Leaves the claim to be bound to the volume by its first pod.
    pub fn unbound(mut self) -> Self {
        self.unbound = true;
        self
    }

    /// Makes volume and claim, and waits until they are bound.
    pub async fn create(self) -> Result<Volume> {
        let namespace = &self.namespace;
        let name = format!("{}-{}", namespace.name, self.claim);
        let path = self.path.clone();
        let path = path.unwrap_or_else(|| self.namespace.folder().join(&self.claim));
        let seen = self.node.seen(&namespace.cluster.env, &path)?;
        if self.path.is_none() {
            self.prepare(&seen)?;
        }
        let mut place = json!({
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In",
                 "values": [self.node.name(&namespace.cluster.env)?]}
            ]}]}},
        });
        if self.anywhere {
            for node in Node::BOTH {
                self.prepare(&node.seen(&namespace.cluster.env, &path)?)?;
            }
            place = json!({"hostPath": {"path": path, "type": "Directory"}});
        }
        let mode = if self.block { "Block" } else { "Filesystem" };
        let mut volume = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "labels": {LABEL: namespace.name, CLAIM: self.claim}},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": [self.mode],
                "volumeMode": mode,
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                // Bound by name on both sides: no scheduler is asked.
                "claimRef": {"namespace": namespace.name, "name": self.claim},
            },
        });
        if self.unbound {
            volume["spec"]["storageClassName"] = LATE.into();
            volume["spec"]["claimRef"] = Value::Null;
        }
        if let (Some(spec), Some(place)) = (volume["spec"].as_object_mut(), place.as_object_mut()) {
            spec.append(place);
        }
        let mut claim = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": self.claim},
            "spec": {
                "accessModes": [self.mode],
                "volumeMode": mode,
                "storageClassName": "",
                "volumeName": name,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        });
        if self.unbound {
            claim["spec"]["storageClassName"] = LATE.into();
            claim["spec"]["volumeName"] = Value::Null;
            let labels = json!({LABEL: namespace.name, CLAIM: self.claim});
            claim["spec"]["selector"] = json!({"matchLabels": labels});
        }
        let new = PostParams::default();
        let volume: PersistentVolume = parsed(volume)?;
        namespace.cluster.all().create(&new, &volume).await?;
        let claim: PersistentVolumeClaim = parsed(claim)?;
        let claims = namespace.api::<PersistentVolumeClaim>();
        claims.create(&new, &claim).await?;
        let wanted = if self.unbound { "Pending" } else { "Bound" };
        bound(&claims, &self.claim, wanted).await?;
        Ok(Volume {
            claim: self.claim,
            name,
            node: self.node,
            path: seen,
        })
    }

    fn prepare(&self, path: &Path) -> Result<()> {
        let failed = |what| Error::io(format!("{what} {}", path.display()));
        std::fs::create_dir_all(path).map_err(failed("make"))?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))
            .map_err(failed("set the mode of"))?;
        chown(path, Some(self.owner), Some(self.owner)).map_err(failed("set the owner of"))
    }
}

impl Namespace {
    /// Makes a claim whose volume a driver that does not exist has attached to a node.
    pub async fn attached_volume(&self, claim: &str, node: Node) -> Result<()> {
        let name = format!("{}-{claim}", self.name);
        let driver = "e2e.blit.dev";
        let new = PostParams::default();
        let volume: PersistentVolume = parsed(json!({
            "metadata": {"name": name, "labels": {LABEL: self.name}},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "claimRef": {"namespace": self.name, "name": claim},
                "csi": {"driver": driver, "volumeHandle": name},
            },
        }))?;
        self.cluster.all().create(&new, &volume).await?;
        let attachment: VolumeAttachment = parsed(json!({
            "metadata": {"name": name, "labels": {LABEL: self.name}},
            "spec": {
                "attacher": driver,
                "nodeName": node.name(&self.cluster.env)?,
                "source": {"persistentVolumeName": name},
            },
        }))?;
        let attachments = self.cluster.all::<VolumeAttachment>();
        attachments.create(&new, &attachment).await?;
        let attached = Patch::Merge(json!({"status": {"attached": true}}));
        attachments
            .patch_status(&name, &PatchParams::default(), &attached)
            .await?;
        let claim_object: PersistentVolumeClaim = parsed(json!({
            "metadata": {"name": claim},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "volumeName": name,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }))?;
        let claims = self.api::<PersistentVolumeClaim>();
        claims.create(&new, &claim_object).await?;
        bound(&claims, claim, "Bound").await
    }

    /// Returns where this machine sees the data of a claim that a provisioner bound on a node.
    pub async fn path_of(&self, claim: &str, node: Node) -> Result<PathBuf> {
        let claim = self.api::<PersistentVolumeClaim>().get(claim).await?;
        let volume = claim.spec.and_then(|spec| spec.volume_name);
        let volumes = self.cluster.all::<PersistentVolume>();
        let volume = volumes.get(&volume.unwrap_or_default()).await?;
        let spec = volume.spec.unwrap_or_default();
        let path = spec.host_path.map(|place| place.path);
        let path = path.or_else(|| spec.local.map(|place| place.path));
        let path = path.ok_or_else(|| Error::Setup("the volume has no directory".into()))?;
        node.seen(&self.cluster.env, Path::new(&path))
    }
}

/// Waits until a claim is in this phase.
async fn bound(claims: &Api<PersistentVolumeClaim>, name: &str, phase: &str) -> Result<()> {
    let what = format!("claim {name} to be {phase}");
    until(claims, name, &what, PATIENCE, |claim| {
        let status = claim.and_then(|claim| claim.status.as_ref());
        status.and_then(|status| status.phase.as_deref()) == Some(phase)
    })
    .await
    .map(drop)
}

fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::Manifest(error.to_string()))
}
