//! Movers fail in mid-transfer: the job completes all the same, one writer at a time, and what had arrived is
//! not sent again.

use std::time::Duration;

use blit_e2e::cluster::{Namespace, Recorder, Result, Status, Writers, of_pod, uid, with_temp_ns};
use blit_e2e::oracle::assert_mirrored;
use kube::ResourceExt;
use nix::sys::signal::Signal;

use crate::common::Transfer;

#[test]
fn a_killed_source_mover_is_followed_by_another_attempt() {
    with_temp_ns("fault-kill-source", async |ns| kill(&ns, "source").await);
}

#[test]
fn a_killed_destination_mover_is_followed_by_another_attempt() {
    with_temp_ns("fault-kill-destination", async |ns| {
        kill(&ns, "destination").await
    });
}

#[test]
fn a_deleted_mover_is_followed_by_another_attempt_that_is_not_counted() {
    with_temp_ns("fault-delete", async |ns| {
        // No failure is allowed, so a counted one would end the job.
        let fault = Fault::start(&ns, "backoffLimit: 0\n").await?;
        let pod = ns.running_mover("copy", "destination").await?;
        ns.delete_pod(&pod.name_any()).await?;
        fault.ends_well(&ns).await?;
        Ok(())
    });
}

#[test]
fn a_stopped_source_mover_is_given_up_by_its_peer() {
    with_temp_ns("fault-stop-source", async |ns| stop(&ns, "source").await);
}

#[test]
fn a_stopped_destination_mover_never_writes_beside_the_next_one() {
    with_temp_ns("fault-stop-destination", async |ns| {
        stop(&ns, "destination").await
    });
}

/// A transfer to which something is done, and who wrote meanwhile.
pub(crate) struct Fault {
    pub(crate) transfer: Transfer,
    writers: Recorder<Writers>,
    before: std::collections::BTreeMap<String, (u64, i64, i64)>,
}

impl Fault {
    pub(crate) async fn start(ns: &Namespace, spec: &str) -> Result<Self> {
        let writers = ns.record_writers("copy");
        let transfer = Transfer::start(ns, spec).await?;
        let before = transfer.arrived();
        Ok(Self {
            transfer,
            writers,
            before,
        })
    }

    /// What holds whatever happened: the copy is exact and complete, one wrote at a time, nothing that had
    /// arrived was sent again, and the attempts tell the story.
    pub(crate) async fn ends_well(&self, ns: &Namespace) -> Result<Status> {
        let status = self
            .transfer
            .job
            .until_within("complete", Duration::from_secs(240), |status| {
                status.is("Complete")
            })
            .await?;
        assert_mirrored(&self.transfer.from.path, &self.transfer.to.path);
        self.transfer.assert_not_sent_again(&self.before);
        let writers = self.writers.so_far();
        assert!(writers.clashes.is_empty(), "{writers:#?}");
        let attempts = status.list("/status/attempts");
        let total = status.number("/status/attemptsTotal");
        assert_eq!(total, Some(attempts.len() as i64));
        for (index, attempt) in attempts.iter().enumerate() {
            assert_eq!(attempt["number"], index + 1, "{status:#?}");
            assert!(attempt["endTime"].is_string(), "{status:#?}");
        }
        assert_eq!(status.attempts().last(), Some(&"Complete"));
        // Some bytes of a mover that was killed are counted by nobody.
        let moved: i64 = attempts
            .iter()
            .filter_map(|attempt| attempt["bytesDone"].as_i64())
            .sum();
        let bytes = self.transfer.bytes();
        assert!(
            moved <= bytes + bytes / 4,
            "{moved} bytes were moved of {bytes}"
        );
        for attempt in 1..attempts.len() {
            ns.event("copy", "Warning AttemptFailed", &[&attempt.to_string()])
                .await?;
        }
        Ok(status)
    }
}

/// Kills the mover of a side.
async fn kill(ns: &Namespace, side: &str) -> Result<()> {
    let fault = Fault::start(ns, "").await?;
    let pod = ns.running_mover("copy", side).await?;
    for process in of_pod(uid(&pod))? {
        process.signal(Signal::SIGKILL)?;
    }
    let status = fault.ends_well(ns).await?;
    assert_eq!(status.attempts().len(), 2, "{status:#?}");
    Ok(())
}

/// Stops the mover of a side; it is woken up again when the next attempt writes.
async fn stop(ns: &Namespace, side: &str) -> Result<()> {
    let fault = Fault::start(ns, "").await?;
    let pod = ns.running_mover("copy", side).await?;
    let processes = of_pod(uid(&pod))?;
    assert!(!processes.is_empty());
    for process in &processes {
        process.signal(Signal::SIGSTOP)?;
    }
    let status = fault.ends_well(ns).await?;
    assert!(status.attempts().len() > 1, "{status:#?}");
    Ok(())
}
