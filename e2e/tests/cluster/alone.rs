//! Tests that need the cluster for themselves, because they take a part of it away from everybody. Their name
//! makes them the first of the run, so that no other test waits for them later.

use blit_e2e::cluster::{
    Namespace, Node, OPERATOR_NAMESPACE, PATIENCE, Result, Said, alone, control_plane, eventually,
    helm, kubectl, many, of_pod, uid,
};
use blit_e2e::oracle::assert_mirrored;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{USER, mirror};
use crate::faults::Fault;
use crate::pending::waits;

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
fn a_lost_node_is_waited_for_because_its_mover_may_still_write() {
    alone("fault-node", async |ns| {
        let env = &ns.cluster.env;
        let fault = Fault::start(&ns, "").await?;
        Node::B.control(env, "stop", "power")?;
        // Nobody knows whether the mover still runs: the job does, as far as can be seen.
        let waited = fault.transfer.job.until("miss the node", |status| {
            status
                .text("/status/waitingFor")
                .starts_with("NodeUnreachable")
        });
        let waited = waited.await;
        let movers = ns.movers("copy").await;
        Node::B.control(env, "start", "power")?;
        let said = waited?.said();
        assert!(
            said.contains(Node::B.name(env)?) && said.contains("out-of-service"),
            "{said}"
        );
        let first = |pod: &Pod| pod.labels()["blit.dev/attempt"] == "1";
        assert!(
            movers?.iter().all(first),
            "no second attempt while the node is away"
        );
        ns.event("copy", "Warning Waiting", &["NodeUnreachable"])
            .await?;
        let status = fault.ends_well(&ns).await?;
        assert_eq!(status.attempts().len(), 2, "{status:#?}");
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

#[test]
fn an_image_that_does_not_exist_is_waited_for() {
    alone("alone-image", async |ns| {
        let env = &ns.cluster.env;
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::A).create().await?;
        many(&from.path, 5, 10, USER)?;
        let name = operator_image(&ns).await?;
        let images = |arguments: &[&str]| {
            let mut words = vec!["ctr", "--namespace", "k8s.io", "images"];
            words.extend(arguments);
            Node::A.exec(env, &words)
        };
        images(&["tag", &name, "blit.test/kept:e2e"])?;
        images(&["rm", &name])?;
        let job = ns.job("copy", &mirror("from", "to")).await;
        let waited = match &job {
            Ok(job) => waits(&ns, job, "ImageUnavailable", &["image"]).await,
            Err(error) => panic!("{error}"),
        };
        images(&["tag", "blit.test/kept:e2e", &name])?;
        images(&["rm", "blit.test/kept:e2e"])?;
        waited?;
        job?.complete().await?;
        Ok(())
    });
}

#[test]
fn an_operator_for_one_namespace_needs_no_right_outside_it() {
    alone("alone-namespaced", async |ns| {
        let main = ns.cluster.operator();
        // Two operators must not share a namespace.
        main.scale(0).await?;
        let done = namespaced(&ns).await;
        let removed = helm(
            &ns.cluster.env,
            &["uninstall", "small", "-n", &ns.name, "--wait"],
        )
        .await;
        main.scale(2).await?;
        main.leader().await?;
        done?;
        removed?.ok()?;
        Ok(())
    });
}

async fn namespaced(ns: &Namespace) -> Result<()> {
    let env = &ns.cluster.env;
    let values = [
        "get",
        "values",
        "blit",
        "-n",
        OPERATOR_NAMESPACE,
        "--output",
        "json",
    ];
    let values: Value = serde_json::from_str(&helm(env, &values).await?.ok()?).unwrap();
    let image = format!("image={}", values["image"]);
    let watch = format!("watchNamespaces={{{}}}", ns.name);
    let install = [
        "install",
        "small",
        "charts/blit",
        "-n",
        &ns.name,
        "--wait",
        "--timeout",
        "90s",
        "--set-json",
        &image,
        "--set",
        &watch,
        "--set",
        "rbac.clusterScoped=false",
        "--set",
        "crds.install=false",
        "--set",
        "replicas=1",
    ];
    helm(env, &install).await?.ok()?;
    let said: Said = helm(env, &["get", "manifest", "small", "-n", &ns.name]).await?;
    let manifest = said.ok()?;
    assert!(!manifest.contains("kind: ClusterRole"), "{manifest}");
    let from = ns.volume("from", Node::A).create().await?;
    // Without a right to read volumes it tries one pod first.
    let to = ns.volume("to", Node::A).create().await?;
    many(&from.path, 50, 1000, USER)?;
    let job = ns.job("copy", &mirror("from", "to")).await?;
    job.complete().await?;
    assert_mirrored(&from.path, &to.path);
    Ok(())
}

/// Returns the image that the operator runs, which is that of the movers.
async fn operator_image(ns: &Namespace) -> Result<String> {
    let image = [
        "-n",
        "blit-system",
        "get",
        "deployment",
        "-l",
        "app.kubernetes.io/name=blit",
    ];
    let path = "jsonpath={.items[0].spec.template.spec.containers[0].image}";
    kubectl(&ns.cluster.env, &[&image[..], &["-o", path]].concat())
        .await?
        .ok()
}

/// The next test finds the operator as this one did.
async fn operator_is_whole(ns: &Namespace) -> Result<()> {
    ns.cluster.operator().scale(2).await?;
    ns.cluster.operator().leader().await.map(drop)
}
