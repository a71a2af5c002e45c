//! Many jobs: in turn, fairly, and at no cost while nothing is to be done.

use std::collections::BTreeMap;
use std::time::Duration;

use blit_e2e::cluster::{
    Audit, Namespace, Node, Result, Setting, Status, eventually, many, mirrorjobs, with_temp_ns,
};
use kube::ResourceExt;
use kube::api::ListParams;

use crate::common::{USER, mirror};

/// Movers on one node at a time, the default of the chart.
const MAX_PER_NODE: usize = 4;

#[test]
fn fifty_jobs_run_four_a_node_in_fair_order_and_all_complete() {
    with_temp_ns("scale-many", async |ns| {
        with_temp_ns_beside(ns, async |first, second| {
            // The first namespace asks for forty before the second asks for ten.
            prepare(&first).await?;
            prepare(&second).await?;
            let most = first.record_movers_together();
            submit(&first, 40).await?;
            submit(&second, 10).await?;
            let mut starts = Vec::new();
            for (ns, count) in [(&first, 40), (&second, 10)] {
                starts.extend(all_complete(ns, count).await?);
            }
            assert!(
                most.so_far() <= MAX_PER_NODE,
                "{} movers on one node",
                most.so_far()
            );
            starts.sort();
            let turn = |ns: &Namespace| {
                let turns = starts.iter().enumerate();
                let turns: Vec<usize> = turns
                    .filter(|(_, (_, name))| name.starts_with(&ns.name))
                    .map(|(turn, _)| turn)
                    .collect();
                turns
            };
            let last = *turn(&second).last().unwrap();
            assert!(
                last < 35,
                "the ten jobs of the second namespace waited until {last}"
            );
            Ok(())
        })
        .await
    });
}

#[test]
fn five_hundred_idle_jobs_cost_no_writes_and_little_memory() {
    with_temp_ns("scale-idle", async |ns| {
        let spec = mirror("from", "to") + "suspend: true\n";
        let jobs = 500;
        for number in 0..jobs {
            ns.job(&format!("idle-{number:03}"), &spec).await?;
        }
        let api = mirrorjobs(&ns.cluster.client, &ns.name);
        eventually("all to be seen", Duration::from_secs(120), async || {
            let all = api
                .list(&ListParams::default())
                .await
                .map_err(|e| e.to_string())?;
            let seen = all.items.iter().filter(|job| {
                job.data
                    .pointer("/status/phase")
                    .is_some_and(|phase| phase == "Suspended")
            });
            match seen.count() {
                seen if seen == jobs => Ok(()),
                seen => Err(format!("{seen} jobs")),
            }
        })
        .await?;
        let log = Audit::from_now(&ns.cluster.env)?;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let name = &ns.name;
        let writes = log.requests(|request| {
            request.user.contains(":blit-system:") && request.namespace == *name && request.writes()
        })?;
        assert!(
            writes.is_empty(),
            "{} writes, first {:#?}",
            writes.len(),
            writes.first()
        );
        let operator = ns.cluster.operator();
        for pod in operator.pods().await? {
            let memory = operator.process(&pod)?.memory()?;
            assert!(
                memory < 100 << 20,
                "{} uses {} MiB",
                pod.name_any(),
                memory >> 20
            );
        }
        let metrics = operator.metrics().await?;
        assert!(metrics.sum("blit_mirrorjobs", &[("phase", "Suspended")]) >= 500.0);
        Ok(())
    });
}

/// Runs a test with a second namespace.
async fn with_temp_ns_beside(
    first: Namespace,
    test: impl AsyncFnOnce(Namespace, Namespace) -> Result<()>,
) -> Result<()> {
    let second = Setting::default().beside(&first).await?;
    let ended = test(first, second.clone()).await;
    second.delete().await?;
    ended
}

/// Makes a source with a few files, and a destination.
async fn prepare(ns: &Namespace) -> Result<()> {
    let from = ns.volume("from", Node::A).create().await?;
    many(&from.path, 20, 1000, USER)?;
    let to = ns.volume("to", Node::A).create().await?;
    assert!(to.path.exists());
    Ok(())
}

/// Makes so many jobs, each with a directory of its own.
async fn submit(ns: &Namespace, count: usize) -> Result<()> {
    for number in 0..count {
        let spec = mirror("from", "to").replace(
            "claimName: to",
            &format!("claimName: to, path: /{number:02}"),
        ) + "mover: {resources: {requests: {cpu: 10m, memory: 16Mi}}}\n";
        ns.job(&format!("job-{number:02}"), &spec).await?;
    }
    Ok(())
}

/// Waits until all jobs are complete, and returns when each started.
async fn all_complete(ns: &Namespace, count: usize) -> Result<Vec<(String, String)>> {
    let api = ns.jobs();
    eventually(
        "all jobs to complete",
        Duration::from_secs(300),
        async || {
            let all = api
                .list(&ListParams::default())
                .await
                .map_err(|e| e.to_string())?;
            let all: BTreeMap<String, Status> = all
                .items
                .into_iter()
                .map(|job| (job.name_any(), Status(serde_json::to_value(job).unwrap())))
                .collect();
            if let Some((name, failed)) = all.iter().find(|(_, job)| job.is("Failed")) {
                panic!("{name} failed: {failed:#?}");
            }
            let done = all.values().filter(|job| job.is("Complete")).count();
            if done < count {
                return Err(format!("{done} of {count}"));
            }
            let start = |(name, job): (&String, &Status)| {
                (
                    job.text("/status/startTime").to_owned(),
                    format!("{}/{name}", ns.name),
                )
            };
            Ok(all.iter().map(start).collect())
        },
    )
    .await
}
