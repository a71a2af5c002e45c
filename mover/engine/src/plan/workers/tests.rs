use super::*;

/// Two processors, looked at twice a second.
const PROCESSORS: usize = 2;
const EVERY: Duration = Duration::from_millis(500);

/// A place that answers calls.
struct Place {
    /// Seconds a call takes to be answered.
    latency: f64,
    /// Calls it answers at once.
    at_once: usize,
    /// Processor seconds of a call.
    processor: f64,
}

impl Place {
    fn rate(&self, workers: usize) -> f64 {
        let waits = workers.min(self.at_once) as f64 / (self.latency + self.processor);
        waits.min(PROCESSORS as f64 / self.processor)
    }

    /// Lets workers work for a time, and returns how many there were at each look.
    fn work(&self, workers: &mut Workers, time: Duration) -> Vec<usize> {
        let (mut look, mut calls, mut counts) = (Look::default(), 0.0, Vec::new());
        while look.now < time {
            counts.push(workers.look(&look));
            let done = self.rate(workers.count()) * EVERY.as_secs_f64();
            calls += done;
            look.calls = calls as u64;
            look.now += EVERY;
            look.processor += Duration::from_secs_f64(done * self.processor);
        }
        counts
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn two() -> Workers {
    Workers::new(None, PROCESSORS)
}

#[test]
fn a_disk_that_keeps_the_processors_busy_keeps_a_worker_for_each() {
    let disk = Place {
        latency: 0.0,
        at_once: 1000,
        processor: 50e-6,
    };
    let mut workers = two();
    let counts = disk.work(&mut workers, secs(3600));
    assert!(counts.iter().all(|count| *count == 2));
    assert_eq!(workers.proven(), Some(2));
}

#[test]
fn a_place_that_answers_late_and_many_at_once_gets_the_most_within_ten_seconds() {
    for latency in [0.005, 0.05, 0.2] {
        let remote = Place {
            latency,
            at_once: 1000,
            processor: 50e-6,
        };
        let mut workers = two();
        let counts = remote.work(&mut workers, secs(60));
        assert_eq!(counts.last(), Some(&MOST), "{latency}");
        assert_eq!(workers.proven(), Some(MOST), "{latency}");
        let after = counts.iter().position(|count| *count == MOST).unwrap();
        assert!(latency > 0.05 || after <= 20, "{latency}: {after} looks");
    }
}

#[test]
fn a_place_that_answers_so_many_at_once_gets_no_more_than_twice_as_many() {
    let remote = Place {
        latency: 0.01,
        at_once: 8,
        processor: 50e-6,
    };
    let mut workers = two();
    let counts = remote.work(&mut workers, secs(600));
    assert_eq!(workers.proven(), Some(8));
    assert!(counts.iter().all(|count| *count <= 16));
    let tried = counts.iter().filter(|count| **count != 8).count();
    assert!(tried < 80, "{tried} looks of 1200");
}

#[test]
fn a_place_that_has_become_fast_gives_its_workers_back() {
    let cached = Place {
        latency: 0.0,
        at_once: 1000,
        processor: 50e-6,
    };
    let mut workers = Workers::new(Some(MOST), PROCESSORS);
    assert_eq!(workers.count(), MOST);
    cached.work(&mut workers, secs(30));
    assert_eq!(workers.proven(), Some(2));
}

#[test]
fn where_workers_lack_work_or_hardly_anything_gets_done_nothing_is_tried_or_learned() {
    let (mut idle, mut large) = (two(), two());
    for n in 0..10_000 {
        let look = Look {
            now: EVERY * n,
            processor: Duration::ZERO,
            calls: u64::from(n) * 100,
            waited: EVERY * n,
        };
        assert_eq!(idle.look(&look), 2);
        let files = Look {
            calls: u64::from(n) / 4,
            waited: Duration::ZERO,
            ..look
        };
        assert_eq!(large.look(&files), 2);
    }
    assert_eq!((idle.proven(), large.proven()), (None, None));
}

#[test]
fn a_trial_that_is_not_over_proves_nothing() {
    let mut workers = two();
    let look = |seconds, calls| Look {
        now: secs(seconds),
        calls,
        ..Look::default()
    };
    workers.look(&look(0, 0));
    assert_eq!(workers.look(&look(1, 200)), 4);
    assert_eq!(workers.proven(), None);
}

#[test]
fn a_number_that_nothing_was_compared_with_is_not_learned_and_too_many_are_found_out() {
    let few_at_once = Place {
        latency: 0.01,
        at_once: 4,
        processor: 50e-6,
    };
    let mut workers = Workers::new(Some(MOST), PROCESSORS);
    few_at_once.work(&mut workers, secs(9));
    assert_eq!((workers.count(), workers.proven()), (MOST, None));
    let mut workers = Workers::new(Some(MOST), PROCESSORS);
    few_at_once.work(&mut workers, secs(600));
    assert_eq!(workers.proven(), Some(4));
}

#[test]
fn on_one_processor_a_worker_stays_alone_while_it_keeps_the_processor_busy() {
    let mut workers = Workers::new(None, 1);
    for n in 0..1000 {
        let look = Look {
            now: EVERY * n,
            processor: EVERY * n * 9 / 10,
            calls: u64::from(n) * 10_000,
            waited: Duration::ZERO,
        };
        assert_eq!(workers.look(&look), 1);
    }
    assert_eq!(workers.proven(), Some(1));
}

#[test]
fn on_one_processor_a_worker_that_waits_gets_company_at_once_also_with_one_large_file_in_hand() {
    let mut workers = Workers::new(None, 1);
    let look = |now| Look {
        now,
        processor: now / 3,
        ..Look::default()
    };
    assert_eq!(workers.look(&look(Duration::ZERO)), 1);
    assert_eq!(workers.look(&look(COMPANY_AFTER)), 2);
    for n in 1..1000 {
        assert!(workers.look(&look(COMPANY_AFTER + EVERY * n)) >= 2);
    }
}

#[test]
fn on_one_processor_two_workers_that_only_share_it_become_one_again() {
    let mut workers = Workers::new(Some(2), 1);
    let looks = (0..100).map(|n| Look {
        now: EVERY * n,
        processor: EVERY * n,
        calls: u64::from(n) * 10_000,
        waited: Duration::ZERO,
    });
    let counts: Vec<usize> = looks.map(|look| workers.look(&look)).collect();
    assert_eq!((counts[0], counts[99]), (2, 1), "{counts:?}");
}

#[test]
fn what_came_as_company_is_not_learned_and_what_was_learned_before_is_forgotten() {
    let mut workers = Workers::new(None, 1);
    let look = |n, processor| Look {
        now: EVERY * n,
        processor,
        calls: u64::from(n) * 10_000,
        waited: Duration::ZERO,
    };
    for n in 0..20 {
        workers.look(&look(n, EVERY * n));
    }
    assert_eq!(workers.proven(), Some(1));
    // All is written to the device.
    workers.look(&look(20, EVERY * 19));
    assert_eq!((workers.count(), workers.proven()), (2, None));
}
