//! Reads the log of one mover, across interruptions if it is followed.

use std::time::Duration;

use futures::{AsyncBufReadExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

use super::merge::{Stamped, stamped};
use super::pods::{Log, Mover, log};
use crate::kubectl::error::{is_refusal, said};
use crate::mirrorjob::build::labels::CONTAINER;

/// Pause before a log is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// What comes from a log.
#[derive(Debug)]
pub(super) enum News {
    /// A line.
    Line(Stamped),
    /// It cannot be read, for the moment or for good.
    Trouble(String),
    /// There is nothing more.
    End,
}

/// How far one go of reading came.
enum Go {
    /// To the end of what is there.
    End,
    /// The pod does not exist any more.
    Gone,
    /// It may go on after a while.
    Broken(String),
    /// It may not be read.
    Refused(String),
}

/// Sends what a mover says, to the end of what is there or, if `follow` is true, to its own end.
pub(super) async fn read(pods: Api<Pod>, mover: Mover, follow: bool, to: Sender<(Mover, News)>) {
    let mut last = None;
    let mut told = false;
    loop {
        let trouble = match go(&pods, &mover, follow, &mut last, &to).await {
            Go::Gone => break,
            Go::End if !follow || has_ended(&pods, &mover).await => break,
            Go::End => None,
            Go::Refused(cause) => {
                let _ = to.send((mover.clone(), News::Trouble(cause))).await;
                break;
            }
            Go::Broken(cause) => Some(cause),
        };
        if let Some(cause) = trouble.filter(|_| !told) {
            told = true;
            let _ = to.send((mover.clone(), News::Trouble(cause))).await;
        }
        if !follow || to.is_closed() {
            break;
        }
        sleep(PAUSE).await;
    }
    // Whoever does not listen any more needs no end.
    let _ = to.send((mover, News::End)).await;
}

/// Reads once, from after the last line on.
async fn go(
    pods: &Api<Pod>,
    mover: &Mover,
    follow: bool,
    last: &mut Option<Timestamp>,
    to: &Sender<(Mover, News)>,
) -> Go {
    let params = LogParams {
        container: Some(CONTAINER.to_owned()),
        follow,
        timestamps: true,
        since_time: *last,
        ..LogParams::default()
    };
    // The API server counts in whole seconds, so that lines come again.
    let known = *last;
    let mut lines = match pods.log_stream(&mover.pod, &params).await {
        Ok(stream) => stream.lines(),
        Err(kube::Error::Api(status)) if status.code == 404 => return Go::Gone,
        Err(error) if is_refusal(&error) => return Go::Refused(said(&error)),
        Err(error) => return Go::Broken(said(&error)),
    };
    while let Some(line) = lines.next().await {
        let line = match line {
            Ok(line) => stamped(&line, last.unwrap_or(Timestamp::MIN)),
            Err(error) => return Go::Broken(format!("the log broke off: {error}")),
        };
        if known.is_some_and(|known| line.time <= known) {
            continue;
        }
        *last = Some(line.time);
        if to.send((mover.clone(), News::Line(line))).await.is_err() {
            return Go::End;
        }
    }
    Go::End
}

/// Returns whether the mover says no more. As long as that is not known it may.
async fn has_ended(pods: &Api<Pod>, mover: &Mover) -> bool {
    match pods.get_opt(&mover.pod).await {
        Ok(Some(pod)) => log(&pod) == Log::Ended,
        Ok(None) => true,
        Err(_) => false,
    }
}
