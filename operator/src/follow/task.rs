//! One follower.

use std::sync::Arc;
use std::time::Duration;

use blit_proto::control::{ControlError, connect};
use blit_proto::pki::PeerPattern;
use blit_proto::v2::{ProgressRequest, ProgressUpdate};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info};

use super::pace::{Note, Pace, interval};
use super::{Shared, State, Target, UPDATE_BYTES};

/// First delay before a mover is dialled again; it doubles with each failure.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Longest delay before a mover is dialled again.
const LAST_DELAY: Duration = Duration::from_secs(30);

/// A mover is called unreachable after this many failures in a row: network plugins need a moment for a
/// new pod, and one lost connection is nothing to tell people.
const FAILURES: u32 = 2;

/// Follows a mover to its end.
pub(super) async fn run(shared: Arc<Shared>, target: Arc<Target>) {
    let mut follower = Follower {
        shared,
        target,
        pace: Pace::default(),
        failures: 0,
    };
    loop {
        match follower.listen().await {
            Ok(End::Summary) => return,
            Ok(End::Lost(reason)) => follower.failed(reason),
            Err(error) => follower.failed(error.to_string()),
        }
        sleep(delay(follower.failures)).await;
    }
}

/// Returns the delay after this many failures in a row.
fn delay(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(8);
    LAST_DELAY.min(FIRST_DELAY * 2_u32.pow(doublings))
}

struct Follower {
    shared: Arc<Shared>,
    target: Arc<Target>,
    pace: Pace,
    failures: u32,
}

/// How a stream ended.
enum End {
    /// With the last word of the mover.
    Summary,
    /// Without it, and why.
    Lost(String),
}

impl Follower {
    /// Reads one stream to its end.
    async fn listen(&mut self) -> Result<End, ControlError> {
        let address = self.target.address.to_string();
        let identity = self.shared.identity_towards(&self.target);
        let expected = PeerPattern::Exactly(self.target.expected.clone());
        let connection = connect(&address, &identity, expected).await?;
        let mut client = connection.client().max_decoding_message_size(UPDATE_BYTES);
        let answer = client.progress(ProgressRequest {}).await;
        let mut stream = answer
            .map_err(|status| connection.explain(&status))?
            .into_inner();
        debug!(job = %self.target.job, %address, "follows the mover");
        let mut last = None;
        loop {
            let pace = interval(self.shared.running());
            let message = match self.pace.due(pace) {
                None => stream.message().await,
                Some(due) => {
                    tokio::select! {
                        message = stream.message() => message,
                        () = sleep_until(due) => {
                            if let Some(update) = &last {
                                self.pace.told(update, Instant::now());
                                self.notify();
                            }
                            continue;
                        }
                    }
                }
            };
            match message {
                Ok(Some(update)) => {
                    self.heard(&update, pace);
                    if update.summary.is_some() {
                        return Ok(End::Summary);
                    }
                    last = Some(update);
                }
                Ok(None) => {
                    let reason = format!("{address} ended its progress without a result");
                    return Ok(End::Lost(reason));
                }
                Err(status) => return Err(connection.explain(&status)),
            }
        }
    }

    fn heard(&mut self, update: &ProgressUpdate, pace: Duration) {
        let was_told_unreachable = self.failures >= FAILURES;
        self.failures = 0;
        let ended = update.summary.is_some();
        self.shared.change(&self.target, |view| {
            view.update = Some(update.clone());
            view.received = Some(Timestamp::now());
            view.state = if ended {
                State::Ended
            } else {
                State::Connected
            };
        });
        let note = self.pace.update(update, Instant::now(), pace);
        if note == Note::Now || was_told_unreachable {
            self.notify();
        }
    }

    fn failed(&mut self, reason: String) {
        self.failures = self.failures.saturating_add(1);
        let first_time = self.failures == FAILURES;
        let state = if self.failures < FAILURES {
            State::Connecting
        } else {
            State::Unreachable {
                address: self.target.address,
                hint: reason.clone(),
            }
        };
        self.shared
            .change(&self.target, |view| view.state = state.clone());
        if first_time {
            info!(job = %self.target.job, "cannot follow the mover: {reason}");
            self.notify();
        }
    }

    fn notify(&self) {
        (self.shared.notify)(self.target.job.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::delay;

    #[test]
    fn the_delay_doubles_from_one_second_to_thirty() {
        let delays: Vec<u64> = (1..8).map(|failures| delay(failures).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30]);
    }
}
