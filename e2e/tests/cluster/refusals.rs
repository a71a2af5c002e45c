//! What cannot be: each job ends with its reason, an event and a message with the remedy, and nothing is
//! deleted or lost.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;
use std::process::Command;

use blit_e2e::cluster::{
    Job, Namespace, Node, PATIENCE, Result, Setting, Status, eventually, many, plugin, with_temp_ns,
};
use blit_e2e::faulty::{Call, Faulty, Nature};
use blit_e2e::snapshot::Snapshot;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::json;

use crate::common::{Transfer, USER, allowed_directories, from_node, mirror};

#[test]
fn a_full_destination_fails_the_job_and_loses_nothing() {
    with_temp_ns("refuse-full", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        many(&from.path, 100, 200 << 10, USER)?;
        let small = Small::mount(&ns, "small", 8)?;
        let place = ns.folder().join("small");
        let to = ns.volume("to", Node::B).at(&place).create().await?;
        fs::write(to.path.join("d0000"), "old, in the way of a directory").unwrap();
        chown(to.path.join("d0000"), Some(USER), Some(USER)).unwrap();
        let job = ns.job("copy", &mirror("from", "to")).await?;
        let status = fails(&ns, &job, "DestinationFull", &["enlarge"]).await?;
        assert_eq!(status.progress("filesDeleted"), 0, "{status:#?}");
        // What was there still is, or was replaced by what the source has.
        assert!(to.path.join("d0000").symlink_metadata().is_ok());
        drop(small);
        Ok(())
    });
}

#[test]
fn an_unreadable_entry_fails_the_job_and_names_the_remedy() {
    with_temp_ns("refuse-unreadable", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        let to = ns.volume("to", Node::B).create().await?;
        many(&from.path, 20, 1000, USER)?;
        let secret = from.path.join("d0000/secret-file");
        fs::write(&secret, "x").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        fs::write(to.path.join("extraneous"), "y").unwrap();
        let spec = mirror("from", "to") + "backoffLimit: 0\ndeletion: {maxDelete: \"100%\"}\n";
        let job = ns.job("copy", &spec).await?;
        let status = fails(
            &ns,
            &job,
            "BackoffLimitExceeded",
            &["Baseline", "EntriesFailed"],
        )
        .await?;
        assert_eq!(status.progress("filesFailed"), 1, "{status:#?}");
        assert_eq!(
            status.text("/status/failedFiles/0/path"),
            "d0000/secret-file"
        );
        // Everything else arrived, and the name of the file is in no message that others may read.
        assert!(to.path.join("d0000/f000019").exists());
        for pod in ns.movers("copy").await? {
            assert!(!format!("{:?}", pod.status).contains("secret-file"));
        }
        Ok(())
    });
}

#[test]
fn an_empty_source_is_refused_before_anything_is_deleted() {
    with_temp_ns("refuse-empty", async |ns| {
        ns.volume("from", Node::A).create().await?;
        let to = ns.volume("to", Node::B).create().await?;
        many(&to.path, 20, 1000, USER)?;
        let before = Snapshot::of(&to.path)?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        fails(&ns, &job, "SourceEmpty", &["allowEmptySource"]).await?;
        ns.event("copy", "Warning GuardRefused", &[]).await?;
        before.assert_untouched(&Snapshot::of(&to.path)?);
        Ok(())
    });
}

#[test]
fn too_many_deletions_are_refused_together() {
    with_temp_ns("refuse-deletions", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        let to = ns.volume("to", Node::B).create().await?;
        many(&from.path, 10, 10, USER)?;
        many(&to.path, 300, 10, USER)?;
        let job = ns
            .job(
                "copy",
                &(mirror("from", "to") + "deletion: {maxDelete: 5}\n"),
            )
            .await?;
        let status = fails(&ns, &job, "MaxDeleteExceeded", &["maxDelete"]).await?;
        assert_eq!(status.progress("filesDeleted"), 0);
        assert!(to.path.join("d0002/f000299").exists());
        Ok(())
    });
}

#[test]
fn a_destination_that_has_nothing_in_common_is_refused() {
    with_temp_ns("refuse-stranger", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        let to = ns.volume("to", Node::B).create().await?;
        many(&from.path, 10, 10, USER)?;
        fs::write(to.path.join("somebody-elses"), "data").unwrap();
        let before = Snapshot::of(&to.path)?;
        let job = ns.job("copy", &mirror("from", "to")).await?;
        fails(&ns, &job, "NothingInCommon", &["maxDelete"]).await?;
        before.assert_untouched(&Snapshot::of(&to.path)?);
        Ok(())
    });
}

