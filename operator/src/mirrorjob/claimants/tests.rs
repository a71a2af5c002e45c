use serde_json::json;

use super::*;
use crate::mirrorjob::dereference::fixtures::*;

/// A mover of claim `raw`.
fn mover(node: Option<&str>, phase: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "nightly-a1-source"},
        "spec": {
            "containers": [],
            "nodeName": node,
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "raw"}}],
        },
        "status": {"phase": phase},
    }))
    .unwrap()
}

fn world(mode: &str, pod: ClaimPod) -> World {
    cluster(&["a", "b"])
        .with_claims([claim("raw", mode)])
        .with_pods([pod])
}

/// The pod that the mover on node `a` gives way to.
fn gives_way(world: &World) -> Option<String> {
    must_give_way(&[mover(Some("a"), "Running")], world).and_then(|way| way.pod)
}

#[test]
fn a_pod_that_needs_a_claim_of_one_pod_gets_it() {
    let refused = unscheduled("db-0", &["raw"], Some(ONE_POD_REFUSED));
    let world = world("ReadWriteOncePod", refused);
    assert_eq!(
        must_give_way(&[mover(Some("a"), "Running")], &world),
        Some(GiveWay {
            pod: Some("db-0".to_owned()),
            claim: "raw".to_owned(),
            why: "pod `db-0` needs claim `raw`, which is for a single pod (ReadWriteOncePod)"
                .to_owned(),
        })
    );
    assert_eq!(gives_way(&world.namespaced()).as_deref(), Some("db-0"));
}

#[test]
fn a_pod_that_waits_for_something_else_gets_nothing() {
    let cases = [
        unscheduled("db-0", &["raw"], None),
        unscheduled(
            "db-0",
            &["raw"],
            Some("0/2 nodes are available: Insufficient cpu"),
        ),
        unscheduled("db-0", &["other"], Some(ONE_POD_REFUSED)),
    ];
    for pod in cases {
        assert_eq!(
            gives_way(&world("ReadWriteOncePod", pod.clone())),
            None,
            "{pod:?}"
        );
    }
    // The scheduler does not look at where a volume of one node is attached.
    let pod = unscheduled("db-0", &["raw"], Some(ONE_POD_REFUSED));
    assert_eq!(
        gives_way(&world("ReadWriteOnce", pod).attached("raw", "a")),
        None
    );
}

#[test]
fn nobody_gives_way_while_a_third_pod_holds_the_claim() {
    let one_pod = world(
        "ReadWriteOncePod",
        unscheduled("db-0", &["raw"], Some(ONE_POD_REFUSED)),
    )
    .with_pods([running("db-1", &["raw"], "a")]);
    assert_eq!(gives_way(&one_pod), None);
    let one_node = world("ReadWriteOnce", starting("db-0", &["raw"], "b"))
        .attached("raw", "a")
        .with_pods([running("db-1", &["raw"], "a")]);
    assert_eq!(gives_way(&one_node), None);
}

#[test]
fn a_pod_that_cannot_attach_the_volume_on_its_node_gets_it() {
    let stuck = || world("ReadWriteOnce", starting("db-0", &["raw"], "b"));
    let way = must_give_way(
        &[mover(Some("a"), "Running")],
        &stuck().attached("raw", "a"),
    )
    .unwrap();
    assert_eq!(
        way.why,
        "pod `db-0` needs claim `raw` on node `b`, while the mover has it on node `a`"
    );
    // A volume that nobody attaches, as of a network file system, stands in nobody's way.
    assert_eq!(gives_way(&stuck()), None);
    // What cannot be seen is judged by the pod.
    assert_eq!(gives_way(&stuck().namespaced()).as_deref(), Some("db-0"));
}

#[test]
fn a_pod_that_can_have_the_volume_beside_the_mover_gets_nothing() {
    let mut late = starting("db-0", &["raw"], "b");
    late.state = PodState::Starting {
        sandbox_ready: true,
    };
    let cases = [
        (
            "on the same node",
            "ReadWriteOnce",
            starting("db-0", &["raw"], "a"),
        ),
        ("it runs", "ReadWriteOnce", running("db-0", &["raw"], "b")),
        ("it has its volumes", "ReadWriteOnce", late),
        ("shared", "ReadWriteMany", starting("db-0", &["raw"], "b")),
        ("only read", "ReadOnlyMany", starting("db-0", &["raw"], "b")),
    ];
    for (case, mode, pod) in cases {
        assert_eq!(
            gives_way(&world(mode, pod).attached("raw", "a")),
            None,
            "{case}"
        );
    }
}

#[test]
fn a_mover_that_came_too_late_for_its_volume_goes_where_that_is() {
    let world = world("ReadWriteOnce", running("db-0", &["raw"], "b")).attached("raw", "b");
    let starts = must_give_way(&[mover(Some("a"), "Pending")], &world);
    assert_eq!(starts.and_then(|way| way.pod).as_deref(), Some("db-0"));
    assert_eq!(gives_way(&world), None);
}

#[test]
fn a_mover_without_a_node_holds_nothing() {
    let world = world(
        "ReadWriteOncePod",
        unscheduled("db-0", &["raw"], Some(ONE_POD_REFUSED)),
    );
    assert_eq!(must_give_way(&[mover(None, "Pending")], &world), None);
    assert_eq!(must_give_way(&[], &world), None);
}

#[test]
fn what_is_left_of_a_failed_job_goes_when_somebody_needs_the_claim() {
    let ended = [mover(Some("a"), "Failed")];
    let way = |world: &World| must_give_way(&ended, world);
    for mode in ["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"] {
        for pod in [
            starting("db-0", &["raw"], "a"),
            unscheduled("db-0", &["raw"], None),
        ] {
            let way = way(&world(mode, pod)).unwrap();
            assert_eq!(way.why, "pod `db-0` needs claim `raw`");
        }
        assert_eq!(way(&world(mode, running("db-0", &["raw"], "a"))), None);
    }
    let unused = || cluster(&["a"]).with_claims([claim("raw", "ReadWriteOnce")]);
    assert_eq!(way(&unused()), None);
    let deleted = unused().with_claim("raw", |claim| claim.terminating = true);
    let way = way(&deleted).unwrap();
    assert_eq!(way.pod, None);
    assert!(
        way.why.starts_with("claim `raw` is being deleted"),
        "{}",
        way.why
    );
}

#[test]
fn a_running_mover_beside_an_ended_one_is_judged_as_running() {
    let own = [mover(Some("a"), "Failed"), mover(Some("a"), "Running")];
    let world = world("ReadWriteMany", starting("db-0", &["raw"], "b"));
    assert_eq!(must_give_way(&own, &world), None);
}

#[test]
fn movers_give_way_to_workloads_and_not_to_each_other() {
    let mover_of_another = |mut pod: ClaimPod| {
        pod.mover_of = Some("f00d".to_owned());
        pod
    };
    let waiting = unscheduled("other-a1-source", &["raw"], Some(ONE_POD_REFUSED));
    let one_pod = world("ReadWriteOncePod", mover_of_another(waiting));
    assert_eq!(gives_way(&one_pod), None);
    let stuck = mover_of_another(starting("other-a1-source", &["raw"], "b"));
    let one_node = world("ReadWriteOnce", stuck).attached("raw", "a");
    assert_eq!(gives_way(&one_node), None);
    assert_eq!(
        must_give_way(&[mover(Some("a"), "Failed")], &one_node),
        None
    );
}
