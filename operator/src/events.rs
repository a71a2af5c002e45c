//! Events of a MirrorJob: what became of it, for `kubectl describe`.
//!
//! [`changes`] is pure: what is told follows from the status before and after, so nothing is told twice without a
//! change, whoever reconciles. [`Publisher`] sends the notes from a task of its own: the reconciler never waits
//! for it, and what cannot be sent after some retries is dropped. An event is a courtesy; the status is the
//! record.

mod publish;
#[cfg(test)]
mod tests;

use blit_crds::mirrorjob::{Attempt, MirrorJobStatus, Phase, SelectedTransport, TransportKind};
use blit_crds::outcome::Reason;

use crate::conditions::METADATA_PRESERVED;

pub use publish::Publisher;

/// Longest message of an event, in bytes: the limit of the API server.
pub const MESSAGE_BYTES: usize = 1024;

/// Something to tell about a MirrorJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// One word, a public contract.
    pub reason: &'static str,
    /// Whether it is a warning.
    pub warning: bool,
    /// A sentence, at most [`MESSAGE_BYTES`] long.
    pub message: String,
    /// What the operator did or tried.
    pub action: &'static str,
}

/// Returns what is to be told of a change of the status. A job without a status is new.
pub fn changes(before: Option<&MirrorJobStatus>, after: &MirrorJobStatus) -> Vec<Note> {
    let none = MirrorJobStatus::default();
    let before = before.unwrap_or(&none);
    let mut notes = Vec::new();
    resumed(before, after, &mut notes);
    waits(before, after, &mut notes);
    attempts(before, after, &mut notes);
    transport(before, after, &mut notes);
    metadata(before, after, &mut notes);
    ends(before, after, &mut notes);
    notes
}

fn normal(reason: &'static str, action: &'static str, message: String) -> Note {
    Note {
        reason,
        warning: false,
        message: cut(message),
        action,
    }
}

fn warning(reason: &'static str, action: &'static str, message: String) -> Note {
    Note {
        warning: true,
        ..normal(reason, action, message)
    }
}

/// Resumed comes first: what follows happens because of it. Suspended is among [`ends`].
fn resumed(before: &MirrorJobStatus, after: &MirrorJobStatus, notes: &mut Vec<Note>) {
    if before.phase == Phase::Suspended && !is(after, &[Phase::Suspended, Phase::Failed]) {
        let message = "goes on where it was stopped".to_owned();
        notes.push(normal("Resumed", "Resume", message));
    }
}

/// Queued and Waiting. The place in the queue changes all the time and is no news.
fn waits(before: &MirrorJobStatus, after: &MirrorJobStatus, notes: &mut Vec<Note>) {
    let cause = after.waiting_for.as_ref();
    let new_cause = cause.filter(|_| before.waiting_for.as_ref() != cause);
    if after.phase == Phase::Queued {
        if before.phase == Phase::Queued && new_cause.is_none() {
            return;
        }
        let message = match (cause, after.queue_position) {
            (Some(cause), _) => cause.clone(),
            (None, Some(position)) => format!("waits for its turn, at place {position}"),
            (None, None) => "waits for its turn".to_owned(),
        };
        notes.push(normal("Queued", "Queue", message));
    } else if let Some(cause) = new_cause
        // Movers at work wait too: for a node that nothing is heard of.
        && !is(after, &[Phase::Suspended, Phase::Complete, Phase::Failed])
    {
        notes.push(warning("Waiting", "Wait", cause.clone()));
    }
}

/// AttemptStarted, Connected and AttemptFailed.
fn attempts(before: &MirrorJobStatus, after: &MirrorJobStatus, notes: &mut Vec<Note>) {
    let known = before.attempts.last().map_or(0, |last| last.number);
    let over_before = |number: i32| {
        number < known
            || before
                .attempts
                .iter()
                .any(|attempt| attempt.number == number && attempt.end_time.is_some())
    };
    let over = after.attempts.iter().filter(|attempt| {
        attempt.end_time.is_some() && attempt.reason.is_some() && !over_before(attempt.number)
    });
    for attempt in over {
        // What ends the job is told as its failure, and a suspended one has not failed.
        if !is(after, &[Phase::Suspended, Phase::Failed]) {
            notes.push(warning(
                "AttemptFailed",
                "EndAttempt",
                failed(attempt, after),
            ));
        }
    }
    let open = after.attempts.last().filter(|last| last.end_time.is_none());
    if let Some(open) = open.filter(|open| open.number > known) {
        let message = format!("attempt {} begins", open.number);
        notes.push(normal("AttemptStarted", "StartAttempt", message));
    }
    const AT_WORK: &[Phase] = &[Phase::Running, Phase::Deleting, Phase::Verifying];
    if is(after, AT_WORK) && !is(before, AT_WORK) {
        notes.push(normal("Connected", "Connect", connected(after)));
    }
}

