use std::time::Duration;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::MirrorJobStatus;
use serde_json::{Value, json};

use super::{MESSAGE_BYTES, Note, Publisher, changes, normal};
use crate::fake_api::{FakeApi, Trouble};

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/ns/events/";

fn status(value: Value) -> MirrorJobStatus {
    serde_json::from_value(value).unwrap()
}

/// Returns the notes of a change, as `Reason: message` with `!` before warnings. Nothing may be told again
/// without a change.
fn told(before: Value, after: Value) -> Vec<String> {
    let (before, after) = (status(before), status(after));
    assert_eq!(changes(Some(&after), &after), []);
    changes(Some(&before), &after).iter().map(text).collect()
}

fn text(note: &Note) -> String {
    let mark = if note.warning { "!" } else { "" };
    format!("{mark}{}: {}", note.reason, note.message)
}

fn job() -> MirrorJob {
    serde_json::from_value(json!({
        "apiVersion": "blit.dev/v1alpha1", "kind": "MirrorJob",
        "metadata": {"name": "job", "namespace": "ns", "uid": "1", "resourceVersion": "7"},
        "spec": {
            "operation": "Copy",
            "source": {"persistentVolumeClaim": {"claimName": "a"}},
            "destination": {"persistentVolumeClaim": {"claimName": "b"}},
        },
    }))
    .unwrap()
}

fn open(number: i32) -> Value {
    json!({"number": number, "startTime": "2026-01-01T00:00:00Z"})
}

fn over(number: i32, reason: Option<&str>) -> Value {
    json!({
        "number": number, "startTime": "2026-01-01T00:00:00Z",
        "endTime": "2026-01-01T00:01:00Z", "reason": reason, "node": "n2",
    })
}

#[test]
fn a_job_that_queues_tells_it_once_and_again_only_for_another_cause() {
    let first = json!({"phase": "Queued", "queuePosition": 3});
    assert_eq!(
        told(json!({}), first.clone()),
        ["Queued: waits for its turn, at place 3"]
    );
    let moved = json!({"phase": "Queued", "queuePosition": 2});
    assert_eq!(told(first.clone(), moved), Vec::<String>::new());
    let busy = json!({"phase": "Queued", "waitingFor": "DestinationBusy: mj/other writes pvc/b:/"});
    assert_eq!(
        told(first, busy),
        ["Queued: DestinationBusy: mj/other writes pvc/b:/"]
    );
}

#[test]
fn what_a_job_waits_for_is_a_warning_once_for_each_cause() {
    let in_use = json!({"phase": "Preparing", "waitingFor": "VolumeInUse: pod web uses claim b"});
    let notes = told(json!({"phase": "Pending"}), in_use.clone());
    assert_eq!(notes, ["!Waiting: VolumeInUse: pod web uses claim b"]);
    let lost = json!({"phase": "Running", "waitingFor": "NodeUnreachable: node b does not answer"});
    let notes = told(json!({"phase": "Running"}), lost);
    assert_eq!(notes, ["!Waiting: NodeUnreachable: node b does not answer"]);
    let missing = json!({"phase": "Pending", "waitingFor": "ClaimNotFound: there is no claim b"});
    assert_eq!(told(in_use.clone(), missing).len(), 1);
    assert_eq!(
        told(in_use, json!({"phase": "Preparing"})),
        Vec::<String>::new()
    );
}

#[test]
fn an_attempt_is_told_when_it_begins_when_it_connects_and_when_it_fails() {
    let begun = json!({"phase": "Preparing", "attempts": [open(1)]});
    assert_eq!(
        told(json!({"phase": "Pending"}), begun.clone()),
        ["AttemptStarted: attempt 1 begins"]
    );
    let mut at_work = begun.clone();
    at_work["phase"] = json!("Running");
    at_work["source"] = json!({"node": "n1"});
    at_work["destination"] = json!({"node": "n2"});
    assert_eq!(
        told(begun, at_work.clone()),
        ["Connected: the movers on n1 and n2 are at work"]
    );
    let mut deletes = at_work.clone();
    deletes["phase"] = json!("Deleting");
    assert_eq!(told(at_work.clone(), deletes), Vec::<String>::new());
    let failed = json!({
        "phase": "Preparing", "attempts": [over(1, Some("Stalled"))],
        "failure": {"reason": "Stalled", "message": "nothing moved"},
    });
    let notes = told(at_work.clone(), failed.clone());
    assert_eq!(
        notes,
        ["!AttemptFailed: attempt 1 ended on node n2 with Stalled: nothing moved"]
    );
    let again = json!({
        "phase": "Preparing", "attempts": [over(1, Some("Stalled")), open(2)],
        "failure": {"reason": "Stalled", "message": "nothing moved"},
    });
    assert_eq!(
        told(failed, again.clone()),
        ["AttemptStarted: attempt 2 begins"]
    );
    // Both at once, as when the operator was away.
    assert_eq!(told(at_work, again).len(), 2);
}

#[test]
fn attempts_that_are_no_longer_remembered_are_not_told_again() {
    let before = json!({"phase": "Preparing", "attempts": [over(4, Some("Stalled")), open(5)]});
    let after = json!({"phase": "Preparing", "attempts": [over(3, Some("Stalled")), over(4, Some("Stalled")), open(5)]});
    assert_eq!(told(before, after), Vec::<String>::new());
}

