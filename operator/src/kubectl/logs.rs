//! `logs`: what the movers of a job say, merged.

mod event;
mod merge;
mod pods;
mod read;
mod show;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use blit_crds::MirrorJob;
use futures::StreamExt;
use futures::future::pending;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watch_object, watcher};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::sleep_until;

use self::merge::Merge;
use self::pods::{Choice, Log, Mover, chosen, log};
use self::read::{News, read};
use self::show::Printer;
use super::cli::{LogsArgs, SideOption};
use super::error::{PluginError, interruption};
use super::output::{Output, note};
use super::session::{Found, Session, bare_name};
use super::status::{is_over, show_once};
use crate::mirrorjob::build::labels::JOB_UID;

/// How long a line may wait for an older one of the other mover.
const PATIENCE: Duration = Duration::from_millis(500);
/// Lines read ahead.
const AHEAD: usize = 1024;

/// Carries out `logs`.
///
/// # Errors
/// Fails when the job or its pods cannot be read.
pub(super) async fn run(
    session: &Session,
    output: Output,
    args: &LogsArgs,
) -> Result<(), PluginError> {
    let found = session.job(bare_name(&args.name)).await?;
    let uid = found.job.metadata.uid.clone().unwrap_or_default();
    let desk = Desk {
        output,
        pods: Api::namespaced(session.client.clone(), &session.namespace),
        selector: format!("{JOB_UID}={uid}"),
        raw: args.raw,
        choice: Choice {
            attempt: args.attempt,
            side: args.side,
        },
    };
    let shown = if args.follow {
        desk.follow(session, &found.job).await?
    } else {
        desk.once().await?
    };
    if !shown {
        gone(session, &found, args, output).await?;
    }
    Ok(())
}

/// Says that there is no log, and shows the status instead.
async fn gone(
    session: &Session,
    found: &Found,
    args: &LogsArgs,
    output: Output,
) -> Result<(), PluginError> {
    // It may have ended just now.
    let name = found.job.metadata.name.clone().unwrap_or_default();
    let now = session.job(&name).await;
    let job = now.as_ref().map_or(&found.job, |now| &now.job);
    note(&format!("{} Its status:", no_log(job, args)));
    show_once(output, job)
}

/// Why there is no log.
fn no_log(job: &MirrorJob, args: &LogsArgs) -> String {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let begun = job
        .status
        .as_ref()
        .map_or(0, |status| status.attempts_total);
    let begun = u32::try_from(begun).unwrap_or(0);
    match args.attempt {
        None if begun == 0 => {
            return format!("No attempt of {name} has begun, so there is no log.");
        }
        Some(wanted) if wanted > begun => {
            return format!("Attempt {wanted} of {name} has not begun; there were {begun}.");
        }
        _ => {}
    }
    let whose = match args.side {
        None => "pods",
        Some(SideOption::Source) => "pod of the source",
        Some(SideOption::Destination) => "pod of the destination",
    };
    let of = args
        .attempt
        .map_or_else(String::new, |attempt| format!("attempt {attempt} of "));
    format!(
        "{of}{name} has no {whose} any more: those of a completed job and of earlier attempts are deleted."
    )
}

/// What is to be read, and how it is to be shown.
struct Desk {
    output: Output,
    pods: Api<Pod>,
    selector: String,
    raw: bool,
    choice: Choice,
}

impl Desk {
    /// Prints what is there. Returns false if there are no pods.
    async fn once(&self) -> Result<bool, PluginError> {
        let list = ListParams::default().labels(&self.selector);
        let pods = self.pods.list(&list).await?.items;
        let movers = chosen(&pods, self.choice);
        let mut work = Work::new(None);
        for (mover, pod) in &movers {
            match log(pod) {
                Log::Growing | Log::Ended => work.open(&self.pods, mover, false),
                Log::NotYet(cause) => note(&not_yet(&mover.pod, &cause)),
            }
        }
        loop {
            self.print(&mut work)?;
            if work.merge.is_done() {
                return Ok(!movers.is_empty());
            }
            work.next().await;
        }
    }

