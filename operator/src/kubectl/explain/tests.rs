use blit_crds::outcome::Reason;
use insta::assert_snapshot;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use serde_json::{Value, json};

use super::*;
use crate::kubectl::fixtures::{condition, failed, job, now, placed, repeated, running};

fn shown(job: &MirrorJob, facts: &Facts) -> String {
    explanation(job, facts, now()).render(Some(100), false)
}

fn pod(value: Value) -> Pod {
    serde_json::from_value(value).unwrap()
}

fn operator(ready: &str) -> Option<Vec<Pod>> {
    let operator = json!({
        "metadata": {"name": "blit-operator-1", "namespace": "blit-system"},
        "status": {"conditions": [{"type": "Ready", "status": ready}]}
    });
    Some(vec![pod(operator)])
}

fn event(kind: &str, name: &str, type_: &str, reason: &str, message: &str, second: u32) -> Event {
    serde_json::from_value(json!({
        "metadata": {"name": format!("e{second}")},
        "involvedObject": {"kind": kind, "name": name, "uid": "0a32"},
        "type": type_, "reason": reason, "message": message,
        "eventTime": format!("2026-03-01T11:59:{second:02}.000000Z")
    }))
    .unwrap()
}

fn claim(name: &str, phase: &str) -> (String, PersistentVolumeClaim) {
    let claim = json!({"metadata": {"name": name}, "status": {"phase": phase}});
    (name.to_owned(), serde_json::from_value(claim).unwrap())
}

fn around() -> Facts {
    Facts {
        claims: Some([claim("models-old", "Bound"), claim("models-new", "Bound")].into()),
        operators: operator("True"),
        ..Facts::default()
    }
}

fn waiting(cause: &str) -> MirrorJob {
    job(json!({"phase": "Preparing", "waitingFor": cause}))
}

#[test]
fn a_claim_that_does_not_exist_is_explained_with_those_that_do() {
    let mut job = waiting(
        "ClaimNotFound: claim `models-old` of the source does not exist in namespace `ml`; make it",
    );
    job.spec.startup_deadline_seconds = Some(3600);
    let mut facts = around();
    facts.claims = Some([claim("models", "Bound"), claim("models-new", "Bound")].into());
    facts.events = vec![event(
        "MirrorJob",
        "move-models",
        "Warning",
        "Waiting",
        "ClaimNotFound: claim `models-old`",
        1,
    )];
    assert_snapshot!("claim_not_found", shown(&job, &facts));
}

#[test]
fn a_claim_in_use_is_explained_with_the_pods_that_use_it() {
    let user = |name: &str, phase: &str| {
        pod(json!({
            "metadata": {
                "name": name,
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "1", "controller": true}]
            },
            "spec": {
                "nodeName": "node-b", "containers": [],
                "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "models-new"}}]
            },
            "status": {"phase": phase}
        }))
    };
    let mut facts = around();
    facts.others = vec![user("web-0", "Running"), user("old-0", "Succeeded")];
    let job =
        waiting("VolumeInUse: claim `models-new` of the destination is in use by pod `web-0`");
    assert_snapshot!("volume_in_use", shown(&job, &facts));
}

#[test]
fn a_claim_without_a_volume_is_explained_by_its_provisioner() {
    let mut facts = around();
    facts.claims = Some([claim("models-old", "Bound"), claim("models-new", "Pending")].into());
    facts.events = vec![
        event(
            "PersistentVolumeClaim",
            "models-new",
            "Normal",
            "WaitForFirstConsumer",
            "waiting",
            1,
        ),
        event(
            "PersistentVolumeClaim",
            "models-new",
            "Warning",
            "ProvisioningFailed",
            "no space on the array",
            2,
        ),
        event(
            "PersistentVolumeClaim",
            "models-new",
            "Warning",
            "ProvisioningFailed",
            "no space on the array",
            3,
        ),
    ];
    let job = waiting("ClaimNotBound: claim `models-new` has no volume");
    assert_snapshot!("claim_not_bound", shown(&job, &facts));
}

#[test]
fn a_pod_that_cannot_start_is_explained_by_the_kubelet_and_the_scheduler() {
    let mover = |name: &str, side: &str, status: Value| {
        pod(json!({
            "metadata": {"name": name, "labels": {"blit.dev/attempt": "2", "blit.dev/side": side}},
            "status": status
        }))
    };
    let mut facts = around();
    facts.movers = vec![
        mover(
            "m-a2-destination",
            "destination",
            json!({"containerStatuses": [{
                "name": "mover", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"x\""}}
            }]}),
        ),
        mover(
            "m-a2-source",
            "source",
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                                   "message": "0/2 nodes are available: 2 Insufficient memory."}]}),
        ),
        pod(
            json!({"metadata": {"name": "m-a1-source", "labels": {"blit.dev/attempt": "1", "blit.dev/side": "source"}}}),
        ),
    ];
    facts.events = vec![
        event(
            "Pod",
            "m-a2-source",
            "Warning",
            "FailedScheduling",
            "0/2 nodes",
            1,
        ),
        event(
            "Pod",
            "m-a2-destination",
            "Warning",
            "FailedMount",
            "secret not found",
            2,
        ),
    ];
    let job = job(placed(json!({"phase": "Preparing"})));
    assert_snapshot!("pods", shown(&job, &facts));
}

#[test]
fn a_failed_job_is_explained_with_the_cause_behind_too_many_failures_and_how_to_retry() {
    assert_snapshot!("failed", shown(&job(failed()), &around()));
}