#[test]
fn the_transport_is_told_with_every_one_that_was_given_up() {
    let before = json!({"phase": "Running"});
    let tcp =
        json!({"phase": "Running", "transport": {"selected": "TCP", "encryption": "ControlPlane"}});
    let notes = told(before.clone(), tcp.clone());
    assert_eq!(
        notes,
        ["TransportSelected: data travels by TCP, encryption ControlPlane"]
    );
    let grpc = json!({"phase": "Running", "transport": {
        "selected": "GRPC", "encryption": "ControlPlane",
        "tried": [{"kind": "TCP", "reason": "no answer on port 9032"}],
    }});
    let notes = told(tcp.clone(), grpc);
    assert_eq!(
        notes[0],
        "!TransportFallback: TCP cannot be used: no answer on port 9032; data travels by GRPC instead"
    );
    assert_eq!(notes.len(), 2);
    // Nothing instead of TCP may be used: that is told as the failure.
    let denied = json!({"phase": "Running", "transport": {
        "selected": "TCP", "encryption": "ControlPlane",
        "tried": [{"kind": "TCP", "reason": "no answer on port 9032"}],
    }});
    assert_eq!(told(tcp.clone(), denied), Vec::<String>::new());
    let local = json!({"phase": "Running", "transport": {"selected": "Local", "encryption": "ControlPlane"}});
    assert_eq!(
        told(before, local),
        ["TransportSelected: one pod mounts both volumes"]
    );
}

#[test]
fn a_guard_that_refuses_is_told_beside_the_failure_and_another_failure_alone() {
    let before = json!({"phase": "Running", "attempts": [open(1)]});
    let after = |reason: &str| {
        json!({
            "phase": "Failed", "attempts": [over(1, Some(reason))],
            "failure": {"reason": reason, "message": "cause; remedy"},
        })
    };
    assert_eq!(
        told(before.clone(), after("SourceEmpty")),
        [
            "!GuardRefused: SourceEmpty: cause; remedy",
            "!Failed: SourceEmpty: cause; remedy"
        ]
    );
    let notes = told(before, after("DestinationFull"));
    assert_eq!(notes, ["!Failed: DestinationFull: cause; remedy"]);
}

#[test]
fn a_job_that_completes_tells_what_it_did_and_what_could_not_be_kept() {
    let before = json!({"phase": "Running", "attempts": [open(1)]});
    let after = json!({
        "phase": "Complete", "attempts": [over(1, None)],
        "progress": {"filesDone": 5, "bytesDone": 70, "filesDeleted": 2},
        "conditions": [{
            "type": "MetadataPreserved", "status": "False", "reason": "NotKept",
            "message": "could not be kept: owner of 5", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    });
    assert_eq!(
        told(before, after),
        [
            "!MetadataNotPreserved: could not be kept: owner of 5",
            "Completed: the destination is as asked: 5 entries in place, 70 bytes copied, 2 entries deleted",
        ]
    );
}

#[test]
fn suspending_and_resuming_are_told_and_are_no_failures() {
    let running = json!({"phase": "Running", "attempts": [open(1)]});
    let suspended = json!({"phase": "Suspended", "attempts": [over(1, Some("Interrupted"))]});
    assert_eq!(
        told(running, suspended.clone()),
        ["Suspended: stopped; what is done stays"]
    );
    let queued = json!({"phase": "Queued", "attempts": [over(1, Some("Interrupted"))]});
    let notes = told(suspended, queued);
    assert_eq!(
        notes,
        [
            "Resumed: goes on where it was stopped",
            "Queued: waits for its turn"
        ]
    );
}

#[test]
fn a_new_job_without_a_status_is_compared_with_nothing() {
    let after = status(json!({"phase": "Preparing", "attempts": [open(1)]}));
    assert_eq!(changes(None, &after).len(), 1);
    assert_eq!(changes(None, &MirrorJobStatus::default()), []);
}

#[test]
fn a_message_is_cut_to_what_an_event_may_hold() {
    let note = normal("Queued", "Queue", "ä".repeat(2000));
    assert!(note.message.len() <= MESSAGE_BYTES && note.message.ends_with('…'));
}

#[tokio::test]
async fn notes_become_events_of_the_object_and_the_same_one_again_is_counted() {
    let api = FakeApi::start().await;
    let publisher = Publisher::start(api.client(), "pod-1");
    let note = |message: &str| normal("Queued", "Queue", message.to_owned());
    publisher.publish(&job(), vec![note("first"), note("second"), note("first")]);
    publisher.flush().await;
    let mut events = api.below(EVENTS);
    events.sort_by_key(|event| event["note"].to_string());
    assert_eq!(events.len(), 2, "{events:#?}");
    let first = &events[0];
    assert_eq!(first["note"], "first");
    assert_eq!(first["series"]["count"], 2);
    assert_eq!(first["reason"], "Queued");
    assert_eq!(first["type"], "Normal");
    assert_eq!(first["regarding"]["kind"], "MirrorJob");
    assert_eq!(first["regarding"]["uid"], "1");
    assert_eq!(first["reportingInstance"], "pod-1");
}

#[tokio::test]
async fn a_publisher_that_cannot_send_drops_and_never_blocks() {
    let api = FakeApi::start().await;
    api.set_trouble(Trouble::Silence);
    let publisher = Publisher::start(api.client(), "pod-1");
    let notes: Vec<Note> = (0..3000)
        .map(|n| normal("Queued", "Queue", n.to_string()))
        .collect();
    let begin = std::time::Instant::now();
    publisher.publish(&job(), notes);
    assert!(begin.elapsed() < Duration::from_secs(2));
    publisher.flush().await;
    assert!(begin.elapsed() < Duration::from_secs(10));
}
