//! `--dry-run` and `--itemize`: what is printed is what a run does, in rsync's words, and a dry run writes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::mutate::mutate;
use blit_e2e::process::{Finished, run};
use blit_e2e::snapshot::Snapshot;
use blit_e2e::{oracle, seed};
use blit_engine::entry::Escaped;

use crate::blit::{blit, events, path_of, summary};
use crate::checksum::alter_a_byte;
use crate::local_mirror::Setting;
use crate::machine;
use crate::serve::Daemon;

/// What happens to each path: rsync's eleven characters, and the target if it has one. What a file takes the
/// place of is deleted apart, so a path can be there twice.
type Items = BTreeMap<(Vec<u8>, bool), String>;

fn is_deletion(code: &str) -> bool {
    code.starts_with('*')
}

/// Changes between source and destination.
const CHANGES: usize = 150;

/// Files that were two links each.
const LINKS: usize = 40;

/// Rounds at most, of which rsync has to judge two.
const ROUNDS: u64 = 12;

/// Runs a mirror with these options and returns what it printed.
fn mirror(setting: &Setting, options: &[&str]) -> Finished {
    let mut command = blit(&["mirror", "--max-delete", "100%", "--allow-empty-source"]);
    command.args(options);
    command.arg(&setting.source).arg(&setting.destination);
    run(command).unwrap()
}

/// Returns the changes that a run with `--json` reported.
fn items(finished: &Finished) -> Items {
    let mut items = Items::new();
    for event in events(finished) {
        if event["type"] == "entry" {
            let mut code = event["itemize"].as_str().unwrap().to_owned();
            if let Some(target) = event["target"].as_str() {
                code = format!("{code} {target}");
            }
            let key = (path_of(&event), is_deletion(&code));
            let twice = items.insert(key, code);
            assert_eq!(twice, None, "{event} is reported twice");
        }
    }
    items
}

/// Returns what rsync says it would do, unless that is too much for it.
fn rsync(source: &Path, destination: &Path) -> Option<Items> {
    let output = Command::new("rsync")
        .args(["-naHAX", "--modify-window=-1", "--delete", "-i", "-8"])
        .args(["--out-format", "%i %n"])
        .arg(source.join(""))
        .arg(destination.join(""))
        .output()
        .unwrap();
    // rsync fails where it looks below what is a file still and would be a directory.
    if !output.status.success() {
        return None;
    }
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let items = lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (code, name) = line.split_at(12);
            let name = unescaped(name);
            let name = name.strip_suffix(b"/").unwrap_or(&name);
            let name = if name == b"." { b"" } else { name };
            let code = String::from_utf8_lossy(&code[..11]).into_owned();
            ((name.to_vec(), is_deletion(&code)), code)
        })
        .collect();
    Some(items)
}

/// rsync writes `\#ooo` for control characters.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        if let Some(digits) = rest.strip_prefix(b"\\#".as_slice()) {
            let octal = std::str::from_utf8(&digits[..3]).unwrap();
            bytes.push(u8::from_str_radix(octal, 8).unwrap());
            rest = &digits[3..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

/// Returns true if the path has no other name on either side, and is of one kind where it is on both: only
/// then the two programs have one way to go.
fn is_plain(setting: &Setting, path: &[u8]) -> bool {
    let name = std::ffi::OsStr::from_bytes(path);
    let sides =
        [&setting.source, &setting.destination].map(|root| root.join(name).symlink_metadata().ok());
    let alone = |meta: &std::fs::Metadata| meta.is_dir() || meta.nlink() == 1;
    let kinds = |meta: &std::fs::Metadata| meta.mode() & 0o170_000;
    let [one, other] = &sides;
    let same = match (one, other) {
        (Some(one), Some(other)) => kinds(one) == kinds(other),
        _ => true,
    };
    same && sides.iter().flatten().all(alone)
}

/// Returns those items that a test can compare exactly, without their targets.
fn plain(items: &Items, setting: &Setting) -> Items {
    let all = items
        .iter()
        .filter(|((path, _), _)| is_plain(setting, path));
    all.map(|(key, code)| (key.clone(), code[..11].to_owned()))
        .collect()
}

#[test]
fn a_dry_run_prints_what_rsync_and_the_run_itself_do_and_writes_nothing() {
    let _shared = machine::shared();
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        let setting = Setting::new(file_system);
        let fresh = mirror(&setting, &["-n", "--json"]);
        fresh.expect_code(0);
        assert!(
            !setting.destination.exists(),
            "a dry run made its destination"
        );
        let done = mirror(&setting, &["--json"]);
        done.expect_code(0);
        assert_as_planned(&setting, &items(&fresh), &items(&done), false);

        let seed = seed::for_test();
        let (judged, mut compared) = (file_system == FileSystem::Ext4, 0);
        for round in 0..ROUNDS {
            let seed = seed.wrapping_add(round);
            println!("{}={seed} round {round}", seed::VARIABLE);
            mutate(&setting.source, CHANGES, seed).unwrap();
            let before = Snapshot::of(&setting.destination).unwrap();
            let dry = mirror(&setting, &["-n", "--json"]);
            dry.expect_code(0);
            before.assert_untouched(&Snapshot::of(&setting.destination).unwrap());
            // rsync takes the names that xfs alone has for its ACLs for attributes.
            let expected = judged.then(|| rsync(&setting.source, &setting.destination));
            if let Some(expected) = expected.flatten() {
                let planned = plain(&items(&dry), &setting);
                assert_eq!(shown(&planned), shown(&plain(&expected, &setting)));
                compared += 1;
            }

            let real = mirror(&setting, &["--json"]);
            real.expect_code(0);
            assert_as_planned(&setting, &items(&dry), &items(&real), false);
            for figure in ["filesDeleted", "filesTotal", "bytesTotal"] {
                assert_eq!(summary(&dry)[figure], summary(&real)[figure], "{figure}");
            }
            oracle::assert_mirrored(&setting.source, &setting.destination);
            if compared == 2 || (!judged && round == 1) {
                break;
            }
        }
        assert!(compared > 0 || !judged, "rsync never answered");
    }
}

