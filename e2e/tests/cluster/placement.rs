//! Where movers run, who is in their way, and in whose way they are.

use blit_e2e::cluster::{Idle, Namespace, Node, Result, Setting, many, with_temp_ns};
use blit_e2e::oracle::assert_mirrored;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;

use crate::common::{Transfer, USER, allowed_directories, copy, mirror};

#[test]
fn a_mover_runs_on_the_node_of_the_pod_that_uses_the_claim() {
    with_temp_ns("place-user", async |ns| {
        // It could be mounted on both nodes, but on one at a time.
        let from = ns.volume("from", Node::B).anywhere().create().await?;
        let to = ns.volume("to", Node::A).create().await?;
        many(&from.path, 20, 1000, USER)?;
        on_node(Idle::with("user", "from"), &ns, Node::B).await?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        let status = job.complete().await?;
        assert_eq!(status.node("source"), "node-b");
        assert_eq!(status.node("destination"), "node-a");
        assert_mirrored(&from.path, &to.path);
        Ok(())
    });
}

#[test]
fn a_claim_for_one_pod_that_is_in_use_is_waited_for() {
    with_temp_ns("place-rwop", async |ns| {
        let from = ns
            .volume("from", Node::A)
            .mode("ReadWriteOncePod")
            .create()
            .await?;
        ns.volume("to", Node::A).create().await?;
        many(&from.path, 20, 1000, USER)?;
        Idle::with("the-user", "from").run(&ns).await?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        let status = job.waits("VolumeInUse").await?;
        assert!(status.said().contains("the-user"), "{}", status.said());
        ns.event("copy", "Warning Waiting", &["the-user"]).await?;
        ns.delete_pod("the-user").await?;
        job.complete().await?;
        Ok(())
    });
}

#[test]
fn a_destination_in_use_is_waited_for_unless_the_job_may_share_it() {
    with_temp_ns("place-colocate", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        let to = ns.volume("to", Node::B).anywhere().create().await?;
        many(&from.path, 20, 1000, USER)?;
        on_node(Idle::with("the-user", "to"), &ns, Node::B).await?;
        let waits = ns.job("waits", &mirror("from", "to")).await?;
        let status = waits.waits("VolumeInUse").await?;
        assert!(status.said().contains("the-user"), "{}", status.said());
        waits.delete().await?;

        let spec = "
operation: Mirror
source: {persistentVolumeClaim: {claimName: from}}
destination: {persistentVolumeClaim: {claimName: to, inUse: Colocate}}
";
        let shares = ns.job("shares", spec).await?;
        let status = shares.complete().await?;
        assert_eq!(status.node("destination"), "node-b");
        assert_mirrored(&from.path, &to.path);
        Ok(())
    });
}

#[test]
fn a_pod_that_wants_the_claim_gets_it_in_mid_copy() {
    with_temp_ns("place-gives-way", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        let to = ns
            .volume("to", Node::B)
            .mode("ReadWriteOncePod")
            .create()
            .await?;
        let mut transfer = Transfer::between(&ns, from, to, "").await?;
        Idle::with("workload", "to").create(&ns).await?;
        ns.running_pod("workload").await?;
        let before = transfer.arrived();
        let status = transfer.job.waits("VolumeInUse").await?;
        assert!(status.said().contains("workload"), "{}", status.said());
        transfer.speed_up();
        ns.delete_pod("workload").await?;
        let status = transfer.job.complete().await?;
        transfer.assert_not_sent_again(&before);
        assert_eq!(status.attempts().last(), Some(&"Complete"));
        assert_mirrored(&transfer.from.path, &transfer.to.path);
        Ok(())
    });
}

