//! What cannot be yet: each job waits with its reason, an event and a message with the remedy, and goes on
//! when the cause is gone.

use std::fs;

use blit_e2e::cluster::{Job, Namespace, Node, Result, Setting, Status, many, with_temp_ns};
use k8s_openapi::api::core::v1::{
    LimitRange, Namespace as Object, PersistentVolumeClaim, ResourceQuota, Secret,
};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::common::{BASELINE, USER, allowed_directories, from_node, mirror};

#[test]
fn a_claim_that_does_not_exist_is_waited_for() {
    with_temp_ns("wait-claim", async |ns| {
        ns.volume("to", Node::B).create().await?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        waits(&ns, &job, "ClaimNotFound", &["from"]).await?;
        assert_eq!(ns.belongings(&job.uid).await?, Vec::<String>::new());
        let path = Node::A.seen(&ns.cluster.env, &ns.folder().join("from"))?;
        fs::create_dir_all(&path).unwrap();
        many(&path, 5, 10, USER)?;
        ns.volume("from", Node::A).create().await?;
        job.complete().await?;
        Ok(())
    });
}

#[test]
fn a_level_above_the_namespaces_is_waited_for() {
    with_temp_ns("wait-level", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        many(&from.path, 5, 10, USER)?;
        let job = ns.job("copy", &(mirror("from", "to") + BASELINE)).await?;
        waits(
            &ns,
            &job,
            "PermissionNotGranted",
            &["Baseline", "blit.dev/pod-security"],
        )
        .await?;
        assert_eq!(ns.belongings(&job.uid).await?, Vec::<String>::new());
        let patch = json!({"metadata": {"annotations": {"blit.dev/pod-security": "Baseline"}}});
        let objects = ns.cluster.all::<Object>();
        let patch = Patch::Merge(patch);
        objects
            .patch(&ns.name, &PatchParams::default(), &patch)
            .await?;
        job.complete().await?;
        Ok(())
    });
}

#[test]
fn a_directory_of_a_node_outside_the_allowed_ones_is_waited_for() {
    Setting::allowing("Privileged").run("wait-host-path", async |ns| {
        allowed_directories(&ns)?;
        ns.volume("to", Node::B).create().await?;
        // `/data/e2e-writable` is allowed; what only begins with the same letters is not.
        for (name, path) in [("etc", "/etc"), ("prefix", "/data/e2e-writable-not")] {
            let job = ns.job(name, &from_node(path)).await?;
            waits(&ns, &job, "HostPathNotAllowed", &[path]).await?;
            assert_eq!(ns.belongings(&job.uid).await?, Vec::<String>::new());
            job.delete().await?;
        }
        // A directory that may only be read.
        let spec = format!(
            "operation: Mirror
source: {{persistentVolumeClaim: {{claimName: to}}}}
destination: {{hostPath: {{nodeName: node-b, path: /data/e2e-readable/{}}}}}
mover: {{destination: {{podSecurity: Privileged}}}}
",
            ns.name
        );
        let job = ns.job("read-only", &spec).await?;
        waits(&ns, &job, "HostPathNotAllowed", &["/data/e2e-readable"]).await?;
        Ok(())
    });
}

#[test]
fn a_quota_that_leaves_no_room_is_waited_for() {
    with_temp_ns("wait-quota", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        many(&from.path, 5, 10, USER)?;
        let quota = "{apiVersion: v1, kind: ResourceQuota, metadata: {name: small}, spec: {hard: {pods: \"1\"}}}";
        ns.create::<ResourceQuota>(quota).await?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        waits(&ns, &job, "QuotaExceeded", &["small"]).await?;
        let quotas = ns.api::<ResourceQuota>();
        quotas.delete("small", &DeleteParams::default()).await?;
        job.complete().await?;
        Ok(())
    });
}

#[test]
fn a_limit_range_that_forbids_the_pod_is_quoted() {
    with_temp_ns("wait-limits", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        many(&from.path, 5, 10, USER)?;
        let limits = "{apiVersion: v1, kind: LimitRange, metadata: {name: tiny}, spec: {limits: [{type: Container, max: {memory: 16Mi}}]}}";
        ns.create::<LimitRange>(limits).await?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        waits(
            &ns,
            &job,
            "PodRejected",
            &["maximum memory usage per Container is 16Mi"],
        )
        .await?;
        // It takes no place from others, and makes nothing again and again, while it waits.
        let begun = job
            .now()
            .await?
            .number("/status/attemptsTotal")
            .unwrap_or(0);
        assert_eq!(begun, 0, "attempts");
        let secrets = ns.api::<Secret>().list(&ListParams::default()).await?;
        let secrets: Vec<_> = secrets.iter().map(ResourceExt::name_any).collect();
        assert!(secrets.is_empty(), "{secrets:?}");
        ns.api::<LimitRange>()
            .delete("tiny", &DeleteParams::default())
            .await?;
        job.complete().await?;
        Ok(())
    });
}

#[test]
fn admission_that_forbids_the_level_is_quoted() {
    let setting = Setting::enforcing("restricted").allow("Baseline");
    setting.run("wait-admission", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        many(&from.path, 5, 10, USER)?;
        let job = ns.job("copy", &(mirror("from", "to") + BASELINE)).await?;
        waits(&ns, &job, "PodRejected", &["violates PodSecurity"]).await?;
        Ok(())
    });
}

#[test]
fn a_source_that_was_never_used_is_waited_for() {
    with_temp_ns("wait-unused", async |ns| {
        ns.volume("to", Node::A).create().await?;
        let claim = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: from}, spec: {accessModes: [ReadWriteOnce], \
                     storageClassName: local-path, resources: {requests: {storage: 10Mi}}}}";
        ns.create::<PersistentVolumeClaim>(claim).await?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        waits(&ns, &job, "ClaimNotBound", &["from", "never been used"]).await?;
        Ok(())
    });
}

/// Waits until the job waits and checks that it is told: a reason, an event, and a message with these words.
pub(crate) async fn waits(
    ns: &Namespace,
    job: &Job,
    reason: &str,
    words: &[&str],
) -> Result<Status> {
    let status = job.waits(reason).await?;
    let said = status.said();
    for word in words {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
    assert!(!status.text("/status/waitingFor").is_empty(), "{status:#?}");
    ns.event(&job.name, "Warning Waiting", words).await?;
    Ok(status)
}
