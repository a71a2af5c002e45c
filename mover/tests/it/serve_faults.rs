//! A daemon whose place plays tricks: links that somebody swaps in while clients ask, and a disk that is full.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::process::{run, start};
use blit_e2e::snapshot::Snapshot;
use blit_e2e::tree::Content;
use nix::sys::signal::Signal;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::blit::blit;
use crate::machine;
use crate::serve::{Daemon, listening, serving, token};

/// Makes the program follow links; see `blit_engine::fs::dir`.
const FOLLOW: &str = "BLIT_TEST_FOLLOW_LINKS";

/// How long it takes at the latest until a canary suffers where links are followed.
const SOON: Duration = Duration::from_secs(120);

/// Rounds of all commands.
const ROUNDS: usize = 5;

/// What is outside of the root.
const CANARY: &str = "canary";

/// A directory of a daemon that turns into a link to the outside and back, as fast as that goes.
struct Swapped {
    daemon: Daemon,
    outside: tempfile::TempDir,
    before: Snapshot,
    token: String,
}

impl Swapped {
    fn new(variables: &[(&str, &str)]) -> Self {
        let daemon = Daemon::start_with(&[], variables);
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join(CANARY), CANARY).unwrap();
        fs::create_dir(daemon.root().join("here")).unwrap();
        std::os::unix::fs::symlink(outside.path(), daemon.root().join("there")).unwrap();
        let source = daemon.work.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("pushed"), "x").unwrap();
        let (before, token) = (Snapshot::of(outside.path()).unwrap(), daemon.token(&[]));
        Self {
            daemon,
            outside,
            before,
            token,
        }
    }

    /// Exchanges the names while `work` is done; returns how often.
    fn meanwhile(&self, work: impl FnOnce()) -> u64 {
        let (ended, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
        let (here, there) = (
            self.daemon.root().join("here"),
            self.daemon.root().join("there"),
        );
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    renameat_with(CWD, &here, CWD, &there, RenameFlags::EXCHANGE).unwrap();
                    swaps.fetch_add(1, Ordering::Relaxed);
                }
            });
            // The thread has to end where the work panics as well.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            ended.store(true, Ordering::Relaxed);
            if let Err(panic) = done {
                std::panic::resume_unwind(panic);
            }
        });
        swaps.into_inner()
    }

    /// Runs each command once; returns whether any of them saw what is outside.
    fn round(&self) -> bool {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let source = text(&self.daemon.work.path().join("source"));
        let pulled = tempfile::tempdir().unwrap();
        let listed = self.daemon.ask(&self.token, &["list", "{}here"]);
        let into = text(pulled.path());
        // Each of them may meet the link, and then fails.
        self.daemon.ask(&self.token, &["pull", "{}here", &into]);
        self.daemon.ask(&self.token, &["push", &source, "{}here"]);
        let purge = ["purge", "{}here", CANARY, "--yes"];
        self.daemon.ask(&self.token, &purge);
        listed.stdout().contains(CANARY) || pulled.path().join(CANARY).exists()
    }

    fn is_touched(&self) -> bool {
        let names = fs::read_dir(self.outside.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names != [CANARY]
    }
}

#[test]
fn links_that_are_swapped_in_lead_no_client_out_of_the_root() {
    let _shared = machine::shared();
    let swapped = Swapped::new(&[]);
    let swaps = swapped.meanwhile(|| {
        for _ in 0..ROUNDS {
            assert!(!swapped.round(), "something outside was seen");
        }
    });
    assert!(swaps > 100, "{swaps}");
    let Swapped {
        daemon,
        outside,
        before,
        ..
    } = swapped;
    before.assert_untouched(&Snapshot::of(outside.path()).unwrap());
    daemon.assert_survived();
}

#[test]
fn the_test_of_swapped_links_at_a_daemon_would_notice_if_links_were_followed() {
    let _shared = machine::shared();
    let swapped = Swapped::new(&[(FOLLOW, "1")]);
    let begun = Instant::now();
    swapped.meanwhile(|| {
        while !swapped.round() && !swapped.is_touched() {
            assert!(begun.elapsed() < SOON, "nothing outside was met");
        }
    });
}

#[test]
fn a_full_disk_at_a_daemon_ends_the_push_and_not_the_daemon() {
    let _shared = machine::shared();
    let (here, there) = (
        Area::on(FileSystem::Ext4).unwrap(),
        Area::of_size(FileSystem::Ext4, 32 << 20).unwrap(),
    );
    let source = here.join("source");
    fs::create_dir(&source).unwrap();
    for n in 0..32 {
        let file = fs::File::create_new(source.join(format!("f{n}"))).unwrap();
        Content::full(1_500_000, n).write(&file).unwrap();
    }
    let identity = here.join("identity");
    let mut command = serving(there.path());
    command.arg("--identity").arg(&identity);
    let daemon = start(command).unwrap();
    let (address, token) = (listening(&daemon), token(&identity, &[]));
    let mirror = || {
        let mut command = blit(&["mirror", "--max-delete", "100%"]);
        command.arg(&source);
        command.arg(format!("blit://{address}/destination"));
        command.env("BLIT_TOKEN", &token);
        run(command).unwrap()
    };
    let full = mirror();
    full.expect_code(20);
    assert!(full.stderr().contains("full"), "{}", full.stderr());
    let destination = there.join("destination");
    let arrived = fs::read_dir(&destination).unwrap().count();
    assert!(arrived > 5, "{arrived} files arrived");
    for n in 8..32 {
        fs::remove_file(source.join(format!("f{n}"))).unwrap();
    }
    mirror().expect_code(0);
    oracle::assert_mirrored(&source, &destination);
    daemon.signal(Signal::SIGTERM);
    daemon.finish().unwrap().expect_code(0);
}
