//! `--verify`: what is altered on its way, or while it is written, is noticed and brought again; and without the option
//! it is not noticed, so that these tests would see if nothing were altered.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use blit_crds::mirrorjob::Verification;
use blit_e2e::area::Area;
use blit_e2e::faulty::{Faulty, Nature};
use blit_e2e::oracle;
use blit_e2e::process::{Finished, run, start};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::blit::{blit, events, manifest, spec, summary, volume};
use crate::machine;
use crate::movers::{Job, listening_at};
use crate::relay::{OnData, Relay};
use crate::serve::token;

/// What the files consist of, so that the relay knows content when it sees it.
const CONTENT: u8 = 0xa5;

/// A small file, which goes whole, and a large one, which goes in pieces.
fn fill(source: &Path) {
    fs::create_dir(source).unwrap();
    fs::write(source.join("other"), "something else").unwrap();
    fs::write(source.join("small"), vec![CONTENT; 20_000]).unwrap();
    fs::write(source.join("large"), vec![CONTENT; 9 << 20]).unwrap();
}

/// Alters a byte in the middle of content, so many times.
fn altering(times: u32) -> Arc<OnData> {
    let left = AtomicU32::new(times);
    Arc::new(move |bytes: &mut [u8]| {
        let middle = bytes.len() / 2;
        let content = bytes.get(middle.saturating_sub(300)..middle + 300);
        let is_content = content.is_some_and(|around| around.iter().all(|byte| *byte == CONTENT));
        let more = |left: u32| left.checked_sub(1);
        if is_content
            && left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
                .is_ok()
        {
            bytes[middle] ^= 0x10;
        }
    })
}

/// Mirrors with two movers and a relay that alters so many times.
fn mirror(work: &Path, source: &Path, destination: &Path, times: u32, verify: bool) -> Finished {
    let job = Job::new(work);
    let mut command = job.destination(1, destination);
    if verify {
        command.arg("--verify");
    }
    let (receiving, control, data) = listening_at(command);
    let relay = Relay::to(control.port(), data, altering(times));
    let mut command = job.source(1, source, relay.control);
    // What went inside gRPC, because TCP was slow to come, would not meet the relay.
    command.arg("--no-fallback");
    let sending = start(command).unwrap();
    let finished = receiving.finish_within(Duration::from_secs(60)).unwrap();
    let sent = sending.finish_within(Duration::from_secs(60)).unwrap();
    assert_eq!(sent.code, finished.code, "{}", sent.stderr());
    assert!(relay.passed() > 9 << 20, "nothing went over the relay");
    finished
}

/// Serves the folder `served`, and runs a command against it through a relay that alters so many times; `{}` in an
/// argument is the URL.
fn ask(work: &Path, args: &[&str], times: u32) -> Finished {
    let identity = work.join("identity");
    let mut command = blit(&["serve", "--json", "--listen", "127.0.0.1:0"]);
    command
        .args(["--data-port", "0", "--identity"])
        .arg(&identity);
    command.arg("--root").arg(work.join("served"));
    let (daemon, control, data) = listening_at(command);
    let relay = Relay::to(control.port(), data, altering(times));
    let url = format!("blit://{}", relay.control);
    let args: Vec<_> = args.iter().map(|arg| arg.replace("{}", &url)).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut command = blit(&args);
    if args.last().is_some_and(|last| last.starts_with("blit://")) {
        // What went inside gRPC, because TCP was slow to come, would not meet the relay.
        command.arg("--no-fallback");
    }
    command.args(["--json"]).current_dir(work);
    command.env("BLIT_TOKEN", token(&identity, &[]));
    let finished = run(command).unwrap();
    assert!(relay.passed() > 9 << 20, "nothing went over the relay");
    daemon.signal(Signal::SIGTERM);
    daemon.finish().unwrap().expect_code(0);
    finished
}

/// Checks that something was altered on the way, and that it was noticed.
#[track_caller]
fn assert_mended(finished: &Finished, compared: u64) {
    finished.expect_code(0);
    let found = &summary(finished)["verification"];
    assert_eq!(found["compared"], compared, "{found}");
    // Several can have met the same file.
    let mismatches = found["mismatches"].as_u64().unwrap();
    assert!((1..=2).contains(&mismatches), "{found}");
    assert_eq!(noted(finished) as u64, mismatches);
}

