//! `blit run -f`: a MirrorJob on this host, without a cluster.
//!
//! Responsibility: what the operator does in a cluster for one attempt. Each claim is a directory; the two
//! movers are processes of this program with the very arguments that pods would get, on loopback, with
//! certificates of their own authority; the status is filled from what they report.
//!
//! Invariants: no mover outlives the run, not even one that is killed; certificates are in a private folder
//! that is gone when the movers have read it; an invalid manifest is refused before anything is made.
//!
//! Non-goals: a second attempt (run again instead), queues, anything that only a cluster has.

mod attempt;
mod child;
mod identity;
mod observed;
mod status;
pub mod volumes;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

use blit_crds::outcome::{Class, ExitCode, Guard, Reason};
use blit_crds::{ManifestError, MirrorJob, load_manifest, to_yaml};
use blit_engine::fs::dir::display_path;
use blit_engine::run::new_run_id;
use jiff::Timestamp;

use crate::cli::options::{Output as OutputOptions, Preview};
use crate::history;
use crate::history::entry::Run;
use crate::history::place::FileSystems;
use crate::process::peak_memory;
use crate::report::output::{Output, Outputs};
use crate::report::record::{EntryPath, Record, Start, SummaryRecord};
use crate::report::summary::{self, Setting};
use crate::report::termination;
use crate::signals::Signals;
use attempt::{Attempt, AttemptError};
use child::Message;
use identity::{Identities, IdentitiesError};
use observed::{Observed, Verdict};
use volumes::{Roots, Volume, VolumeError};

/// The only attempt of a run.
const ATTEMPT: u32 = 1;

/// Messages of the movers that may wait to be looked at; a mover that says more waits itself.
const MESSAGES: usize = 1024;

/// Bytes of a manifest: what an API server takes in one request.
const MANIFEST_BYTES: u64 = 3 << 20;

/// What to run.
#[derive(Clone, Debug)]
pub struct Request {
    /// File with the MirrorJob; `-` is stdin.
    pub manifest: PathBuf,
    /// Directories that stand for claims.
    pub volumes: Vec<Volume>,
    /// What is said, and where.
    pub output: OutputOptions,
}

/// A run that cannot begin.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("cannot read the manifest `{}`: {source}", display_path(.path))]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the manifest `{}` is longer than {} MiB; is it the right file?", display_path(.path), MANIFEST_BYTES >> 20)]
    TooLong { path: PathBuf },
    #[error("{}: {}", display_path(.path), one_line(.source))]
    Manifest {
        path: PathBuf,
        source: ManifestError,
    },
    #[error("spec.suspend is true, so there is nothing to run; set it to false")]
    Suspended,
    #[error(transparent)]
    Volumes(#[from] VolumeError),
    #[error(transparent)]
    Identities(#[from] IdentitiesError),
    #[error(transparent)]
    Attempt(#[from] AttemptError),
    #[error("cannot wait for signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// Returns what is wrong with a manifest as a part of one line: the report escapes the ends of lines, since in other messages they
/// may be somebody else's.
fn one_line(error: &ManifestError) -> String {
    match error {
        ManifestError::Invalid(findings) => {
            let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
            format!("the MirrorJob is invalid: {}", findings.join("; and "))
        }
        other => other.to_string(),
    }
}

impl RunError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unreadable { .. }
            | Self::TooLong { .. }
            | Self::Manifest { .. }
            | Self::Suspended => ExitCode::Usage,
            Self::Volumes(error) => error.exit_code(),
            Self::Identities(_) | Self::Attempt(_) | Self::Signals(_) => ExitCode::OtherError,
        }
    }
}

/// Runs a MirrorJob to its end, prints it with its status, and returns how it ended. `started` is when the
/// process began. Must be called on the main thread.
pub fn run(request: &Request, started: Instant) -> ExitCode {
    let run_id = new_run_id();
    let screen = request.output.screen();
    let output = request
        .output
        .outputs(&screen, &run_id, &Preview::default());
    match run_job(request, &run_id, &output, started) {
        Ok((job, roots, record)) => {
            let code = record.code();
            let (operation, from, to) = (
                operation_name(&job),
                roots.source.named(),
                roots.destination.named(),
            );
            let remembered = Run::new(&operation, FileSystems::of(&from, &to), &record);
            output.take(&Record::Summary(Box::new(record)));
            if !request.output.json {
                print(&job);
            }
            history::remember(remembered);
            code
        }
        Err(error) => {
            let (code, message) = (error.exit_code(), error.to_string());
            let record = if code == ExitCode::Usage {
                Record::Error {
                    path: EntryPath::default(),
                    message,
                }
            } else {
                let setting = Setting {
                    since: started,
                    transport: "TCP",
                    bytes_sent: 0,
                    peak_memory: peak_memory(),
                };
                Record::Summary(Box::new(summary::of_failure(code, message, &setting)))
            };
            output.take(&record);
            code
        }
    }
}