#[test]
fn of_two_jobs_that_write_one_place_the_second_waits() {
    with_temp_ns("place-two-writers", async |ns| {
        let other = ns.volume("other", Node::A).create().await?;
        many(&other.path, 20, 1000, USER)?;
        ns.volume("third", Node::A).create().await?;
        let mut first = Transfer::start(&ns, "").await?;
        let spec = mirror("other", "to") + "deletion: {maxDelete: \"100%\"}\n";
        let second = ns.job("second", &spec).await?;
        let status = second
            .until("wait for the first", |status| {
                status.said().contains("copy")
            })
            .await?;
        assert_eq!(status.phase(), "Queued", "{status:#?}");
        assert!(
            status.text("/status/waitingFor").contains("copy"),
            "{status:#?}"
        );
        // A job that reads what the first writes waits too.
        let reader = ns.job("reader", &mirror("to", "third")).await?;
        reader
            .until("wait for a writer", |status| {
                let waits = status.text("/status/waitingFor");
                waits.contains("copy") || waits.contains("second")
            })
            .await?;
        first.speed_up();
        let end = first.job.complete().await?;
        let done = second.complete().await?;
        // RFC 3339 in UTC: later is greater.
        assert!(done.text("/status/startTime") >= end.text("/status/completionTime"));
        reader.complete().await?;
        assert_mirrored(&other.path, &first.to.path);
        Ok(())
    });
}

#[test]
fn within_one_claim_apart_is_fine_and_nested_is_invalid() {
    with_temp_ns("place-one-claim", async |ns| {
        let data = ns.volume("data", Node::A).create().await?;
        let project = data.path.join("project");
        std::fs::create_dir(&project).unwrap();
        many(&project, 50, 1000, USER)?;
        blit_e2e::cluster::give(&data.path, USER)?;
        let spec = |from: &str, to: &str| {
            format!(
                "operation: Mirror
source: {{persistentVolumeClaim: {{claimName: data, path: {from}}}}}
destination: {{persistentVolumeClaim: {{claimName: data, path: {to}}}}}
"
            )
        };
        let job = ns.job("apart", &spec("/project", "/copies/today")).await?;
        let status = job.complete().await?;
        assert_eq!(status.text("/status/transport/selected"), "Local");
        assert_mirrored(&project, &data.path.join("copies/today"));
        for (from, to) in [("/", "/copies"), ("/project", "/project/sub"), ("/a", "/a")] {
            let refused = ns.job("nested", &spec(from, to)).await.unwrap_err();
            assert_eq!(refused.code(), Some(422), "{refused}");
            assert!(
                refused.to_string().contains("must not contain each other"),
                "{refused}"
            );
        }
        Ok(())
    });
}

#[test]
fn a_mover_that_fits_no_node_waits_and_names_both_constraints() {
    with_temp_ns("place-nowhere", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::A).create().await?;
        many(&from.path, 20, 1000, USER)?;
        let spec =
            mirror("from", "to") + "mover: {nodeSelector: {kubernetes.io/hostname: node-b}}\n";
        let job = ns.job("copy", &spec).await?;
        let status = job.waits("Unschedulable").await?;
        let said = status.said();
        assert!(said.contains("node-a") && said.contains("node-b"), "{said}");
        ns.event("copy", "Warning Waiting", &["node-a", "node-b"])
            .await?;
        assert_eq!(ns.movers("copy").await?.len(), 0, "no pod is made in vain");
        Ok(())
    });
}

#[test]
fn a_node_without_a_place_for_the_labels_is_said_to_be_missing() {
    with_temp_ns("place-no-label", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        many(&from.path, 5, 10, USER)?;
        let spec =
            mirror("from", "to") + "mover: {destination: {nodeSelector: {disk: none-has-it}}}\n";
        let job = ns.job("copy", &spec).await?;
        let status = job.waits("Unschedulable").await?;
        assert!(status.said().contains("none-has-it"), "{}", status.said());
        Ok(())
    });
}

#[test]
fn a_block_volume_is_refused() {
    with_temp_ns("place-block", async |ns| {
        ns.volume("from", Node::A).block().create().await?;
        ns.volume("to", Node::A).create().await?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        let status = job.failed("Invalid").await?;
        assert!(
            status.said().contains("VolumeModeUnsupported"),
            "{}",
            status.said()
        );
        Ok(())
    });
}

#[test]
fn a_source_that_many_may_only_read_is_mounted_read_only() {
    with_temp_ns("place-rox", async |ns| {
        let from = ns
            .volume("from", Node::A)
            .mode("ReadOnlyMany")
            .create()
            .await?;
        ns.volume("to", Node::B).create().await?;
        many(&from.path, 20, 1000, USER)?;
        let job = ns.job("copy", &copy("from", "to")).await?;
        let pod = ns.until_mover("copy", "source").await?;
        let spec = pod.spec.as_ref().unwrap();
        let claims = spec.volumes.iter().flatten();
        let claims: Vec<_> = claims
            .filter_map(|volume| volume.persistent_volume_claim.as_ref())
            .collect();
        assert_eq!(claims.len(), 1);
        assert_eq!(claims[0].read_only, Some(true));
        job.complete().await?;
        Ok(())
    });
}

