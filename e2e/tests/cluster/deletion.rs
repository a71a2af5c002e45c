//! A MirrorJob is deleted at any moment: nothing of it is left but the data.

use std::fs;

use blit_e2e::cluster::{
    Job, Metrics, Namespace, Node, PATIENCE, Result, is_gone, many, until, with_temp_ns,
};
use k8s_openapi::api::core::v1::{Namespace as Object, PersistentVolumeClaim};
use kube::ResourceExt;
use kube::api::DeleteParams;

use crate::common::{Transfer, USER, mirror};

#[test]
fn deleted_while_it_waits() {
    with_temp_ns("delete-waiting", async |ns| {
        let job = ns.job("copy", &mirror("not", "there")).await?;
        job.waits("ClaimNotFound").await?;
        gone(&ns, &job).await
    });
}

#[test]
fn deleted_at_once() {
    with_temp_ns("delete-at-once", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        many(&from.path, 5, 10, USER)?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        gone(&ns, &job).await
    });
}

#[test]
fn deleted_as_soon_as_a_pod_exists() {
    with_temp_ns("delete-first-pod", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        many(&from.path, 5, 10, USER)?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        ns.until_mover("copy", "destination").await?;
        gone(&ns, &job).await
    });
}

#[test]
fn deleted_in_mid_transfer() {
    with_temp_ns("delete-running", async |ns| {
        let transfer = Transfer::start(&ns, "").await?;
        let arrived = transfer.arrived();
        gone(&ns, &transfer.job).await?;
        transfer.assert_not_sent_again(&arrived);
        Ok(())
    });
}

#[test]
fn deleted_while_it_is_suspended() {
    with_temp_ns("delete-suspended", async |ns| {
        let transfer = Transfer::start(&ns, "").await?;
        transfer
            .job
            .change(serde_json::json!({"suspend": true}))
            .await?;
        transfer.job.phase("Suspended").await?;
        gone(&ns, &transfer.job).await
    });
}

#[test]
fn deleted_after_a_failure_whose_pods_were_kept() {
    with_temp_ns("delete-failed", async |ns| {
        ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        job.failed("SourceEmpty").await?;
        let kept = ns.movers("copy").await?;
        assert_eq!(kept.len(), 2, "they stay for their logs");
        gone(&ns, &job).await
    });
}

#[test]
fn pods_kept_for_their_logs_give_way_to_whoever_needs_the_claim() {
    with_temp_ns("delete-kept-pods", async |ns| {
        ns.volume("from", Node::A).create().await?;
        let to = ns.volume("to", Node::B).create().await?;
        let first = ns.job("first", &mirror("from", "to")).await?;
        first.failed("SourceEmpty").await?;
        let other = ns.volume("other", Node::A).create().await?;
        many(&other.path, 5, 10, USER)?;
        ns.job("second", &mirror("other", "to"))
            .await?
            .complete()
            .await?;
        assert!(to.path.join("d0000/f000004").exists());
        Ok(())
    });
}

#[test]
fn after_success_nothing_is_left_at_once() {
    with_temp_ns("delete-complete", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        many(&from.path, 5, 10, USER)?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        job.complete().await?;
        // Completion is said when the claims are free.
        for pod in ns.movers("copy").await? {
            assert!(is_gone(Some(&pod)), "{} has not ended", pod.name_any());
        }
        ns.nothing_belongs_to(&job.uid).await?;
        assert!(series(&ns, "copy").await? > 0);
        gone(&ns, &job).await
    });
}

#[test]
fn a_claim_made_from_a_template_and_its_data_stay() {
    with_temp_ns("delete-template", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        many(&from.path, 50, 1000, USER)?;
        let spec = "
operation: Mirror
source: {persistentVolumeClaim: {claimName: from}}
destination: {persistentVolumeClaim: {claimName: made, template: {storageClassName: local-path, storage: 10Mi}}}
";
        let job = ns.job("copy", spec).await?;
        job.complete().await?;
        gone(&ns, &job).await?;
        let claim = ns.api::<PersistentVolumeClaim>().get("made").await?;
        assert_eq!(claim.metadata.deletion_timestamp, None);
        assert_eq!(claim.owner_references(), []);
        let path = ns.path_of("made", Node::A).await?;
        assert_eq!(fs::read(path.join("d0000/f000049")).unwrap().len(), 1000);
        Ok(())
    });
}

#[test]
fn a_namespace_with_a_running_job_can_be_deleted() {
    with_temp_ns("delete-namespace", async |ns| {
        let inner = ns.cluster.clone();
        let transfer = Transfer::start(&ns, "").await?;
        let all = inner.all::<Object>();
        all.delete(&ns.name, &DeleteParams::default()).await?;
        until(
            &all,
            &ns.name,
            "the end of the namespace",
            PATIENCE,
            |found| found.is_none(),
        )
        .await?;
        assert!(transfer.arrived().len() >= 10, "the data stays");
        Ok(())
    });
}

/// Deletes the job and checks that nothing is left of it.
async fn gone(ns: &Namespace, job: &Job) -> Result<()> {
    job.delete().await?;
    ns.nothing_belongs_to(&job.uid).await?;
    let what = format!("the end of the figures of {}", job.name);
    let none = |metrics: &Metrics| metrics.of_object(&ns.name, &job.name).is_empty();
    ns.cluster.operator().until_metrics(&what, none).await?;
    Ok(())
}

async fn series(ns: &Namespace, job: &str) -> Result<usize> {
    let metrics = ns.cluster.operator().metrics().await?;
    Ok(metrics.of_object(&ns.name, job).len())
}
