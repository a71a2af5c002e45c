use blit_crds::mirrorjob::Attempt as Record;
use blit_crds::parse_manifest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;

const RUNNING: &str = "running";
const STARTING: &str = "starting";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A job that was made at second 0, with these lines of the spec.
fn job(further: &str) -> MirrorJob {
    let mut job = parse_manifest(&format!(
        "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\nmetadata: {{name: a, uid: u}}\nspec:\n  operation: Copy\n  \
         source: {{persistentVolumeClaim: {{claimName: raw}}}}\n  \
         destination: {{persistentVolumeClaim: {{claimName: copy}}}}\n{further}\n"
    ))
    .unwrap();
    job.metadata.creation_timestamp = Some(Time(at(0)));
    job
}

/// A job whose first attempt began at second 10.
fn begun(further: &str) -> MirrorJob {
    let mut job = job(further);
    let status = job.status.get_or_insert_default();
    status.start_time = Some(Time(at(10)));
    status.attempts_total = 1;
    status.attempts = vec![Record {
        number: 1,
        start_time: Some(Time(at(10))),
        ..Record::default()
    }];
    job
}

/// A pod of attempt 1: running, starting, or ended at a second.
fn pod(side: &str, state: impl Into<State>) -> Pod {
    let state = match state.into() {
        State::Named(RUNNING) => json!({"running": {}}),
        State::Named(_) => json!({"waiting": {"reason": "ContainerCreating"}}),
        State::EndedAt(second) => {
            json!({"terminated": {"exitCode": 30, "finishedAt": at(second).to_string()}})
        }
    };
    of_attempt(1, side, state)
}

enum State {
    Named(&'static str),
    EndedAt(i64),
}

impl From<&'static str> for State {
    fn from(name: &'static str) -> Self {
        Self::Named(name)
    }
}

impl From<i64> for State {
    fn from(second: i64) -> Self {
        Self::EndedAt(second)
    }
}

fn of_attempt(attempt: u32, side: &str, state: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("a-{side}"), "finalizers": ["blit.dev/result"],
            "labels": {"blit.dev/side": side, "blit.dev/attempt": attempt.to_string()},
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "mover"}]},
        "status": {
            "phase": if state.get("terminated").is_some() { "Failed" } else { "Running" },
            "podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{
                "name": "mover", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state,
            }],
        },
    }))
    .unwrap()
}

fn step(job: &MirrorJob, now: i64, pods: &[Pod]) -> Step {
    let pods: Vec<&Pod> = pods.iter().collect();
    next(&Seen {
        now: at(now),
        job,
        pods: &pods,
        verdict: None,
    })
}

fn action(job: &MirrorJob, now: i64, pods: &[Pod]) -> Action {
    match step(job, now, pods) {
        Step::Attempt(attempt) => attempt.action,
        other => panic!("{other:?}"),
    }
}

