//! Words that the tests share: specs, and transfers that last long enough to do something to them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use blit_e2e::cluster::{
    Job, Namespace, Node, PATIENCE, Result, Rules, Volume, eventually, many, until,
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

/// Port on which movers receive data.
pub(crate) const DATA: u16 = 9032;
/// Port on which movers can be asked.
pub(crate) const CONTROL: u16 = 9031;
/// User and group of a mover that is told nothing.
pub(crate) const USER: u32 = 65_532;

/// Lets movers keep owners and devices.
pub(crate) const BASELINE: &str = "mover: {podSecurity: Baseline}\n";

/// A spec that mirrors one claim to another.
pub(crate) fn mirror(from: &str, to: &str) -> String {
    claims("Mirror", from, to)
}

/// A spec that copies one claim to another.
pub(crate) fn copy(from: &str, to: &str) -> String {
    claims("Copy", from, to)
}

fn claims(operation: &str, from: &str, to: &str) -> String {
    format!(
        "operation: {operation}
source: {{persistentVolumeClaim: {{claimName: {from}}}}}
destination: {{persistentVolumeClaim: {{claimName: {to}}}}}
"
    )
}

/// A spec that copies a directory of node B to the claim `to`.
pub(crate) fn from_node(path: &str) -> String {
    format!(
        "operation: Copy
source: {{hostPath: {{nodeName: node-b, path: {path}}}}}
destination: {{persistentVolumeClaim: {{claimName: to}}}}
mover: {{source: {{podSecurity: Privileged}}}}
"
    )
}

/// Makes the directories that the values of the test cluster allow as hostPath; an administrator would.
pub(crate) fn allowed_directories(ns: &Namespace) -> Result<()> {
    for node in Node::BOTH {
        for path in ["/data/e2e-writable", "/data/e2e-readable"] {
            let path = node.seen(&ns.cluster.env, Path::new(path))?;
            fs::create_dir_all(&path).unwrap();
        }
    }
    Ok(())
}

/// A job whose data flows slowly from node A to node B.
pub(crate) struct Transfer {
    /// The job.
    pub(crate) job: Job,
    /// What it reads.
    pub(crate) from: Volume,
    /// What it writes.
    pub(crate) to: Volume,
    files: usize,
    slow: Option<Rules>,
}

/// Files of a transfer.
const FILES: usize = 400;
/// Files of a long one.
const MANY_FILES: usize = 2000;
/// Size of each in bytes.
const SIZE: usize = 100 << 10;
/// Speed of a transfer in KiB a second: it lasts about 20 s, a long one 100 s.
const SPEED: u32 = 2048;

impl Transfer {
    /// Starts a job called `copy`, with these further lines in its spec, and returns when files arrive.
    pub(crate) async fn start(ns: &Namespace, spec: &str) -> Result<Self> {
        let from = ns.volume("from", Node::A).create().await?;
        let to = ns.volume("to", Node::B).create().await?;
        Self::between(ns, from, to, spec).await
    }

    /// As [`start`](Self::start), and so long that an end is seen only if somebody speeds it up: for what takes the operator longer
    /// to find than a transfer lasts.
    pub(crate) async fn long(ns: &Namespace) -> Result<Self> {
        let from = ns.volume("from", Node::A).create().await?;
        let to = ns.volume("to", Node::B).create().await?;
        Self::of_files(ns, from, to, MANY_FILES, "").await
    }

    /// As [`start`](Self::start), between these volumes.
    pub(crate) async fn between(
        ns: &Namespace,
        from: Volume,
        to: Volume,
        spec: &str,
    ) -> Result<Self> {
        Self::of_files(ns, from, to, FILES, spec).await
    }

    async fn of_files(
        ns: &Namespace,
        from: Volume,
        to: Volume,
        files: usize,
        spec: &str,
    ) -> Result<Self> {
        many(&from.path, files, SIZE, USER)?;
        let spec = mirror(&from.claim, &to.claim) + spec;
        let job = ns.job("copy", &spec).await?;
        let slow = slow_down(ns, "copy", to.node).await?;
        let transfer = Self {
            job,
            from,
            to,
            files,
            slow: Some(slow),
        };
        transfer.files_arrive(10).await?;
        Ok(transfer)
    }

