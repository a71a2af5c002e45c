//! Which streams to open, and when: TCP first, gRPC while there is none, and back when there is. The side that dials
//! decides, whichever way content goes. Pure: time is a parameter, counted from the beginning of the session.

use std::time::Duration;

use super::{PlaneKind, PlanePolicy};

/// Without TCP for this long, data starts inside gRPC.
const HEAD_START: Duration = Duration::from_millis(250);

/// Dialled in vain for this long, TCP is given up for now.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// Without any stream for this long the session ends. A plane that is started at [`PATIENCE`] has its chance.
const END: Duration = Duration::from_secs(8);

/// Between two attempts to open streams of a plane that is wanted. Where they come and break it is doubled after each, until
/// all that are wanted have held for [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(500);

/// The longest time between two attempts where streams come and break: their numbers are not without end.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Between two attempts once a plane was given up.
const LONG_PAUSE: Duration = Duration::from_secs(30);

/// Streams of one plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Open, and taking work.
    pub(crate) open: usize,
    /// Being opened.
    pub(crate) dialled: usize,
}

/// How things are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    pub(crate) tcp: Count,
    pub(crate) grpc: Count,
    /// Tokens at hand.
    pub(crate) tokens: usize,
    /// Tokens were asked for and have not come.
    pub(crate) asked: bool,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask for so many tokens.
    Ask(usize),
    /// Open so many streams, each with a token.
    Dial(PlaneKind, usize),
    /// Have the streams inside gRPC take no more work: there is TCP.
    LeaveGrpc,
    /// Say that TCP cannot be used.
    GiveUpTcp,
    /// No plane can be used.
    End,
}

/// The decision.
#[derive(Debug)]
pub(crate) struct Race {
    policy: PlanePolicy,
    /// Streams of a plane; those of TCP may be more.
    wanted: usize,
    wanted_tcp: usize,
    tcp: Track,
    grpc: Track,
    /// Since when there has been no stream at all.
    nothing: Option<Duration>,
    given_up: bool,
}

/// What is remembered of a plane.
#[derive(Debug)]
struct Track {
    /// Since when there has been no stream.
    without: Option<Duration>,
    /// Since when there have been too few.
    short: Option<Duration>,
    /// Since when all that are wanted have been there.
    complete: Option<Duration>,
    /// When the first dial began of those that brought nothing. Waiting for a token says nothing of the plane.
    in_vain: Option<Duration>,
    /// Not dialled before.
    next: Duration,
    /// Between two attempts.
    pause: Duration,
    /// Streams that were open at the last look.
    open: usize,
    /// One came since the last dial.
    came: bool,
}

impl Default for Track {
    fn default() -> Self {
        Self {
            without: None,
            short: None,
            complete: None,
            in_vain: None,
            next: Duration::ZERO,
            pause: PAUSE,
            open: 0,
            came: false,
        }
    }
}

impl Race {
    /// Begins at time zero without a stream.
    pub(crate) fn new(policy: PlanePolicy, wanted: usize) -> Self {
        Self {
            policy,
            wanted,
            wanted_tcp: wanted,
            tcp: Track::default(),
            grpc: Track::default(),
            nothing: None,
            given_up: false,
        }
    }

    /// Sets how many streams over TCP there are to be.
    pub(crate) fn want_tcp(&mut self, wanted: usize) {
        self.wanted_tcp = wanted;
    }

    /// Returns how many streams over TCP there are to be.
    pub(crate) fn wanted_tcp(&self) -> usize {
        self.wanted_tcp
    }

