//! Filters mean what they mean to rsync: the same random tree, the same random rules, the same outcome.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::process::run;
use blit_e2e::seed::{self, Random};
use blit_e2e::snapshot::Snapshot;
use serde_json::Value;

use crate::blit::{blit, manifest, spec, summary, volume};
use crate::machine;

/// Cases of the comparison with rsync.
const CASES: u64 = 60;

/// Names from so few letters that patterns meet them.
const NAMES: [&str; 8] = ["a", "b", "ab", "a.o", "b.o", "foo", "keep", "*x"];

/// Patterns of every form.
const PATTERNS: [&str; 32] = [
    "a",
    "b/",
    "/a",
    "/b/",
    "*.o",
    "/*.o",
    "a/b",
    "a/*",
    "/a/*",
    "a/**",
    "/a/**",
    "**/foo",
    "foo/**/a",
    "**b",
    "a**o",
    "foo/***",
    "/ab/***",
    "[ab]",
    "[^a]*",
    "?",
    "/?/",
    "ab/foo/",
    "*",
    "*/",
    "/**",
    "\\*x",
    "a\\*",
    "keep",
    "a/b/",
    "**",
    "/*/a",
    "[[:alpha:]]b",
];

/// Makes directories and files with names of [`NAMES`], some of each kind under the same name on two sides.
fn grow(root: &Path, random: &mut Random, side: &str, depth: usize) {
    std::fs::create_dir_all(root).unwrap();
    for name in NAMES {
        let path = root.join(name);
        // Of one kind on both sides: what becomes of other kinds is a documented difference.
        let directory = name.len() % 2 == depth % 2;
        match (random.below(3), directory) {
            (0, _) => {}
            (_, true) if depth < 3 => grow(&path, random, side, depth + 1),
            _ => std::fs::write(&path, format!("{side} {name}")).unwrap(),
        }
    }
}