    /// Waits until so many files have arrived.
    pub(crate) async fn files_arrive(&self, count: usize) -> Result<()> {
        let what = format!("{count} files to arrive");
        eventually(&what, PATIENCE, async || match self.arrived().len() {
            arrived if arrived >= count => Ok(()),
            arrived => Err(format!("{arrived} files")),
        })
        .await
    }

    /// Lets the data flow at full speed.
    pub(crate) fn speed_up(&mut self) {
        self.slow = None;
    }

    /// Returns the files that have arrived, by name: inode and time of its last change.
    pub(crate) fn arrived(&self) -> BTreeMap<String, (u64, i64, i64)> {
        let mut sent = BTreeMap::new();
        visit(&self.from.path, &mut |name, found| {
            sent.insert(name, (found.size(), found.mtime(), found.mtime_nsec()));
        });
        let mut arrived = BTreeMap::new();
        visit(&self.to.path, &mut |name, found| {
            // The time is set last, so it marks a finished file.
            let state = (found.size(), found.mtime(), found.mtime_nsec());
            if sent.get(&name) == Some(&state) {
                arrived.insert(name, (found.ino(), found.ctime(), found.ctime_nsec()));
            }
        });
        arrived
    }

    /// Panics unless these files are still the ones that arrived then.
    #[track_caller]
    pub(crate) fn assert_not_sent_again(&self, before: &BTreeMap<String, (u64, i64, i64)>) {
        let now = self.arrived();
        let again = before
            .iter()
            .filter(|(name, then)| now.get(*name) != Some(*then));
        let again: Vec<_> = again.collect();
        assert!(again.is_empty(), "sent again: {again:?}");
    }

    /// Returns the bytes of all files.
    pub(crate) fn bytes(&self) -> i64 {
        (self.files * SIZE) as i64
    }
}

/// Slows down what reaches the destination mover of a job: call it at once after making the job, because the
/// first bytes flow about a second after the mover has its address.
pub(crate) async fn slow_down(ns: &Namespace, job: &str, node: Node) -> Result<Rules> {
    let address = address_of(ns, job, "destination").await?;
    node.forward(&ns.cluster.env, &[slow(&address, DATA)])
}

/// Returns the rule that slows down what reaches a port.
pub(crate) fn slow(address: &str, port: u16) -> String {
    format!(
        "ip daddr {address} tcp dport {port} limit rate over {SPEED} kbytes/second burst 256 kbytes drop"
    )
}

/// Waits for the address of the mover of a side that has not ended.
pub(crate) async fn address_of(ns: &Namespace, job: &str, side: &str) -> Result<String> {
    let what = format!("a {side} mover of {job}");
    let pod = eventually(&what, PATIENCE, async || match ns.mover(job, side).await {
        Ok(found) => found.ok_or_else(|| "no pod".to_owned()),
        Err(error) => Err(error.to_string()),
    })
    .await?;
    let has = |pod: &Pod| pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    let what = format!("the address of {}", pod.name_any());
    let found = until(&ns.api::<Pod>(), &pod.name_any(), &what, PATIENCE, |pod| {
        pod.is_none_or(|pod| has(pod).is_some())
    })
    .await?;
    Ok(found.as_ref().and_then(has).unwrap_or_default())
}

/// Calls a function for every regular file below a directory, with its name and what is known of it. What
/// vanishes meanwhile is left out.
pub(crate) fn visit(directory: &Path, see: &mut impl FnMut(String, &fs::Metadata)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(found) = entry.metadata() else {
            continue;
        };
        if found.is_dir() {
            visit(&entry.path(), see);
        } else if found.is_file() {
            see(entry.file_name().to_string_lossy().into_owned(), &found);
        }
    }
}