    /// Returns the next thing to do; call it again until there is nothing.
    pub(crate) fn step(&mut self, view: &View, now: Duration) -> Option<Step> {
        self.look(view, now);
        if view.tcp.open > 0 && view.grpc.open > 0 && self.policy.tcp {
            return Some(Step::LeaveGrpc);
        }
        if self.policy.tcp && !self.given_up && lasted(self.tcp.in_vain, now, PATIENCE) {
            if !self.policy.grpc {
                return Some(Step::End);
            }
            self.given_up = true;
            self.tcp.next = now + LONG_PAUSE;
            return Some(Step::GiveUpTcp);
        }
        if lasted(self.nothing, now, END) {
            return Some(Step::End);
        }
        let tcp = missing(self.wanted_tcp, view.tcp);
        if self.policy.tcp && tcp > 0 && now >= self.tcp.next {
            let only_more = view.tcp.open > 0 && lasted(self.tcp.short, now, PATIENCE);
            let long = self.given_up || only_more;
            return open(&mut self.tcp, PlaneKind::Tcp, tcp, long, view, now);
        }
        let grpc = missing(self.wanted, view.grpc);
        let early = self.policy.tcp && !lasted(self.tcp.without, now, HEAD_START);
        if self.policy.grpc && !early && grpc > 0 && now >= self.grpc.next {
            return open(&mut self.grpc, PlaneKind::Grpc, grpc, false, view, now);
        }
        None
    }

    /// Returns when to look again although nothing has happened.
    pub(crate) fn next_look(&self, view: &View, now: Duration) -> Option<Duration> {
        let mut times = Vec::new();
        if let Some(without) = self.tcp.without.filter(|_| self.policy.tcp) {
            times.push(without + HEAD_START);
        }
        if let Some(since) = self.tcp.in_vain.filter(|_| self.policy.tcp) {
            times.push(since + PATIENCE);
        }
        times.extend(self.nothing.map(|nothing| nothing + END));
        if self.policy.tcp && missing(self.wanted_tcp, view.tcp) > 0 {
            times.push(self.tcp.next);
        }
        if self.policy.grpc && view.tcp.open == 0 && missing(self.wanted, view.grpc) > 0 {
            times.push(self.grpc.next);
        }
        times.into_iter().filter(|time| *time > now).min()
    }

    fn look(&mut self, view: &View, now: Duration) {
        self.tcp.look(view.tcp.open, self.wanted_tcp, now);
        self.grpc.look(view.grpc.open, self.wanted, now);
        remember(&mut self.nothing, view.tcp.open + view.grpc.open == 0, now);
        if view.tcp.open > 0 {
            self.given_up = false;
        }
    }
}

fn missing(wanted: usize, count: Count) -> usize {
    wanted.saturating_sub(count.open + count.dialled)
}

impl Track {
    fn look(&mut self, open: usize, wanted: usize, now: Duration) {
        if lasted(self.complete, now, LONGEST_PAUSE) {
            self.pause = PAUSE;
        }
        if open == 0 && self.without.is_none() && self.next > now + LONGEST_PAUSE {
            // A long pause was for more of what there was.
            self.next = now + PAUSE;
        }
        remember(&mut self.without, open == 0, now);
        remember(&mut self.short, open < wanted, now);
        remember(&mut self.complete, open >= wanted, now);
        if open > 0 {
            self.in_vain = None;
        }
        self.came |= open > self.open;
        self.open = open;
    }
}

/// Opens streams of a plane with the tokens that are there, or asks for some.
fn open(
    track: &mut Track,
    plane: PlaneKind,
    missing: usize,
    long: bool,
    view: &View,
    now: Duration,
) -> Option<Step> {
    if view.tokens == 0 {
        return (!view.asked).then_some(Step::Ask(missing));
    }
    track.next = now + if long { LONG_PAUSE } else { track.pause };
    if std::mem::take(&mut track.came) {
        track.pause = (track.pause * 2).min(LONGEST_PAUSE);
    }
    if track.without.is_some() {
        track.in_vain.get_or_insert(now);
    }
    Some(Step::Dial(plane, missing.min(view.tokens)))
}

fn remember(since: &mut Option<Duration>, holds: bool, now: Duration) {
    if holds {
        since.get_or_insert(now);
    } else {
        *since = None;
    }
}

fn lasted(since: Option<Duration>, now: Duration, limit: Duration) -> bool {
    since.is_some_and(|since| now.saturating_sub(since) >= limit)
}

#[cfg(test)]
mod tests;
