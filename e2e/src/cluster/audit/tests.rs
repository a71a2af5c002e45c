use serde_json::json;

use super::read;

#[test]
fn a_request_is_named_by_group_resource_and_subresource() {
    let event = json!({
        "stage": "ResponseComplete", "verb": "patch", "user": {"username": "u"},
        "objectRef": {"resource": "mirrorjobs", "subresource": "status", "apiGroup": "blit.dev",
                      "namespace": "n", "name": "a"},
        "responseStatus": {"code": 200}, "annotations": {"authorization.k8s.io/decision": "allow"},
    });
    let request = read(&event).unwrap();
    assert_eq!(
        (
            &*request.verb,
            &*request.group,
            &*request.resource,
            request.code
        ),
        ("patch", "blit.dev", "mirrorjobs/status", 200)
    );
    assert!(request.writes() && !request.denied);
}

#[test]
fn a_request_that_was_only_received_is_left_out() {
    assert_eq!(
        read(&json!({"stage": "RequestReceived", "verb": "get"})),
        None
    );
}

#[test]
fn a_request_without_a_right_is_told_from_one_that_admission_refused() {
    let event = |decision| {
        json!({
            "stage": "ResponseComplete", "responseStatus": {"code": 403},
            "annotations": {"authorization.k8s.io/decision": decision},
        })
    };
    assert!(read(&event("forbid")).unwrap().denied);
    assert!(!read(&event("allow")).unwrap().denied);
}
