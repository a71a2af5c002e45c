use serde_json::{Value, json};

use super::*;

fn pod(status: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "a-0-a1-source", "labels": {"blit.dev/side": "source", "blit.dev/attempt": "1"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "mover"}]},
        "status": status,
    }))
    .unwrap()
}

fn container(state: Value) -> Pod {
    let phase = if state.get("terminated").is_some() {
        "Failed"
    } else {
        "Running"
    };
    pod(json!({"phase": phase, "containerStatuses": [{
        "name": "mover", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state,
    }]}))
}

fn seen(pod: &Pod) -> MoverState {
    state(pod)
}

fn waits_for(pod: &Pod) -> Option<Reason> {
    match seen(pod) {
        MoverState::Waiting(wait) => wait.map(|wait| wait.reason),
        other => panic!("{other:?}"),
    }
}

fn killed(pod: &Pod) -> Option<Reason> {
    match seen(pod) {
        MoverState::Ended(ended) => ended.killed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_word_of_a_mover_is_its_termination_message() {
    let word = TerminationMessage::new(Side::Source, ExitCode::PeerUnreachable, "gone");
    let pod =
        container(json!({"terminated": {"exitCode": 30, "message": word.to_json().unwrap()}}));
    let MoverState::Ended(ended) = seen(&pod) else {
        panic!("not ended")
    };
    assert_eq!(
        (ended.exit_code, ended.node.as_deref()),
        (Some(30), Some("n1"))
    );
    assert_eq!(ended.message, Some(Box::new(word)));
    assert_eq!(ended.killed, None);
}

#[test]
fn a_mover_has_not_ended_before_its_pod_has() {
    let mut pod = container(json!({"terminated": {"exitCode": 0}}));
    pod.status.as_mut().unwrap().phase = Some("Running".to_owned());
    assert!(matches!(
        seen(&pod),
        MoverState::Running(Running { ready: false, .. })
    ));
}

#[test]
fn a_mover_that_was_killed_is_told_from_one_that_failed() {
    let oom = container(json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}));
    assert_eq!(killed(&oom), Some(Reason::OomKilled));
    let failed = container(json!({"terminated": {"exitCode": 137, "reason": "Error"}}));
    assert_eq!(killed(&failed), None);
    let evicted = pod(json!({"phase": "Failed", "reason": "Evicted"}));
    assert_eq!(killed(&evicted), Some(Reason::PodDisrupted));
    let mut drained = container(json!({"terminated": {"exitCode": 130}}));
    drained.status.as_mut().unwrap().conditions =
        serde_json::from_value(json!([{"type": "DisruptionTarget", "status": "True"}])).unwrap();
    assert_eq!(killed(&drained), Some(Reason::PodDisrupted));
}

#[test]
fn a_running_mover_may_have_an_address_and_be_ready() {
    let mut pod = container(json!({"running": {}}));
    let status = pod.status.as_mut().unwrap();
    status.pod_ip = Some("fd00::7".to_owned());
    status.conditions =
        serde_json::from_value(json!([{"type": "Ready", "status": "True"}])).unwrap();
    assert_eq!(
        seen(&pod),
        MoverState::Running(Running {
            node: "n1".to_owned(),
            address: Some("fd00::7".parse().unwrap()),
            ready: true,
            leaving: false,
        })
    );
}

#[test]
fn a_mover_that_waits_says_for_what_and_what_to_do() {
    let image =
        container(json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such host"}}));
    assert_eq!(waits_for(&image), Some(Reason::ImageUnavailable));
    let creating = container(json!({"waiting": {"reason": "ContainerCreating"}}));
    assert_eq!(waits_for(&creating), None);
    let unscheduled = pod(json!({"phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available",
    }]}));
    assert_eq!(waits_for(&unscheduled), Some(Reason::Unschedulable));
}

#[test]
fn a_pod_that_is_deleted_before_it_has_a_node_never_starts() {
    let mut pending = pod(json!({"phase": "Pending"}));
    pending.spec.as_mut().unwrap().node_name = None;
    assert!(matches!(seen(&pending), MoverState::Waiting(_)));
    pending.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert!(matches!(seen(&pending), MoverState::Ended(_)));
}

#[test]
fn a_pod_that_is_deleted_on_a_node_has_not_ended_before_the_node_says_so() {
    let mut pod = container(json!({"running": {}}));
    pod.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert!(matches!(
        seen(&pod),
        MoverState::Running(Running { leaving: true, .. })
    ));
    pod.status.as_mut().unwrap().phase = Some("Failed".to_owned());
    assert_eq!(killed(&pod), Some(Reason::PodDisrupted));
}

#[test]
fn a_message_that_is_too_long_for_a_status_is_cut() {
    let long = wait(Reason::PodRejected, "ä".repeat(2000)).message;
    assert!(long.len() < 1500 && long.ends_with('…'), "{}", long.len());
}
