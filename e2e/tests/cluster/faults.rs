//! Movers, nodes, the operator and the API server fail in mid-transfer: the job completes all the same, one
//! writer at a time, and what had arrived is not sent again.

use std::time::Duration;

use blit_e2e::cluster::{
    Namespace, Node, PATIENCE, Recorder, Result, Status, Writers, alone, control_plane, eventually,
    kubectl, of_pod, uid, with_temp_ns,
};
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

#[test]
fn movers_finish_while_the_kubelet_is_away_and_their_end_is_reported() {
    alone("fault-kubelet", async |ns| {
        let env = &ns.cluster.env;
        let mut fault = Fault::start(&ns, "").await?;
        Node::B.control(env, "stop", "kubelet")?;
        let worked = async {
            fault.transfer.speed_up();
            let (from, to) = (&fault.transfer.from.path, &fault.transfer.to.path);
            eventually("the copy to be whole", PATIENCE, async || {
                let options = blit_e2e::oracle::Options::default();
                match blit_e2e::oracle::differences(from, to, &options) {
                    Ok(found) if found.is_empty() => Ok(()),
                    Ok(found) => Err(format!("{} differences", found.len())),
                    Err(error) => Err(error.to_string()),
                }
            })
            .await
        };
        let worked = worked.await;
        Node::B.control(env, "start", "kubelet")?;
        worked?;
        let status = fault.ends_well(&ns).await?;
        assert_eq!(status.attempts(), ["Complete"]);
        Ok(())
    });
}

#[test]
fn all_containers_of_a_node_may_die_at_once() {
    alone("fault-containers", async |ns| {
        let fault = Fault::start(&ns, "").await?;
        Node::B.control(&ns.cluster.env, "stop", "containers")?;
        let status = fault.ends_well(&ns).await?;
        assert!(status.attempts().len() > 1, "{status:#?}");
        operator_is_whole(&ns).await
    });
}

#[test]
fn movers_need_no_operator_even_beyond_the_progress_deadline() {
    alone("fault-operator", async |ns| {
        let mut fault = Fault::start(&ns, "progressDeadlineSeconds: 5\n").await?;
        let operator = ns.cluster.operator();
        operator.scale(0).await?;
        let alone = async {
            let before = fault.transfer.arrived().len();
            // At the speed of a transfer so many files take longer than the deadline.
            fault.transfer.files_arrive(before + 150).await?;
            fault.transfer.speed_up();
            ns.no_movers_run("copy").await
        };
        let alone = alone.await;
        operator.scale(2).await?;
        alone?;
        let status = fault.ends_well(&ns).await?;
        assert_eq!(
            status.attempts(),
            ["Complete"],
            "the end is read afterwards"
        );
        Ok(())
    });
}

#[test]
fn the_api_server_may_restart_in_mid_transfer() {
    alone("fault-apiserver", async |ns| {
        let mut fault = Fault::start(&ns, "").await?;
        control_plane(&ns.cluster.env, "restart", "apiserver")?;
        fault.transfer.speed_up();
        let status = fault.ends_well(&ns).await?;
        assert_eq!(status.attempts(), ["Complete"]);
        operator_is_whole(&ns).await
    });
}

#[test]
fn a_drained_node_interrupts_the_job_and_is_not_counted() {
    alone("fault-drain", async |ns| {
        let env = &ns.cluster.env;
        let fault = Fault::start(&ns, "backoffLimit: 0\n").await?;
        let node = Node::B.name(env)?;
        let drain = [
            "drain",
            node,
            "--force",
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--timeout=90s",
        ];
        let drained = async {
            kubectl(env, &drain).await?.ok()?;
            let status = fault.transfer.job.waits("Unschedulable").await?;
            assert!(status.said().contains(node), "{}", status.said());
            Ok(())
        };
        let drained: Result<()> = drained.await;
        kubectl(env, &["uncordon", node]).await?.ok()?;
        drained?;
        let status = fault.ends_well(&ns).await?;
        let reasons = status.attempts();
        assert!(
            matches!(reasons[0], "PodDisrupted" | "Interrupted"),
            "{reasons:?}"
        );
        operator_is_whole(&ns).await
    });
}

#[test]
fn a_leader_that_wakes_up_after_its_lease_does_nothing() {
    alone("fault-leader", async |ns| {
        let operator = ns.cluster.operator();
        let mut fault = Fault::start(&ns, "").await?;
        let old = operator.leader().await?;
        let process = operator.process(&old)?;
        process.signal(Signal::SIGSTOP)?;
        let taken = eventually("another leader", PATIENCE, async || {
            let new = operator.leader().await.map_err(|error| error.to_string())?;
            if new.name_any() == old.name_any() {
                return Err(format!("{} still leads", old.name_any()));
            }
            Ok(new)
        })
        .await;
        // The new leader does not take the word of the old one for the attempt that is under way.
        let killed = ns.running_mover("copy", "source").await;
        process.signal(Signal::SIGCONT)?;
        taken?;
        for process in of_pod(uid(&killed?))? {
            process.signal(Signal::SIGKILL)?;
        }
        fault.transfer.speed_up();
        let status = fault.ends_well(&ns).await?;
        assert_eq!(
            status.number("/status/attemptsTotal"),
            Some(2),
            "{status:#?}"
        );
        operator_is_whole(&ns).await
    });
}

/// A transfer to which something is done, and who wrote meanwhile.
struct Fault {
    transfer: Transfer,
    writers: Recorder<Writers>,
    before: std::collections::BTreeMap<String, (u64, i64, i64)>,
}

impl Fault {
    async fn start(ns: &Namespace, spec: &str) -> Result<Self> {
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
    async fn ends_well(&self, ns: &Namespace) -> Result<Status> {
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

/// The next test finds the operator as this one did.
async fn operator_is_whole(ns: &Namespace) -> Result<()> {
    ns.cluster.operator().scale(2).await?;
    ns.cluster.operator().leader().await.map(drop)
}
