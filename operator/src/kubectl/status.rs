//! `status`: one job, live or once, or a list.

mod attempts;
mod block;
mod list;
mod live;
#[cfg(test)]
mod tests;

use std::time::Duration;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::Phase;
use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{DynamicObject, TypeMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use self::live::Frame;
use super::Outcome;
use super::cli::{Format, StatusArgs};
use super::error::{PluginError, interruption};
use super::output::{Output, note};
use super::session::{Found, Session, bare_name, understood};
use super::text::{Line, Style, Text};

pub(super) use block::{block, is_over, kind, word};

/// How often the live view counts on by itself.
const TICK: Duration = Duration::from_secs(1);

/// Carries out `status`.
///
/// # Errors
/// Fails when the job cannot be read or followed.
pub(super) async fn run(
    session: &Session,
    output: Output,
    args: &StatusArgs,
) -> Result<Outcome, PluginError> {
    let Some(name) = args.name.as_deref().map(bare_name) else {
        return list_all(session, output, args).await;
    };
    let found = session.job(name).await?;
    let live = output.is_terminal() && args.watch && args.output.is_none();
    if !live && !args.wait {
        show(output, &found, args.output)?;
        return Ok(Outcome::Done);
    }
    let job = follow(session, found.job, output, live).await?;
    if !live {
        let ended = session.job(name).await?;
        show(output, &ended, args.output)?;
    }
    Ok(match job.status.unwrap_or_default().phase {
        Phase::Failed if args.wait => Outcome::JobFailed,
        _ => Outcome::Done,
    })
}

/// Prints an object as kubectl does, without who changed which field.
fn show(output: Output, found: &Found, format: Option<Format>) -> Result<(), PluginError> {
    match format {
        None => show_once(output, &found.job),
        Some(format) => Ok(output.raw(&printed(&plain(&found.object)?, format)?)?),
    }
}

/// Prints the status of a job as it is now.
///
/// # Errors
/// Fails when it cannot be written.
pub(super) fn show_once(output: Output, job: &MirrorJob) -> Result<(), PluginError> {
    let mut text = block(job, Timestamp::now());
    text.append(hint(job));
    output.text(&text)?;
    Ok(())
}

async fn list_all(
    session: &Session,
    output: Output,
    args: &StatusArgs,
) -> Result<Outcome, PluginError> {
    let objects = session.list(args.all_namespaces).await?;
    if let Some(format) = args.output {
        let items: Result<Vec<Value>, _> = objects.iter().map(plain).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items?});
        output.raw(&printed(&list, format)?)?;
        return Ok(Outcome::Done);
    }
    let jobs: Result<Vec<MirrorJob>, _> = objects.iter().map(understood).collect();
    let jobs = jobs?;
    if jobs.is_empty() {
        let place = if args.all_namespaces {
            "any namespace".to_owned()
        } else {
            format!("namespace {}", session.namespace)
        };
        note(&format!("No MirrorJobs in {place}."));
    } else {
        output.text(&list::list(&jobs, args.all_namespaces, Timestamp::now()))?;
    }
    Ok(Outcome::Done)
}

/// Follows a job to its end, and shows it on the way if somebody looks.
async fn follow(
    session: &Session,
    job: MirrorJob,
    output: Output,
    live: bool,
) -> Result<MirrorJob, PluginError> {
    let name = job.metadata.name.clone().unwrap_or_default();
    let mut news = watch_object(session.jobs(), &name)
        .default_backoff()
        .boxed();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut frame = Frame::default();
    let mut trouble: Option<String> = None;
    let mut current = job;
    loop {
        let over = is_over(&current.status.clone().unwrap_or_default());
        if live {
            let mut text = block(&current, Timestamp::now());
            if let Some(cause) = &trouble {
                let line = Line::hanging(2).and(format!("{cause}; trying again"), Style::Bad);
                text.push(line);
            }
            if over {
                text.append(hint(&current));
            }
            redraw(output, &mut frame, &text, over)?;
        }
        if over {
            return Ok(current);
        }
        tokio::select! {
            news = news.next() => match news {
                Some(Ok(Some(job))) if job.metadata.uid == current.metadata.uid => {
                    current = job;
                    trouble = None;
                }
                Some(Err(error)) => {
                    let (cause, forever) = interruption(&error);
                    if forever {
                        return Err(PluginError::NotFollowed { name, cause });
                    }
                    if !live && trouble.is_none() {
                        note(&format!("{cause}; trying again"));
                    }
                    trouble = Some(cause);
                }
                // Gone, or another one of the same name.
                Some(Ok(_)) | None => return Err(PluginError::Deleted(name)),
            },
            _ = tick.tick(), if live => {}
        }
    }
}

/// Draws the block in its place. The last time it is written as a whole, to stay in the history of the terminal.
fn redraw(output: Output, frame: &mut Frame, text: &Text, last: bool) -> Result<(), PluginError> {
    let Some(size) = output.size() else {
        return Ok(());
    };
    if last {
        output.raw(&(frame.erase(size.0) + "\x1b[J"))?;
        output.text(text)?;
    } else {
        output.raw(&frame.draw(text, size, output.colour()))?;
    }
    Ok(())
}

/// Says where more is known about a job that is not well.
fn hint(job: &MirrorJob) -> Text {
    let mut text = Text::default();
    let status = job.status.clone().unwrap_or_default();
    let well = matches!(
        status.phase,
        Phase::Running | Phase::Deleting | Phase::Verifying | Phase::Complete
    );
    if !well {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
        let hint = format!("What to do: kubectl blit explain {name} -n {namespace}");
        text.gap();
        text.push(Line::cut().and(hint, Style::Dim));
    }
    text
}

fn plain(object: &DynamicObject) -> Result<Value, PluginError> {
    let mut object = object.clone();
    object.metadata.managed_fields = None;
    // Those of a list do not say what they are.
    object
        .types
        .get_or_insert_with(TypeMeta::resource::<MirrorJob>);
    serde_json::to_value(object).map_err(|error| PluginError::Print(error.to_string()))
}

fn printed(object: &Value, format: Format) -> Result<String, PluginError> {
    match format {
        Format::Json => serde_json::to_string_pretty(object)
            .map(|text| text + "\n")
            .map_err(|error| PluginError::Print(error.to_string())),
        Format::Yaml => {
            serde_saphyr::to_string(object).map_err(|error| PluginError::Print(error.to_string()))
        }
    }
}
