//! Many jobs: in turn, fairly, and at no cost while nothing is to be done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use blit_e2e::cluster::{
    Audit, Namespace, Node, Result, Setting, Status, eventually, many, mirrorjobs, with_temp_ns,
};
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::common::{USER, mirror};

#[test]
fn fifty_jobs_run_so_many_a_node_in_fair_order_and_all_complete() {
    with_temp_ns("scale-many", async |ns| {
        let limit = ns.cluster.operator().settings().await?;
        let limit = limit["mover"]["maxPerNode"].as_u64().unwrap();
        with_temp_ns_beside(ns, async |first, second| {
            // The first namespace asks for forty before the second asks for ten.
            prepare(&first).await?;
            prepare(&second).await?;
            let most = first.record_movers_together();
            submit(&first, 40).await?;
            submit(&second, 10).await?;
            let theirs = all_complete(&first, 40).await?;
            let ours = all_complete(&second, 10).await?;
            let most = most.so_far() as u64;
            assert!(most <= limit, "{most} movers on one node");
            // From when the second namespace has asked, the two take turns; some of the first are under way.
            let asked = ours.iter().map(|job| &job.made).max().unwrap();
            let served = ours.iter().map(|job| &job.started).max().unwrap();
            let between = theirs
                .iter()
                .filter(|job| job.started > *asked && job.started <= *served);
            let between = between.count() as u64;
            assert!(
                between <= 10 + limit,
                "{between} jobs of the first namespace began while the ten of the second waited"
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
        // Events are sent one after another, behind the work.
        eventually("all to be told", Duration::from_secs(120), async || {
            let told = ns.api::<Event>().list(&ListParams::default()).await;
            let told = told.map_err(|e| e.to_string())?.items.into_iter();
            let told: BTreeSet<_> = told.map(|event| event.involved_object.name).collect();
            match told.len() {
                told if told == jobs => Ok(()),
                told => Err(format!("{told} jobs")),
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

/// When a job was made and when it began, in RFC 3339: later is greater.
struct Times {
    made: String,
    started: String,
}

/// Waits until all jobs are complete, and returns their times.
async fn all_complete(ns: &Namespace, count: usize) -> Result<Vec<Times>> {
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
            let times = |job: &Status| Times {
                made: job.text("/metadata/creationTimestamp").to_owned(),
                started: job.text("/status/startTime").to_owned(),
            };
            Ok(all.values().map(times).collect())
        },
    )
    .await
}
