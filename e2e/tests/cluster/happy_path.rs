//! A job that meets no trouble: exact copies, honest figures, one pod where one is enough.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use blit_e2e::cluster::{
    Idle, Namespace, Node, Result, Setting, Status, copy_of, every_kind, kubectl, many, random,
    rewrite_share, unprivileged, with_temp_ns,
};
use blit_e2e::oracle::assert_mirrored;
use blit_e2e::seed;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::common::{BASELINE, DATA, Transfer, USER, address_of, copy, mirror};

#[test]
fn a_claim_becomes_an_exact_mirror_and_then_only_changes_move() {
    Setting::allowing("Baseline").run("happy-exact", async |ns| {
        let seed = seed::for_test();
        println!("{}={seed}", seed::VARIABLE);
        let from = ns.volume("from", Node::A).create().await?;
        let to = ns.volume("to", Node::B).create().await?;
        for part in ["perl", "i18n", "zoneinfo"] {
            copy_of(part, &from.path)?;
        }
        every_kind(&from.path.join("every-kind"))?;
        random(&from.path.join("random"), seed, 300)?;

        let (status, sent) = run_counted(&ns, "first").await?;
        assert_mirrored(&from.path, &to.path);
        let (files, bytes, linked) = sizes(&from.path);
        check_end(&ns, &status)?;
        assert_eq!(status.progress("filesTotal"), files, "{status:#?}");
        assert_eq!(status.progress("filesDone"), files);
        // Every name of a file counts, and the content of each moves once.
        assert_eq!(status.progress("bytesTotal"), bytes + linked);
        let moved = moved(&status);
        assert!(moved <= bytes && moved > 0, "{moved} of {bytes}");
        assert!(
            sent >= moved,
            "{sent} bytes on the wire, {moved} in the status"
        );
        assert!(
            sent < bytes + bytes / 5,
            "{sent} bytes on the wire for {bytes}"
        );

        let changes = rewrite_share(&from.path, seed)?;
        let stale = stale_bytes(&from.path, &to.path);
        let (status, sent) = run_counted(&ns, "second").await?;
        assert_mirrored(&from.path, &to.path);
        let linked = sizes(&from.path).2;
        let moved = self::moved(&status);
        // A group of hard links that changed is made anew.
        assert!(
            moved <= stale + linked && moved < bytes / 4,
            "{moved} bytes were moved, {stale} had changed, {linked} are linked: {changes:#?}"
        );
        assert!(
            sent >= moved && sent < bytes / 4 + (8 << 20),
            "{sent} on the wire, {moved} moved"
        );
        check_end(&ns, &status)
    });
}

#[test]
fn a_percentage_is_shown_only_when_the_scan_is_complete_and_figures_never_fall() {
    with_temp_ns("happy-figures", async |ns| {
        let record = ns.record_status("copy");
        // On a busy machine a shorter one can be over before it is looked at.
        let mut transfer = Transfer::long(&ns).await?;
        let seen = transfer
            .job
            .until("show a percentage", |status| status.progress("percent") > 4)
            .await?;
        assert!(
            seen.text("/status/progress/display").ends_with('%'),
            "{seen:#?}"
        );
        let row = [
            "-n",
            &ns.name,
            "get",
            "mirrorjobs.blit.dev",
            "copy",
            "-o",
            "wide",
        ];
        let table = kubectl(&ns.cluster.env, &row).await?.ok()?;
        for word in [
            "Mirror",
            "pvc/from:/",
            "pvc/to:/",
            "Running",
            "%",
            "node-a",
            "node-b",
            "TCP",
        ] {
            assert!(table.contains(word), "no {word} in\n{table}");
        }
        transfer.speed_up();
        transfer.job.complete().await?;
        let history = record.so_far();
        let running = history.iter().filter(|status| status.phase() == "Running");
        assert!(running.count() > 2, "{} versions", history.len());
        for status in &history {
            if status.number("/status/progress/percent").is_some() {
                assert_eq!(
                    status.at("/status/progress/scanComplete"),
                    Some(&true.into())
                );
                assert!(status.number("/status/progress/bytesTotal").is_some());
            }
            assert!(status.0.to_string().len() < 64 << 10);
        }
        for field in ["filesDone", "bytesDone", "percent"] {
            let values: Vec<i64> = history
                .iter()
                .map(|status| status.progress(field))
                .collect();
            assert!(values.is_sorted(), "{field} falls: {values:?}");
        }
        let bytes = transfer.bytes();
        let last = history.last().unwrap();
        assert_eq!(last.progress("bytesDone"), bytes, "{last:#?}");
        assert_eq!(last.progress("bytesTotal"), bytes);
        Ok(())
    });
}