#[test]
fn a_job_between_attempts_says_when_the_next_one_begins() {
    assert_snapshot!("repeated", shown(&job(repeated()), &around()));
}

#[test]
fn a_job_that_can_never_run_is_not_to_be_retried() {
    let job = job(
        json!({"phase": "Failed", "completionTime": "2026-03-01T11:59:00Z",
        "failure": {"reason": "Invalid", "message": "spec.verify: Checksum is not possible yet; use None"}}),
    );
    let text = shown(&job, &around());
    assert!(text.contains("a spec cannot be changed"), "{text}");
    assert!(!text.contains("blit retry"), "{text}");
}

#[test]
fn a_job_that_nobody_looks_at_is_explained_by_the_operator() {
    let explain = |operators| {
        let facts = Facts {
            operators,
            ..around()
        };
        let text = shown(&job(Value::Null), &facts);
        text.lines().nth(2).unwrap_or_default().to_owned()
    };
    assert_eq!(explain(Some(Vec::new())), "1. There is no operator");
    assert_eq!(explain(operator("False")), "1. The operator is not ready");
    assert_eq!(
        explain(operator("True")),
        "1. The operator has not looked at it"
    );
    assert_eq!(explain(None), "1. No operator has looked at it");
    let mut new = job(Value::Null);
    new.metadata.creation_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    assert!(shown(&new, &around()).contains("about to start"));
}

#[test]
fn a_suspended_job_that_is_being_deleted_is_explained() {
    let mut job = job(json!({"phase": "Suspended"}));
    job.spec.suspend = true;
    job.metadata.finalizers = Some(vec!["blit.dev/movers".to_owned()]);
    job.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        "2026-03-01T11:59:50Z".parse().unwrap(),
    ));
    assert_snapshot!("deleted", shown(&job, &around()));
}

#[test]
fn what_is_slow_or_hidden_or_lost_is_said_of_a_running_job() {
    let mut status = running();
    status["lastProgressTime"] = json!("2026-03-01T11:58:00Z");
    status["conditions"] = json!([
        condition(
            "ProgressAvailable",
            "False",
            "MoverUnreachable",
            "cannot follow the mover at 10.0.0.1:9031: timed out"
        ),
        condition(
            "MetadataPreserved",
            "False",
            "NotKept",
            "could not be kept: owner of 12"
        ),
    ]);
    assert_snapshot!("slow", shown(&job(status), &around()));
}

#[test]
fn a_job_that_is_well_is_said_to_be() {
    let mut status = running();
    status["transport"] = Value::Null;
    let text = shown(&job(status), &around());
    assert!(
        text.contains("1. It is at work and nothing is wrong"),
        "{text}"
    );
    assert!(!text.contains("2. "), "{text}");
    let complete = json!({"phase": "Complete", "completionTime": "2026-03-01T11:59:00Z"});
    assert!(shown(&job(complete), &around()).contains("1. It is complete"));
}

#[test]
fn what_the_caller_may_not_read_is_named() {
    let facts = Facts {
        unseen: vec!["events: Error from server (Forbidden): no".to_owned()],
        ..Facts::default()
    };
    let text = shown(&waiting("ClaimNotBound: no volume"), &facts);
    assert!(
        text.ends_with("Not looked at:\n  events: Error from server (Forbidden): no\n"),
        "{text}"
    );
}

#[test]
fn every_reason_has_advice_that_can_be_followed() {
    for reason in Reason::ALL {
        let cause = format!("{reason}: because");
        let text = shown(&waiting(&cause), &around());
        assert!(text.contains("What to do: "), "{text}");
    }
    assert_eq!(advice::reason("OOMKilled"), Some(Reason::OomKilled));
    assert_eq!(advice::reason("Whatever"), None);
}

#[test]
fn permissions_are_explained_with_what_an_administrator_has_to_set() {
    let mut job = waiting("PermissionNotGranted: the namespace allows Restricted");
    job.spec = serde_json::from_value(json!({
        "operation": "Copy",
        "source": {"hostPath": {"nodeName": "node-a", "path": "/data/in"}},
        "destination": {"hostPath": {"nodeName": "node-b", "path": "/data/out"}},
        "mover": {"podSecurity": "Baseline", "destination": {"podSecurity": "Privileged"}}
    }))
    .unwrap();
    let text = shown(&job, &around());
    assert!(
        text.contains("kubectl annotate namespace ml blit.dev/pod-security=Privileged --overwrite"),
        "{text}"
    );
    job.status.as_mut().unwrap().waiting_for = Some("HostPathNotAllowed: no".to_owned());
    let text = shown(&job, &around());
    for entry in [
        "hostPath.allow: [{prefix: /data/in, namespaces: [ml], access: ReadOnly}]",
        "hostPath.allow: [{prefix: /data/out, namespaces: [ml], access: ReadWrite}]",
    ] {
        assert!(text.contains(entry), "{text}");
    }
}

#[test]
fn names_at_the_beginning_of_a_message_are_not_changed() {
    for (message, sentence) in [
        ("node-b does not answer", "node-b does not answer."),
        (
            "spec.verify is not possible",
            "spec.verify is not possible.",
        ),
        ("`web` is used", "`web` is used."),
        ("the claim is gone.", "The claim is gone."),
        ("", ""),
    ] {
        assert_eq!(find::sentence(message), sentence);
    }
}