/// With one worker both take the entries in one order, and so also the names of a group of hard links.
#[test]
fn what_one_worker_does_is_what_its_dry_run_printed_hard_links_included() {
    let _shared = machine::shared();
    let setting = Setting::new(FileSystem::Ext4);
    let one = |options: &[&str]| {
        let finished = mirror(&setting, &[options, &["--json", "--workers", "1"]].concat());
        finished.expect_code(0);
        items(&finished)
    };
    let seed = seed::for_test();
    for round in 0..ROUNDS {
        let planned = one(&["-n"]);
        assert_as_planned(&setting, &planned, &one(&[]), true);
        oracle::assert_mirrored(&setting.source, &setting.destination);
        assert_eq!(one(&["-n"]), Items::new());
        let seed = seed.wrapping_add(round);
        println!("{}={seed} round {round}", seed::VARIABLE);
        mutate(&setting.source, CHANGES, seed).unwrap();
    }
}

/// A file with a further name is replaced; whether that is so must not depend on what became of the other name by then.
#[test]
fn of_a_file_that_was_two_links_and_is_two_files_both_are_announced_and_replaced() {
    let _shared = machine::shared();
    let setting = Setting::new(FileSystem::Ext4);
    mirror(&setting, &[]).expect_code(0);
    let (source, destination) = (&setting.source, &setting.destination);
    let path = |number: usize, name: &str| format!("link-{number}/{name}");
    for number in 0..LINKS {
        // The directories of the two are far apart, so that one is done before the other is looked at.
        for name in ["a", "b"] {
            std::fs::create_dir_all(source.join(path(number, name))).unwrap();
        }
        let [one, other] = ["a", "b"].map(|name| source.join(path(number, name)).join("file"));
        std::fs::write(&one, number.to_string()).unwrap();
        std::fs::hard_link(&one, &other).unwrap();
    }
    mirror(&setting, &[]).expect_code(0);
    for number in 0..LINKS {
        let other = source.join(path(number, "b")).join("file");
        let time = other.metadata().unwrap().modified().unwrap();
        std::fs::remove_file(&other).unwrap();
        std::fs::write(&other, number.to_string()).unwrap();
        let file = std::fs::File::options().write(true).open(&other).unwrap();
        file.set_modified(time).unwrap();
    }
    let dry = items(&mirror(&setting, &["-n", "--json"]));
    let replaced = |code: &&String| code.starts_with(">f");
    assert_eq!(dry.values().filter(replaced).count(), 2 * LINKS);
    let real = items(&mirror(&setting, &["--json"]));
    assert_as_planned(&setting, &dry, &real, true);
    oracle::assert_mirrored(source, destination);
}