#[test]
fn two_claims_on_one_node_are_copied_by_one_pod_without_a_network() {
    with_temp_ns("happy-local", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        let to = ns.volume("to", Node::A).create().await?;
        unprivileged(&from.path, 1, 200, USER)?;
        many(&from.path, 1000, 1000, USER)?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        let pod = ns.until_mover("copy", "local").await?;
        assert_eq!(pod.labels()["blit.dev/side"], "local");
        assert!(pod.name_any().ends_with("-a1-local"), "{}", pod.name_any());
        let status = job.complete().await?;
        assert_mirrored(&from.path, &to.path);
        assert_eq!(status.text("/status/transport/selected"), "Local");
        assert_eq!(
            (status.node("source"), status.node("destination")),
            ("node-a", "node-a")
        );
        assert_eq!(status.attempts(), ["Complete"]);
        let policies = ns
            .api::<NetworkPolicy>()
            .list(&ListParams::default())
            .await?;
        for policy in policies.items {
            // Whatever is left of a local job lets no data in.
            assert!(!format!("{policy:?}").contains(&DATA.to_string()));
        }
        Ok(())
    });
}

#[test]
fn a_claim_made_from_a_template_outlives_the_job() {
    with_temp_ns("happy-template", async |ns| {
        let from = ns.volume("from", Node::B).create().await?;
        let data = from.path.join("data");
        unprivileged(&data, 2, 100, USER)?;
        let spec = "
operation: Mirror
source: {persistentVolumeClaim: {claimName: from}}
destination:
  persistentVolumeClaim:
    claimName: made
    template:
      labels: {team: a}
      annotations: {note: kept}
      storageClassName: local-path
      storage: 100Mi
";
        let job = ns.job("copy", spec).await?;
        let status = job.complete().await?;
        assert_eq!(
            status.node("destination"),
            "node-b",
            "it was bound where the source is"
        );
        job.delete().await?;
        let claims = ns.api::<PersistentVolumeClaim>();
        let claim = claims.get("made").await?;
        assert_eq!(claim.owner_references(), []);
        assert_eq!(claim.metadata.deletion_timestamp, None);
        assert_eq!(claim.labels().get("team").map(String::as_str), Some("a"));
        assert_eq!(
            claim.annotations().get("note").map(String::as_str),
            Some("kept")
        );
        // The root belongs to the provisioner, and a Restricted mover cannot give it away.
        let path = ns.path_of("made", Node::B).await?;
        assert_mirrored(&data, &path.join("data"));
        Ok(())
    });
}

#[test]
fn a_claim_that_waits_for_its_first_consumer_is_bound_where_the_source_is() {
    with_temp_ns("happy-consumer", async |ns| {
        for name in ["from", "to"] {
            let claim = format!(
                "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: {name}}}, spec: {{accessModes: [ReadWriteOnce], \
                 storageClassName: local-path, resources: {{requests: {{storage: 10Mi}}}}}}}}"
            );
            ns.create::<PersistentVolumeClaim>(&claim).await?;
        }
        // The first binds the source to a node; the other claim still waits.
        let first =
            Idle::with("first", "from").spec("nodeSelector: {kubernetes.io/hostname: node-b}");
        first.run(&ns).await?;
        ns.delete_pod("first").await?;
        let from = ns.path_of("from", Node::B).await?;
        std::fs::write(from.join("file"), "content").unwrap();
        let job = ns.job("copy", &copy("from", "to")).await?;
        let status = job.complete().await?;
        assert_eq!(status.node("destination"), "node-b");
        assert_eq!(status.text("/status/transport/selected"), "Local");
        let to = ns.path_of("to", Node::B).await?;
        assert_eq!(std::fs::read(to.join("file")).unwrap(), b"content");
        Ok(())
    });
}

#[test]
fn a_suspended_job_stops_and_goes_on_from_where_it_was() {
    with_temp_ns("happy-suspend", async |ns| {
        let mut transfer = Transfer::start(&ns, "").await?;
        transfer
            .job
            .change(serde_json::json!({"suspend": true}))
            .await?;
        let status = transfer.job.phase("Suspended").await?;
        assert!(status.is("Suspended"), "{status:#?}");
        ns.event("copy", "Normal Suspended", &[]).await?;
        ns.no_movers_run("copy").await?;
        let before = transfer.arrived();
        transfer.speed_up();
        transfer
            .job
            .change(serde_json::json!({"suspend": false}))
            .await?;
        let status = transfer.job.complete().await?;
        ns.event("copy", "Normal Resumed", &[]).await?;
        assert!(status.is_not("Suspended"));
        transfer.assert_not_sent_again(&before);
        assert_mirrored(&transfer.from.path, &transfer.to.path);
        Ok(())
    });
}