#[test]
fn directories_of_nodes_are_read_and_written() {
    Setting::allowing("Privileged").run("place-host-path", async |ns| {
        allowed_directories(&ns)?;
        let from = ns.volume("from", Node::A).create().await?;
        many(&from.path, 20, 1000, 0)?;
        let env = &ns.cluster.env;
        let place = format!("/data/e2e-writable/{}", ns.name);
        let spec = format!(
            "operation: Mirror
source: {{persistentVolumeClaim: {{claimName: from}}}}
destination: {{hostPath: {{nodeName: node-b, path: {place}}}}}
mover: {{source: {{podSecurity: Baseline}}, destination: {{podSecurity: Privileged}}}}
"
        );
        let job = ns.job("out", &spec).await?;
        let status = job.complete().await?;
        assert_eq!(status.node("destination"), "node-b");
        assert_eq!(
            status.text("/status/destination/display"),
            format!("node/node-b:{place}")
        );
        let written = Node::B.seen(env, place.as_ref())?;
        assert_mirrored(&from.path, &written);

        let back = ns.volume("back", Node::A).create().await?;
        let spec = format!(
            "operation: Mirror
source: {{hostPath: {{nodeName: node-b, path: {place}}}}}
destination: {{persistentVolumeClaim: {{claimName: back}}}}
mover: {{source: {{podSecurity: Privileged}}, destination: {{podSecurity: Baseline}}}}
"
        );
        ns.job("back", &spec).await?.complete().await?;
        assert_mirrored(&written, &back.path);
        std::fs::remove_dir_all(written).unwrap();
        Ok(())
    });
}

#[test]
fn a_claim_that_no_pod_beside_the_source_can_bind_gets_a_pod_of_its_own() {
    with_temp_ns("place-apart", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        // One pod is tried first, because a provisioner could make the volume anywhere; this one is on B.
        let to = ns.volume("to", Node::B).unbound().create().await?;
        many(&from.path, 20, 1000, USER)?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        let status = job.complete().await?;
        assert_eq!(status.node("source"), "node-a");
        assert_eq!(status.node("destination"), "node-b");
        assert_mirrored(&from.path, &to.path);
        Ok(())
    });
}

#[test]
fn a_volume_that_is_attached_to_a_node_keeps_the_mover_there() {
    with_temp_ns("place-attached", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        many(&from.path, 5, 10, USER)?;
        // No driver is there to mount it, but where its pod would have to be is known.
        ns.attached_volume("to", Node::B).await?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        let pod = ns.until_mover("copy", "destination").await?;
        let affinity = pod.spec.and_then(|spec| spec.affinity);
        let affinity = format!("{affinity:?}");
        assert!(
            affinity.contains("node-b") && !affinity.contains("node-a"),
            "{affinity}"
        );
        job.delete().await
    });
}

#[test]
fn an_unbound_claim_that_nobody_can_provide_is_named() {
    with_temp_ns("place-unbound", async |ns| {
        ns.volume("from", Node::A).create().await?;
        let claim = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: to}, spec: {accessModes: [ReadWriteOnce], \
                     storageClassName: no-such-class, resources: {requests: {storage: 10Mi}}}}";
        ns.create::<PersistentVolumeClaim>(claim).await?;
        let spec = copy("from", "to") + "startupDeadlineSeconds: 8\n";
        let job = ns.job("copy", &spec).await?;
        let status = job.waits("ClaimNotBound").await?;
        assert!(status.said().contains("to"), "{}", status.said());
        let status = job.failed("StartupDeadlineExceeded").await?;
        assert!(status.said().contains("ClaimNotBound"), "{}", status.said());
        Ok(())
    });
}

/// Runs a pod on a node.
async fn on_node(pod: Idle, ns: &Namespace, node: Node) -> Result<Pod> {
    let name = node.name(&ns.cluster.env)?;
    let pod = pod
        .spec(format!("nodeSelector: {{kubernetes.io/hostname: {name}}}"))
        .run(ns)
        .await?;
    assert!(!pod.name_any().is_empty());
    Ok(pod)
}
