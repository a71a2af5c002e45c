use kube::api::TypeMeta;
use serde_json::json;

use super::*;

fn failed(name: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "blit.dev/v1alpha1",
        "kind": "MirrorJob",
        "metadata": {
            "name": name,
            "namespace": "ml",
            "uid": "1",
            "resourceVersion": "7",
            "finalizers": ["blit.dev/movers"],
            "ownerReferences": [],
            "labels": {"team": "a"},
            "annotations": {"note": "kept", LAST_APPLIED: "{}"}
        },
        "spec": {"operation": "Mirror", "suspend": true, "fieldOfTheFuture": 1},
        "status": {"phase": "Failed"}
    }))
    .unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_new_job_has_the_spec_labels_and_annotations_of_the_failed_one_and_nothing_else() {
    let made = serde_json::to_value(again(&failed("copy"), "copy", 1)).unwrap();
    assert_eq!(
        made,
        json!({
            "apiVersion": "blit.dev/v1alpha1",
            "kind": "MirrorJob",
            "metadata": {
                "name": "copy-r1",
                "namespace": "ml",
                "labels": {"team": "a"},
                "annotations": {"note": "kept", "blit.dev/retry-of": "copy"}
            },
            "spec": {"operation": "Mirror", "suspend": false, "fieldOfTheFuture": 1}
        })
    );
}

#[test]
fn a_retry_of_a_retry_stays_in_the_family() {
    let first = again(&failed("copy"), "copy", 1);
    assert_eq!(family(&first), "copy");
    assert_eq!(next_number("copy", &names(&["copy", "copy-r1"])), 2);
    let types = TypeMeta::default();
    let stranger = DynamicObject {
        types: Some(types),
        ..failed("data-r5")
    };
    assert_eq!(family(&stranger), "data-r5", "its user named it so");
}

#[test]
fn the_number_follows_the_highest_of_the_family() {
    assert_eq!(next_number("copy", &names(&["copy"])), 1);
    let used = names(&[
        "copy",
        "copy-r2",
        "copy-r10",
        "copy-rx",
        "other-r30",
        "my-copy-r40",
    ]);
    assert_eq!(next_number("copy", &used), 11);
}

#[test]
fn a_long_name_is_cut_so_that_the_number_fits() {
    let long = "a".repeat(59) + "-bcd";
    assert_eq!(name_of(&long, 1), "a".repeat(59) + "-r1");
    assert_eq!(name_of(&long, 1234).len(), MAX_NAME);
    let used = vec![name_of(&long, 1)];
    assert_eq!(next_number(&long, &used), 2);
}