/// Returns how often files were noted as altered.
fn noted(finished: &Finished) -> usize {
    let is_noted = |event: &&Value| event["type"] == "note" && event["kind"] == "altered";
    events(finished).iter().filter(is_noted).count()
}

#[test]
fn what_is_altered_on_the_wire_is_noticed_and_mended() {
    let _shared = machine::shared();
    let area = Area::plain().unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    fill(&source);
    fs::create_dir(&destination).unwrap();
    let finished = mirror(area.path(), &source, &destination, 2, true);
    assert_mended(&finished, 3);
    oracle::assert_mirrored(&source, &destination);
    assert_eq!(summary(&finished)["zeroCopyShare"], 0.0);
}

#[test]
fn without_the_option_nobody_notices() {
    let _shared = machine::shared();
    let area = Area::plain().unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    fill(&source);
    fs::create_dir(&destination).unwrap();
    let finished = mirror(area.path(), &source, &destination, 1, false);
    finished.expect_code(0);
    assert!(summary(&finished).get("verification").is_none());
    let same =
        |name| fs::read(source.join(name)).unwrap() == fs::read(destination.join(name)).unwrap();
    assert!(!(same("small") && same("large")), "nothing was altered");
}

#[test]
fn what_a_pull_gets_altered_is_noticed_and_mended() {
    let _shared = machine::shared();
    let area = Area::plain().unwrap();
    let served = area.join("served");
    fill(&served);
    let altered = ask(area.path(), &["pull", "{}/", "unproven"], 1);
    altered.expect_code(0);
    assert!(summary(&altered).get("verification").is_none());
    let same = |name| {
        fs::read(served.join(name)).unwrap() == fs::read(area.join("unproven").join(name)).unwrap()
    };
    assert!(!(same("small") && same("large")), "nothing was altered");

    let proven = ask(
        area.path(),
        &["pull", "--mirror", "--verify", "{}/", "proven"],
        2,
    );
    assert_mended(&proven, 3);
    oracle::assert_mirrored(&served, &area.join("proven"));

    // A single file goes another way.
    let one = ask(area.path(), &["copy", "--verify", "{}/large", "one"], 1);
    assert_mended(&one, 1);
    assert!(fs::read(area.join("one")).unwrap() == fs::read(served.join("large")).unwrap());
}

#[test]
fn what_a_push_brings_altered_is_noticed_by_the_daemon_and_mended() {
    let _shared = machine::shared();
    let area = Area::plain().unwrap();
    let (source, served) = (area.join("source"), area.join("served"));
    fill(&source);
    fs::create_dir(&served).unwrap();
    let altered = ask(area.path(), &["push", "source", "{}/unproven"], 1);
    altered.expect_code(0);
    assert!(summary(&altered).get("verification").is_none());
    let same = |name| {
        fs::read(source.join(name)).unwrap()
            == fs::read(served.join("unproven").join(name)).unwrap()
    };
    assert!(!(same("small") && same("large")), "nothing was altered");

    let mirror = ["push", "--mirror", "--verify", "source", "{}/proven"];
    let proven = ask(area.path(), &mirror, 2);
    assert_mended(&proven, 3);
    assert_eq!(summary(&proven)["zeroCopyShare"], 0.0);
    oracle::assert_mirrored(&source, &served.join("proven"));

    let one = ask(
        area.path(),
        &["copy", "--verify", "source/large", "{}/one"],
        1,
    );
    assert_mended(&one, 1);
    assert!(fs::read(served.join("one")).unwrap() == fs::read(source.join("large")).unwrap());

    let failed = ask(
        area.path(),
        &["push", "--verify", "source", "{}/failed"],
        u32::MAX,
    );
    failed.expect_code(14);
    assert_eq!(summary(&failed)["result"], "VerifyFailed");
    assert!(!served.join("failed/large").exists());
}

