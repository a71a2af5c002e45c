//! Constraints that contradict each other, and nodes that take nobody.

use super::*;
use crate::mirrorjob::dereference::Node;

fn unschedulable(job: &ValidatedJob, world: &World) -> String {
    let (reason, message) = waits(job, world);
    assert_eq!(reason, Reason::Unschedulable, "{message}");
    message
}

#[test]
fn constraints_that_leave_no_node_are_both_named() {
    let in_use_elsewhere =
        world()
            .reached_from("raw", &["a"])
            .with_pods([running("web", &["raw"], "b")]);
    assert_eq!(
        unschedulable(&job("{}"), &in_use_elsewhere),
        "no node fits the source mover: volume `raw-volume` of claim `raw` can be reached from node `a`, but claim `raw` \
         is used by pod `web` on node `b`; move claim `raw` to another volume, or stop pod `web`"
    );
    let selected_elsewhere = world().reached_from("copy", &["a"]);
    assert_eq!(
        unschedulable(&job("{nodeSelector: {host: b}}"), &selected_elsewhere),
        "no node fits the destination mover: volume `copy-volume` of claim `copy` can be reached from node `a`, but \
         spec.mover.nodeSelector (host=b) allows node `b`; move claim `copy` to another volume, or make the job with another \
         nodeSelector"
    );
    let affinity = "{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: \
                    [{matchExpressions: [{key: host, operator: NotIn, values: [a]}]}]}}}}";
    let message = unschedulable(&job(affinity), &selected_elsewhere);
    assert!(
        message.contains("spec.mover.affinity.nodeAffinity allows node `b`"),
        "{message}"
    );
}

#[test]
fn three_constraints_that_contradict_only_together_are_all_named() {
    let ssd = |node: &mut Node| {
        node.labels.insert("disk".to_owned(), "ssd".to_owned());
    };
    let world = cluster(&["a", "b", "c"])
        .with_claims([
            claim("raw", "ReadWriteOnce"),
            claim("copy", "ReadWriteOnce"),
        ])
        .reached_from("raw", &["a", "b"])
        .with_node("b", ssd)
        .with_node("c", ssd);
    let mover = "{nodeSelector: {disk: ssd}, affinity: {nodeAffinity: \
                 {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: \
                 [{matchExpressions: [{key: host, operator: In, values: [a, c]}]}]}}}}";
    assert_eq!(
        unschedulable(&job(mover), &world),
        "no node fits the source mover: volume `raw-volume` of claim `raw` can be reached from nodes `a`, `b`, \
         spec.mover.nodeSelector (disk=ssd) allows nodes `b`, `c`, but spec.mover.affinity.nodeAffinity allows \
         nodes `a`, `c`; make the job with another affinity"
    );
}

#[test]
fn a_cause_that_leaves_no_node_by_itself_stands_alone() {
    assert_eq!(
        unschedulable(&job("{nodeSelector: {disk: ssd}}"), &world()),
        "no node fits the source mover: spec.mover.nodeSelector (disk=ssd) allows no node; make the job with another nodeSelector"
    );
    let gone = world().reached_from("raw", &["z"]);
    let message = unschedulable(&job("{}"), &gone);
    assert!(
        message.contains("volume `raw-volume` of claim `raw` can be reached from no node"),
        "{message}"
    );
}

#[test]
fn a_node_that_does_not_exist_is_named() {
    let job = job_of(
        SOURCE,
        "hostPath: {nodeName: z, path: /srv/x}",
        "{podSecurity: Privileged}",
    );
    let message = unschedulable(&job, &world());
    assert!(
        message.starts_with("node `z` of spec.destination.hostPath does not exist"),
        "{message}"
    );
    let gone = world().with_pods([running("web", &["raw"], "z")]);
    let message = unschedulable(&self::job("{}"), &gone);
    assert!(message.contains("node `z` does not exist"), "{message}");
}

#[test]
fn a_node_that_does_not_answer_is_waited_for() {
    let world = world()
        .with_pods([running("web", &["raw"], "a")])
        .with_node("a", |node| node.ready = false);
    let (reason, message) = waits(&job("{}"), &world);
    assert_eq!(reason, Reason::NodeUnreachable);
    assert!(
        message.starts_with("the source mover needs node `a`, and it is not ready"),
        "{message}"
    );
}

#[test]
fn a_node_that_takes_nobody_is_said_to() {
    let pinned = || world().reached_from("copy", &["b"]);
    let cordoned = pinned().with_node("b", |node| node.unschedulable = true);
    let message = unschedulable(&job("{}"), &cordoned);
    assert!(
        message.contains("no node takes the destination mover: node `b` is cordoned"),
        "{message}"
    );
    let tainted =
        |effect| pinned().with_node("b", move |node| node.taints = vec![taint("gpu", effect)]);
    for effect in ["NoSchedule", "NoExecute"] {
        let message = unschedulable(&job("{}"), &tainted(effect));
        assert!(
            message.contains(&format!("has the taint gpu=only:{effect}")),
            "{message}"
        );
        assert!(message.contains("spec.mover.tolerations"), "{message}");
        let tolerant = job("{tolerations: [{key: gpu, operator: Exists}]}");
        assert_eq!(summary(&placed(&tolerant, &tainted(effect))), "one b");
    }
    assert_eq!(
        summary(&placed(&job("{}"), &tainted("PreferNoSchedule"))),
        "one b"
    );
}

#[test]
fn sides_that_no_single_node_takes_are_two_pods() {
    // Both volumes can be reached from everywhere, but the only node for both is cordoned.
    let world = cluster(&["a", "b", "c"])
        .with_claims([
            claim("raw", "ReadWriteMany"),
            claim("copy", "ReadWriteMany"),
        ])
        .reached_from("raw", &["a", "b"])
        .reached_from("copy", &["b", "c"])
        .with_node("b", |node| node.unschedulable = true);
    assert_eq!(summary(&placed(&job("{}"), &world)), "two a|b b|c");
}

#[test]
fn a_message_fits_a_status() {
    let long = "x".repeat(240);
    let volumes: Vec<String> = (0..8).map(|number| format!("{number}-{long}")).collect();
    let names: Vec<&str> = volumes.iter().map(String::as_str).collect();
    let world = cluster(&names)
        .with_claims([
            claim("raw", "ReadWriteOnce"),
            claim("copy", "ReadWriteOnce"),
        ])
        .reached_from("raw", &names[..4])
        .with_pods([running(&long, &["raw"], names[5])]);
    let message = unschedulable(&job("{}"), &world);
    assert!(
        message.len() <= 1024 && message.ends_with('…'),
        "{}",
        message.len()
    );
}
