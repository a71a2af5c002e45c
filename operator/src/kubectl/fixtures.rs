//! Jobs for tests.

use blit_crds::MirrorJob;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The time of all tests.
pub(super) fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// A job that was made five minutes ago, with this status.
pub(super) fn job(status: Value) -> MirrorJob {
    let mut job = json!({
        "apiVersion": "blit.dev/v1alpha1",
        "kind": "MirrorJob",
        "metadata": {
            "name": "move-models",
            "namespace": "ml",
            "uid": "0a32",
            "generation": 1,
            "creationTimestamp": "2026-03-01T11:55:00Z"
        },
        "spec": {
            "operation": "Mirror",
            "source": {"persistentVolumeClaim": {"claimName": "models-old"}},
            "destination": {"persistentVolumeClaim": {"claimName": "models-new", "path": "/v2"}}
        }
    });
    if !status.is_null() {
        job["status"] = status;
        job["status"]["observedGeneration"] = json!(1);
    }
    serde_json::from_value(job).unwrap()
}

/// Both sides on their nodes.
pub(super) fn placed(mut status: Value) -> Value {
    status["source"] = json!({"display": "pvc/models-old:/", "node": "node-a"});
    status["destination"] = json!({"display": "pvc/models-new:/v2", "node": "node-b"});
    status
}

/// A condition.
pub(super) fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-03-01T11:59:00Z"
    })
}

/// Status of a job that has listed everything and copies.
pub(super) fn running() -> Value {
    placed(json!({
        "phase": "Running",
        "startTime": "2026-03-01T11:59:30Z",
        "lastProgressTime": "2026-03-01T11:59:59Z",
        "transport": {
            "selected": "TCP", "encryption": "ControlPlane", "zeroCopy": true,
            "tried": [{"kind": "RDMA", "reason": "node-b has no device"}]
        },
        "progress": {
            "percent": 41, "filesDone": 12345, "filesTotal": 30000, "bytesDone": 13207024436_i64,
            "bytesTotal": 32212254720_i64, "filesFailed": 1, "filesDeleted": 3,
            "bytesPerSecond": 1288490188, "etaSeconds": 14, "scanComplete": true,
            "display": "41%", "rate": "1.1 GiB/s"
        },
        "attempts": [{"number": 1, "startTime": "2026-03-01T11:59:30Z"}],
        "attemptsTotal": 1
    }))
}

/// Status of a job whose second attempt will begin in 15 seconds.
pub(super) fn repeated() -> Value {
    placed(json!({
        "phase": "Preparing",
        "startTime": "2026-03-01T11:58:00Z",
        "failure": {
            "reason": "PeerUnreachable", "exitCode": 30,
            "message": "cannot reach the destination at 10.1.2.3:9031: connection refused",
            "logTail": "first line\nlast line"
        },
        "attempts": [
            {"number": 11, "startTime": "2026-03-01T11:58:00Z", "endTime": "2026-03-01T11:59:00Z",
             "reason": "PodDisrupted", "node": "node-b", "bytesDone": 1048576},
            {"number": 12, "startTime": "2026-03-01T11:59:10Z", "endTime": "2026-03-01T11:59:55Z",
             "reason": "PeerUnreachable", "exitCode": 30, "node": "node-b"}
        ],
        "attemptsTotal": 12
    }))
}

/// Status of a job that failed.
pub(super) fn failed() -> Value {
    placed(json!({
        "phase": "Failed",
        "startTime": "2026-03-01T11:56:00Z",
        "completionTime": "2026-03-01T11:58:30Z",
        "progress": {"filesDone": 7, "filesFailed": 9, "bytesDone": 512, "display": "512 B"},
        "failure": {
            "reason": "BackoffLimitExceeded", "exitCode": 10,
            "message": "7 attempts failed, the last with EntriesFailed: 9 entries could not be copied"
        },
        "failedFiles": (1..=7).map(|i| json!({"path": format!("dir/file{i}"), "error": "permission denied"}))
            .collect::<Vec<_>>(),
        "conditions": [
            condition("Failed", "True", "BackoffLimitExceeded", "7 attempts failed"),
            condition("ProgressAvailable", "False", "MoverUnreachable", "cannot follow the mover"),
            condition("MetadataPreserved", "False", "NotKept", "could not be kept: owner of 12")
        ],
        "attempts": [
            {"number": 7, "startTime": "2026-03-01T11:58:00Z", "endTime": "2026-03-01T11:58:30Z",
             "reason": "EntriesFailed", "exitCode": 10, "node": "node-b", "bytesDone": 512}
        ],
        "attemptsTotal": 7
    }))
}
