//! A destination on which single calls are answered with EIO: what is wrong is named, what was there stays whole, all else
//! arrives, and the next run without the fault brings the rest.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::faulty::{Call, Faulty, Nature};
use blit_e2e::oracle;
use blit_e2e::process::run;
use serde_json::Value;

use crate::blit::{Mirror, Way, blit, events, summary};
use crate::machine;

/// How the new content of what goes wrong begins, and the old one.
const BAD: &str = "bad content";
const OLD: &str = "old content";
/// All temporary names.
const OURS: &str = ".blit.*";

/// A source in order, and a destination that is not.
struct Setting {
    area: Area,
    faulty: Faulty,
}

impl Setting {
    /// Of a file that differs, of one that is new, and of one in a directory that is new, each in company of others. The
    /// content of the first three can be told from that of all others.
    fn new() -> Self {
        let setting = Self {
            area: Area::on(FileSystem::Ext4).unwrap(),
            faulty: Faulty::mount(Nature::default()).unwrap(),
        };
        let (source, destination) = (setting.source(), setting.destination());
        for name in ["bad", "new-bad", "new/bad"] {
            put(&source.join(name), &format!("{BAD} of {name}"));
        }
        for name in ["after", "before", "new/after", "there/after"] {
            put(&source.join(name), name);
        }
        fs::set_permissions(source.join("bad"), fs::Permissions::from_mode(0o751)).unwrap();
        for (name, content) in [("bad", OLD), ("after", OLD), ("there/before", "extraneous")] {
            put(&destination.join(name), content);
        }
        // Nothing of it is new, or waits until it is not.
        let past = SystemTime::now() - Duration::from_secs(60);
        for name in ["bad", "new-bad", "new/bad", "after", "before", "new/after"] {
            let file = fs::File::options().write(true).open(source.join(name));
            file.unwrap().set_modified(past).unwrap();
        }
        setting
    }

    fn source(&self) -> PathBuf {
        self.area.join("source")
    }

    fn destination(&self) -> PathBuf {
        self.faulty.join("destination")
    }

    fn mirror(&self) -> Command {
        let mut command = blit(&["mirror", "--json", "--max-delete", "100%"]);
        command.arg(self.source()).arg(self.destination());
        command
    }

    /// Mirrors while something goes wrong, which is told of these paths and of no other; so many entries do not arrive.
    #[track_caller]
    fn goes_wrong(&self, of: &[&str], failed: usize) {
        let finished = run(self.mirror()).unwrap();
        finished.expect_code(10);
        let mut told: Vec<_> = (events(&finished).iter())
            .filter(|event| event["type"] == "error")
            .map(|event| {
                let message = event["message"].as_str().unwrap();
                assert!(message.contains("os error 5"), "{event}");
                event["path"].as_str().unwrap().to_owned()
            })
            .collect();
        told.sort_unstable();
        assert_eq!(told, of, "{}", finished.stdout());
        let summary = summary(&finished);
        assert_eq!(summary["filesFailed"], failed, "{summary}");
    }

    /// Whatever has its final name is whole, as it was or as it will be; nothing else is there; and these are as they will be.
    #[track_caller]
    fn is_whole_and_has(&self, arrived: &[&str]) {
        let (source, destination) = (self.source(), self.destination());
        for name in files(&destination) {
            if name.split('/').any(|part| part.starts_with(".blit")) {
                continue;
            }
            let content = fs::read_to_string(destination.join(&name)).unwrap();
            let whole = fs::read_to_string(source.join(&name)).unwrap_or_default();
            let kept = content == OLD || name == "there/before";
            assert!(content == whole || kept, "{name}: {content}");
        }
        for name in arrived {
            let read = |root: &Path| fs::read_to_string(root.join(name)).unwrap();
            assert_eq!(read(&source), read(&destination), "{name}");
        }
    }

    #[track_caller]
    fn the_next_run_converges(&self) -> Value {
        self.faulty.heal();
        let finished = run(self.mirror()).unwrap();
        finished.expect_code(0);
        let options = oracle::Options {
            holes: false,
            ..oracle::Options::default()
        };
        oracle::assert_mirrored_within(&self.source(), &self.destination(), &options);
        summary(&finished)
    }