/// What gives way to a directory is a name less of its inode, which may so become the source's own.
#[test]
fn a_directory_in_the_place_of_a_link_leaves_the_other_names_to_their_group_as_announced() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let setting = Setting {
        source: area.join("source"),
        destination: area.join("destination"),
        area,
    };
    let (source, destination) = (&setting.source, &setting.destination);
    for number in 0..LINKS {
        // Each group has names of its own, and so an order of its own.
        let at = |root: &Path, name: &str| root.join(format!("{number}/{name}-{number}"));
        std::fs::create_dir_all(at(source, "becomes-directory")).unwrap();
        std::fs::create_dir_all(destination.join(number.to_string())).unwrap();
        let (one, there) = (at(source, "stays"), at(destination, "stays"));
        for file in [&one, &there] {
            std::fs::write(file, "content").unwrap();
        }
        let time = one.metadata().unwrap().modified().unwrap();
        let file = std::fs::File::options().write(true).open(&there).unwrap();
        file.set_modified(time).unwrap();
        std::fs::hard_link(&one, at(source, "new")).unwrap();
        std::fs::hard_link(&there, at(destination, "becomes-directory")).unwrap();
    }
    let one = |options: &[&str]| {
        let finished = mirror(&setting, &[options, &["--json", "--workers", "1"]].concat());
        finished.expect_code(0);
        items(&finished)
    };
    let (planned, done) = (one(&["-n"]), one(&[]));
    assert_as_planned(&setting, &planned, &done, true);
    let kept = (0..LINKS).filter(|number| {
        let stays = format!("{number}/stays-{number}").into_bytes();
        !done.contains_key(&(stays, false))
    });
    assert_ne!(kept.count(), 0, "no group kept what is there");
    oracle::assert_mirrored(source, destination);
}

/// Asserts that a run did what its dry run had printed. Of a group of hard links one name is made or kept, and the others
/// become links of it; which one that is the order of the entries decides, which is the same for both only `in_order`.
#[track_caller]
fn assert_as_planned(setting: &Setting, planned: &Items, done: &Items, in_order: bool) {
    let mut groups = BTreeMap::new();
    find_linked(&setting.source, &setting.source, &mut groups);
    let mut left_out = BTreeSet::new();
    for group in groups.values().filter(|_| !in_order) {
        if let (Some(one), Some(other)) = (leader(group, planned), leader(group, done))
            && one != other
        {
            left_out.extend(group.iter().cloned());
        }
    }
    let compared = |items: &Items| {
        let kept = |(path, deleted): &(Vec<u8>, bool)| *deleted || !left_out.contains(path);
        let items = items.iter().filter(|(key, _)| kept(key));
        items
            .map(|(key, code)| (key.clone(), code.clone()))
            .collect::<Items>()
    };
    let (planned, done) = (shown(&compared(planned)), shown(&compared(done)));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (planned, done) = (lines(&planned), lines(&done));
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
        one.difference(other)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(
        planned == done,
        "announced and not done:\n{}\ndone and not announced:\n{}",
        only(&planned, &done),
        only(&done, &planned)
    );
}

/// Returns the name of a group that the others became links of, escaped, if anything became of the group.
fn leader(group: &[Vec<u8>], items: &Items) -> Option<String> {
    let told = |path: &Vec<u8>| Some((path.clone(), items.get(&(path.clone(), false))?));
    let told: Vec<_> = group.iter().filter_map(told).collect();
    // A name that is linked says to which.
    let linked = told.iter().find(|(_, code)| code.starts_with('h'));
    match linked {
        Some((_, code)) => Some(code[12..].to_owned()),
        None => Some(Escaped(&told.first()?.0).to_string()),
    }
}

/// Adds the paths of all entries with several names, by inode.
fn find_linked(root: &Path, directory: &Path, groups: &mut BTreeMap<u64, Vec<Vec<u8>>>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.path().symlink_metadata().unwrap();
        if meta.is_dir() {
            find_linked(root, &entry.path(), groups);
        } else if meta.nlink() > 1 {
            let path = entry.path();
            let path = path.strip_prefix(root).unwrap();
            let names = groups.entry(meta.ino()).or_default();
            names.push(path.as_os_str().as_bytes().to_vec());
        }
    }
}

fn shown(items: &Items) -> String {
    let line = |((path, _), code): (&(Vec<u8>, bool), &String)| {
        format!("{code} {}\n", path.escape_ascii())
    };
    items.iter().map(line).collect()
}

