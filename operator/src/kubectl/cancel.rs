//! `cancel`: prints the last status of a job and deletes it.

use std::io::{self, BufRead, IsTerminal, Write};

use futures::StreamExt;
use kube::api::{DeleteParams, Preconditions};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;

use super::cli::CancelArgs;
use super::error::{PluginError, interruption};
use super::output::{Output, note};
use super::session::{SINGULAR, Session, bare_name};
use super::status::show_once;

/// Carries out `cancel`.
///
/// # Errors
/// Fails when the job cannot be read or deleted, or when it is not to be.
pub(super) async fn run(
    session: &Session,
    output: Output,
    args: &CancelArgs,
) -> Result<(), PluginError> {
    let name = bare_name(&args.name);
    let job = session.job(name).await?.job;
    if !args.yes && !io::stdin().is_terminal() {
        return Err(PluginError::NobodyToAsk(name.to_owned()));
    }
    show_once(output, &job)?;
    if !args.yes && !confirmed(name)? {
        return Err(PluginError::Declined);
    }
    // Not another one of the same name, made in the meantime.
    let only_this = DeleteParams {
        preconditions: Some(Preconditions {
            uid: job.metadata.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match session.jobs().delete(name, &only_this).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(error.into()),
    }
    if args.wait {
        gone(session, name, job.metadata.uid.as_deref()).await?;
    }
    output.raw(&format!("{SINGULAR} \"{name}\" deleted\n"))?;
    Ok(())
}

/// Asks a person.
fn confirmed(name: &str) -> Result<bool, PluginError> {
    let mut stderr = io::stderr();
    write!(
        stderr,
        "\nDelete MirrorJob {name}? What it copied stays. [y/N] "
    )?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Waits until the movers have ended and the job is gone.
async fn gone(session: &Session, name: &str, uid: Option<&str>) -> Result<(), PluginError> {
    let mut news = watch_object(session.jobs(), name).default_backoff().boxed();
    let mut told = false;
    loop {
        match news.next().await {
            Some(Ok(Some(job))) if job.metadata.uid.as_deref() == uid => {
                if !told {
                    note("waiting for its movers to end");
                    told = true;
                }
            }
            Some(Err(error)) => {
                let (cause, forever) = interruption(&error);
                if forever {
                    let name = name.to_owned();
                    return Err(PluginError::NotFollowed { name, cause });
                }
                note(&format!("{cause}; trying again"));
            }
            Some(Ok(_)) | None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