    /// The next run finds the same fault and again leaves something; the one after it, without the fault, takes all that was left for
    /// its own, and nothing for somebody's.
    #[track_caller]
    fn what_is_left_stays_ours(&self) {
        assert!(self.destination().join(".blit/state").exists());
        let again = run(self.mirror()).unwrap();
        again.expect_code(10);
        assert_eq!(summary(&again)["filesDeleted"], 0, "{}", again.stdout());
        let next = self.the_next_run_converges();
        assert_eq!(next["filesDeleted"], 0, "{next}");
        self.nothing_is_left();
    }

    #[track_caller]
    fn nothing_is_left(&self) {
        let mut open = vec![self.destination()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                assert!(!name.starts_with(".blit"), "{:?}", entry.path());
                if entry.file_type().unwrap().is_dir() {
                    open.push(entry.path());
                }
            }
        }
    }

    fn old(&self, name: &str) -> bool {
        fs::read_to_string(self.destination().join(name)).unwrap() == OLD
    }
}

fn put(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Names of all that is not a directory, relative to the root.
fn files(root: &Path) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap();
                found.push(name.to_str().unwrap().to_owned());
            }
        }
    }
    found
}

/// All that can be had while three files cannot.
const OTHERS: [&str; 4] = ["after", "before", "new/after", "there/after"];

#[test]
fn a_file_that_cannot_be_written_or_finished_is_named_and_the_old_one_stays() {
    let _shared = machine::shared();
    for call in [Call::Write, Call::SetMode, Call::SetTime] {
        println!("{call:?}");
        let setting = Setting::new();
        for name in ["bad", "new-bad", "new/bad"] {
            // What is made with its mode needs none set.
            let mode = fs::Permissions::from_mode(0o4751);
            fs::set_permissions(setting.source().join(name), mode).unwrap();
        }
        setting.faulty.fail_content(call, BAD);
        setting.goes_wrong(&["bad", "new-bad", "new/bad"], 3);
        assert!(setting.old("bad"));
        setting.is_whole_and_has(&OTHERS);
        assert!(!setting.destination().join("new/bad").exists());
        setting.the_next_run_converges();
    }
}

#[test]
fn a_file_that_cannot_be_renamed_is_named_and_the_old_one_stays() {
    let _shared = machine::shared();
    let setting = Setting::new();
    setting.faulty.fail(Call::Rename, "bad");
    // In a directory that is new it has its name from the beginning.
    setting.goes_wrong(&["bad"], 1);
    assert!(setting.old("bad"));
    setting.is_whole_and_has(&OTHERS);
    setting.is_whole_and_has(&["new-bad", "new/bad"]);
    setting.the_next_run_converges();
}

#[test]
fn a_new_directory_that_cannot_be_renamed_is_named_and_the_next_run_knows_it() {
    let _shared = machine::shared();
    let setting = Setting::new();
    setting.faulty.fail(Call::Rename, "new");
    setting.goes_wrong(&["new"], 1);
    assert!(!setting.destination().join("new").exists());
    setting.is_whole_and_has(&["after", "bad", "before", "new-bad", "there/after"]);
    // It takes what was left for its own, and neither for somebody's nor for extraneous.
    let summary = setting.the_next_run_converges();
    assert_eq!(summary["filesDeleted"], 0, "{summary}");
}

#[test]
fn a_second_name_that_cannot_be_given_is_named_and_the_first_one_arrives() {
    let _shared = machine::shared();
    let setting = Setting::new();
    let source = setting.source();
    fs::hard_link(source.join("new-bad"), source.join("there/also-bad")).unwrap();
    setting.faulty.fail_content(Call::Link, BAD);
    let finished = run(setting.mirror()).unwrap();
    finished.expect_code(10);
    let text = finished.stdout();
    assert!(
        text.contains("os error 5") && text.contains("bad"),
        "{text}"
    );
    assert_eq!(summary(&finished)["filesFailed"], 1);
    setting.is_whole_and_has(&OTHERS);
    setting.is_whole_and_has(&["bad", "new/bad"]);
    let arrived =
        ["new-bad", "there/also-bad"].map(|name| setting.destination().join(name).exists());
    assert!(arrived[0] != arrived[1], "{arrived:?}");
    setting.the_next_run_converges();
}

#[test]
fn a_name_that_cannot_be_looked_at_is_told_and_neither_replaced_nor_deleted() {
    let _shared = machine::shared();
    let setting = Setting::new();
    put(&setting.destination().join("there/gone"), "extraneous");
    setting.faulty.fail(Call::Look, "bad");
    setting.goes_wrong(&["bad", "new/bad"], 2);
    setting.faulty.heal();
    assert!(setting.old("bad"));
    setting.is_whole_and_has(&OTHERS);
    assert!(!setting.destination().join("there/gone").exists());
    setting.the_next_run_converges();
}

