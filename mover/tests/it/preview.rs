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

use crate::blit::{blit, events, path_of, summary};
use crate::local_mirror::Setting;
use crate::machine;

/// What happens to each path: rsync's eleven characters, and the target if it has one. What a file takes the
/// place of is deleted apart, so a path can be there twice.
type Items = BTreeMap<(Vec<u8>, bool), String>;

fn is_deletion(code: &str) -> bool {
    code.starts_with('*')
}

/// Changes between source and destination.
const CHANGES: usize = 150;

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
        assert_eq!(items(&fresh).len(), items(&done).len());

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

            let alone = |path: &[u8]| is_plain(&setting, path);
            let planned: Items = items(&dry)
                .into_iter()
                .filter(|((path, _), _)| alone(path))
                .collect();
            let mut linked = BTreeSet::new();
            for root in [&setting.source, &setting.destination] {
                find_linked(root, root, &mut linked);
            }
            let real = mirror(&setting, &["--json"]);
            real.expect_code(0);
            let done = items(&real);
            // What becomes of other names depends on who comes first.
            let all = items(&dry);
            let unplanned = done.keys().filter(|key| !all.contains_key(key));
            let unplanned: Vec<_> = unplanned
                .filter(|(path, _)| !linked.contains(path))
                .collect();
            assert!(unplanned.is_empty(), "{unplanned:?}");
            for (key, code) in &planned {
                assert_eq!(done.get(key), Some(code), "{}", key.0.escape_ascii());
            }
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

/// Adds the paths of all entries with several names.
fn find_linked(root: &Path, directory: &Path, linked: &mut BTreeSet<Vec<u8>>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.path().symlink_metadata().unwrap();
        if meta.is_dir() {
            find_linked(root, &entry.path(), linked);
        } else if meta.nlink() > 1 {
            let path = entry.path();
            let path = path.strip_prefix(root).unwrap();
            linked.insert(path.as_os_str().as_bytes().to_vec());
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