#[test]
fn what_is_altered_each_time_fails_with_14_and_the_old_version_stays() {
    let _shared = machine::shared();
    let area = Area::plain().unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    fill(&source);
    fs::create_dir(&destination).unwrap();
    fs::write(destination.join("large"), "the old version").unwrap();
    let finished = mirror(area.path(), &source, &destination, u32::MAX, true);
    finished.expect_code(14);
    let summary = summary(&finished);
    assert_eq!(summary["result"], "VerifyFailed");
    assert!(summary["filesFailed"].as_u64().unwrap() >= 1, "{summary}");
    let old = fs::read_to_string(destination.join("large")).unwrap();
    assert_eq!(old, "the old version");
    let other = fs::read_to_string(destination.join("other")).unwrap();
    assert_eq!(other, "something else");
}

#[test]
fn a_mirror_job_that_verifies_says_so_in_its_status() {
    let _shared = machine::shared();
    let area = Area::plain().unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    fill(&source);
    fs::create_dir(&destination).unwrap();
    let manifest = manifest(area.path(), &spec("Mirror", "verify: Checksum"));
    let mut command = blit(&["run", "-f"]);
    command.arg(manifest);
    command.arg("--volume").arg(volume("source", &source));
    command
        .arg("--volume")
        .arg(volume("destination", &destination));
    let finished = run(command).unwrap();
    finished.expect_code(0);
    oracle::assert_mirrored(&source, &destination);
    let job: Value = serde_saphyr::from_str(&finished.stdout()).unwrap();
    let status = &job["status"];
    let found: Verification = serde_json::from_value(status["verification"].clone()).unwrap();
    assert_eq!((found.compared, found.mismatches), (3, 0));
    assert_eq!(status["transport"]["zeroCopy"], false);
    let conditions = status["conditions"].as_array().unwrap();
    let verified = conditions
        .iter()
        .find(|condition| condition["type"] == "Verified")
        .unwrap();
    assert_eq!(verified["status"], "True", "{verified}");
}

/// Mirrors on this host to a file system that alters so many writes.
fn mirror_here(source: &Path, faulty: &Faulty, writes: u32, more: &[&str]) -> Finished {
    faulty.alter(writes);
    let mut command = blit(&["mirror", "--json", "--max-delete", "100%"]);
    command.args(more).arg(source).arg(faulty.path());
    run(command).unwrap()
}

#[test]
fn what_is_written_altered_on_this_host_is_noticed_and_mended() {
    let _shared = machine::shared();
    let area = Area::plain().unwrap();
    let source = area.join("source");
    fill(&source);
    let faulty = Faulty::mount(Nature::default()).unwrap();
    let same = || {
        let same =
            |name| fs::read(source.join(name)).unwrap() == fs::read(faulty.join(name)).unwrap();
        ["other", "small", "large"].into_iter().all(same)
    };
    mirror_here(&source, &faulty, 1, &[]).expect_code(0);
    assert!(!same(), "nothing was altered");

    fs::remove_file(faulty.join("small")).unwrap();
    fs::remove_file(faulty.join("large")).unwrap();
    fs::remove_file(faulty.join("other")).unwrap();
    let finished = mirror_here(&source, &faulty, 2, &["--verify"]);
    finished.expect_code(0);
    assert!(same());
    let found = &summary(&finished)["verification"];
    assert_eq!(found["compared"], 3, "{found}");
    assert!(found["mismatches"].as_u64().unwrap() >= 1, "{found}");

    fs::remove_file(faulty.join("large")).unwrap();
    let finished = mirror_here(&source, &faulty, u32::MAX, &["--verify"]);
    finished.expect_code(14);
    assert!(!faulty.join("large").exists());

    // A single file goes another way.
    faulty.alter(1);
    let mut command = blit(&["copy", "--json", "--verify"]);
    command.arg(source.join("large")).arg(faulty.join("copy"));
    let finished = run(command).unwrap();
    finished.expect_code(0);
    assert_eq!(
        fs::read(faulty.join("copy")).unwrap(),
        fs::read(source.join("large")).unwrap()
    );
    assert_eq!(summary(&finished)["verification"]["mismatches"], 1);
}
