//! What movers may do, and what others may not do to them.

use std::path::Path;
use std::process::{Command, Stdio};

use blit_e2e::cluster::{
    Namespace, Node, PATIENCE, Result, Setting, eventually, every_kind, many, of_pod, uid,
    unprivileged, with_temp_ns,
};
use blit_e2e::oracle::assert_mirrored;
use blit_e2e::snapshot::Snapshot;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::Value;

use crate::common::{BASELINE, CONTROL, DATA, Transfer, USER, address_of, mirror};

#[test]
fn a_restricted_namespace_runs_a_restricted_job_that_leaves_its_source_as_it_was() {
    Setting::enforcing("restricted").run("secure-restricted", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        // Owned by another group than that of the volumes.
        let to = ns.volume("to", Node::B).owner(0).create().await?;
        unprivileged(&from.path, 3, 200, USER)?;
        let before = Snapshot::of(&from.path)?;
        let spec = mirror("from", "to") + "mover: {securityContext: {fsGroup: 2000}}\n";
        let job = ns.job("copy", &spec).await?;
        let status = job.complete().await?;
        before.assert_untouched(&Snapshot::of(&from.path)?);
        assert_eq!(status.progress("filesFailed"), 0);
        assert!(to.path.join("a").symlink_metadata().is_ok() || before.count() == 1);
        Ok(())
    });
}

#[test]
fn a_baseline_namespace_runs_a_baseline_job_that_keeps_owners() {
    let setting = Setting::enforcing("baseline").allow("Baseline");
    setting.run("secure-baseline", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        let to = ns.volume("to", Node::B).create().await?;
        every_kind(&from.path)?;
        let job = ns.job("copy", &(mirror("from", "to") + BASELINE)).await?;
        let status = job.complete().await?;
        assert!(status.is("MetadataPreserved"), "{status:#?}");
        assert_mirrored(&from.path, &to.path);
        Ok(())
    });
}

#[test]
fn owners_that_a_restricted_mover_cannot_keep_are_counted_and_the_job_completes() {
    with_temp_ns("secure-owners", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        many(&from.path, 20, 100, 1234)?;
        for (name, copied) in [("first", 2000), ("again", 0)] {
            let job = ns.job(name, &mirror("from", "to")).await?;
            let status = job.complete().await?;
            assert!(status.is_not("MetadataPreserved"), "{status:#?}");
            let owners = status.number("/status/progress/metadataNotKept/owner");
            assert!(owners >= Some(20), "{status:#?}");
            assert_eq!(status.number("/status/attempts/0/bytesDone"), Some(copied));
            ns.event(name, "Warning MetadataNotPreserved", &["owner"])
                .await?;
        }
        Ok(())
    });
}