    /// Prints what is there and what comes, until the job or the attempt has ended. Returns false if there was no pod.
    async fn follow(&self, session: &Session, job: &MirrorJob) -> Result<bool, PluginError> {
        let name = job.metadata.name.clone().unwrap_or_default();
        let config = watcher::Config::default().labels(&self.selector);
        let mut pods = watcher(self.pods.clone(), config).default_backoff().boxed();
        let mut jobs = watch_object(session.jobs(), &name)
            .default_backoff()
            .boxed();
        let mut work = Work::new(Some(PATIENCE));
        let mut listed = false;
        let mut over = self.is_over(job);
        loop {
            self.print(&mut work)?;
            if over && listed && work.merge.is_done() {
                return Ok(!work.opened.is_empty());
            }
            let error = tokio::select! {
                () = work.next() => None,
                event = pods.next() => match event {
                    Some(Ok(Event::Apply(pod) | Event::InitApply(pod))) => {
                        self.consider(&pod, &mut work);
                        None
                    }
                    Some(Ok(Event::InitDone)) => {
                        listed = true;
                        None
                    }
                    Some(Ok(Event::Init | Event::Delete(_))) | None => None,
                    Some(Err(error)) => Some(error),
                },
                event = jobs.next() => match event {
                    Some(Ok(Some(now))) if now.metadata.uid == job.metadata.uid => {
                        over = self.is_over(&now);
                        None
                    }
                    Some(Err(error)) => Some(error),
                    // Deleted: its pods end, and with them their logs.
                    Some(Ok(_)) | None => {
                        over = true;
                        None
                    }
                },
            };
            if let Some(error) = error {
                let (cause, forever) = interruption(&error);
                if forever {
                    return Err(PluginError::NotFollowed { name, cause });
                }
                work.tell(&format!("{cause}; trying again"));
            }
        }
    }

    /// Opens the log of a mover when it has one.
    fn consider(&self, pod: &Pod, work: &mut Work) {
        let Some(mover) = Mover::of(pod).filter(|mover| self.choice.includes(mover)) else {
            return;
        };
        match log(pod) {
            Log::Growing | Log::Ended => work.open(&self.pods, &mover, true),
            Log::NotYet(cause) => work.tell(&not_yet(&mover.pod, &cause)),
        }
    }

    /// Returns whether no log can begin any more.
    fn is_over(&self, job: &MirrorJob) -> bool {
        let status = job.status.clone().unwrap_or_default();
        let attempt = self
            .choice
            .attempt
            .and_then(|number| i32::try_from(number).ok());
        let is_past = attempt.is_some_and(|number| {
            let mut known = status.attempts.iter();
            let last = status.attempts.last().map_or(0, |last| last.number);
            number < last || known.any(|one| one.number == number && one.end_time.is_some())
        });
        is_past || is_over(&status)
    }

    /// Prints the lines that may go.
    fn print(&self, work: &mut Work) -> Result<(), PluginError> {
        let mut out = String::new();
        while let Some((mover, line)) = work.merge.next(Instant::now()) {
            if self.raw {
                out.push_str(&line.line);
                out.push('\n');
            } else if let Some(text) = work.printer.print(&mover, &line) {
                // Not broken to the width: a log is searched and copied.
                out.push_str(&text.render(None, self.output.colour()));
            }
        }
        if !out.is_empty() {
            self.output.raw(&out)?;
        }
        Ok(())
    }
}

/// The logs that are open.
struct Work {
    merge: Merge<Mover>,
    printer: Printer,
    opened: BTreeSet<Mover>,
    /// What was told already; a pod that cannot start says the same again and again.
    told: BTreeSet<String>,
    sender: Sender<(Mover, News)>,
    receiver: Receiver<(Mover, News)>,
}

impl Work {
    fn new(patience: Option<Duration>) -> Self {
        let (sender, receiver) = channel(AHEAD);
        Self {
            merge: Merge::new(patience),
            printer: Printer::default(),
            opened: BTreeSet::new(),
            told: BTreeSet::new(),
            sender,
            receiver,
        }
    }

    fn open(&mut self, pods: &Api<Pod>, mover: &Mover, follow: bool) {
        if self.opened.insert(mover.clone()) {
            self.merge.open(mover.clone());
            let reading = read(pods.clone(), mover.clone(), follow, self.sender.clone());
            tokio::spawn(reading);
        }
    }

    /// Waits for news of a log, or until a line has waited long enough.
    async fn next(&mut self) {
        let due = self.merge.due().flatten();
        let patience = async move {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            news = self.receiver.recv() => match news {
                Some((mover, News::Line(line))) => self.merge.take(&mover, line, Instant::now()),
                Some((mover, News::End)) => self.merge.close(&mover),
                Some((mover, News::Trouble(cause))) => self.tell(&format!("pod {}: {cause}", mover.pod)),
                None => {}
            },
            () = patience => {}
        }
    }

    fn tell(&mut self, text: &str) {
        if self.told.insert(text.to_owned()) {
            note(text);
        }
    }
}

fn not_yet(pod: &str, cause: &str) -> String {
    format!("pod {pod} has not started: {cause}")
}
