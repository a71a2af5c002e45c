use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::WorkQueue;

const SECOND: Duration = Duration::from_secs(1);

/// Returns what `next` hands out at this very moment.
async fn now(queue: &WorkQueue<&'static str>) -> Option<&'static str> {
    timeout(Duration::ZERO, queue.next()).await.ok().flatten()
}

#[tokio::test(start_paused = true)]
async fn a_key_added_twice_comes_once_and_keys_come_in_order() {
    let queue = WorkQueue::new();
    queue.add("a");
    queue.add("b");
    queue.add("a");
    assert_eq!(queue.len(), 2);
    assert_eq!(now(&queue).await, Some("a"));
    assert_eq!(now(&queue).await, Some("b"));
    assert_eq!(now(&queue).await, None);
    assert!(queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_worked_on_is_not_handed_out_and_comes_again_afterwards() {
    let queue = WorkQueue::new();
    queue.add("a");
    assert_eq!(queue.next().await, Some("a"));
    queue.add("a");
    assert_eq!(queue.len(), 1);
    assert_eq!(now(&queue).await, None);
    queue.done(&"a");
    assert_eq!(now(&queue).await, Some("a"));
    queue.done(&"a");
    assert_eq!(now(&queue).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_fires_during_the_work_brings_the_key_again() {
    let queue = WorkQueue::new();
    queue.add("a");
    assert_eq!(queue.next().await, Some("a"));
    queue.add_after("a", SECOND);
    tokio::time::advance(2 * SECOND).await;
    assert_eq!(now(&queue).await, None);
    queue.done(&"a");
    assert_eq!(now(&queue).await, Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_key_comes_at_its_time_and_of_two_times_the_earlier_wins() {
    let queue = WorkQueue::new();
    let start = Instant::now();
    queue.add_after("a", 10 * SECOND);
    queue.add_after("a", 3 * SECOND);
    queue.add_after("a", 20 * SECOND);
    assert_eq!(queue.len(), 0);
    assert_eq!(queue.next().await, Some("a"));
    assert_eq!(start.elapsed().as_secs(), 3);
    queue.done(&"a");
    assert!(timeout(60 * SECOND, queue.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_comes_at_once_drops_its_later_time() {
    let queue = WorkQueue::new();
    queue.add_after("a", 10 * SECOND);
    queue.add("a");
    assert_eq!(now(&queue).await, Some("a"));
    queue.done(&"a");
    assert!(timeout(60 * SECOND, queue.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_earlier_time_wakes_a_worker_that_sleeps_until_a_later_one() {
    let queue = Arc::new(WorkQueue::new());
    queue.add_after("late", 60 * SECOND);
    let waiting = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.next().await }
    });
    tokio::task::yield_now().await;
    let start = Instant::now();
    queue.add_after("early", SECOND);
    assert_eq!(waiting.await.unwrap(), Some("early"));
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn failures_delay_a_key_from_one_second_doubling_to_a_minute_until_they_are_forgotten() {
    let queue = WorkQueue::new();
    let delays: Vec<u64> = (0..8).map(|_| queue.retry("a").as_secs()).collect();
    assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
    queue.forget(&"a");
    assert_eq!(queue.retry("a").as_secs(), 1);
    let soon = |_| {
        queue
            .retry_soon("b", Duration::from_millis(200))
            .as_millis()
    };
    assert_eq!((0..4).map(soon).collect::<Vec<_>>(), [200, 400, 800, 1600]);
}

#[tokio::test]
async fn four_workers_see_every_key_and_no_key_twice_at_once() {
    let queue = Arc::new(WorkQueue::new());
    let busy = Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let seen = Arc::new(std::sync::Mutex::new(std::collections::BTreeMap::new()));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (queue, busy, seen) = (Arc::clone(&queue), Arc::clone(&busy), Arc::clone(&seen));
            tokio::spawn(async move {
                while let Some(key) = queue.next().await {
                    assert!(busy.lock().unwrap().insert(key), "{key} twice at once");
                    tokio::task::yield_now().await;
                    *seen.lock().unwrap().entry(key).or_insert(0) += 1;
                    busy.lock().unwrap().remove(&key);
                    queue.done(&key);
                }
            })
        })
        .collect();
    for round in 0..20 {
        for key in 0..50 {
            queue.add(key);
        }
        if round % 5 == 0 {
            tokio::task::yield_now().await;
        }
    }
    while seen.lock().unwrap().len() < 50 || !queue.is_empty() {
        tokio::task::yield_now().await;
    }
    queue.shutdown();
    for worker in workers {
        worker.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_every_waiting_worker_and_hands_out_nothing_more() {
    let queue = Arc::new(WorkQueue::new());
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.next().await })
        })
        .collect();
    tokio::task::yield_now().await;
    queue.shutdown();
    for worker in workers {
        assert_eq!(worker.await.unwrap(), None);
    }
    queue.add("a");
    assert_eq!(queue.next().await, None);
}
