use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::mirrorjob::dereference::fixtures::tolerates;

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_bound_claim_is_read_with_what_it_asks_for_and_what_it_has() {
    let read = claim(&parse(json!({
        "metadata": {"name": "raw"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "volumeName": "pv-1", "storageClassName": "fast", "volumeMode": "Filesystem"
        },
        "status": {"phase": "Bound", "accessModes": ["ReadWriteOnce", "ReadWriteMany"]},
    })));
    assert_eq!(read.phase, ClaimPhase::Bound);
    assert_eq!(read.volume_name.as_deref(), Some("pv-1"));
    assert_eq!(read.storage_class.as_deref(), Some("fast"));
    assert!(!read.is_of_one_node() && !read.block && !read.terminating);
}

#[test]
fn a_claim_that_is_new_lost_going_or_a_device_is_read_as_such() {
    let new = claim(&parse(json!({
        "metadata": {}, "spec": {"accessModes": ["ReadWriteOncePod"], "storageClassName": "", "volumeName": ""},
    })));
    assert_eq!(
        (
            new.phase,
            new.storage_class.clone(),
            new.volume_name.clone()
        ),
        (ClaimPhase::Pending, None, None)
    );
    assert!(new.is_of_one_node() && new.is_of_one_pod());
    let lost = claim(&parse(json!({
        "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"volumeMode": "Block"},
        "status": {"phase": "Lost"},
    })));
    assert_eq!(lost.phase, ClaimPhase::Lost);
    assert!(lost.terminating && lost.block);
}

#[test]
fn a_storage_class_makes_volumes_at_once_unless_it_says_otherwise() {
    let class = |mode: Option<&str>| {
        binding(&parse(
            json!({"metadata": {}, "provisioner": "x", "volumeBindingMode": mode}),
        ))
    };
    assert_eq!(class(None), Binding::Immediate);
    assert_eq!(class(Some("Immediate")), Binding::Immediate);
    assert_eq!(
        class(Some("WaitForFirstConsumer")),
        Binding::WaitForFirstConsumer
    );
}

#[test]
fn a_volume_is_read_with_its_affinity_and_its_kind() {
    let local: PersistentVolume = parse(json!({"metadata": {}, "spec": {
        "local": {"path": "/x"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "host", "operator": "In", "values": ["a"]}]}
        ]}},
    }}));
    assert_eq!(
        volume(&local).node_affinity,
        Some(crate::mirrorjob::dereference::fixtures::on_hosts(&["a"]))
    );
    assert!(!is_attachable(&local));
    let disk: PersistentVolume = parse(json!({"metadata": {}, "spec": {
        "csi": {"driver": "d", "volumeHandle": "h", "readOnly": true},
    }}));
    assert!(volume(&disk).read_only && is_attachable(&disk));
}

#[test]
fn an_attachment_counts_for_its_volume_until_it_is_removed() {
    let attachment = |deleted: bool| {
        let mut attachment = json!({"metadata": {}, "spec": {
            "attacher": "d", "nodeName": "a", "source": {"persistentVolumeName": "pv-1"},
        }});
        if deleted {
            attachment["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        parse::<VolumeAttachment>(attachment)
    };
    assert_eq!(
        attached_to(&attachment(false), "pv-1").as_deref(),
        Some("a")
    );
    assert_eq!(attached_to(&attachment(false), "pv-2"), None);
    assert_eq!(attached_to(&attachment(true), "pv-1"), None);
}

#[test]
fn a_node_is_ready_only_if_it_says_so() {
    let ready = |status: Value| {
        let read = node(parse(json!({
            "metadata": {"name": "a", "labels": {"host": "a"}},
            "spec": {"unschedulable": true, "taints": [{"key": "gpu", "effect": "NoSchedule"}]},
            "status": status,
        })));
        assert!(read.unschedulable);
        assert_eq!((read.name.as_str(), read.taints.len()), ("a", 1));
        assert_eq!(
            read.labels,
            BTreeMap::from([("host".to_owned(), "a".to_owned())])
        );
        read.ready
    };
    let condition = |status: &str| {
        json!({"conditions": [
            {"type": "DiskPressure", "status": "True"}, {"type": "Ready", "status": status},
        ]})
    };
    assert!(ready(condition("True")));
    assert!(!ready(condition("False")));
    assert!(!ready(condition("Unknown")));
    assert!(!ready(json!({})));
}

/// A pod `web` that mounts claim `raw` in its second container.
fn web() -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "nodeName": "a",
            "securityContext": {"runAsUser": 500, "seLinuxOptions": {"level": "s0"}},
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "gpu", "operator": "Exists"},
            ],
            "containers": [
                {"name": "proxy", "securityContext": {"runAsUser": 1}},
                {"name": "web", "securityContext": {"runAsUser": 1000}, "volumeMounts": [{"name": "data", "mountPath": "/d"}]},
            ],
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "raw"}},
            ],
        },
        "status": {"phase": "Running"},
    })
}

