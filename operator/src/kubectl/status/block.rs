//! The status of one MirrorJob as a block of lines. Pure.
//!
//! A share in percent, a bar and a time that is left are shown only when the scan is complete: before, nobody
//! knows them.

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{
    EndpointStatus, Failure, MirrorJobStatus, Operation, Phase, Plan, Progress, SelectedTransport,
    TransportKind, TransportStatus,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::attempts;
use crate::conditions::{METADATA_PRESERVED, PREFLIGHT_PASSED, PROGRESS_AVAILABLE, VERIFIED};
use crate::kubectl::text::{Line, Style, Text, bytes, count, counted, duration, rate};
use crate::mirrorjob::status::history;

/// Columns of the names of fields, with the indentation before them.
const LABEL: usize = 15;
/// Columns of the bar.
const BAR: usize = 40;
/// Failed files shown; `explain` has more.
const FAILED_FILES: usize = 5;

/// Returns the block.
pub(in crate::kubectl) fn block(job: &MirrorJob, now: Timestamp) -> Text {
    let none = MirrorJobStatus::default();
    let status = job.status.as_ref().unwrap_or(&none);
    let mut block = Block::default();
    block.title(job, status, now);
    block.places(job, status);
    block.transport(status.transport.as_ref());
    block.progress(status);
    block.times(status, now);
    block.waits(job, status);
    block.failure(status, now);
    block.conditions(job, status);
    let mut text = block.text;
    text.append(attempts::table(status, now));
    text
}

/// Returns the style of a phase.
pub(super) fn style(phase: Phase) -> Style {
    match phase {
        Phase::Complete => Style::Good,
        Phase::Failed => Style::Bad,
        Phase::Pending | Phase::Queued | Phase::Preparing | Phase::Suspended => Style::Warn,
        Phase::Running | Phase::Deleting | Phase::Verifying => Style::Strong,
    }
}

/// Returns whether a job has come to its end.
pub(in crate::kubectl) fn is_over(status: &MirrorJobStatus) -> bool {
    matches!(status.phase, Phase::Complete | Phase::Failed)
}

#[derive(Default)]
struct Block {
    text: Text,
    label: Option<&'static str>,
}

impl Block {
    /// Begins a field. Its name stands before its first line only.
    fn field(&mut self, label: &'static str) {
        self.label = Some(label);
    }

    fn begin(&mut self) -> Line {
        let label = self.label.take().unwrap_or_default();
        Line::hanging(LABEL).and(format!("  {label:<width$}", width = LABEL - 2), Style::Dim)
    }

    fn line(&mut self, text: impl AsRef<str>, style: Style) {
        let line = self.begin().and(text, style);
        self.text.push(line);
    }

    fn title(&mut self, job: &MirrorJob, status: &MirrorJobStatus, now: Timestamp) {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
        let line = Line::hanging(2)
            .plain("MirrorJob ")
            .and(format!("{namespace}/{name}"), Style::Strong)
            .plain("  ")
            .and(format!("{:?}", status.phase), style(status.phase));
        let ended = status
            .completion_time
            .as_ref()
            .zip(status.start_time.as_ref());
        let line = match (&job.metadata.deletion_timestamp, ended) {
            (Some(_), _) => line.and(", being deleted", Style::Warn),
            (None, Some((end, start))) => {
                let took = end.0.duration_since(start.0);
                let ago = now.duration_since(end.0);
                line.plain(format!(" after {}, {} ago", duration(took), duration(ago)))
            }
            (None, None) => line,
        };
        self.text.push(line);
    }

    fn places(&mut self, job: &MirrorJob, status: &MirrorJobStatus) {
        self.field("Operation");
        let what = match (job.spec.operation, job.spec.dry_run) {
            (Operation::Mirror, false) => "Mirror",
            (Operation::Copy, false) => "Copy",
            (Operation::Mirror, true) => "Mirror, dry run: nothing is changed",
            (Operation::Copy, true) => "Copy, dry run: nothing is changed",
        };
        self.line(what, Style::Plain);
        self.field("From");
        self.place(&job.spec.source.to_string(), status.source.as_ref());
        self.field("To");
        let place = job.spec.destination.to_string();
        self.place(&format!("→ {place}"), status.destination.as_ref());
    }

    fn place(&mut self, place: &str, end: Option<&EndpointStatus>) {
        let node = end.and_then(|end| end.node.as_ref());
        let line = self.begin().plain(place);
        self.text.push(match node {
            Some(node) => line.plain(format!(" on {node}")),
            None => line.and(" on a node yet to be found", Style::Dim),
        });
    }

    fn transport(&mut self, transport: Option<&TransportStatus>) {
        let Some(transport) = transport else {
            return;
        };
        self.field("Transport");
        let mut text = match transport.selected {
            SelectedTransport::Local => "Local, one pod has both volumes".to_owned(),
            selected => format!("{}, encryption {:?}", word(selected), transport.encryption),
        };
        if transport.zero_copy {
            text.push_str(", zero copy");
        }
        self.line(text, Style::Plain);
        for tried in &transport.tried {
            let text = format!("not {}: {}", kind(tried.kind), tried.reason);
            self.line(text, Style::Warn);
        }
    }

    fn progress(&mut self, status: &MirrorJobStatus) {
        if let Some(progress) = &status.progress {
            self.field("Progress");
            self.figures(status.phase, progress);
        }
        if let Some(plan) = &status.plan {
            self.field("Would");
            self.line(planned(plan), Style::Plain);
        }
        if let Some(verification) = &status.verification {
            self.field("Verified");
            let compared = counted(verification.compared, "file", "files");
            let differ = counted(verification.mismatches, "differs", "differ");
            let style = if verification.mismatches > 0 {
                Style::Bad
            } else {
                Style::Plain
            };
            self.line(format!("{compared} compared, {differ}"), style);
        }
    }

    fn figures(&mut self, phase: Phase, progress: &Progress) {
        let share = progress.percent.filter(|_| progress.scan_complete);
        if let Some(percent) = share {
            let line = self.begin().in_one_row();
            let line = line.and(bar(percent), style(phase));
            self.text.push(line.plain(format!(" {percent}%")));
        }
        let mut parts = Vec::new();
        match progress.bytes_total.filter(|_| progress.scan_complete) {
            Some(total) => parts.push(format!(
                "{} of {}",
                bytes(progress.bytes_done),
                bytes(total)
            )),
            None => parts.push(bytes(progress.bytes_done)),
        }
        match progress.files_total.filter(|_| progress.scan_complete) {
            Some(total) => {
                let total = counted(total, "entry", "entries");
                parts.push(format!("{} of {total}", count(progress.files_done)));
            }
            None => parts.push(counted(progress.files_done, "entry", "entries")),
        }
        if progress.files_deleted > 0 {
            parts.push(format!("{} deleted", count(progress.files_deleted)));
        }
        let working = matches!(phase, Phase::Running | Phase::Deleting | Phase::Verifying);
        if working && !progress.scan_complete {
            parts.push("the source is still being listed".to_owned());
        }
        let line = self.begin().plain(parts.join(", "));
        let failed = format!(", {} failed", count(progress.files_failed));
        self.text.push(if progress.files_failed > 0 {
            line.and(failed, Style::Bad)
        } else {
            line
        });
        let mut speed = Vec::new();
        if let Some(now) = progress.bytes_per_second.filter(|_| working) {
            speed.push(rate(now));
        }
        let left = progress
            .eta_seconds
            .filter(|left| progress.scan_complete && *left > 0);
        if let Some(seconds) = left.filter(|_| working) {
            let left = SignedDuration::from_secs(seconds);
            speed.push(format!("about {} left", duration(left)));
        }
        if !speed.is_empty() {
            self.line(speed.join(", "), Style::Plain);
        }
    }

    fn times(&mut self, status: &MirrorJobStatus, now: Timestamp) {
        if is_over(status) {
            return;
        }
        if let Some(start) = &status.start_time {
            self.field("Started");
            let ago = duration(now.duration_since(start.0));
            self.line(format!("{ago} ago"), Style::Plain);
        }
    }

    fn waits(&mut self, job: &MirrorJob, status: &MirrorJobStatus) {
        if job.status.is_none() {
            self.field("Waits for");
            self.line("an operator that sees it", Style::Warn);
        }
        if let Some(cause) = &status.waiting_for {
            self.field("Waits for");
            self.line(cause, Style::Warn);
        }
        if let Some(position) = status.queue_position {
            self.field("Queue");
            self.line(format!("place {position}"), Style::Warn);
        }
    }

    fn failure(&mut self, status: &MirrorJobStatus, now: Timestamp) {
        if let Some(failure) = &status.failure {
            let (label, style) = match status.phase {
                Phase::Failed => ("Failed with", Style::Bad),
                _ => ("Last failure", Style::Warn),
            };
            self.field(label);
            self.line(reason(failure), style);
            if !failure.message.is_empty() {
                self.line(&failure.message, Style::Plain);
            }
            let next = history::next_start(status).filter(|next| *next > now && !is_over(status));
            if let Some(next) = next {
                let pause = duration(next.duration_since(now));
                self.line(format!("the next attempt begins in {pause}"), Style::Plain);
            }
        }
        if status.failed_files.is_empty() {
            return;
        }
        self.field("Failed files");
        for file in status.failed_files.iter().take(FAILED_FILES) {
            self.line(format!("{}: {}", file.path, file.error), Style::Plain);
        }
        let all = status
            .progress
            .as_ref()
            .map_or(0, |progress| progress.files_failed);
        let known = i64::try_from(status.failed_files.len()).unwrap_or(i64::MAX);
        let more = all.max(known).saturating_sub(FAILED_FILES as i64);
        if more > 0 {
            self.line(format!("and {} more", count(more)), Style::Dim);
        }
    }

    fn conditions(&mut self, job: &MirrorJob, status: &MirrorJobStatus) {
        self.field("Attention");
        for condition in troubles(status) {
            let type_ = &condition.type_;
            let line = self.begin().and(format!("{type_} is False"), Style::Warn);
            let line = line.plain(format!(" ({})", condition.reason));
            let line = match condition.message.as_str() {
                "" => line,
                message => line.plain(format!(": {message}")),
            };
            self.text.push(line);
        }
        if status.observed_generation < job.metadata.generation && job.status.is_some() {
            let text = "the operator has not seen the latest change of the spec";
            self.line(text, Style::Warn);
        }
        self.label = None;
    }
}

/// Returns the conditions that are not as they should be and that nothing else of the block tells.
fn troubles(status: &MirrorJobStatus) -> impl Iterator<Item = &Condition> {
    let over = is_over(status);
    let waits = status.waiting_for.is_some();
    status.conditions.iter().filter(move |condition| {
        condition.status == "False"
            && match condition.type_.as_str() {
                METADATA_PRESERVED | VERIFIED => true,
                PREFLIGHT_PASSED => !over && !waits,
                PROGRESS_AVAILABLE => !over,
                _ => false,
            }
    })
}

fn bar(percent: i32) -> String {
    let filled = usize::try_from(percent.clamp(0, 100)).unwrap_or(0) * BAR / 100;
    let (head, rest) = if (1..BAR).contains(&filled) {
        (format!("{}>", "=".repeat(filled - 1)), BAR - filled)
    } else {
        ("=".repeat(filled), BAR - filled)
    };
    format!("[{head}{}]", " ".repeat(rest))
}

fn planned(plan: &Plan) -> String {
    format!(
        "copy {} ({}), delete {}, repair the metadata of {}, leave {}",
        counted(plan.files_to_copy, "entry", "entries"),
        bytes(plan.bytes_to_copy),
        count(plan.files_to_delete),
        count(plan.metadata_to_repair),
        count(plan.files_unchanged),
    )
}

fn reason(failure: &Failure) -> String {
    match failure.exit_code {
        Some(code) => format!("{} (exit code {code})", failure.reason),
        None => failure.reason.clone(),
    }
}

/// Returns the word of a data plane.
pub(in crate::kubectl) fn word(selected: SelectedTransport) -> &'static str {
    match selected {
        SelectedTransport::Local => "Local",
        SelectedTransport::Tcp => "TCP",
        SelectedTransport::Grpc => "GRPC",
        SelectedTransport::Rdma => "RDMA",
    }
}

/// Returns the word of a data plane that was asked for.
pub(in crate::kubectl) fn kind(kind: TransportKind) -> &'static str {
    match kind {
        TransportKind::Auto => "Auto",
        TransportKind::Rdma => "RDMA",
        TransportKind::Tcp => "TCP",
        TransportKind::Grpc => "GRPC",
    }
}