/// Returns the content of every file, by its path; directories have none.
fn content(root: &Path) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if path.is_dir() {
                found.insert(name, None);
                waiting.push(path);
            } else {
                found.insert(name, Some(std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// Makes some rules as options that both programs understand.
fn rules(random: &mut Random, work: &Path, case: u64) -> Vec<String> {
    let mut options = Vec::new();
    for n in 0..=random.below(4) {
        let pattern = *random.pick(&PATTERNS).unwrap();
        options.push(match random.below(6) {
            0 | 1 => format!("--include={pattern}"),
            2 => {
                let file = work.join(format!("rules-{case}-{n}"));
                let other = *random.pick(&PATTERNS).unwrap();
                std::fs::write(&file, format!("# comment\n\n+ {other}\n{pattern}\n")).unwrap();
                format!("--exclude-from={}", file.display())
            }
            3 => format!("--exclude=+ {pattern}"),
            _ => format!("--exclude={pattern}"),
        });
    }
    options
}

#[test]
fn what_is_copied_and_deleted_is_what_rsync_copies_and_deletes() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let seed = seed::for_test();
    println!("{}={seed}", seed::VARIABLE);
    let mut changed = 0;
    for case in 0..CASES {
        let mut random = Random::new(seed.wrapping_add(case));
        let root = area.join(&case.to_string());
        let [source, ours, theirs] = ["source", "ours", "theirs"].map(|name| root.join(name));
        grow(&source, &mut random, "source", 0);
        let before = Random::new(random.below(usize::MAX) as u64);
        for destination in [&ours, &theirs] {
            grow(destination, &mut before.clone(), "destination", 0);
        }
        let mut options = rules(&mut random, area.path(), case);
        if random.below(4) == 0 {
            options.push("--delete-excluded".to_owned());
        }
        let mut rsync = Command::new("rsync");
        rsync
            .args(["-aHAX", "--delete", "--ignore-times"])
            .args(&options);
        rsync.arg(source.join("")).arg(theirs.join(""));
        let done = rsync.output().unwrap();
        assert!(done.status.success(), "{options:?}: {done:?}");

        let mirror = |more: &[&str]| {
            let mut mirror = blit(&[
                "mirror",
                "--max-delete",
                "100%",
                "--allow-empty-source",
                "--json",
            ]);
            mirror.args(more).args(&options).arg(&source).arg(&ours);
            run(mirror).unwrap()
        };
        let untouched = Snapshot::of(&ours).unwrap();
        let dry = mirror(&["-n"]);
        dry.expect_code(0);
        untouched.assert_untouched(&Snapshot::of(&ours).unwrap());
        let real = mirror(&[]);
        real.expect_code(0);
        for figure in [
            "filesCopied",
            "filesDeleted",
            "filesTotal",
            "filesUnchanged",
        ] {
            assert_eq!(
                summary(&dry)[figure],
                summary(&real)[figure],
                "{figure}, {options:?}"
            );
        }
        changed += summary(&real)["filesDeleted"].as_u64().unwrap();
        assert_eq!(content(&ours), content(&theirs), "case {case}: {options:?}");
    }
    assert!(changed > CASES, "the rules leave something to do");
}

#[test]
fn a_manifest_leaves_out_and_protects_the_same_over_two_movers() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    for path in [
        "source/cache/deep",
        "source/data",
        "destination/cache",
        "destination/old",
    ] {
        std::fs::create_dir_all(area.join(path)).unwrap();
    }
    for path in [
        "source/data/a",
        "source/data/a.tmp",
        "source/data/keep.tmp",
        "source/cache/deep/b",
        "destination/cache/mine",
        "destination/old/c.tmp",
        "destination/old/d",
    ] {
        std::fs::write(area.join(path), path).unwrap();
    }
    let job = |more: &str| {
        let filters = "filters: [{include: keep.tmp}, {exclude: '*.tmp'}, {exclude: /cache/}]";
        let deletion = "deletion: {maxDelete: \"100%\"}";
        let manifest = manifest(
            area.path(),
            &spec("Mirror", &format!("{filters}\n  {deletion}{more}")),
        );
        let mut command = blit(&["run", "-f"]);
        command
            .arg(manifest)
            .arg("--volume")
            .arg(volume("source", &source));
        command
            .arg("--volume")
            .arg(volume("destination", &destination));
        let finished = run(command).unwrap();
        finished.expect_code(0);
        serde_saphyr::from_str::<Value>(&finished.stdout()).unwrap()
    };
    let before = Snapshot::of(&destination).unwrap();
    let planned = job("\n  dryRun: true");
    before.assert_untouched(&Snapshot::of(&destination).unwrap());
    let plan = &planned["status"]["plan"];
    assert_eq!(
        (&plan["filesToCopy"], &plan["filesToDelete"]),
        (&2.into(), &1.into())
    );
    assert_eq!(
        plan["bytesToCopy"],
        ("source/data/a".len() + "source/data/keep.tmp".len())
    );

    assert_eq!(
        job("")["status"].get("plan").cloned().unwrap_or_default(),
        Value::Null
    );
    let paths: Vec<String> = content(&destination).into_keys().collect();
    assert_eq!(
        paths,
        [
            "cache",
            "cache/mine",
            "data",
            "data/a",
            "data/keep.tmp",
            "old",
            "old/c.tmp"
        ]
    );
}

#[test]
fn a_dry_run_of_a_manifest_makes_no_destination() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("missing/destination"));
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("a"), "a").unwrap();
    let manifest = manifest(area.path(), &spec("Mirror", "dryRun: true"));
    let mut command = blit(&["run", "-f"]);
    command
        .arg(manifest)
        .arg("--volume")
        .arg(volume("source", &source));
    command
        .arg("--volume")
        .arg(volume("destination", &destination));
    let finished = run(command).unwrap();
    finished.expect_code(0);
    let job: Value = serde_saphyr::from_str(&finished.stdout()).unwrap();
    assert_eq!(job["status"]["plan"]["filesToCopy"], 1);
    assert!(!area.join("missing").exists());
}

#[test]
fn a_protected_name_of_another_kind_is_a_failed_entry_and_stays() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    std::fs::create_dir(&source).unwrap();
    std::fs::create_dir_all(destination.join("x")).unwrap();
    std::fs::create_dir_all(destination.join("y")).unwrap();
    std::fs::write(source.join("x"), "file").unwrap();
    std::fs::write(source.join("y"), "file").unwrap();
    std::fs::write(destination.join("x/inside"), "mine").unwrap();
    std::fs::write(destination.join("y/b.tmp"), "mine").unwrap();
    std::fs::write(destination.join("y/other"), "mine").unwrap();
    for dry in [&["-n"][..], &[]] {
        let mut command = blit(&["mirror", "--json", "--exclude=x/", "--exclude=*.tmp"]);
        command.args(dry).arg(&source).arg(&destination);
        let finished = run(command).unwrap();
        finished.expect_code(10);
        assert_eq!(summary(&finished)["filesFailed"], 2);
        assert_eq!(content(&destination).len(), 5);
    }
}