fn run_job(
    request: &Request,
    run_id: &str,
    output: &Outputs,
    started: Instant,
) -> Result<(MirrorJob, Roots, SummaryRecord), RunError> {
    let mut job = load(&request.manifest)?;
    let roots = volumes::resolve(&job.spec, &request.volumes)?;
    volumes::prepare(&job.spec, &roots)?;
    let signals = Signals::block().map_err(std::io::Error::from)?;
    let (sender, messages) = mpsc::sync_channel(MESSAGES);
    let interrupts = sender.clone();
    signals.watch(move |_, before| {
        let _ = interrupts.send(Message::Interrupt(before));
    })?;
    output.take(&Record::Start(Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        operation: Some(operation_name(&job)),
        source: Some(display_path(&roots.source.named())),
        destination: Some(display_path(&roots.destination.named())),
        listen: None,
    }));
    // A MirrorJob has a UID only in a cluster; here each run is a job of its own.
    let job_uid = job
        .metadata
        .uid
        .clone()
        .unwrap_or_else(|| format!("run-{run_id}"));
    let identities = Identities::make(run_id, &job_uid, ATTEMPT)?;
    let began = Timestamp::now();
    let attempt = Attempt {
        spec: &job.spec,
        roots: &roots,
        job_uid: &job_uid,
        number: ATTEMPT,
    };
    let observed = attempt.run(identities, &sender, &messages, output)?;
    let verdict = observed.verdict();
    let guard = guard_of(&observed);
    // Only who dials knows.
    let source = observed.source.summary.as_ref();
    let unavailable = source.is_some_and(|summary| summary.transport_unavailable);
    let reason = match verdict.code {
        ExitCode::PeerUnreachable if unavailable => Some(Reason::TransportUnavailable),
        code => Reason::of(code, guard),
    };
    job.status = Some(status::after(&status::Ended {
        spec: &job.spec,
        generation: job.metadata.generation,
        observed: &observed,
        verdict: &verdict,
        reason,
        started: began,
        ended: Timestamp::now(),
    }));
    let record = last_event(&observed, &verdict, reason, started);
    Ok((job, roots, record))
}

fn operation_name(job: &MirrorJob) -> String {
    format!("{:?}", job.spec.operation).to_lowercase()
}

fn load(path: &Path) -> Result<MirrorJob, RunError> {
    let unreadable = |source| RunError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let input: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(path).map_err(unreadable)?),
    };
    let mut text = String::new();
    input
        .take(MANIFEST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MANIFEST_BYTES {
        return Err(RunError::TooLong {
            path: path.to_owned(),
        });
    }
    let job = load_manifest(&text).map_err(|source| RunError::Manifest {
        path: path.to_owned(),
        source,
    })?;
    if job.spec.suspend {
        Err(RunError::Suspended)
    } else {
        Ok(job)
    }
}

fn guard_of(observed: &Observed) -> Option<Guard> {
    let guard = observed.destination.summary.as_ref()?.guard.as_ref()?;
    termination::rule(&guard.reason)
}

/// The last word of the destination, corrected by what only the run knows.
fn last_event(
    observed: &Observed,
    verdict: &Verdict,
    reason: Option<Reason>,
    started: Instant,
) -> SummaryRecord {
    let destination = observed.destination.summary.clone().unwrap_or_default();
    let source = observed.source.summary.as_ref();
    // The destination counts from the session on, a person from the command.
    let before = observed
        .met
        .map(|met| met.saturating_duration_since(started).as_secs_f64());
    SummaryRecord {
        result: reason.map_or_else(|| "Complete".to_owned(), |reason| reason.to_string()),
        exit_code: verdict.code.code(),
        message: reason.map(|reason| match reason.class() {
            Class::Retried if !verdict.message.contains("run again") => {
                format!("{}; run again: what has arrived is kept", verdict.message)
            }
            _ => verdict.message.clone(),
        }),
        bytes_sent: source.map_or(destination.bytes_sent, |source| source.bytes_sent),
        duration_seconds: started.elapsed().as_secs_f64(),
        seconds_to_first_byte: destination
            .seconds_to_first_byte
            .zip(before)
            .map(|(a, b)| a + b),
        peak_memory: source
            .map_or(0, |source| source.peak_memory)
            .max(destination.peak_memory),
        transport: match destination.transport.as_str() {
            "" => "TCP".to_owned(),
            known => known.to_owned(),
        },
        tried: observed.tried.clone(),
        ..destination
    }
}

/// Prints the job on stdout. A reader that went away is no error of the run.
fn print(job: &MirrorJob) {
    match to_yaml(job) {
        Ok(yaml) => {
            let _ = std::io::stdout().write_all(yaml.as_bytes());
        }
        Err(error) => tracing::error!(%error, "cannot write the status as YAML"),
    }
}
