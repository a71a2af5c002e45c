//! Bad input: the right exit code, a message that names the thing and the remedy, and nothing lost.

use std::fs;
use std::path::Path;
use std::process::Command;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::process::{Finished, run};
use blit_e2e::snapshot::Snapshot;

use crate::blit::{as_nobody, blit, manifest, spec, volume};
use crate::machine;

/// `source`, `empty`, `file` and a `destination` whose content must survive.
struct Setting {
    area: Area,
}

impl Setting {
    fn new() -> Self {
        let area = Area::on(FileSystem::Ext4).unwrap();
        for directory in ["source/below", "destination/below", "empty"] {
            fs::create_dir_all(area.join(directory)).unwrap();
        }
        for file in ["source/a", "source/below/b", "destination/mine", "file"] {
            fs::write(area.join(file), file).unwrap();
        }
        Self { area }
    }

    /// Runs `blit` with paths relative to the area.
    fn blit(&self, arguments: &[&str]) -> Finished {
        let mut command = blit(arguments);
        command.current_dir(self.area.path());
        self.run(command)
    }

    /// Runs `blit run -f` with this spec and claim `source` in this directory.
    fn job(&self, spec: &str, source: &str) -> Finished {
        let manifest = manifest(self.area.path(), spec);
        self.manifest(&manifest, source)
    }

    fn manifest(&self, manifest: &Path, source: &str) -> Finished {
        let mut command = blit(&["run", "-f"]);
        command
            .arg(manifest)
            .arg("--volume")
            .arg(volume("source", &self.area.join(source)));
        command
            .arg("--volume")
            .arg(volume("destination", &self.area.join("destination")));
        self.run(command)
    }

    /// Runs a command that must leave source and destination exactly as they are.
    fn run(&self, command: Command) -> Finished {
        let look = || ["source", "destination", "empty"].map(|name| self.area.join(name));
        let before = look().map(|path| Snapshot::of(&path).unwrap());
        let finished = run(command).unwrap();
        for (before, path) in before.iter().zip(look()) {
            before.assert_untouched(&Snapshot::of(&path).unwrap());
        }
        finished
    }
}

/// Asserts the exit code, and that the message has all of these words.
#[track_caller]
fn refused(finished: &Finished, code: i32, words: &[&str]) {
    finished.expect_code(code);
    let message = finished.stderr();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

#[test]
fn a_missing_source_is_wrong_usage() {
    let _shared = machine::shared();
    let setting = Setting::new();
    for command in ["mirror", "copy"] {
        let finished = setting.blit(&[command, "none", "destination"]);
        refused(&finished, 2, &["none", "does not exist", "check"]);
    }
    refused(
        &setting.job(&spec("Mirror", ""), "none"),
        2,
        &["none", "does not exist", "--volume"],
    );
}

#[test]
fn a_mirror_of_a_single_file_points_to_copy() {
    let _shared = machine::shared();
    let setting = Setting::new();
    let finished = setting.blit(&["mirror", "file", "destination"]);
    refused(&finished, 2, &["file", "blit copy"]);
}

#[test]
fn trees_inside_each_other_are_refused_however_they_are_named() {
    let _shared = machine::shared();
    let setting = Setting::new();
    std::os::unix::fs::symlink("source/below", setting.area.join("link")).unwrap();
    let pairs = [
        ("source", "source"),
        ("source", "source/below"),
        ("source", "source/new/deeper"),
        ("source/below", "source"),
        ("source", "link"),
        ("link", "source"),
        ("source", "destination/../source/below"),
    ];
    for (source, destination) in pairs {
        for command in ["mirror", "copy"] {
            let finished = setting.blit(&[command, "--", source, destination]);
            refused(&finished, 2, &["choose"]);
        }
    }
    let same = setting.job(&spec("Mirror", ""), "destination");
    refused(&same, 2, &["destination", "choose"]);
    refused(
        &setting.job(&spec("Mirror", ""), "destination/below"),
        2,
        &["choose"],
    );
}

#[test]
fn a_destination_on_a_read_only_file_system_is_permission_denied() {
    let _shared = machine::shared();
    let setting = Setting::new();
    setting.area.set_read_only(true).unwrap();
    let finished = setting.blit(&["mirror", "source", "destination", "--max-delete", "100%"]);
    setting.area.set_read_only(false).unwrap();
    refused(&finished, 21, &["destination", "ead-only"]);
}

#[test]
fn a_destination_of_somebody_else_is_permission_denied() {
    let _shared = machine::shared();
    let setting = Setting::new();
    for destination in ["destination", "destination/new"] {
        let mut command = blit(&["mirror", "source", destination, "--max-delete", "100%"]);
        command.current_dir(setting.area.path());
        refused(
            &setting.run(as_nobody(&command, setting.area.path())),
            21,
            &[destination, "ermission denied"],
        );
    }
}

#[test]
fn an_empty_source_deletes_nothing_unless_it_is_allowed() {
    let _shared = machine::shared();
    let setting = Setting::new();
    let words = ["empty", "--allow-empty-source"];
    refused(
        &setting.blit(&["mirror", "empty", "destination"]),
        12,
        &words,
    );
    refused(
        &setting.job(&spec("Mirror", ""), "empty"),
        12,
        &["empty", "allow"],
    );
    fs::create_dir(setting.area.join("empty/lost+found")).unwrap();
    refused(
        &setting.blit(&["mirror", "empty", "destination"]),
        12,
        &words,
    );

    let finished = setting.area.join("destination");
    run({
        let mut command = blit(&["mirror", "empty", "destination", "--allow-empty-source"]);
        command
            .args(["--max-delete", "100%"])
            .current_dir(setting.area.path());
        command
    })
    .unwrap()
    .expect_code(0);
    assert!(!finished.join("mine").exists());
}

#[test]
fn a_destination_with_nothing_in_common_is_refused() {
    let _shared = machine::shared();
    let setting = Setting::new();
    fs::remove_dir(setting.area.join("destination/below")).unwrap();
    let words = ["in common", "--max-delete"];
    refused(
        &setting.blit(&["mirror", "source", "destination"]),
        12,
        &words,
    );
    refused(
        &setting.job(&spec("Mirror", ""), "source"),
        12,
        &["in common"],
    );
}

#[test]
fn more_deletions_than_allowed_delete_nothing() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    fs::create_dir(&source).unwrap();
    fs::create_dir(&destination).unwrap();
    fs::write(source.join("0"), "0").unwrap();
    for number in 0..200 {
        fs::write(destination.join(number.to_string()), "old").unwrap();
    }
    let mirror = |limit: &[&str]| {
        let mut command = blit(&["mirror", "source", "destination"]);
        command.args(limit).current_dir(area.path());
        run(command).unwrap()
    };
    let left = || fs::read_dir(&destination).unwrap().count();
    for limit in [
        &[][..],
        &["--max-delete", "198"],
        &["--max-delete", "99%"],
        &["--max-delete", "0"],
    ] {
        refused(&mirror(limit), 12, &["199", "--max-delete"]);
        assert_eq!(left(), 200, "{limit:?}");
    }
    mirror(&["--max-delete", "199"]).expect_code(0);
    assert_eq!(left(), 1);
}