/// TransportSelected and TransportFallback.
fn transport(before: &MirrorJobStatus, after: &MirrorJobStatus, notes: &mut Vec<Note>) {
    let Some(now) = &after.transport else {
        return;
    };
    let selected = word(now.selected);
    let old = before.transport.as_ref();
    for tried in now.given_up() {
        if !old.is_some_and(|old| old.tried.contains(tried)) {
            let kind = match tried.kind {
                TransportKind::Auto => "Auto",
                TransportKind::Rdma => "RDMA",
                TransportKind::Tcp => "TCP",
                TransportKind::Grpc => "GRPC",
            };
            let message = format!(
                "{kind} cannot be used: {}; data travels by {selected} instead",
                tried.reason
            );
            notes.push(warning("TransportFallback", "SelectTransport", message));
        }
    }
    if old.is_none_or(|old| old.selected != now.selected || old.encryption != now.encryption) {
        let message = match now.selected {
            SelectedTransport::Local => "one pod mounts both volumes".to_owned(),
            _ => format!(
                "data travels by {selected}, encryption {:?}",
                now.encryption
            ),
        };
        notes.push(normal("TransportSelected", "SelectTransport", message));
    }
}

/// MetadataNotPreserved.
fn metadata(before: &MirrorJobStatus, after: &MirrorJobStatus, notes: &mut Vec<Note>) {
    let lost = |status: &MirrorJobStatus| {
        let mut conditions = status.conditions.iter();
        conditions
            .find(|condition| condition.type_ == METADATA_PRESERVED && condition.status == "False")
            .map(|condition| condition.message.clone())
    };
    if let (None, Some(message)) = (lost(before), lost(after)) {
        notes.push(warning("MetadataNotPreserved", "Copy", message));
    }
}

/// Suspended, GuardRefused, Completed and Failed.
fn ends(before: &MirrorJobStatus, after: &MirrorJobStatus, notes: &mut Vec<Note>) {
    if before.phase == after.phase {
        return;
    }
    match after.phase {
        Phase::Suspended => {
            let message = "stopped; what is done stays".to_owned();
            notes.push(normal("Suspended", "Suspend", message));
        }
        Phase::Complete => notes.push(normal("Completed", "Complete", completed(after))),
        Phase::Failed => {
            let failure = after.failure.clone().unwrap_or_default();
            let guard = [
                Reason::SourceEmpty,
                Reason::NothingInCommon,
                Reason::MaxDeleteExceeded,
            ];
            let message = format!("{}: {}", failure.reason, failure.message);
            if guard.iter().any(|reason| reason.as_str() == failure.reason) {
                notes.push(warning("GuardRefused", "Delete", message.clone()));
            }
            notes.push(warning("Failed", "Fail", message));
        }
        _ => {}
    }
}

fn failed(attempt: &Attempt, after: &MirrorJobStatus) -> String {
    let reason = attempt.reason.as_deref().unwrap_or_default();
    let place = attempt.node.as_ref();
    let place = place.map_or_else(String::new, |node| format!(" on node {node}"));
    // The failure is that of the attempt that ended last.
    let mut over = after.attempts.iter().rev();
    let last = over.find(|other| other.end_time.is_some()) == Some(attempt);
    let failure = after.failure.as_ref().filter(|_| last);
    let cause = failure.filter(|f| !f.message.is_empty());
    let cause = cause.map_or_else(String::new, |f| format!(": {}", f.message));
    format!(
        "attempt {} ended{place} with {reason}{cause}",
        attempt.number
    )
}

fn connected(after: &MirrorJobStatus) -> String {
    let node = |end: &Option<blit_crds::mirrorjob::EndpointStatus>| {
        let end = end.as_ref()?;
        end.node.clone()
    };
    match (node(&after.source), node(&after.destination)) {
        (Some(source), Some(destination)) if source != destination => {
            format!("the movers on {source} and {destination} are at work")
        }
        (_, Some(node)) | (Some(node), None) => format!("at work on node {node}"),
        (None, None) => "at work".to_owned(),
    }
}

fn completed(after: &MirrorJobStatus) -> String {
    let progress = after.progress.clone().unwrap_or_default();
    format!(
        "the destination is as asked: {} entries in place, {} bytes copied, {} entries deleted",
        progress.files_done, progress.bytes_done, progress.files_deleted
    )
}

fn is(status: &MirrorJobStatus, phases: &[Phase]) -> bool {
    phases.contains(&status.phase)
}

fn word(transport: SelectedTransport) -> &'static str {
    match transport {
        SelectedTransport::Local => "Local",
        SelectedTransport::Tcp => "TCP",
        SelectedTransport::Grpc => "GRPC",
        SelectedTransport::Rdma => "RDMA",
    }
}

/// Shortens a text to what an event may hold.
fn cut(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES {
        let mut end = MESSAGE_BYTES - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
