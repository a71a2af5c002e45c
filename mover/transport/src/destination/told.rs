//! What a source said about itself, and what follows when it says nothing. Pure; time is a parameter.

use std::time::{Duration, Instant};

use blit_engine::run::Elsewhere;
use blit_proto::v2::SourceState;

/// How long it counts what the source said about itself: it says so twice a second.
const FRESH: Duration = Duration::from_secs(3);

/// How long a source whose connection lives may not say what it does, and still be taken for one that works.
const UNSAID: Duration = Duration::from_secs(15);

/// How long a source may say nothing at all. Longer than all else takes of which its loss is known, with the cause: 15 s for an
/// answer to a ping, 20 s for data that nobody acknowledges, 15 s more for a stream in the place of the last, 30 s for the first
/// stream.
const SILENT: Duration = Duration::from_secs(45);

/// Longest text that is kept, in characters.
const TEXT: usize = 4096;

/// What the source said last, and when.
#[derive(Debug)]
pub(super) struct Told {
    /// When it said what it does, or the session began.
    when: Instant,
    /// When it said anything.
    heard: Option<Instant>,
    state: Option<SourceState>,
    /// The most that it said it has hashed.
    hashed: u64,
}

impl Told {
    /// Nothing so far, in a session that begins now.
    pub(super) fn nothing(now: Instant) -> Self {
        Self {
            when: now,
            heard: None,
            state: None,
            hashed: 0,
        }
    }

    /// Takes what the source says now. To be busy, and not to say with what, is to say nothing: a source names the calls that
    /// it is in, however long they take.
    pub(super) fn take(&mut self, mut state: SourceState, now: Instant) {
        self.heard = Some(now);
        self.hashed = self.hashed.max(state.bytes_hashed);
        let plain = state.waits_for.chars().filter(|c| !c.is_control());
        state.waits_for = plain.take(TEXT).collect();
        if state.busy && state.waits_for.trim().is_empty() {
            return;
        }
        self.when = now;
        self.state = Some(state);
    }

    /// Returns when the source last said something.
    pub(super) fn heard(&self) -> Option<Instant> {
        self.heard
    }

    /// Returns how many bytes it has hashed; an older source does not say.
    pub(super) fn bytes_hashed(&self) -> u64 {
        self.hashed
    }

    /// Judges whether the source works. One that says with what is busy for as long as it says so; one that says nothing may be
    /// at work for a while, and then counts as idle.
    pub(super) fn judge(&self, now: Instant) -> Elsewhere {
        let silent = now.saturating_duration_since(self.when);
        let lives = self
            .heard
            .is_some_and(|heard| now.saturating_duration_since(heard) < FRESH);
        let limit = if lives { UNSAID } else { SILENT };
        match &self.state {
            Some(state) if silent < FRESH && state.busy => Elsewhere::Busy(state.waits_for.clone()),
            Some(state) if silent < FRESH => Elsewhere::Idle(state.waits_for.clone()),
            _ if silent < limit => Elsewhere::Busy(String::new()),
            _ => Elsewhere::Idle(format!(
                "something that it does not tell: for {} s it has not said what it does",
                silent.as_secs()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(with: &str) -> SourceState {
        SourceState {
            busy: true,
            waits_for: with.to_owned(),
            ..SourceState::default()
        }
    }

    /// Judges twice a second for an hour a source that says this each time; returns after how long it counted as idle.
    fn idle_after(says: Option<&SourceState>) -> Option<Duration> {
        let start = Instant::now();
        let mut told = Told::nothing(start);
        (0..7200)
            .map(|n| n * Duration::from_millis(500))
            .find(|passed| {
                let now = start + *passed;
                if let Some(state) = says {
                    told.take(state.clone(), now);
                }
                matches!(told.judge(now), Elsewhere::Idle(_))
            })
    }

    #[test]
    fn a_source_that_names_the_call_that_it_is_in_is_busy_for_as_long_as_it_does() {
        assert_eq!(idle_after(Some(&busy("the call getdents64 on a"))), None);
    }

    #[test]
    fn a_source_that_never_says_what_it_does_counts_as_idle() {
        for (says, limit) in [
            (None, SILENT),
            (Some(&busy("")), UNSAID),
            (Some(&busy(" \u{7}\n")), UNSAID),
        ] {
            assert_eq!(idle_after(says), Some(limit), "{says:?}");
        }
    }

    #[test]
    fn a_source_that_says_no_more_may_work_for_a_while() {
        let start = Instant::now();
        let mut told = Told::nothing(start);
        told.take(busy("a disk"), start);
        let at = |passed| told.judge(start + passed);
        assert_eq!(at(Duration::ZERO), Elsewhere::Busy("a disk".to_owned()));
        assert_eq!(at(FRESH), Elsewhere::Busy(String::new()));
        let Elsewhere::Idle(what) = at(SILENT) else {
            panic!("it counts as busy");
        };
        assert!(what.contains("for 45 s"), "{what}");
    }

    #[test]
    fn what_a_source_has_hashed_only_grows_and_an_older_one_has_hashed_nothing() {
        let now = Instant::now();
        let mut told = Told::nothing(now);
        told.take(busy("the call read on a"), now);
        assert_eq!(told.bytes_hashed(), 0);
        for (says, known) in [(7, 7), (9, 9), (3, 9)] {
            let state = SourceState {
                bytes_hashed: says,
                // It counts also of one that does not say what it is busy with.
                ..busy("")
            };
            told.take(state, now);
            assert_eq!(told.bytes_hashed(), known);
        }
    }

    #[test]
    fn a_source_that_speaks_again_is_judged_by_what_it_says() {
        let start = Instant::now();
        let mut told = Told::nothing(start);
        let late = start + 2 * SILENT;
        told.take(busy("a disk"), late);
        assert_eq!(told.judge(late), Elsewhere::Busy("a disk".to_owned()));
    }
}
