//! Movers that the scheduler leaves without a node.

use k8s_openapi::api::core::v1::Pod;

use super::*;

/// A mover of claim `raw` that the scheduler says this about.
fn mover(said: Option<&str>) -> Pod {
    let condition = said.map(|said| {
        serde_json::json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}])
    });
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": "nightly-a1-source"},
        "spec": {
            "containers": [],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "raw"}}],
        },
        "status": {"phase": "Pending", "conditions": condition},
    }))
    .unwrap()
}

#[test]
fn what_the_scheduler_says_becomes_a_reason_and_a_remedy() {
    let cases = [
        (
            "0/2 nodes are available: 2 Insufficient cpu. preemption: not helpful",
            Reason::Unschedulable,
            "ask for less in spec.mover.resources",
        ),
        (
            "0/2 nodes are available: 2 node(s) had untolerated taint(s).",
            Reason::Unschedulable,
            "spec.mover.tolerations",
        ),
        (
            "0/2 nodes are available: 2 node(s) were unschedulable.",
            Reason::Unschedulable,
            "uncordon",
        ),
        (
            "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
            Reason::ClaimNotBound,
            "kubectl describe pvc",
        ),
        (
            "0/2 nodes are available: persistentvolumeclaim \"raw\" not found.",
            Reason::ClaimNotFound,
            "make it",
        ),
        (
            "0/2 nodes are available: persistentvolumeclaim \"raw\" is being deleted.",
            Reason::ClaimNotFound,
            "make it again",
        ),
        (
            "0/2 nodes are available: persistentvolumeclaim \"raw\" bound to non-existent persistentvolume \"pv\".",
            Reason::ClaimNotBound,
            "restore the volume",
        ),
        (
            "something new",
            Reason::Unschedulable,
            "kubectl describe pod",
        ),
    ];
    for (said, reason, remedy) in cases {
        let wait = explain_unscheduled(&mover(Some(said)), &world()).unwrap();
        assert_eq!(wait.reason, reason, "{said}");
        assert!(wait.message.contains(remedy), "{}", wait.message);
        assert!(wait.message.ends_with(said), "{}", wait.message);
        assert!(
            wait.message.contains("`nightly-a1-source`"),
            "{}",
            wait.message
        );
    }
}

#[test]
fn a_mover_that_waits_for_a_claim_of_one_pod_names_the_pod_that_has_it() {
    let world = cluster(&["a", "b"])
        .with_claims([claim("raw", "ReadWriteOncePod")])
        .with_pods([running("db-0", &["raw"], "a")]);
    let wait = explain_unscheduled(&mover(Some(ONE_POD_REFUSED)), &world).unwrap();
    assert_eq!(wait.reason, Reason::VolumeInUse);
    assert!(
        wait.message
            .contains("claim `raw` is for a single pod (ReadWriteOncePod) and pod `db-0` has it"),
        "{}",
        wait.message
    );
}

#[test]
fn a_mover_that_the_scheduler_has_not_judged_waits_for_nothing() {
    assert_eq!(explain_unscheduled(&mover(None), &world()), None);
    let mut scheduled = mover(Some("too late"));
    scheduled.spec.as_mut().unwrap().node_name = Some("a".to_owned());
    assert_eq!(explain_unscheduled(&scheduled, &world()), None);
}