#[test]
fn below_a_directory_that_cannot_be_looked_at_nothing_changes() {
    let _shared = machine::shared();
    let setting = Setting::new();
    setting.faulty.fail(Call::Look, "there");
    setting.goes_wrong(&["there"], 2);
    setting.faulty.heal();
    assert!(!setting.destination().join("there/after").exists());
    assert!(setting.destination().join("there/before").exists());
    setting.is_whole_and_has(&["after", "bad", "before", "new-bad", "new/after", "new/bad"]);
    setting.the_next_run_converges();
}

#[test]
fn where_the_destination_cannot_be_listed_to_its_end_nothing_is_deleted_and_all_is_copied() {
    let _shared = machine::shared();
    let setting = Setting::new();
    for name in ["a", "z"] {
        put(
            &setting.destination().join("there").join(name),
            "extraneous",
        );
    }
    setting.faulty.fail(Call::ReadDirectory, "there");
    let finished = run(setting.mirror()).unwrap();
    finished.expect_code(11);
    let events = events(&finished);
    let withheld: Vec<_> = (events.iter())
        .filter(|event| event["type"] == "withheld")
        .collect();
    assert_eq!(withheld.len(), 1, "{}", finished.stdout());
    assert_eq!(withheld[0]["path"], "there");
    let reason = withheld[0]["reason"].as_str().unwrap();
    assert!(reason.contains("os error 5"), "{reason}");
    setting.faulty.heal();
    for name in ["there/a", "there/before", "there/z"] {
        assert!(setting.destination().join(name).exists(), "{name}");
    }
    for name in ["there/a", "there/z"] {
        fs::remove_file(setting.destination().join(name)).unwrap();
    }
    setting.is_whole_and_has(&OTHERS);
    setting.the_next_run_converges();
}

#[test]
fn a_directory_that_cannot_be_made_or_opened_is_named_and_nothing_of_it_stays() {
    let _shared = machine::shared();
    for call in [Call::MakeDirectory, Call::OpenDirectory] {
        println!("{call:?}");
        let setting = Setting::new();
        setting.faulty.fail(call, OURS);
        setting.goes_wrong(&["new"], 3);
        assert!(!setting.destination().join("new").exists());
        setting.is_whole_and_has(&["after", "bad", "before", "new-bad", "there/after"]);
        setting.nothing_is_left();
        setting.the_next_run_converges();
    }
}

#[test]
fn what_is_extraneous_and_cannot_be_deleted_is_named_and_all_else_is_done() {
    let _shared = machine::shared();
    let setting = Setting::new();
    put(&setting.destination().join("gone/one"), "extraneous");
    setting.faulty.fail(Call::Unlink, "before");
    setting.faulty.fail(Call::RemoveDirectory, "gone");
    setting.goes_wrong(&["gone", "there/before"], 2);
    assert!(!setting.destination().join("gone/one").exists());
    setting.is_whole_and_has(&OTHERS);
    setting.is_whole_and_has(&["bad", "new-bad", "new/bad"]);
    setting.nothing_is_left();
    setting.the_next_run_converges();
}

#[test]
fn a_new_directory_that_can_be_neither_opened_nor_removed_stays_ours() {
    let _shared = machine::shared();
    let setting = Setting::new();
    let break_down = || {
        setting.faulty.fail(Call::OpenDirectory, OURS);
        setting.faulty.fail(Call::RemoveDirectory, OURS);
    };
    break_down();
    setting.goes_wrong(&["new"], 3);
    setting.faulty.heal();
    setting.is_whole_and_has(&["after", "bad", "before", "new-bad", "there/after"]);
    break_down();
    setting.what_is_left_stays_ours();
}

#[test]
fn half_of_a_file_that_cannot_be_removed_stays_ours_and_gets_no_final_name_with_its_directory() {
    let _shared = machine::shared();
    let setting = Setting::new();
    setting.faulty.fail_content(Call::SetTime, BAD);
    setting.faulty.fail_content(Call::Unlink, BAD);
    setting.goes_wrong(&["", "bad", "new", "new-bad", "new/bad"], 5);
    assert!(setting.old("bad"));
    assert!(!setting.destination().join("new").exists());
    setting.is_whole_and_has(&["after", "before", "there/after"]);
    setting.what_is_left_stays_ours();
}

