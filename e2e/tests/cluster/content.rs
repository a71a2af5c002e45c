//! What becomes of the content of files: it is proven where a job asks for that, and a large file is continued in its
//! middle by the attempt after the one that failed.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use blit_e2e::cluster::{
    Namespace, Node, PATIENCE, Result, eventually, many, of_pod, uid, with_temp_ns,
};
use blit_e2e::oracle::assert_mirrored;
use blit_e2e::tree::Content;
use nix::sys::signal::Signal;

use crate::common::{USER, mirror, slow_down};

const MIB: u64 = 1 << 20;

/// A file of more than 64 MiB, as only those are continued.
const LARGE: u64 = 80 * MIB + 12_345;

/// What has arrived of it when a mover is killed.
const ARRIVED: u64 = 16 * MIB;

#[test]
fn a_job_that_verifies_says_what_it_proved() {
    with_temp_ns("content-verify", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        let to = ns.volume("to", Node::B).create().await?;
        many(&from.path, 50, 10_000, USER)?;
        large(&from.path, 9 * MIB + 1);
        let spec = mirror("from", "to") + "verify: Checksum\n";
        let job = ns.job("copy", &spec).await?;
        let status = job.complete().await?;
        assert_mirrored(&from.path, &to.path);
        let proven = |field| status.number(&format!("/status/verification/{field}"));
        assert_eq!(proven("compared"), Some(51), "{status:#?}");
        assert_eq!(proven("mismatches"), Some(0), "{status:#?}");
        assert!(status.is("Verified"), "{status:#?}");
        // What is hashed passes through memory.
        let zero_copy = status.at("/status/transport/zeroCopy");
        assert_eq!(zero_copy, Some(&serde_json::json!(false)), "{status:#?}");
        Ok(())
    });
}

#[test]
fn a_job_that_does_not_verify_does_not_say_that_it_did() {
    with_temp_ns("content-unverified", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        many(&from.path, 5, 1000, USER)?;
        let status = ns.job("copy", &mirror("from", "to")).await?;
        let status = status.complete().await?;
        assert_eq!(status.at("/status/verification"), None, "{status:#?}");
        assert!(!status.is("Verified"), "{status:#?}");
        Ok(())
    });
}

#[test]
fn a_large_file_is_continued_after_its_destination_mover_was_killed() {
    with_temp_ns("content-kill-destination", async |ns| {
        continued(&ns, "destination").await
    });
}

#[test]
fn a_large_file_is_continued_after_its_source_mover_was_killed() {
    with_temp_ns("content-kill-source", async |ns| {
        continued(&ns, "source").await
    });
}

/// Kills the mover of a side in the middle of a large file.
async fn continued(ns: &Namespace, side: &str) -> Result<()> {
    let from = ns.volume("from", Node::A).create().await?;
    let to = ns.volume("to", Node::B).create().await?;
    large(&from.path, LARGE);
    let spec = mirror("from", "to") + "verify: Checksum\n";
    let job = ns.job("copy", &spec).await?;
    let slow = slow_down(ns, "copy", to.node).await?;
    eventually(
        "some of the file to arrive",
        PATIENCE,
        async || match begun(&to.path).iter().map(|(_, bytes)| bytes).sum::<u64>() {
            arrived if arrived >= ARRIVED => Ok(()),
            arrived => Err(format!("{arrived} bytes")),
        },
    )
    .await?;
    let pod = ns.running_mover("copy", side).await?;
    for process in of_pod(uid(&pod))? {
        process.signal(Signal::SIGKILL)?;
    }
    slow.lift();
    let status = job.complete().await?;
    assert_mirrored(&from.path, &to.path);
    assert_eq!(begun(&to.path), []);
    assert!(!to.path.join(".blit").exists());
    assert_eq!(status.attempts().len(), 2, "{status:#?}");
    let sent = status.number("/status/attempts/1/bytesDone").unwrap() as u64;
    // Of what had arrived, a block that was half written comes again.
    assert!(
        sent > 0 && sent < LARGE - ARRIVED + 4 * MIB,
        "{sent} bytes were sent again: {status:#?}"
    );
    assert_eq!(status.number("/status/verification/mismatches"), Some(0));
    Ok(())
}

/// Makes a file of random bytes.
fn large(directory: &Path, size: u64) {
    let path = directory.join("large");
    let file = fs::File::create(&path).unwrap();
    Content::full(size, 1).write(&file).unwrap();
    chown(&path, Some(USER), Some(USER)).unwrap();
}

/// Returns the files that a run has begun, each with the bytes that it takes.
fn begun(directory: &Path) -> Vec<(PathBuf, u64)> {
    let is_begun = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(".blit.") && name.ends_with(".tmp")
    };
    (fs::read_dir(directory).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| is_begun(path))
        .filter_map(|path| Some((path.clone(), path.metadata().ok()?.blocks() * 512)))
        .collect()
}