fn read(value: Value) -> Option<ClaimPod> {
    pod(
        &parse(value),
        &BTreeSet::from(["raw", "copy"]),
        Some("7c1e"),
    )
}

#[test]
fn a_pod_is_read_with_what_a_mover_beside_it_needs() {
    let read = read(web()).unwrap();
    assert_eq!(read.name, "web");
    assert_eq!(read.claims, BTreeSet::from(["raw".to_owned()]));
    assert_eq!(read.node.as_deref(), Some("a"));
    assert_eq!(read.state, PodState::Running);
    assert_eq!(
        read.user,
        Some(1000),
        "that of the container that mounts the claim"
    );
    assert_eq!(read.tolerations, [tolerates("gpu")]);
    assert_eq!(read.se_linux_options.unwrap().level.as_deref(), Some("s0"));
    assert_eq!(read.mover_of, None);
}

#[test]
fn the_user_is_that_of_the_pod_where_the_container_says_none_and_never_root() {
    let mut pod = web();
    pod["spec"]["containers"][1]["securityContext"] = json!({});
    assert_eq!(read(pod.clone()).unwrap().user, Some(500));
    pod["spec"]["securityContext"] = json!({"runAsUser": 0});
    assert_eq!(read(pod).unwrap().user, None);
}

#[test]
fn a_volume_made_for_a_pod_is_a_claim_too() {
    let mut pod = web();
    pod["metadata"]["name"] = json!("co");
    pod["spec"]["volumes"][1] = json!({"name": "py", "ephemeral": {}});
    let claims = claims_of(&parse(pod));
    assert_eq!(claims, BTreeSet::from(["co-py".to_owned()]));
}

#[test]
fn pods_that_do_not_matter_are_left_out() {
    let mut own = web();
    own["metadata"]["labels"] = json!({"blit.dev/job-uid": "7c1e"});
    assert_eq!(read(own), None);
    let mut ended = web();
    ended["status"]["phase"] = json!("Succeeded");
    assert_eq!(read(ended), None);
    let mut elsewhere = web();
    elsewhere["spec"]["volumes"][1]["persistentVolumeClaim"]["claimName"] = json!("third");
    assert_eq!(read(elsewhere), None);
    let mut foreign = web();
    foreign["metadata"]["labels"] = json!({"blit.dev/job-uid": "f00d"});
    assert_eq!(read(foreign).unwrap().mover_of.as_deref(), Some("f00d"));
}

#[test]
fn a_pod_runs_from_its_first_container_on() {
    let state_of = |node: Option<&str>, status: Value| {
        let mut pod = web();
        pod["spec"]["nodeName"] = json!(node);
        pod["status"] = status;
        state(&parse(pod))
    };
    let condition = |kind: &str, status: &str| json!({"phase": "Pending", "conditions": [{"type": kind, "status": status, "message": "why"}]});
    let starting = |sandbox_ready| PodState::Starting { sandbox_ready };
    let container = |state: Value| {
        json!({"phase": "Pending", "initContainerStatuses": [{
            "name": "init", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state,
        }]})
    };
    let cases = [
        (
            None,
            json!({"phase": "Pending"}),
            PodState::Unscheduled { message: None },
        ),
        (
            None,
            condition("PodScheduled", "False"),
            PodState::Unscheduled {
                message: Some("why".to_owned()),
            },
        ),
        (
            Some("a"),
            condition("PodScheduled", "True"),
            starting(false),
        ),
        (
            Some("a"),
            condition("PodReadyToStartContainers", "False"),
            starting(false),
        ),
        (
            Some("a"),
            condition("PodReadyToStartContainers", "True"),
            starting(true),
        ),
        (
            Some("a"),
            container(json!({"waiting": {}})),
            starting(false),
        ),
        (
            Some("a"),
            container(json!({"running": {}})),
            PodState::Running,
        ),
        (
            Some("a"),
            container(json!({"terminated": {"exitCode": 0}})),
            PodState::Running,
        ),
    ];
    for (node, status, expected) in cases {
        assert_eq!(state_of(node, status.clone()), expected, "{status}");
    }
}
