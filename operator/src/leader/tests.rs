use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    Action, LEASE_DURATION, Leadership, LeaseView, RENEW_DEADLINE, RETRY_PERIOD, Renewed, clock,
    evaluate,
};
use crate::fake_api::{FakeApi, Trouble};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/blit/leases/blit-operator";
const SECOND: Duration = Duration::from_secs(1);

fn held_by(holder: Option<&str>) -> LeaseView {
    LeaseView {
        holder: holder.map(str::to_owned),
        duration: Some(LEASE_DURATION),
    }
}

fn lease(holder: &str, seconds: u32) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "blit-operator", "namespace": "blit"},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": seconds, "leaseTransitions": 4,
            // Long ago by the clock of its writer, which says nothing.
            "renewTime": "2001-01-01T00:00:00.000000Z",
        },
    })
}

fn start(api: &FakeApi, me: &str) -> Leadership {
    Leadership::start(api.client(), "blit", "blit-operator", me)
}

fn holder(api: &FakeApi) -> Value {
    api.get(PATH)["spec"]["holderIdentity"].clone()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(5 * SECOND, future).await.unwrap()
}

#[test]
fn a_lease_that_nobody_holds_is_taken_and_our_own_is_renewed() {
    let at = Duration::from_secs(100);
    assert_eq!(evaluate(None, "me", at, at), Action::Acquire);
    assert_eq!(
        evaluate(Some(&held_by(None)), "me", at, at),
        Action::Acquire
    );
    assert_eq!(
        evaluate(Some(&held_by(Some(""))), "me", at, at),
        Action::Acquire
    );
    assert_eq!(
        evaluate(Some(&held_by(Some("me"))), "me", at, at),
        Action::Renew
    );
}

#[test]
fn the_lease_of_another_is_taken_only_when_it_was_seen_unchanged_for_its_duration() {
    let other = held_by(Some("other"));
    let seen = Duration::from_secs(100);
    let act = |after: Duration| evaluate(Some(&other), "me", seen, seen + after);
    assert_eq!(act(Duration::ZERO), Action::Wait(RETRY_PERIOD));
    assert_eq!(act(LEASE_DURATION - SECOND), Action::Wait(SECOND));
    assert_eq!(act(LEASE_DURATION), Action::Acquire);
    let silent = LeaseView {
        duration: None,
        ..other
    };
    let end = seen + LEASE_DURATION;
    assert_eq!(
        evaluate(Some(&silent), "me", seen, end - SECOND),
        Action::Wait(SECOND)
    );
    assert_eq!(evaluate(Some(&silent), "me", seen, end), Action::Acquire);
}

#[test]
fn a_renewal_is_good_for_the_deadline_and_not_after_the_process_was_stopped_for_longer() {
    let renewed = Renewed::default();
    let at = Duration::from_secs(1000);
    assert!(!renewed.is_recent(at));
    renewed.set(at);
    assert!(renewed.is_recent(at + RENEW_DEADLINE - SECOND));
    assert!(!renewed.is_recent(at + RENEW_DEADLINE));
    renewed.clear();
    assert!(!renewed.is_recent(at));
}

#[test]
fn the_clock_moves_and_the_candidates_wait_longer_than_the_leader_acts() {
    let before = clock::now();
    while clock::now() == before {}
    assert!(RENEW_DEADLINE + RETRY_PERIOD < LEASE_DURATION);
}

#[tokio::test]
async fn the_first_makes_the_lease_and_the_second_follows_at_once_when_it_is_given_back() {
    let api = FakeApi::start().await;
    let first = start(&api, "first");
    soon(first.acquired()).await;
    assert!(first.still_leader());
    assert_eq!(holder(&api), "first");
    let second = start(&api, "second");
    assert!(timeout(SECOND, second.acquired()).await.is_err());
    assert!(!second.still_leader());
    first.release().await;
    assert_eq!(holder(&api), "");
    soon(second.acquired()).await;
    let spec = &api.get(PATH)["spec"];
    assert_eq!(spec["holderIdentity"], "second");
    assert_eq!(spec["leaseTransitions"], 1);
}

#[tokio::test]
async fn a_lease_whose_holder_is_gone_is_taken_after_its_duration_by_our_own_clock() {
    let api = FakeApi::start().await;
    api.put(PATH, lease("gone", 3));
    let begin = Instant::now();
    let leadership = start(&api, "me");
    timeout(10 * SECOND, leadership.acquired()).await.unwrap();
    assert!(begin.elapsed() >= 3 * SECOND, "{:?}", begin.elapsed());
    assert_eq!(api.get(PATH)["spec"]["leaseTransitions"], 5);
}

#[tokio::test]
async fn of_many_candidates_for_one_lease_exactly_one_leads() {
    let api = FakeApi::start().await;
    api.put(PATH, lease("", 15));
    let all: Vec<Leadership> = (0..8).map(|n| start(&api, &format!("m{n}"))).collect();
    let waits = all.iter().map(|one| Box::pin(one.acquired()));
    soon(futures::future::select_all(waits)).await;
    // Long enough for every other one to have looked again.
    tokio::time::sleep(RETRY_PERIOD + SECOND).await;
    assert_eq!(all.iter().filter(|one| one.still_leader()).count(), 1);
}

#[tokio::test]
async fn a_leader_whose_lease_was_taken_has_lost_and_does_not_come_back() {
    let api = FakeApi::start().await;
    let leadership = start(&api, "me");
    soon(leadership.acquired()).await;
    api.put(PATH, lease("other", 15));
    soon(leadership.lost()).await;
    assert!(!leadership.still_leader());
    leadership.release().await;
    assert_eq!(holder(&api), "other");
}

#[tokio::test]
async fn a_leader_that_cannot_renew_has_lost_before_another_may_take_over() {
    let lose = async |trouble| {
        let api = FakeApi::start().await;
        let leadership = start(&api, "me");
        soon(leadership.acquired()).await;
        api.set_trouble(trouble);
        let begin = Instant::now();
        timeout(LEASE_DURATION, leadership.lost()).await.unwrap();
        assert!(begin.elapsed() > RENEW_DEADLINE - 2 * RETRY_PERIOD);
        assert!(!leadership.still_leader());
    };
    tokio::join!(lose(Trouble::Error), lose(Trouble::Silence));
}

#[tokio::test]
async fn a_renewal_whose_answer_is_lost_does_not_cost_the_leadership() {
    let api = FakeApi::start().await;
    let leadership = start(&api, "me");
    soon(leadership.acquired()).await;
    api.set_trouble(Trouble::LostAnswers);
    let renewals = || {
        api.requests()
            .iter()
            .filter(|r| r.starts_with("PUT"))
            .count()
    };
    while renewals() < 1 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    api.set_trouble(Trouble::None);
    assert!(timeout(RENEW_DEADLINE, leadership.lost()).await.is_err());
    assert!(leadership.still_leader());
    assert_eq!(holder(&api), "me");
}

#[tokio::test]
async fn without_an_election_a_replica_leads_for_good() {
    let leadership = Leadership::always();
    soon(leadership.acquired()).await;
    assert!(leadership.still_leader());
    assert!(
        timeout(Duration::from_millis(20), leadership.lost())
            .await
            .is_err()
    );
    leadership.release().await;
}
