//! `blit mover local`: both volumes in one process, watched and ended by an operator.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use blit_crds::mirrorjob::{SelectedTransport, Side};
use blit_crds::outcome::ExitCode;
use blit_e2e::area::{Area, FileSystem};
use blit_e2e::process::run;
use blit_e2e::snapshot::Snapshot;
use blit_e2e::{oracle, tree};
use blit_proto::control::ControlError;
use blit_proto::pki::{Authority, PeerName, Role};

use crate::machine;
use crate::movers::{JOB, Job, block_on, listening};

#[test]
fn a_local_mover_mirrors_everything_and_says_how() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    tree::build(&tree::every_kind(), &source).unwrap();
    fs::create_dir(&destination).unwrap();
    fs::write(destination.join("extraneous"), "old").unwrap();
    let job = Job::new(area.path());
    run(job.local(1, &source, &destination))
        .unwrap()
        .expect_code(0);
    oracle::assert_mirrored(&source, &destination);
    let word = job.last_word("local", 1);
    assert_eq!(word.side, Side::Destination);
    assert_eq!(word.transport, Some(SelectedTransport::Local));
    assert_eq!(
        (word.exit_code, word.files_deleted),
        (ExitCode::Complete, 1)
    );
    assert!(word.files_copied > 10);
    // Nothing is left to do for the next attempt.
    let before = Snapshot::of(&destination).unwrap();
    run(job.local(2, &source, &destination))
        .unwrap()
        .expect_code(0);
    before.assert_untouched(&Snapshot::of(&destination).unwrap());
    assert_eq!(job.last_word("local", 2).files_copied, 0);
}

#[test]
fn trees_in_each_other_are_refused_before_anything_is_made() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let volume = area.join("volume");
    fs::create_dir_all(volume.join("a/b")).unwrap();
    let job = Job::new(area.path());
    let before = Snapshot::of(&volume).unwrap();
    for (n, (from, to)) in [
        ("/a", "/a"),
        ("/a", "/a/new/one"),
        ("/", "/copy"),
        ("/a/b", "/a"),
    ]
    .into_iter()
    .enumerate()
    {
        let attempt = u32::try_from(n).unwrap() + 1;
        let command = job.local(attempt, &volume, &volume);
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut command = Command::new(command.get_program());
        // Only the paths differ from those of whole volumes.
        let mut before = "".into();
        for argument in arguments {
            command.arg(match before {
                ref option if option == "--source-path" => from.into(),
                ref option if option == "--path" => to.into(),
                _ => argument.clone(),
            });
            before = argument;
        }
        run(command).unwrap().expect_code(2);
        assert_eq!(job.last_word("local", attempt).exit_code, ExitCode::Usage);
    }
    before.assert_untouched(&Snapshot::of(&volume).unwrap());
}

#[test]
fn an_operator_follows_a_local_mover_and_ends_it() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    fs::create_dir(&source).unwrap();
    fs::create_dir(&destination).unwrap();
    // Content for long enough that the operator comes in the middle.
    for n in 0..20_000 {
        fs::write(source.join(format!("f{n}")), n.to_string()).unwrap();
    }
    let job = Job::new(area.path());
    let (mover, address) = listening(job.local(1, &source, &destination));
    let last = block_on(async {
        let operator = job.dial(address, 1, &job.operator()).await.unwrap();
        operator.ping().await.unwrap();
        let mut updates = operator.progress().await.unwrap();
        let first = updates.message().await.unwrap().unwrap();
        assert!(first.summary.is_none());
        operator.cancel("the test wants it").await.unwrap();
        let mut last = first;
        while let Some(update) = updates.message().await.unwrap() {
            last = update;
        }
        last
    });
    mover.finish().unwrap().expect_code(130);
    let summary = last.summary.unwrap();
    assert_eq!((summary.exit_code, &*summary.transport), (130, "Local"));
    assert_eq!(job.last_word("local", 1).exit_code, ExitCode::Interrupted);
    // What arrived stays, and the next attempt makes the rest.
    let arrived = u64::from(last.files_copied > 0) * last.files_copied;
    run(job.local(2, &source, &destination))
        .unwrap()
        .expect_code(0);
    oracle::assert_mirrored(&source, &destination);
    assert_eq!(job.last_word("local", 2).files_copied, 20_000 - arrived);
}

#[test]
fn only_an_operator_gets_past_the_door_of_a_local_mover() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    fs::create_dir(&source).unwrap();
    for n in 0..20_000 {
        fs::write(source.join(format!("f{n}")), n.to_string()).unwrap();
    }
    fs::create_dir(&destination).unwrap();
    let job = Job::new(area.path());
    let (mover, address) = listening(job.local(1, &source, &destination));
    let stranger = Authority::new("operators of another cluster", SystemTime::now()).unwrap();
    let source_name = PeerName::mover(JOB, 1, Role::Source).unwrap();
    let destination_name = PeerName::mover(JOB, 1, Role::Destination).unwrap();
    let operator_name = PeerName::operator("test").unwrap();
    let cases = [
        ("a source of the job", &job.movers, source_name.clone()),
        ("a destination of the job", &job.movers, destination_name),
        (
            "a source signed by the operators",
            &job.operators,
            source_name,
        ),
        ("an operator of another cluster", &stranger, operator_name),
    ];
    block_on(async {
        for (who, authority, name) in cases {
            let identity = job.signed(authority, &name);
            // The server judges after the handshake of the client: the first call tells.
            let refused = match job.dial(address, 1, &identity).await {
                Ok(connection) => connection.ping().await.map(drop),
                Err(error) => Err(error),
            };
            assert!(
                matches!(refused, Err(ControlError::NotAuthenticated { .. })),
                "{who}: {refused:?}"
            );
        }
    });
    drop(mover);
}

#[test]
fn a_source_that_another_mount_shows_below_the_destination_is_not_deleted() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let destination = area.join("host");
    let volume = destination.join("volumes/claim");
    fs::create_dir_all(&volume).unwrap();
    fs::write(volume.join("precious"), "x").unwrap();
    fs::write(destination.join("extraneous"), "x").unwrap();
    let job = Job::new(area.path());
    // As the kubelet mounts a claim: nothing above it is seen of the host.
    let seen = area.join("seen");
    fs::create_dir(&seen).unwrap();
    let local = job.local(1, &seen, &destination);
    let mut confined = Command::new("unshare");
    confined.args(["--mount", "--", "sh", "-c"]);
    confined.arg("mount --bind \"$0\" \"$1\" && shift && exec \"$@\"");
    confined.arg(&volume).arg(&seen);
    confined.arg(local.get_program()).args(local.get_args());
    run(confined).unwrap().expect_code(11);
    assert_eq!(fs::read_to_string(volume.join("precious")).unwrap(), "x");
    assert!(!destination.join("extraneous").exists());
    assert!(destination.join("precious").exists());
    assert_eq!(job.last_word("local", 1).deletions_withheld, 1);
}
