//! One attempt: starts the two movers, follows them, and ends them.
//!
//! Invariant: when one mover has ended, the other one ends within [`SURVIVOR`], by force if need be.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use blit_crds::MirrorJobSpec;
use blit_crds::arguments::{self, ArgumentError, MoverContext};
use blit_crds::mirrorjob::Side;
use jiff::Timestamp;
use rustix::process::Signal;

use super::child::{Child, Message, SpawnError};
use super::identity::Identities;
use super::observed::Observed;
use super::volumes::{Root, Roots};
use crate::report::output::{Output, Outputs};
use crate::report::record::Record;

/// How long a mover may stay when the other one has ended, or when it was asked to end in vain.
const SURVIVOR: Duration = Duration::from_secs(30);

/// What an attempt is made from.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    /// What was asked.
    pub spec: &'a MirrorJobSpec,
    /// Directories of both sides.
    pub roots: &'a Roots,
    /// UID of the job.
    pub job_uid: &'a str,
    /// Number of the attempt.
    pub number: u32,
}

/// An attempt that cannot begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    /// The spec cannot be turned into arguments.
    #[error(transparent)]
    Arguments(#[from] ArgumentError),
    /// A mover cannot be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

impl Attempt<'_> {
    /// Runs the attempt to its end. What the movers report goes to `output` as it comes.
    pub(super) fn run(
        &self,
        identities: Identities,
        sender: &SyncSender<Message>,
        messages: &Receiver<Message>,
        output: &Outputs,
    ) -> Result<Observed, AttemptError> {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let context = self.context(&self.roots.destination, identities.of(Side::Destination));
        let destination = arguments::destination(self.spec, &context, listen, 0)?;
        let mut running = Running {
            destination: Some(Child::spawn(Side::Destination, &destination, sender)?),
            source: None,
            source_due: true,
            identities: Some(identities),
            kill_at: None,
            overdue_at: self.deadline(),
            observed: Observed::default(),
        };
        while running.is_alive() {
            match running.next(messages) {
                Some(message) => running.take(message, output),
                None => running.time_is_up(),
            }
            if let Some(connect) = running.source_can_start() {
                let arguments = self.source_arguments(&running, &connect)?;
                running.source = Some(Child::spawn(Side::Source, &arguments, sender)?);
            }
        }
        Ok(running.observed)
    }

    fn source_arguments(
        &self,
        running: &Running,
        connect: &str,
    ) -> Result<Vec<OsString>, ArgumentError> {
        let identity = running
            .identities
            .as_ref()
            .map(|identities| identities.of(Side::Source));
        let context = self.context(&self.roots.source, identity.unwrap_or_default());
        arguments::source(self.spec, &context, connect)
    }

    fn context(&self, root: &Root, identity: PathBuf) -> MoverContext {
        MoverContext {
            root: root.directory.clone(),
            host_prefix: root.host_prefix.clone(),
            identity,
            job_uid: self.job_uid.to_owned(),
            attempt: self.number,
            termination_message: None,
            special_files: true,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let seconds = self
            .spec
            .active_deadline_seconds
            .and_then(|s| u64::try_from(s).ok())?;
        Instant::now().checked_add(Duration::from_secs(seconds))
    }
}

/// An attempt under way. Dropping it ends what still runs.
struct Running {
    source: Option<Child>,
    destination: Option<Child>,
    /// The source has yet to be started.
    source_due: bool,
    identities: Option<Identities>,
    /// When what still runs is ended by force.
    kill_at: Option<Instant>,
    /// When `activeDeadlineSeconds` are over.
    overdue_at: Option<Instant>,
    observed: Observed,
}

impl Running {
    fn is_alive(&self) -> bool {
        self.source.is_some() || self.destination.is_some()
    }

    /// Waits for a message; `None` when a deadline has passed.
    fn next(&self, messages: &Receiver<Message>) -> Option<Message> {
        let Some(until) = self.kill_at.into_iter().chain(self.overdue_at).min() else {
            return messages.recv().ok();
        };
        messages
            .recv_timeout(until.saturating_duration_since(Instant::now()))
            .ok()
    }

    fn take(&mut self, message: Message, output: &Outputs) {
        match message {
            Message::Event(side, record) => {
                self.observed.event(side, &record, Timestamp::now());
                if self.observed.both_started() {
                    self.identities = None;
                }
                if is_news(side, &record) {
                    output.take(&record);
                }
            }
            Message::Log(side, line) => {
                tracing::info!(mover = side.as_str(), "{line}");
                self.observed.side(side).log(line);
            }
            Message::Ended(side, status) => {
                tracing::debug!(mover = side.as_str(), %status, "ended");
                self.observed.side(side).ended = Some(status);
                match side {
                    Side::Source => self.source = None,
                    Side::Destination => self.destination = None,
                }
                self.source_due = false;
                self.left_behind(status.success());
            }
            Message::Interrupt(before) => {
                self.observed.interrupted = true;
                self.source_due = false;
                self.signal(if before == 0 {
                    Signal::TERM
                } else {
                    Signal::KILL
                });
            }
        }
    }

    fn time_is_up(&mut self) {
        let now = Instant::now();
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            self.observed.told = match (&self.source, &self.destination) {
                (Some(_), None) => Some(Side::Source),
                (None, Some(_)) => Some(Side::Destination),
                _ => None,
            };
            self.signal(Signal::KILL);
        }
        if self.overdue_at.is_some_and(|at| at <= now) {
            self.overdue_at = None;
            self.observed.overdue = true;
            self.source_due = false;
            self.signal(Signal::TERM);
            self.kill_soon();
        }
    }

    /// Returns the address for the source, once, when the destination listens.
    fn source_can_start(&mut self) -> Option<String> {
        let listen = self
            .observed
            .destination
            .listen
            .as_ref()
            .filter(|_| self.source_due)?;
        self.source_due = false;
        Some(listen.control.clone())
    }

    /// One mover has ended. The other one notices by itself if they had met, and is told otherwise: it may
    /// still be waiting or dialling.
    fn left_behind(&mut self, well: bool) {
        let survivor = match (&self.source, &self.destination) {
            (Some(_), None) => Side::Source,
            (None, Some(_)) => Side::Destination,
            _ => return,
        };
        if !well && self.observed.met.is_none() {
            self.observed.told = Some(survivor);
            self.signal(Signal::TERM);
        }
        self.kill_soon();
    }

    fn kill_soon(&mut self) {
        self.kill_at
            .get_or_insert_with(|| Instant::now() + SURVIVOR);
    }

    fn signal(&self, signal: Signal) {
        self.source
            .iter()
            .chain(&self.destination)
            .for_each(|child| child.signal(signal));
    }
}

/// Returns true for what the run passes on as its own: figures come from the destination alone, and how a
/// mover starts and ends is not how the run does.
fn is_news(side: Side, record: &Record) -> bool {
    match record {
        Record::Start(_) | Record::Summary(_) => false,
        Record::Phase { .. } | Record::Progress(_) => side == Side::Destination,
        Record::Entry { .. }
        | Record::Note { .. }
        | Record::Slow { .. }
        | Record::Fallback { .. }
        | Record::Withheld { .. }
        | Record::Error { .. } => true,
    }
}