#[test]
fn mover_pods_have_no_credentials_and_no_rights_to_spare() {
    with_temp_ns("secure-pods", async |ns| {
        let transfer = Transfer::start(&ns, "").await?;
        for side in ["source", "destination"] {
            let pod = ns.running_mover("copy", side).await?;
            check_pod(&pod, &transfer.job.uid, side);
            for process in of_pod(uid(&pod))? {
                let root = format!("/proc/{}/root", process.id);
                let secrets = Path::new(&root).join("var/run/secrets/kubernetes.io");
                assert!(!secrets.exists(), "{secrets:?}");
                let shell = Path::new(&root).join("bin/sh");
                assert!(!shell.exists(), "{shell:?}");
                let status = std::fs::read_to_string(format!("/proc/{}/status", process.id));
                let status = status.unwrap();
                for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
                    assert!(status.contains(line), "no {line} in {status}");
                }
                assert!(status.contains(&format!("Uid:\t{USER}")), "{status}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_pod_of_another_job_does_not_get_past_tls() {
    with_temp_ns("secure-strangers", async |ns| {
        let other = ns.volume("other", Node::A).create().await?;
        ns.volume("another", Node::B).create().await?;
        many(&other.path, 5, 10, USER)?;
        ns.job("other", &mirror("other", "another")).await?;
        let theirs = identity(&ns, "other", "source").await?;
        let transfer = Transfer::start(&ns, "").await?;
        let address = address_of(&ns, "copy", "destination").await?;
        let ours = identity(&ns, "copy", "source").await?;
        assert!(shakes_hands(&address, CONTROL, &ours), "the test itself");
        assert!(
            !shakes_hands(&address, CONTROL, &theirs),
            "with the certificate of another job"
        );
        assert!(
            !shakes_hands(&address, CONTROL, &Identity::none()),
            "without a certificate"
        );
        // Nobody gets an answer on the data port without a token.
        let answer = Command::new("busybox")
            .args([
                "timeout",
                "10",
                "busybox",
                "nc",
                &address,
                &DATA.to_string(),
            ])
            .stdin(Stdio::null())
            .output();
        assert_eq!(answer.unwrap().stdout, b"");
        assert!(!transfer.job.now().await?.is("Failed"));
        Ok(())
    });
}

#[test]
fn policies_let_movers_talk_to_each_other_and_to_the_operator_only() {
    with_temp_ns("secure-policies", async |ns| {
        let transfer = Transfer::start(&ns, "").await?;
        let ours = format!("blit.dev/job-uid={}", transfer.job.uid);
        let ours = ListParams::default().labels(&ours);
        let policies = ns.api::<NetworkPolicy>().list(&ours).await?.items;
        let policy = |side: &str| {
            let found = policies
                .iter()
                .find(|policy| policy.labels()["blit.dev/side"] == side);
            serde_json::to_value(found.and_then(|policy| policy.spec.as_ref())).unwrap()
        };
        let (source, destination) = (policy("source"), policy("destination"));
        for (side, spec) in [("source", &source), ("destination", &destination)] {
            let labels = &spec["podSelector"]["matchLabels"];
            assert_eq!(labels["blit.dev/job-uid"], transfer.job.uid, "{spec:#}");
            assert_eq!(labels["blit.dev/side"], side);
            assert_eq!(labels["blit.dev/attempt"], "1");
            let types = spec["policyTypes"].as_array().unwrap();
            assert!(types.contains(&"Ingress".into()) && types.contains(&"Egress".into()));
        }
        assert_eq!(ports(&destination["ingress"]), ports_of(&[CONTROL, DATA]));
        assert_eq!(ports(&source["egress"]), ports_of(&[CONTROL, DATA]));
        assert_eq!(ports(&destination["egress"]), ports_of(&[]));
        // From the operator, and from nobody, to the control port alone.
        for rule in destination["ingress"].as_array().unwrap() {
            let peers = rule["from"].as_array().unwrap();
            assert!(!peers.is_empty(), "a rule without peers lets everybody in");
            let operator = peers
                .iter()
                .any(|peer| peer.to_string().contains("operator"));
            if operator {
                assert_eq!(
                    ports(&Value::Array(vec![rule.clone()])),
                    ports_of(&[CONTROL])
                );
            }
        }
        assert!(destination["ingress"].to_string().contains("operator"));
        Ok(())
    });
}

#[test]
fn a_job_goes_on_when_the_operator_cannot_reach_its_movers() {
    with_temp_ns("secure-blocked-control", async |ns| {
        let mut transfer = Transfer::long(&ns).await?;
        let to = address_of(&ns, "copy", "destination").await?;
        let mut blocks = Vec::new();
        for pod in ns.cluster.operator().pods().await? {
            let from = pod.status.and_then(|status| status.pod_ip).unwrap();
            let rule = format!("ip saddr {from} ip daddr {to} tcp dport {CONTROL} drop");
            // Also replies that are on their way.
            let back = format!("ip daddr {from} ip saddr {to} drop");
            for node in Node::BOTH {
                blocks.push(node.forward(&ns.cluster.env, &[rule.clone(), back.clone()])?);
            }
        }
        let status = transfer
            .job
            .until("say that figures are not available", |status| {
                status.is_not("ProgressAvailable")
            })
            .await?;
        let said = status.condition("ProgressAvailable").unwrap()["message"].to_string();
        assert!(
            said.contains(&to) && said.contains(&CONTROL.to_string()),
            "{said}"
        );
        assert_eq!(status.phase(), "Running");
        transfer.speed_up();
        let status = transfer.job.complete().await?;
        assert_eq!(status.attempts(), ["Complete"]);
        assert_eq!(status.progress("bytesDone"), transfer.bytes());
        assert_mirrored(&transfer.from.path, &transfer.to.path);
        Ok(())
    });
}

/// What every mover pod looks like.
fn check_pod(pod: &Pod, job: &str, side: &str) {
    let name = pod.name_any();
    assert!(
        name.starts_with("copy-") && name.ends_with(&format!("-a1-{side}")),
        "{name}"
    );
    let labels = pod.labels();
    assert_eq!(labels["blit.dev/job-uid"], job);
    assert_eq!(labels["blit.dev/side"], side);
    assert_eq!(labels["blit.dev/attempt"], "1");
    assert!(pod.finalizers().contains(&"blit.dev/result".to_owned()));
    let owners = pod.owner_references();
    assert!(
        owners
            .iter()
            .any(|owner| owner.uid == job && owner.controller == Some(true))
    );
    let annotations = format!("{:?} {:?}", pod.annotations(), labels);
    for word in [
        "sidecar.istio.io/inject",
        "linkerd.io/inject",
        "cluster-autoscaler.kubernetes.io/safe-to-evict",
    ] {
        assert!(annotations.contains(word), "no {word} in {annotations}");
    }
    let spec = pod.spec.as_ref().unwrap();
    assert_eq!(spec.automount_service_account_token, Some(false));
    assert_eq!(spec.enable_service_links, Some(false));
    assert_eq!(spec.restart_policy.as_deref(), Some("Never"));
    assert_eq!(spec.termination_grace_period_seconds, Some(60));
    // By the priority class of the chart.
    assert_eq!(spec.preemption_policy.as_deref(), Some("Never"));
    // Never pinned to a node by name: the scheduler decides within the affinity.
    assert!(
        spec.affinity
            .as_ref()
            .is_some_and(|affinity| affinity.node_affinity.is_some())
    );
    let context = spec.security_context.as_ref().unwrap();
    assert_eq!(context.run_as_non_root, Some(true));
    assert_eq!(context.run_as_user, Some(i64::from(USER)));
    let [container] = &spec.containers[..] else {
        panic!("{} containers", spec.containers.len());
    };
    assert_eq!(container.name, "mover");
    let context = container.security_context.as_ref().unwrap();
    assert_eq!(context.read_only_root_filesystem, Some(true));
    assert_eq!(context.allow_privilege_escalation, Some(false));
    assert_ne!(context.privileged, Some(true));
    let capabilities = context.capabilities.as_ref().unwrap();
    assert_eq!(capabilities.drop.as_deref(), Some(&["ALL".to_owned()][..]));
    assert_eq!(capabilities.add, None);
    for volume in spec.volumes.iter().flatten() {
        let projected = volume
            .projected
            .iter()
            .flat_map(|projected| projected.sources.iter().flatten());
        assert!(
            projected
                .into_iter()
                .all(|source| source.service_account_token.is_none())
        );
        assert!(volume.host_path.is_none());
    }
    let mounts = container.volume_mounts.iter().flatten();
    assert!(mounts.clone().all(|mount| mount.sub_path.is_none()));
    if side == "source" {
        let data = mounts.clone().filter(|mount| mount.read_only != Some(true));
        assert_eq!(data.count(), 0, "the source is mounted read-only");
    }
    let requests = container
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.as_ref());
    assert_eq!(requests.unwrap()["cpu"].0, "100m");
}

/// Files with which to speak TLS.
struct Identity(Option<tempfile::TempDir>);

impl Identity {
    fn none() -> Self {
        Self(None)
    }
}

/// Takes the identity of a mover from its Secret, as its pod has it.
async fn identity(ns: &Namespace, job: &str, side: &str) -> Result<Identity> {
    let labels = format!("blit.dev/mirrorjob={job},blit.dev/side={side}");
    let labels = ListParams::default().labels(&labels);
    let what = format!("the Secret of the {side} mover of {job}");
    let secret = eventually(&what, PATIENCE, async || {
        let secrets = ns.api::<Secret>().list(&labels).await;
        let found = secrets.map_err(|error| error.to_string())?.items;
        found.into_iter().next().ok_or_else(|| "none".to_owned())
    })
    .await?;
    assert_eq!(secret.immutable, Some(true));
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in secret.data.iter().flatten() {
        std::fs::write(folder.path().join(name), &content.0).unwrap();
    }
    Ok(Identity(Some(folder)))
}

/// Whether a listener of TLS 1.3 takes this certificate. Its answer to the certificate comes after the
/// handshake, so something is asked.
fn shakes_hands(address: &str, port: u16, identity: &Identity) -> bool {
    let mut command = Command::new("openssl");
    command.args([
        "s_client",
        "-connect",
        &format!("{address}:{port}"),
        "-alpn",
        "h2",
        "-tls1_3",
    ]);
    if let Some(folder) = &identity.0 {
        command.arg("-cert").arg(folder.path().join("tls.crt"));
        command.arg("-key").arg(folder.path().join("tls.key"));
    }
    // The preface of HTTP/2 and empty settings; a server that lets us in answers with its settings.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.args(["-quiet", "-ign_eof"]);
    let mut child = command.spawn().unwrap();
    use std::io::{Read, Write};
    let _ = child.stdin.take().unwrap().write_all(preface);
    let mut answer = [0; 9];
    let answered = child.stdout.take().unwrap().read_exact(&mut answer).is_ok();
    let _ = child.kill();
    let _ = child.wait();
    // A frame of settings: type 4.
    answered && answer[3] == 4
}

/// The ports of a list of rules, sorted.
fn ports(rules: &Value) -> Vec<u16> {
    let rules = rules.as_array().into_iter().flatten();
    let ports = rules.filter_map(|rule| rule["ports"].as_array()).flatten();
    let mut ports: Vec<u16> = ports
        .filter_map(|port| u16::try_from(port["port"].as_u64()?).ok())
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn ports_of(ports: &[u16]) -> Vec<u16> {
    ports.to_vec()
}