#[test]
fn rules_that_cannot_be_read_are_wrong_usage() {
    let _shared = machine::shared();
    let area = Area::plain().unwrap();
    let file = area.join("rules");
    std::fs::write(&file, "- a\nno action\n").unwrap();
    std::fs::create_dir(area.join("source")).unwrap();
    let with = |option: String| {
        let mut command = blit(&["mirror", &option]);
        command
            .arg(area.join("source"))
            .arg(area.join("destination"));
        let finished = run(command).unwrap();
        finished.expect_code(2);
        finished.stderr()
    };
    let from = format!("--filter-from={}", file.display());
    assert!(with(from).contains("line 2: begin it with `- `"));
    assert!(with("--exclude-from=/no/such/file".to_owned()).contains("/no/such/file"));
    assert!(with("--exclude=".to_owned()).contains("a pattern is empty"));
    assert!(!area.join("destination").exists());
}

#[test]
fn what_exists_and_what_is_newer_is_passed_over_as_rsync_does() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let seed = seed::for_test();
    println!("{}={seed}", seed::VARIABLE);
    for (case, option) in ["--existing", "--ignore-existing", "--update"]
        .into_iter()
        .enumerate()
    {
        let mut random = Random::new(seed.wrapping_add(case as u64));
        let [source, ours, theirs] =
            ["source", "ours", "theirs"].map(|name| area.join(&format!("{case}-{name}")));
        grow(&source, &mut random, "source", 0);
        let before = Random::new(7);
        for destination in [&ours, &theirs] {
            grow(destination, &mut before.clone(), "destination", 0);
        }
        for root in [&source, &ours, &theirs] {
            let second = if root == &source { 1_000_000 } else { 999_995 };
            for (n, (path, file)) in content(root).into_iter().enumerate() {
                if file.is_some() {
                    let length = path.len() as u64 + u64::from(root == &source && n % 2 == 0);
                    let time =
                        std::time::UNIX_EPOCH + std::time::Duration::from_secs(second + length);
                    std::fs::File::open(root.join(path))
                        .unwrap()
                        .set_modified(time)
                        .unwrap();
                }
            }
        }
        let mut rsync = Command::new("rsync");
        rsync
            .args(["-aHAX", "--delete", option])
            .arg(source.join(""))
            .arg(theirs.join(""));
        assert!(rsync.status().unwrap().success());
        let mut mirror = blit(&["mirror", "--max-delete", "100%", option]);
        mirror.arg(&source).arg(&ours);
        run(mirror).unwrap().expect_code(0);
        assert_eq!(content(&ours), content(&theirs), "{option}");
    }
}

#[test]
fn other_file_systems_stay_outside_and_nothing_is_deleted_there() {
    let _shared = machine::shared();
    let (area, other) = (
        Area::on(FileSystem::Ext4).unwrap(),
        Area::on(FileSystem::Ext4).unwrap(),
    );
    let (source, destination) = (area.join("source"), area.join("destination"));
    std::fs::create_dir_all(source.join("mounted")).unwrap();
    std::fs::create_dir_all(destination.join("mounted")).unwrap();
    std::fs::write(other.join("inside"), "x").unwrap();
    std::fs::write(source.join("a"), "x").unwrap();
    std::fs::write(destination.join("mounted/mine"), "x").unwrap();
    let mount = |arguments: &[&std::ffi::OsStr]| {
        assert!(
            Command::new("mount")
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    };
    mount(&[
        "--bind".as_ref(),
        other.path().as_ref(),
        source.join("mounted").as_ref(),
    ]);
    let mut command = blit(&["mirror", "-x"]);
    command.arg(&source).arg(&destination);
    let finished = run(command);
    let unmounted = Command::new("umount")
        .arg(source.join("mounted"))
        .status()
        .unwrap();
    assert!(unmounted.success());
    finished.unwrap().expect_code(0);
    let paths: Vec<String> = content(&destination).into_keys().collect();
    assert_eq!(paths, ["a", "mounted", "mounted/mine"]);
}

#[test]
fn everything_gets_the_owner_that_was_asked_for_and_keeps_it() {
    use std::os::unix::fs::MetadataExt;

    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    std::fs::create_dir_all(source.join("dir")).unwrap();
    std::fs::write(source.join("dir/a"), "x").unwrap();
    std::os::unix::fs::symlink("a", source.join("link")).unwrap();
    for copied in [2, 0] {
        let mut command = blit(&["mirror", "--json", "--chown=1234:5678"]);
        command.arg(&source).arg(&destination);
        let finished = run(command).unwrap();
        finished.expect_code(0);
        assert_eq!(summary(&finished)["filesCopied"], copied);
        assert_eq!(summary(&finished)["metadataRepaired"], 0);
    }
    for name in ["", "dir", "dir/a", "link"] {
        let meta = destination.join(name).symlink_metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid()), (1234, 5678), "{name}");
    }
}
