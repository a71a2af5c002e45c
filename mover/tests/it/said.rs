//! What a run says, and where: little, unless it is asked for more.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use blit_e2e::process::{Finished, run};
use serde_json::Value;
use tempfile::TempDir;

use crate::blit::{Mirror, PROGRAM, Way, as_nobody, blit, events};

/// A directory with a source of three files.
fn setting() -> TempDir {
    let work = tempfile::tempdir().unwrap();
    fs::create_dir(work.path().join("source")).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(work.path().join("source").join(name), "content").unwrap();
    }
    work
}

fn copy(work: &TempDir, options: &[&str]) -> Finished {
    let mut command = blit(&[&["copy"], options, &["source", "destination"]].concat());
    command.current_dir(work.path());
    run(command).unwrap()
}

#[test]
fn one_line_at_the_end_is_all_where_nobody_watches() {
    for options in [&[][..], &["--progress", "auto"], &["--progress", "never"]] {
        let work = setting();
        let finished = copy(&work, options);
        finished.expect_code(0);
        let said = finished.stderr();
        assert!(said.starts_with("copied 3 files (21 B)"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(finished.stdout, b"");
    }
}

#[test]
fn quiet_says_nothing_but_errors() {
    let work = setting();
    let finished = copy(&work, &["--quiet", "--progress", "always"]);
    finished.expect_code(0);
    assert_eq!(
        (finished.stderr().as_ref(), &*finished.stdout),
        ("", &b""[..])
    );

    let unreadable = work.path().join("source/a");
    fs::set_permissions(&unreadable, PermissionsExt::from_mode(0o000)).unwrap();
    fs::set_permissions(work.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let mut command = blit(&["copy", "--quiet", "source", "theirs"]);
    command.current_dir(work.path());
    let finished = run(as_nobody(&command, work.path())).unwrap();
    finished.expect_code(10);
    let said = finished.stderr();
    assert!(said.contains("a: cannot open"), "{said}");
}

#[test]
fn programs_get_events_on_stdout_and_people_still_their_line_on_stderr() {
    let work = setting();
    let finished = copy(&work, &["--json"]);
    finished.expect_code(0);
    let events: Vec<Value> = finished
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let types: Vec<_> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(types[0], "start");
    assert!(types.iter().any(|kind| *kind == "progress"), "{types:?}");
    assert_eq!(types[types.len() - 1], "summary");
    for (n, event) in events.iter().enumerate() {
        assert_eq!(event["schema"], "blit.events/v1");
        assert_eq!(event["seq"], n + 1);
    }
    assert_eq!(finished.stderr().lines().count(), 1);
}

#[test]
fn a_terminal_is_left_as_it_was_with_one_line() {
    let work = setting();
    // `script` gives the program a terminal and shows what was written to it.
    let mut command = Command::new("script");
    command
        .args(["-q", "-e", "-c"])
        .arg(format!("{PROGRAM} copy source destination"))
        .arg("/dev/null")
        .current_dir(work.path());
    let finished = run(command).unwrap();
    finished.expect_code(0);
    let said = String::from_utf8(finished.stdout).unwrap();
    let last = said.trim_end().rsplit(['\r', '\n']).next().unwrap();
    assert!(last.contains("copied 3 files (21 B)"), "{said:?}");
}

#[test]
fn an_entry_of_the_user_with_the_name_of_the_state_is_left_out_with_a_note() {
    for way in [Way::Local, Way::Run] {
        let work = setting();
        let [source, destination] = ["source", "destination"].map(|name| work.path().join(name));
        fs::create_dir(source.join(".blit")).unwrap();
        fs::write(source.join(".blit/mine"), "content").unwrap();
        let mirror = Mirror {
            way,
            source: &source,
            destination: &destination,
            work: work.path(),
        };
        let finished = run(mirror.command()).unwrap();
        finished.expect_code(0);
        let notes: Vec<Value> = events(&finished)
            .into_iter()
            .filter(|event| event["type"] == "note" && event["kind"] == "reserved")
            .collect();
        assert_eq!(notes.len(), 1, "{way:?}: {notes:?}");
        assert_eq!(notes[0]["path"], ".blit");
        assert!(!destination.join(".blit").exists());
    }
    let work = setting();
    fs::write(work.path().join("source/.blit"), "a file").unwrap();
    let finished = copy(&work, &[]);
    finished.expect_code(0);
    let said = finished.stderr();
    assert!(
        said.starts_with("note: .blit: reserved: is not copied"),
        "{said}"
    );
}