fn word(action: Action) -> Option<Reason> {
    match action {
        Action::Settle(outcome) => outcome.verdict.map(|verdict| verdict.reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_starts_and_its_attempt_makes_the_destination_first() {
    assert_eq!(step(&job(""), 1, &[]), Step::Start);
    let job = begun("");
    assert_eq!(action(&job, 10, &[]), Action::Prepare);
    assert_eq!(
        action(&job, 11, &[pod("destination", STARTING)]),
        Action::Watch
    );
    assert_eq!(
        action(&job, 12, &[pod("destination", RUNNING)]),
        Action::MakeSource("10.0.0.7".parse().unwrap())
    );
    let both = [pod("destination", RUNNING), pod("source", RUNNING)];
    assert_eq!(action(&job, 13, &both), Action::Watch);
    assert_eq!(action(&job, 12, &[pod("local", RUNNING)]), Action::Watch);
}

#[test]
fn an_attempt_is_settled_when_both_movers_have_ended() {
    let both = [pod("destination", 20), pod("source", 21)];
    assert_eq!(word(action(&begun(""), 22, &both)), None);
    assert_eq!(word(action(&begun(""), 22, &[pod("local", 20)])), None);
}

#[test]
fn a_survivor_has_time_to_leave_and_is_then_asked_to() {
    let pods = [pod("destination", 20), pod("source", RUNNING)];
    assert_eq!(action(&begun(""), 30, &pods), Action::Watch);
    assert_eq!(
        action(&begun(""), 55, &pods),
        Action::Stop(vec![Side::Source])
    );
    let never_started = [pod("destination", 20), pod("source", STARTING)];
    assert_eq!(
        action(&begun(""), 21, &never_started),
        Action::Stop(vec![Side::Source])
    );
}

#[test]
fn nobody_is_asked_twice() {
    let mut source = pod("source", RUNNING);
    source.metadata.deletion_timestamp = Some(Time(at(56)));
    let pods = [pod("destination", 20), source];
    assert_eq!(action(&begun(""), 60, &pods), Action::Watch);
}

#[test]
fn suspension_ends_the_movers_and_then_the_attempt() {
    let job = begun("  suspend: true");
    let pods = [pod("destination", RUNNING), pod("source", RUNNING)];
    assert_eq!(
        action(&job, 20, &pods),
        Action::Stop(vec![Side::Source, Side::Destination])
    );
    let pods = [pod("destination", 25), pod("source", 25)];
    assert_eq!(word(action(&job, 26, &pods)), Some(Reason::Interrupted));
    assert_eq!(word(action(&job, 20, &[])), Some(Reason::Interrupted));
    let mut idle = job;
    idle.status = None;
    assert_eq!(step(&idle, 20, &[]), Step::Suspended);
}

#[test]
fn the_pods_of_an_attempt_are_let_go_only_when_its_end_is_recorded() {
    let mut job = begun("");
    let pods = [pod("destination", 20), pod("source", 21)];
    assert!(matches!(step(&job, 22, &pods), Step::Attempt(_)));
    let status = job.status.as_mut().unwrap();
    status.attempts[0].end_time = Some(Time(at(22)));
    let let_go = |keep_last| Step::LetGo {
        attempts: vec![1],
        keep_last,
    };
    assert_eq!(step(&job, 22, &pods), let_go(false));
    assert_eq!(step(&job, 22, &[]), Step::BackOff(at(32)));
    assert_eq!(step(&job, 32, &[]), Step::Start);
    // A failed job keeps the last pods, without their finalizer.
    let status = job.status.as_mut().unwrap();
    status.completion_time = Some(Time(at(22)));
    status.phase = Phase::Failed;
    assert_eq!(step(&job, 23, &pods), let_go(true));
    let kept = pods.map(|mut pod| {
        pod.metadata.finalizers = None;
        pod
    });
    assert_eq!(step(&job, 23, &kept), Step::Over { delete_at: None });
}

#[test]
fn no_attempt_begins_while_a_pod_of_an_earlier_one_exists() {
    let mut job = begun("");
    job.status.as_mut().unwrap().attempts[0].end_time = Some(Time(at(22)));
    let leftover = [of_attempt(1, "source", json!({"running": {}}))];
    assert!(matches!(step(&job, 1_000, &leftover), Step::LetGo { .. }));
}

#[test]
fn deadlines_end_a_job_with_and_without_movers() {
    let active = begun("  activeDeadlineSeconds: 60");
    let pods = [pod("destination", RUNNING), pod("source", RUNNING)];
    assert_eq!(action(&active, 69, &pods), Action::Watch);
    assert!(matches!(action(&active, 70, &pods), Action::Stop(_)));
    let ended = [pod("destination", 71), pod("source", 71)];
    assert_eq!(
        word(action(&active, 72, &ended)),
        Some(Reason::DeadlineExceeded)
    );
    let mut startup = job("  startupDeadlineSeconds: 60");
    assert_eq!(step(&startup, 59, &[]), Step::Start);
    startup.status.get_or_insert_default().waiting_for =
        Some("ClaimNotFound: claim raw does not exist".to_owned());
    let Step::GiveUp(verdict) = step(&startup, 60, &[]) else {
        panic!("not given up")
    };
    assert_eq!(verdict.reason, Reason::StartupDeadlineExceeded);
    assert!(
        verdict.message.contains("ClaimNotFound"),
        "{}",
        verdict.message
    );
}

#[test]
fn a_deadline_passes_while_pods_that_were_let_go_do_not_leave_their_lost_node() {
    let mut job = begun("  activeDeadlineSeconds: 60");
    job.status.as_mut().unwrap().attempts[0].end_time = Some(Time(at(22)));
    let stuck = [of_attempt(1, "source", json!({"running": {}}))];
    assert!(matches!(step(&job, 69, &stuck), Step::LetGo { .. }));
    let Step::GiveUp(verdict) = step(&job, 70, &stuck) else {
        panic!("not given up")
    };
    assert_eq!(verdict.reason, Reason::DeadlineExceeded);
    job.spec.suspend = true;
    assert!(matches!(step(&job, 70, &stuck), Step::LetGo { .. }));
}

#[test]
fn a_job_that_is_over_waits_for_its_time_to_live() {
    let mut job = begun("  ttlSecondsAfterFinished: 5");
    let status = job.status.as_mut().unwrap();
    status.completion_time = Some(Time(at(22)));
    status.phase = Phase::Complete;
    let over = Step::Over {
        delete_at: Some(at(27)),
    };
    assert_eq!(step(&job, 30, &[]), over);
    job.metadata.deletion_timestamp = Some(Time(at(28)));
    assert_eq!(step(&job, 30, &[]), Step::Remove);
}

#[test]
fn an_attempt_ends_before_its_certificates_do() {
    let pods = [pod("destination", RUNNING), pod("source", RUNNING)];
    let day = 24 * 3600;
    assert_eq!(action(&begun(""), 19 * day, &pods), Action::Watch);
    assert!(matches!(
        action(&begun(""), 21 * day, &pods),
        Action::Stop(_)
    ));
}

#[test]
fn movers_that_run_have_started_whether_they_are_heard_or_not() {
    let job = begun("  startupDeadlineSeconds: 60");
    let both = [pod("destination", RUNNING), pod("source", RUNNING)];
    assert_eq!(action(&job, 1_000, &both), Action::Watch);
    let waiting = [pod("destination", RUNNING), pod("source", STARTING)];
    assert!(matches!(action(&job, 1_000, &waiting), Action::Stop(_)));
}

#[test]
fn the_time_of_a_suspension_does_not_count_against_the_start() {
    let mut job = job("  startupDeadlineSeconds: 60");
    let suspended = |status: &str, second| {
        serde_json::from_value(json!([{
            "type": "Suspended", "status": status, "reason": "r", "message": "",
            "lastTransitionTime": at(second).to_string(),
        }]))
        .unwrap()
    };
    job.status.get_or_insert_default().conditions = suspended("True", 5);
    assert_eq!(
        step(&job, 600, &[]),
        Step::Start,
        "resumed this very moment"
    );
    job.status.get_or_insert_default().conditions = suspended("False", 600);
    assert_eq!(step(&job, 659, &[]), Step::Start);
    assert!(matches!(step(&job, 660, &[]), Step::GiveUp(_)));
}

#[test]
fn a_deadline_that_has_passed_is_not_waited_for_again() {
    let job = begun("  activeDeadlineSeconds: 60");
    let mut pods = [pod("destination", RUNNING), pod("source", RUNNING)];
    for pod in &mut pods {
        pod.metadata.deletion_timestamp = Some(Time(at(130)));
    }
    let Step::Attempt(attempt) = step(&job, 100, &pods) else {
        panic!("no attempt")
    };
    assert_eq!(attempt.again, None);
}