#[test]
fn a_finished_job_is_deleted_after_its_time_to_live() {
    with_temp_ns("happy-ttl", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::A).create().await?;
        many(&from.path, 10, 10, USER)?;
        let spec = mirror("from", "to") + "ttlSecondsAfterFinished: 5\n";
        let job = ns.job("copy", &spec).await?;
        job.complete().await?;
        job.gone_within(Duration::from_secs(60)).await?;
        ns.nothing_belongs_to(&job.uid).await
    });
}

/// Runs a Baseline job between the claims and returns its end and the bytes that went over the wire.
async fn run_counted(ns: &Namespace, name: &str) -> Result<(Status, i64)> {
    let job = ns.job(name, &(mirror("from", "to") + BASELINE)).await?;
    let address = address_of(ns, name, "destination").await?;
    let count = [format!("ip daddr {address} tcp dport {DATA} counter")];
    let count = Node::B.forward(&ns.cluster.env, &count)?;
    let name = format!("mirrorjob/{name}");
    let wait = [
        "-n",
        &ns.name,
        "wait",
        "--for=condition=Complete",
        "--timeout=100s",
        &name,
    ];
    kubectl(&ns.cluster.env, &wait).await?.ok()?;
    Ok((job.now().await?, count.counted()?.cast_signed()))
}

/// What holds for every job that went over the network and completed at its first attempt.
fn check_end(ns: &Namespace, status: &Status) -> Result<()> {
    let env = &ns.cluster.env;
    assert_eq!(status.phase(), "Complete");
    assert!(
        status.is("Complete") && status.is("Ready") && status.is_not("Failed"),
        "{status:#?}"
    );
    assert!(
        status.is("PreflightPassed") && status.is("MetadataPreserved"),
        "{status:#?}"
    );
    assert!(status.is_not("Progressing"));
    for condition in status.list("/status/conditions") {
        assert!(condition["observedGeneration"].is_i64(), "{condition}");
    }
    assert_eq!(status.attempts(), ["Complete"]);
    assert_eq!(status.number("/status/attemptsTotal"), Some(1));
    assert_eq!(status.number("/status/attempts/0/exitCode"), Some(0));
    assert_eq!(status.progress("percent"), 100);
    assert_eq!(status.progress("filesFailed"), 0);
    assert_eq!(status.text("/status/transport/selected"), "TCP");
    assert_eq!(status.text("/status/transport/encryption"), "ControlPlane");
    assert_eq!(status.node("source"), Node::A.name(env)?);
    assert_eq!(status.node("destination"), Node::B.name(env)?);
    assert_eq!(status.text("/status/source/display"), "pvc/from:/");
    assert_eq!(
        status.text("/status/destination/volume"),
        format!("{}-to", ns.name)
    );
    for field in ["startTime", "completionTime", "lastProgressTime"] {
        let time = status.text(&format!("/status/{field}"));
        assert!(!time.is_empty(), "no {field} in {status:#?}");
    }
    Ok(())
}

/// Bytes that the last attempt says it moved.
fn moved(status: &Status) -> i64 {
    let attempts = status.list("/status/attempts");
    attempts
        .last()
        .and_then(|last| last["bytesDone"].as_i64())
        .unwrap_or(-1)
}

/// Entries that are no directories, the bytes of regular files, and the bytes of further names of these.
fn sizes(root: &Path) -> (i64, i64, i64) {
    let mut entries = 0;
    let mut bytes = 0;
    let mut linked = 0;
    let mut seen = HashSet::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let found = entry.metadata().unwrap();
            if found.is_dir() {
                directories.push(entry.path());
                continue;
            }
            entries += 1;
            if found.is_file() {
                let size = found.size().cast_signed();
                let first = seen.insert(found.ino());
                *(if first { &mut bytes } else { &mut linked }) += size;
            }
        }
    }
    (entries, bytes, linked)
}

/// Bytes of the files that the destination lacks or has with another size or time.
fn stale_bytes(from: &Path, to: &Path) -> i64 {
    let state = |found: &std::fs::Metadata| (found.size(), found.mtime(), found.mtime_nsec());
    let mut stale = 0;
    let mut directories = vec![std::path::PathBuf::new()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(from.join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let found = entry.metadata().unwrap();
            let path = directory.join(entry.file_name());
            if found.is_dir() {
                directories.push(path);
            } else if found.is_file() {
                let there = std::fs::symlink_metadata(to.join(path)).ok();
                let same =
                    there.is_some_and(|there| there.is_file() && state(&there) == state(&found));
                stale += if same { 0 } else { found.size().cast_signed() };
            }
        }
    }
    stale
}
