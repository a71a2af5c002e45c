//! What the source tells about itself twice a second: whether it works, and how much it has hashed, to the destination, and calls
//! that take long, to its own log.
//!
//! It goes in pings, of its own or of the destination that asks, because a session that the destination does not read
//! carries nothing.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use blit_engine::plan::stall::{Detector, LIMIT, Look};
use blit_engine::tree::LocalSource;
use blit_engine::watch::{Doing, Roster, Seen, Wait, root_path};
use blit_proto::control::Client;
use blit_proto::v2::{PingRequest, SourceState};

use super::OnSlow;
use super::activity::Activity;
use crate::data::queue::{Queue, Waiting};
use crate::sync::lock;

/// Time between two beats.
pub(super) const EVERY: Duration = Duration::from_millis(500);

/// How the destination learns what the source does.
pub(super) enum Tell {
    /// The source dialled: it pings.
    Pinging {
        client: Box<Client>,
        session: String,
    },
    /// The destination dialled: it asks, and finds it here.
    Asked(State),
}

/// What a source does, for whoever asks. Nothing before it has begun.
pub(crate) type State = Arc<Mutex<Option<SourceState>>>;

/// The state between two beats.
pub(super) struct Pulse {
    roster: Arc<Roster>,
    queue: Arc<Queue>,
    activity: Arc<Activity>,
    tell: Tell,
    roots: Vec<Vec<u8>>,
    detector: Detector,
    begun: Instant,
    /// A ping is on its way.
    under_way: Arc<AtomicBool>,
}

impl Pulse {
    pub(super) fn new(
        roster: Arc<Roster>,
        queue: Arc<Queue>,
        activity: Arc<Activity>,
        tell: Tell,
        source: &LocalSource,
    ) -> Self {
        let root = source.root_dir().ok();
        let roots = root.and_then(|root| root_path(root.as_fd()));
        Self {
            roster,
            queue,
            activity,
            tell,
            roots: roots.into_iter().collect(),
            detector: Detector::default(),
            begun: Instant::now(),
            under_way: Arc::default(),
        }
    }

    /// Looks at the threads and tells what they do; call it on a runtime.
    pub(super) fn beat(&mut self, on_slow: &OnSlow, lost: Vec<u32>) {
        let threads = self.roster.look();
        self.name_slow(&threads, on_slow);
        let (client, session) = match &self.tell {
            Tell::Pinging { client, session } => (client, session),
            Tell::Asked(told) => {
                let state = self.state();
                *lock(told) = Some(SourceState { lost, ..state });
                return;
            }
        };
        if self.under_way.swap(true, Ordering::Relaxed) {
            return;
        }
        let request = PingRequest {
            source: Some(self.state()),
            session: session.clone(),
            ..PingRequest::default()
        };
        let (mut client, under_way) = (client.clone(), Arc::clone(&self.under_way));
        tokio::spawn(async move {
            // A connection that is gone is found by whoever uses it for more than this.
            let _ = client.ping(request).await;
            under_way.store(false, Ordering::Relaxed);
        });
    }

    /// Returns what the source does now.
    pub(super) fn state(&self) -> SourceState {
        let threads = self.roster.look();
        let calls = threads
            .iter()
            .filter_map(|seen| self.roster.in_call(seen, &self.roots));
        let calls: Vec<_> = calls.collect();
        SourceState {
            bytes_hashed: self.activity.bytes_hashed(),
            ..state(&threads, &calls, self.queue.waiting())
        }
    }

    fn name_slow(&mut self, threads: &[Seen], on_slow: &OnSlow) {
        let look = Look {
            threads,
            moved: 0,
            // The destination decides about the run.
            busy_elsewhere: true,
        };
        for slow in self.detector.look(self.begun.elapsed(), &look).slow {
            let Doing::Call(call) = slow.doing else {
                continue;
            };
            match self.roster.object(&slow) {
                Some(object) if !object.waits_for_socket => {
                    on_slow(call.name(), object.below(&self.roots), LIMIT);
                }
                _ => self.detector.not_yet(slow.thread),
            }
        }
    }
}

/// Sums up what the threads do, of which some are in `calls`, while `queued` waits to be sent.
fn state(threads: &[Seen], calls: &[String], queued: Waiting) -> SourceState {
    let idle = |seen: &Seen| matches!(seen.doing, Doing::Idle(_));
    let waits = |wait| threads.iter().any(|seen| seen.doing == Doing::Idle(wait));
    let busy = !threads.iter().all(idle);
    let waits_for = match held(queued) {
        // Who is at work and in no call hands something to a stream inside gRPC.
        _ if busy && calls.is_empty() => "the other side to take what is sent".to_owned(),
        _ if busy => calls.join(", and for "),
        _ if waits(Wait::Message) => "the destination to take more of its listing".to_owned(),
        held if held.is_empty() => "files to be asked for".to_owned(),
        held => format!("a turn at its queue, which holds {held}"),
    };
    SourceState {
        busy,
        waits_for,
        ..SourceState::default()
    }
}

/// Says what waits to be sent; empty if nothing does.
fn held(queued: Waiting) -> String {
    let count = |n, one: &str, more: &str| match n {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {more}")),
    };
    let held = [
        count(queued.files, "file", "files"),
        count(queued.answers, "answer with hashes", "answers with hashes"),
    ];
    held.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(doing: Doing) -> Seen {
        Seen {
            thread: 0,
            doing,
            stamp: 0,
        }
    }

    fn queued(files: usize, answers: usize) -> Waiting {
        Waiting { files, answers }
    }

    #[test]
    fn one_thread_at_work_makes_a_source_busy() {
        use blit_engine::watch::Call;
        let idle = seen(Doing::Idle(Wait::Work));
        for doing in [Doing::Busy, Doing::Call(Call::Sendfile)] {
            assert!(state(&[idle, seen(doing)], &[], queued(0, 0)).busy);
        }
        assert!(!state(&[idle, idle], &[], queued(0, 0)).busy);
    }

    #[test]
    fn an_idle_source_says_what_it_waits_for() {
        let (work, message) = (Doing::Idle(Wait::Work), Doing::Idle(Wait::Message));
        let asked = state(&[seen(work)], &[], queued(0, 0)).waits_for;
        assert_eq!(asked, "files to be asked for");
        for (queued, held) in [
            (queued(1, 0), "1 file"),
            (queued(2, 1), "2 files and 1 answer with hashes"),
            (queued(0, 3), "3 answers with hashes"),
        ] {
            let turn = state(&[seen(work)], &[], queued).waits_for;
            assert_eq!(turn, format!("a turn at its queue, which holds {held}"));
        }
        let listing = state(&[seen(work), seen(message)], &[], queued(2, 0)).waits_for;
        assert_eq!(listing, "the destination to take more of its listing");
    }

    #[test]
    fn a_busy_source_says_in_which_calls_it_is() {
        let call = seen(Doing::Call(blit_engine::watch::Call::Read));
        let calls = ["the call read on a", "the call read on b"].map(str::to_owned);
        let told = state(&[call], &calls, queued(0, 0)).waits_for;
        assert_eq!(told, "the call read on a, and for the call read on b");
        let sending = state(&[seen(Doing::Busy)], &[], queued(0, 0)).waits_for;
        assert_eq!(sending, "the other side to take what is sent");
    }
}