#[test]
fn a_manifest_without_an_end_is_refused_before_it_fills_the_memory() {
    let _shared = machine::shared();
    let setting = Setting::new();
    let endless = setting.manifest(Path::new("/dev/zero"), "source");
    refused(&endless, 2, &["/dev/zero", "longer than 3 MiB"]);
}

#[test]
fn manifests_that_say_too_much_too_little_or_something_else_are_refused() {
    let _shared = machine::shared();
    let setting = Setting::new();
    let source = "source: {persistentVolumeClaim: {claimName: source}}";
    let destination = "destination: {persistentVolumeClaim: {claimName: destination}}";
    let two =
        "source: {persistentVolumeClaim: {claimName: source}, hostPath: {nodeName: a, path: /a}}";
    let above = "source: {persistentVolumeClaim: {claimName: source, path: /../x}}";
    let cases: [(&[&str], &[&str]); 9] = [
        (
            &["operation: Mirror", source, destination, "colour: red"],
            &["spec.colour", "not a known"],
        ),
        (
            &["operation: Move", source, destination],
            &["spec.operation", "Move", "Mirror", "Copy"],
        ),
        (&[source, destination], &["spec.operation", "missing"]),
        (
            &["operation: Mirror", source],
            &["spec.destination", "missing"],
        ),
        (
            &["operation: Mirror", destination],
            &["spec.source", "missing"],
        ),
        (
            &["operation: Mirror", two, destination],
            &["spec.source", "exactly one"],
        ),
        (
            &["operation: Mirror", above, destination],
            &["spec.source", "/../x", "absolute"],
        ),
        (
            &[
                "operation: Copy",
                source,
                destination,
                "deletion: {maxDelete: 5}",
            ],
            &["spec.deletion", "Mirror"],
        ),
        (
            &[
                "operation: Mirror",
                source,
                destination,
                "deletion: {maxDelete: 500%}",
            ],
            &["spec.deletion.maxDelete", "500%"],
        ),
    ];
    for (lines, words) in cases {
        let spec: String = lines.iter().map(|line| format!("  {line}\n")).collect();
        refused(
            &setting.job(&spec, "source"),
            2,
            &[words, &["mirrorjob.yaml"]].concat(),
        );
    }
}

#[test]
fn a_file_that_is_no_mirrorjob_is_refused() {
    let _shared = machine::shared();
    let setting = Setting::new();
    let path = setting.area.join("mirrorjob.yaml");
    let body = format!("metadata: {{name: test}}\nspec:\n{}", spec("Mirror", ""));
    let cases: [(String, &[&str]); 5] = [
        (
            format!("apiVersion: batch/v1\nkind: Job\n{body}"),
            &["Job", "MirrorJob"],
        ),
        (
            format!("apiVersion: blit.dev/v1alpha1\nkind: Job\n{body}"),
            &["Job", "MirrorJob"],
        ),
        (
            format!("apiVersion: blit.dev/v9\nkind: MirrorJob\n{body}"),
            &["blit.dev/v9", "v1alpha1"],
        ),
        (String::new(), &["mirrorjob.yaml"]),
        ("a: [".into(), &["mirrorjob.yaml"]),
    ];
    for (text, words) in cases {
        fs::write(&path, &text).unwrap();
        refused(&setting.manifest(&path, "source"), 2, words);
    }
    refused(
        &setting.manifest(&setting.area.join("none.yaml"), "source"),
        2,
        &["none.yaml"],
    );
}

#[test]
fn a_command_that_is_not_understood_does_nothing() {
    let _shared = machine::shared();
    let setting = Setting::new();
    let cases: [&[&str]; 6] = [
        &["mirror", "source"],
        &["mirror", "--bogus", "source", "destination"],
        &["mirror", "source", "destination", "--max-delete", "many"],
        &["mirror", "source", "destination", "--max-delete", "101%"],
        &["mirror", "source", "blit:///path"],
        &["copy", "source", "destination", "--max-delete", "1"],
    ];
    for arguments in cases {
        refused(&setting.blit(arguments), 2, &[]);
    }
}