#[test]
fn half_of_a_file_that_was_left_is_no_file_that_could_be_newer_or_be_passed_over() {
    let _shared = machine::shared();
    for option in ["--update", "--ignore-existing"] {
        let setting = Setting::new();
        setting.faulty.fail_content(Call::SetTime, BAD);
        setting.faulty.fail_content(Call::Unlink, BAD);
        run(setting.mirror()).unwrap().expect_code(10);
        setting.faulty.heal();
        let mut next = setting.mirror();
        next.arg(option);
        run(next).unwrap().expect_code(0);
        let (source, destination) = (setting.source(), setting.destination());
        let options = oracle::Options {
            holes: false,
            ..oracle::Options::default()
        };
        oracle::assert_mirrored_within(&source.join("new"), &destination.join("new"), &options);
        setting.nothing_is_left();
    }
}

#[test]
fn what_arrived_and_can_be_neither_finished_nor_removed_stays_ours() {
    let _shared = machine::shared();
    let setting = Setting::new();
    setting.faulty.fail_content(Call::SetTime, BAD);
    setting.faulty.fail_content(Call::Unlink, BAD);
    let mirror = Mirror {
        way: Way::Run,
        source: &setting.source(),
        destination: &setting.destination(),
        work: setting.area.path(),
    };
    run(mirror.command()).unwrap().expect_code(10);
    assert!(setting.old("bad"));
    assert!(!setting.destination().join("new").exists());
    setting.is_whole_and_has(&["after", "before", "there/after"]);
    setting.what_is_left_stays_ours();
}

/// A symbolic link that is new, and one more name of a file, in another directory.
fn put_links(source: &Path) {
    std::os::unix::fs::symlink("nowhere", source.join("bad-link")).unwrap();
    fs::hard_link(source.join("before"), source.join("there/bad-name")).unwrap();
}

#[test]
fn a_temporary_name_that_can_be_neither_renamed_nor_removed_stays_ours() {
    let _shared = machine::shared();
    let setting = Setting::new();
    put_links(&setting.source());
    for name in ["bad", "bad-link", "bad-name"] {
        setting.faulty.fail(Call::Rename, name);
    }
    setting.faulty.fail(Call::Unlink, OURS);
    setting.goes_wrong(&["", "bad", "bad-link", "there", "there/bad-name"], 5);
    assert!(setting.old("bad"));
    setting.is_whole_and_has(&OTHERS);
    setting.is_whole_and_has(&["new-bad", "new/bad"]);
    setting.what_is_left_stays_ours();
}

#[test]
fn what_can_be_neither_finished_nor_removed_stays_ours_whatever_it_is() {
    let _shared = machine::shared();
    let setting = Setting::new();
    std::os::unix::fs::symlink("nowhere", setting.source().join("bad-link")).unwrap();
    setting.faulty.fail(Call::SetTime, OURS);
    setting.faulty.fail(Call::Unlink, OURS);
    let told = [
        "",
        "after",
        "bad",
        "bad-link",
        "before",
        "new-bad",
        "there",
        "there/after",
    ];
    setting.goes_wrong(&told, 8);
    assert!(setting.old("bad") && setting.old("after"));
    setting.is_whole_and_has(&["new/after", "new/bad"]);
    setting.what_is_left_stays_ours();
}

/// Two names that have a third one outside of the tree on both sides, of a file and of a link: they are given an inode of their own.
#[test]
fn a_copy_for_names_that_part_from_foreign_ones_stays_ours_if_it_can_be_neither_renamed_nor_removed()
 {
    let _shared = machine::shared();
    for link in [false, true] {
        let setting = Setting::new();
        let (source, destination) = (setting.source(), setting.destination());
        match link {
            true => std::os::unix::fs::symlink("nowhere", source.join("pair-a")).unwrap(),
            false => put(&source.join("pair-a"), "pair"),
        }
        for other in [source.join("pair-b"), setting.area.join("outside")] {
            fs::hard_link(source.join("pair-a"), other).unwrap();
        }
        run(setting.mirror()).unwrap().expect_code(0);
        fs::hard_link(destination.join("pair-a"), setting.faulty.join("outside")).unwrap();
        setting.faulty.fail(Call::Rename, "pair-a");
        setting.faulty.fail(Call::Rename, "pair-b");
        setting.faulty.fail(Call::Unlink, OURS);
        let finished = run(setting.mirror()).unwrap();
        finished.expect_code(10);
        let text = finished.stdout();
        assert!(text.contains("hard links that are not"), "{text}");
        setting.what_is_left_stays_ours();
    }
}
