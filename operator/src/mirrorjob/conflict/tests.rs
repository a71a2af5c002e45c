use blit_crds::parse_manifest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;

/// A job that was made at a second, from one place to another.
fn job(second: i64, source: &str, destination: &str) -> MirrorJob {
    let mut job = parse_manifest(&format!(
        "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\nmetadata: {{name: j{second}, namespace: team, uid: u{second}}}\n\
         spec: {{operation: Copy, source: {{{source}}}, destination: {{{destination}}}, mover: {{podSecurity: Privileged}}}}\n"
    ))
    .unwrap();
    job.metadata.creation_timestamp = Some(Time(jiff::Timestamp::from_second(second).unwrap()));
    job
}

fn claim(name: &str, path: &str) -> String {
    format!("persistentVolumeClaim: {{claimName: {name}, path: {path}}}")
}

fn waits(job: &MirrorJob, other: &MirrorJob, active: bool) -> bool {
    blocked(job, [Other { job: other, active }]).is_some()
}

#[test]
fn the_younger_of_two_writers_waits_and_says_for_whom() {
    let one = job(1, &claim("a", "/"), &claim("c", "/"));
    let two = job(2, &claim("b", "/"), &claim("c", "/"));
    assert!(!waits(&one, &two, false));
    let wait = blocked(
        &two,
        [Other {
            job: &one,
            active: false,
        }],
    )
    .unwrap();
    assert_eq!(wait.reason, Reason::DestinationBusy);
    assert!(
        wait.message.starts_with("MirrorJob j1 was made earlier"),
        "{}",
        wait.message
    );
}

#[test]
fn the_older_waits_too_while_movers_of_the_younger_exist() {
    let one = job(1, &claim("a", "/"), &claim("c", "/"));
    let mut two = job(2, &claim("b", "/"), &claim("c", "/"));
    assert!(waits(&one, &two, true));
    two.status.get_or_insert_default().completion_time = two.metadata.creation_timestamp.clone();
    assert!(!waits(
        &job(3, &claim("a", "/"), &claim("c", "/")),
        &two,
        false
    ));
    assert!(waits(&one, &two, true), "its pods are not gone yet");
}

#[test]
fn paths_overlap_by_component() {
    let two = |path: &str| job(2, &claim("b", "/"), &claim("c", path));
    let one = job(1, &claim("a", "/"), &claim("c", "/x/y"));
    assert!(waits(&two("/x"), &one, false));
    assert!(waits(&two("/x/y/z"), &one, false));
    assert!(waits(&two("/x/y/"), &one, false));
    assert!(!waits(&two("/x/yy"), &one, false));
    assert!(!waits(&two("/z"), &one, false));
}

#[test]
fn a_job_waits_while_its_source_is_written() {
    let one = job(1, &claim("a", "/"), &claim("b", "/"));
    let two = job(2, &claim("b", "/"), &claim("c", "/"));
    assert!(waits(&two, &one, false));
    assert!(!waits(&one, &two, true), "that one only reads b");
}

#[test]
fn claims_of_two_namespaces_and_directories_of_two_nodes_are_different_places() {
    let one = job(1, &claim("a", "/"), &claim("c", "/"));
    let mut two = job(2, &claim("a", "/"), &claim("c", "/"));
    two.metadata.namespace = Some("other".to_owned());
    assert!(!waits(&two, &one, true));
    let host = |node: &str| format!("hostPath: {{nodeName: {node}, path: /data}}");
    let one = job(1, &claim("a", "/"), &host("n1"));
    assert!(waits(&job(2, &claim("b", "/"), &host("n1")), &one, false));
    assert!(!waits(&job(2, &claim("b", "/"), &host("n2")), &one, false));
}