#[test]
fn a_dry_run_is_printed_line_by_line_in_the_format_of_rsync() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    std::fs::create_dir_all(source.join("dir")).unwrap();
    std::fs::create_dir_all(destination.join("old")).unwrap();
    std::fs::write(source.join("dir/new\nline"), "x").unwrap();
    std::fs::write(source.join("a"), "1").unwrap();
    std::fs::hard_link(source.join("a"), source.join("b")).unwrap();
    std::os::unix::fs::symlink("a", source.join("link")).unwrap();
    std::fs::write(destination.join("old/gone"), "x").unwrap();
    std::fs::write(destination.join("a"), "123").unwrap();
    for (path, seconds) in [("source/a", 5), ("source", 7), ("destination/a", 6)] {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let file = std::fs::File::open(area.join(path)).unwrap();
        file.set_modified(time).unwrap();
    }
    let dry = |more: &[&str]| {
        let mut command = blit(&["mirror", "--max-delete", "100%"]);
        command.args(more).arg(&source).arg(&destination);
        run(command).unwrap()
    };
    let finished = dry(&["--dry-run"]);
    finished.expect_code(0);
    let text = finished.stdout();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let (leads, follows) = match text.contains("=> a\n") {
        true => (">f.st...... a", "hf+++++++++ b => a"),
        false => (">f+++++++++ b", "hf.st...... a => b"),
    };
    let mut expected = vec![
        "*deleting   old/",
        "*deleting   old/gone",
        ".d..t...... ./",
        leads,
        follows,
        ">f+++++++++ dir/new\\nline",
        "cL+++++++++ link -> a",
        "cd+++++++++ dir/",
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
    let last = finished.stderr();
    assert!(
        last.contains("would copy 4 files") && last.contains("would delete 2 entries"),
        "{last}"
    );
    assert_eq!(dry(&["--dry-run", "--quiet"]).stdout(), "");
    assert_eq!(dry(&["--dry-run", "--quiet"]).stderr(), "");
    assert!(destination.join("old/gone").exists());
}

#[test]
fn a_dry_run_ends_with_the_exit_code_of_the_run() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    let both = |options: &[&str]| {
        let before = Snapshot::of(&destination).unwrap();
        let codes = [&["-n"][..], &[]].map(|dry| {
            let mut command = blit(&["mirror"]);
            command
                .args(options)
                .args(dry)
                .arg(&source)
                .arg(&destination);
            let code = run(command).unwrap().code;
            if !dry.is_empty() {
                before.assert_untouched(&Snapshot::of(&destination).unwrap());
            }
            code
        });
        assert_eq!(codes[0], codes[1], "{options:?}");
        codes[1]
    };
    std::fs::create_dir_all(&source).unwrap();
    std::fs::create_dir_all(&destination).unwrap();
    std::fs::write(destination.join("a"), "a").unwrap();
    assert_eq!(both(&[]), Some(12), "an empty source");
    std::fs::write(source.join("b"), "b").unwrap();
    assert_eq!(both(&[]), Some(12), "nothing in common");
    assert_eq!(both(&["--max-delete", "0"]), Some(12), "too many deletions");
    assert_eq!(both(&["--max-delete", "1"]), Some(0));
}

/// Both hosts hash, also where nothing is to be sent afterwards.
#[test]
fn a_dry_run_by_content_between_hosts_announces_the_files_that_differ_and_no_others() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let (source, there) = (
        daemon.work.path().join("source"),
        daemon.root().join("tree"),
    );
    std::fs::create_dir(&source).unwrap();
    for number in 0..20 {
        std::fs::write(source.join(format!("{number:02}")), vec![number; 100_000]).unwrap();
    }
    let token = daemon.token(&["--scope", "read,write,delete"]);
    let push = [
        "push",
        "-i",
        "-c",
        "--mirror",
        source.to_str().unwrap(),
        "{}tree",
    ];
    daemon.ask(&token, &push).expect_code(0);
    let pulled = daemon.work.path().join("pulled");
    let pull = [
        "pull",
        "-i",
        "-c",
        "--mirror",
        "{}tree",
        pulled.to_str().unwrap(),
    ];
    daemon.ask(&token, &pull).expect_code(0);
    for (ask, side) in [(&push, &there), (&pull, &pulled)] {
        for number in [3, 17] {
            alter_a_byte(&side.join(format!("{number:02}")), 99_999);
        }
        let before = Snapshot::of(side).unwrap();
        let lines = |options: &[&str]| {
            let finished = daemon.ask(&token, &[ask.as_slice(), options].concat());
            finished.expect_code(0);
            let mut lines: Vec<_> = finished.stdout().lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        let planned = lines(&["-n"]);
        assert_eq!(planned, [">fc........ 03", ">fc........ 17"]);
        before.assert_untouched(&Snapshot::of(side).unwrap());
        assert_eq!(planned, lines(&[]));
        assert_eq!(lines(&["-n"]), [""; 0]);
    }
    daemon.assert_survived();
}
