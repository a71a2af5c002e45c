//! `explain`: why a job waits, fails or is slow, and what to do.
//!
//! The objects around a job are read as far as the caller may; what to say follows from them by pure functions.

mod advice;
mod facts;
mod find;
mod finding;
mod gather;
#[cfg(test)]
mod tests;

use blit_crds::MirrorJob;
use jiff::Timestamp;

use self::facts::{Facts, seen};
use self::find::findings;
use self::finding::sections;
use super::cli::ExplainArgs;
use super::error::PluginError;
use super::output::Output;
use super::session::{Session, bare_name};
use super::text::{Line, Style, Text, duration};

/// Events of the job that are shown.
const HISTORY: usize = 8;

/// Carries out `explain`.
///
/// # Errors
/// Fails when the job cannot be read. What surrounds it may be missing.
pub(super) async fn run(
    session: &Session,
    output: Output,
    args: &ExplainArgs,
) -> Result<(), PluginError> {
    let found = session.job(bare_name(&args.name)).await?;
    let facts = gather::gather(&session.client, &found.job).await;
    output.text(&explanation(&found.job, &facts, Timestamp::now()))?;
    Ok(())
}

/// Returns the whole explanation.
fn explanation(job: &MirrorJob, facts: &Facts, now: Timestamp) -> Text {
    let mut text = Text::default();
    let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let phase = job
        .status
        .as_ref()
        .map(|status| status.phase)
        .unwrap_or_default();
    text.push(
        Line::hanging(2)
            .plain("MirrorJob ")
            .and(format!("{namespace}/{name}"), Style::Strong)
            .plain(format!(
                " ({phase:?}): {} to {}",
                job.spec.source, job.spec.destination
            )),
    );
    text.append(sections(&findings(job, facts, now)));
    text.append(history(facts, now));
    if !facts.unseen.is_empty() {
        text.gap();
        text.push(Line::cut().and("Not looked at:", Style::Strong));
        for unseen in &facts.unseen {
            text.push(Line::hanging(2).plain("  ").plain(unseen));
        }
    }
    text
}

/// What became of the job so far, as its events tell.
fn history(facts: &Facts, now: Timestamp) -> Text {
    let mut text = Text::default();
    let events = facts
        .events
        .iter()
        .filter(|event| event.involved_object.kind.as_deref() == Some("MirrorJob"));
    let events: Vec<_> = events.collect();
    let last = &events[events.len().saturating_sub(HISTORY)..];
    if last.is_empty() {
        return text;
    }
    text.gap();
    text.push(Line::cut().and("What happened:", Style::Strong));
    for event in last {
        let ago = seen(event).map_or_else(String::new, |time| {
            format!("{} ago", duration(now.duration_since(time)))
        });
        let reason = event.reason.as_deref().unwrap_or_default();
        let style = match event.type_.as_deref() {
            Some("Warning") => Style::Warn,
            _ => Style::Plain,
        };
        text.push(
            Line::hanging(20)
                .and(format!("  {ago:<16}  "), Style::Dim)
                .and(reason, style)
                .plain(" ")
                .plain(event.message.as_deref().unwrap_or_default()),
        );
    }
    text
}
