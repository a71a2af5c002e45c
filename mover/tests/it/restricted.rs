//! Movers as Pod Security `restricted` lets them run: a number without rights, nothing writable but the
//! destination and the termination message, and a seccomp profile that does not know newer calls.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use blit_crds::mirrorjob::SelectedTransport;
use blit_crds::outcome::ExitCode;
use blit_e2e::area::{Area, FileSystem};
use blit_e2e::process::run;
use blit_e2e::sandbox::{self, Refused};
use blit_e2e::snapshot::Snapshot;
use blit_proto::pki::Role;

use crate::machine;
use crate::movers::{Job, listening};

/// The user of the image.
const USER: u32 = 65532;

/// Makes everything read-only but the volume of the destination and the files of last words, and becomes
/// the user. `$1` is the source, `$2` what stays writable.
const CONFINE: &str = r#"
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount --bind "$2" "$2"
cut -d ' ' -f 5 /proc/self/mountinfo | while read -r at; do
    case "$at" in "$2"|/proc|/proc/*|/sys/*) ;; *) mount -o remount,bind,ro "$at" || true ;; esac
done
if touch /tmp/x /var/x /run/x 2>/dev/null; then echo "the root is still writable" >&2; exit 99; fi
shift 2
cd /
exec env -i setpriv --reuid=65532 --regid=65532 --clear-groups --no-new-privs \
    --bounding-set=-all --inh-caps=-all "$@"
"#;

/// Calls that profiles of container runtimes may refuse with EPERM: `io_uring_setup`, `openat2`, and the
/// `*xattrat` family. Their numbers are the same on x86-64 and arm64.
const REFUSED: [u32; 6] = [425, 437, 463, 464, 465, 466];

/// A volume to read, a volume to write, and a job between them.
struct Setting {
    _area: Area,
    source: PathBuf,
    writable: PathBuf,
    job: Job,
}

impl Setting {
    fn new() -> Self {
        let area = Area::on(FileSystem::Ext4).unwrap();
        let (source, writable) = (area.join("source"), area.join("writable"));
        for (name, owner) in [("root", 0), ("somebody", 1000), ("mine", USER)] {
            let path = source.join("dir").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, name).unwrap();
            chown(&path, Some(owner), Some(owner)).unwrap();
        }
        fs::create_dir_all(writable.join("destination")).unwrap();
        for made in [&writable, &writable.join("destination")] {
            chown(made, Some(USER), Some(USER)).unwrap();
        }
        let job = Job::new(&writable);
        Self {
            _area: area,
            source,
            writable,
            job,
        }
    }

    fn destination(&self) -> PathBuf {
        self.writable.join("destination")
    }

    fn local(&self, attempt: u32) -> Command {
        let local = self.job.local(attempt, &self.source, &self.destination());
        self.confined(Role::Destination, attempt, &local)
    }

    /// Returns the same command under confinement.
    fn confined(&self, role: Role, attempt: u32, command: &Command) -> Command {
        readable(&self.job.identity(role, attempt));
        let mut confined = Command::new("unshare");
        confined.args(["--mount", "--", "sh", "-c", CONFINE, "sh"]);
        confined.arg(&self.source).arg(&self.writable);
        confined.arg(command.get_program()).args(command.get_args());
        let refused = REFUSED.map(|call| Refused {
            call,
            arguments: &[],
        });
        sandbox::refuse(&mut confined, &refused);
        confined
    }
}

/// A mounted Secret can be read by the mover, whoever that is.
fn readable(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let mode = fs::Permissions::from_mode(0o444);
        fs::set_permissions(entry.unwrap().path(), mode).unwrap();
    }
}

#[test]
fn a_restricted_mover_keeps_what_it_can_and_counts_owners() {
    let _shared = machine::shared();
    let setting = Setting::new();
    run(setting.local(1)).unwrap().expect_code(0);
    let word = setting.job.last_word("local", 1);
    assert_eq!(word.transport, Some(SelectedTransport::Local));
    assert_eq!((word.files_copied, word.files_failed), (3, 0));
    // Two files, their directory and the root are of others.
    assert_eq!(word.not_kept["owner"], 4);
    let made = setting.destination().join("dir/root");
    assert_eq!(fs::metadata(&made).unwrap().uid(), USER);
    // A second attempt has nothing to do, and says the same of what is missing.
    let before = Snapshot::of(&setting.destination()).unwrap();
    run(setting.local(2)).unwrap().expect_code(0);
    before.assert_untouched(&Snapshot::of(&setting.destination()).unwrap());
    let again = setting.job.last_word("local", 2);
    assert_eq!((again.files_copied, again.metadata_repaired), (0, 0));
    assert_eq!(again.not_kept, word.not_kept);
}

#[test]
fn a_restricted_pair_works_without_anything_writable_but_the_destination() {
    let _shared = machine::shared();
    let setting = Setting::new();
    let destination = setting.job.destination(1, &setting.destination());
    let (receiver, control) = listening(setting.confined(Role::Destination, 1, &destination));
    let mut source = setting.job.source(1, &setting.source, control);
    source.arg("--no-fallback");
    let sender = setting.confined(Role::Source, 1, &source);
    run(sender).unwrap().expect_code(0);
    receiver.finish().unwrap().expect_code(0);
    let word = setting.job.last_word("destination", 1);
    assert_eq!((word.files_copied, word.not_kept["owner"]), (3, 4));
    assert_eq!(word.transport, Some(SelectedTransport::Tcp));
    let copied = fs::read_to_string(setting.destination().join("dir/somebody")).unwrap();
    assert_eq!(copied, "somebody");
}

#[test]
fn an_entry_that_may_not_be_read_fails_and_the_message_names_the_level_that_may() {
    let _shared = machine::shared();
    let setting = Setting::new();
    let secret = setting.source.join("dir/secret-name");
    fs::write(&secret, "x").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    run(setting.local(1)).unwrap().expect_code(10);
    let word = setting.job.last_word("local", 1);
    assert_eq!((word.files_copied, word.files_failed), (3, 1));
    assert!(
        word.message.contains("1 entry could not be copied"),
        "{}",
        word.message
    );
    assert!(
        word.message.contains("mover.podSecurity: Baseline"),
        "{}",
        word.message
    );
    assert!(!word.message.contains("secret-name"), "{}", word.message);
}

#[test]
fn a_root_without_permission_is_told_with_the_fields_that_help() {
    let _shared = machine::shared();
    let setting = Setting::new();
    fs::set_permissions(&setting.source, fs::Permissions::from_mode(0o700)).unwrap();
    run(setting.local(1)).unwrap().expect_code(21);
    fs::set_permissions(&setting.source, fs::Permissions::from_mode(0o755)).unwrap();
    chown(setting.destination(), Some(0), Some(0)).unwrap();
    run(setting.local(2)).unwrap().expect_code(21);
    for attempt in [1, 2] {
        let word = setting.job.last_word("local", attempt);
        assert_eq!(word.exit_code, ExitCode::PermissionDenied);
        for field in [
            "mover.podSecurity: Baseline",
            "mover.securityContext.runAsUser",
        ] {
            assert!(word.message.contains(field), "{}", word.message);
        }
    }
}

#[test]
fn what_an_ext_file_system_keeps_at_its_top_is_no_obstacle() {
    let _shared = machine::shared();
    let setting = Setting::new();
    let volume = Area::on(FileSystem::Ext4).unwrap();
    let lost = volume.join("lost+found");
    fs::create_dir(&lost).unwrap();
    fs::set_permissions(&lost, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(volume.join("file"), "x").unwrap();
    let setting = Setting {
        source: volume.path().to_owned(),
        ..setting
    };
    run(setting.local(1)).unwrap().expect_code(0);
    let word = setting.job.last_word("local", 1);
    assert_eq!((word.files_copied, word.files_failed), (1, 0));
    assert!(!setting.destination().join("lost+found").exists());
}