#[test]
fn a_link_does_not_lead_out_of_an_allowed_directory() {
    Setting::allowing("Privileged").run("refuse-link", async |ns| {
        allowed_directories(&ns)?;
        let env = &ns.cluster.env;
        let to = ns.volume("to", Node::A).create().await?;
        let inside = PathBuf::from("/data/e2e-writable").join(&ns.name);
        let seen = Node::A.seen(env, &inside)?;
        fs::create_dir_all(&seen).unwrap();
        symlink("/etc", seen.join("out")).unwrap();
        let path = inside.join("out");
        let spec = from_node(&path.to_string_lossy()).replace("node-b", "node-a");
        let job = ns.job("copy", &(spec + "backoffLimit: 0\n")).await?;
        fails(&ns, &job, "Invalid", &["symbolic link"]).await?;
        assert_eq!(fs::read_dir(&to.path).unwrap().count(), 0);
        fs::remove_dir_all(seen).unwrap();
        Ok(())
    });
}

#[test]
fn no_device_and_no_set_id_bit_reaches_a_directory_of_a_node() {
    Setting::allowing("Privileged").run("refuse-special", async |ns| {
        allowed_directories(&ns)?;
        let from = ns.volume("from", Node::A).create().await?;
        let plain = from.path.join("plain");
        fs::write(&plain, "x").unwrap();
        let program = from.path.join("program");
        fs::write(&program, "x").unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o6755)).unwrap();
        let device = from.path.join("null");
        let mode = Mode::from_bits_truncate(0o666);
        mknod(&device, SFlag::S_IFCHR, mode, makedev(1, 3)).unwrap();
        let place = PathBuf::from("/data/e2e-writable").join(&ns.name);
        let spec = format!(
            "operation: Mirror
source: {{persistentVolumeClaim: {{claimName: from}}}}
destination: {{hostPath: {{nodeName: node-b, path: {}}}}}
mover: {{source: {{podSecurity: Baseline}}, destination: {{podSecurity: Privileged}}}}
",
            place.display()
        );
        for name in ["first", "again"] {
            let job = ns.job(name, &spec).await?;
            let status = job.complete().await?;
            assert!(status.is_not("MetadataPreserved"), "{status:#?}");
            assert!(status.at("/status/progress/metadataNotKept").is_some());
            ns.event(name, "Warning MetadataNotPreserved", &[]).await?;
            let seen = Node::B.seen(&ns.cluster.env, &place)?;
            assert_eq!(fs::read(seen.join("plain")).unwrap(), b"x");
            let mode = fs::metadata(seen.join("program"))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o7777, 0o755);
            assert!(seen.join("null").symlink_metadata().is_err(), "no device");
        }
        fs::remove_dir_all(Node::B.seen(&ns.cluster.env, &place)?).unwrap();
        Ok(())
    });
}

#[test]
fn what_this_version_cannot_do_is_invalid_and_said() {
    with_temp_ns("refuse-unsupported", async |ns| {
        for volume in ["from", "to"] {
            ns.volume(volume, Node::A).create().await?;
        }
        let cases = [
            ("bandwidth", "bandwidthLimit: 1Mi", "bandwidth"),
            (
                "reserved",
                "mover: {podLabels: {blit.dev/job-uid: x}}",
                "reserved",
            ),
        ];
        for (name, line, word) in cases {
            let job = ns
                .job(name, &format!("{}{line}\n", mirror("from", "to")))
                .await?;
            let status = fails(&ns, &job, "Invalid", &[word]).await?;
            assert!(status.said().contains(word), "{}", status.said());
            assert_eq!(ns.belongings(&job.uid).await?, Vec::<String>::new());
        }
        Ok(())
    });
}

#[test]
fn the_api_server_refuses_what_can_never_be_and_changes_of_what_is_fixed() {
    with_temp_ns("refuse-schema", async |ns| {
        let no_destination = "operation: Mirror\nsource: {persistentVolumeClaim: {claimName: a}}\n";
        let cases = [
            (
                no_destination.to_owned() + "destination: {}\n",
                "one and only one",
            ),
            (
                mirror("a", "b").replace("claimName: a", "claimName: a, path: x"),
                "absolute",
            ),
            (
                mirror("a", "b").replace("claimName: a", "claimName: a, path: /x/../y"),
                "..",
            ),
            (
                mirror("a", "b") + "deletion: {maxDelete: many}\n",
                "maxDelete",
            ),
            (mirror("a", "b") + "backoffLimit: -1\n", "backoffLimit"),
            (
                from_node("/data").replace("Privileged", "Baseline"),
                "Privileged",
            ),
        ];
        for (spec, word) in cases {
            let refused = ns.job("refused", &spec).await.unwrap_err();
            assert_eq!(refused.code(), Some(422), "{spec}: {refused}");
            assert!(refused.to_string().contains(word), "{spec}: {refused}");
        }
        let job = ns.job("copy", &mirror("a", "b")).await?;
        let refused = job.change(json!({"operation": "Copy"})).await.unwrap_err();
        assert_eq!(refused.code(), Some(422), "{refused}");
        assert!(
            refused.to_string().contains("make a new MirrorJob"),
            "{refused}"
        );
        job.change(json!({"activeDeadlineSeconds": 100, "suspend": true}))
            .await
    });
}

#[test]
fn a_job_whose_time_is_over_fails_and_keeps_what_it_did() {
    with_temp_ns("refuse-deadline", async |ns| {
        let transfer = Transfer::start(&ns, "").await?;
        transfer
            .job
            .change(json!({"activeDeadlineSeconds": 1}))
            .await?;
        fails(
            &ns,
            &transfer.job,
            "DeadlineExceeded",
            &["activeDeadlineSeconds"],
        )
        .await?;
        ns.no_movers_run("copy").await?;
        assert!(transfer.arrived().len() >= 10);
        Ok(())
    });
}

#[test]
fn a_job_of_which_no_attempt_makes_progress_says_so() {
    with_temp_ns("refuse-progress", async |ns| {
        let place = Node::A.seen(&ns.cluster.env, &ns.folder().join("from"))?;
        fs::create_dir_all(&place).unwrap();
        let storage = Faulty::mount_at(&place, Nature::default()).unwrap();
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        many(&from.path, 1, 1000, USER)?;
        storage.hang(Call::Read, "f000000");
        let spec = mirror("from", "to") + "backoffLimit: 0\nprogressDeadlineSeconds: 8\n";
        let job = ns.job("copy", &spec).await?;
        eventually("a mover that reads", PATIENCE, async || {
            match storage.hanging() {
                0 => Err("nothing is read".to_owned()),
                _ => Ok(()),
            }
        })
        .await?;
        eventually(
            "the end of the mover that waits for it",
            PATIENCE,
            async || match ns.mover("copy", "destination").await {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err("it is there".to_owned()),
                Err(error) => Err(error.to_string()),
            },
        )
        .await?;
        // No process ends while it waits for such storage.
        storage.release();
        let words = ["nothing moved", "spec.progressDeadlineSeconds is 8"];
        let status = fails(&ns, &job, "ProgressDeadlineExceeded", &words).await?;
        assert_eq!(status.attempts(), ["Stalled"], "{status:#?}");
        let said = plugin(&ns.cluster.env, &["explain", "copy", "-n", &ns.name])
            .await?
            .ok()?;
        assert!(said.contains("a storage system that hangs"), "{said}");
        job.delete().await
    });
}

/// Waits for the failure and checks that it is told: a reason, an event, and a message with these words.
async fn fails(ns: &Namespace, job: &Job, reason: &str, words: &[&str]) -> Result<Status> {
    let status = job.failed(reason).await?;
    let message = status.text("/status/failure/message");
    for word in words {
        assert!(message.contains(word), "no `{word}` in: {message}");
    }
    let failed = status.condition("Failed").unwrap();
    assert_eq!(failed["reason"], reason, "{status:#?}");
    assert_eq!(status.phase(), "Failed");
    ns.event(&job.name, "Warning Failed", &[reason]).await?;
    Ok(status)
}

/// A small file system on node B.
struct Small(PathBuf);

impl Small {
    /// Mounts one of so many MiB below the namespace's folder.
    fn mount(ns: &Namespace, name: &str, size: u32) -> Result<Self> {
        let path = Node::B.seen(&ns.cluster.env, &ns.folder().join(name))?;
        fs::create_dir_all(&path).unwrap();
        let options = format!("size={size}m,mode=755,uid={USER},gid={USER}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .status();
        assert!(mount.unwrap().success());
        Ok(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a pod of a failed test may still have it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
