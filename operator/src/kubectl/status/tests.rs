use insta::assert_snapshot;
use serde_json::{Value, json};

use super::live::Frame;
use super::*;
use crate::kubectl::fixtures::{condition, failed, job, now, placed, repeated, running};

fn shown(status: Value) -> String {
    block(&job(status), now()).render(Some(100), false)
}

#[test]
fn a_job_that_no_operator_has_seen_says_so() {
    assert_snapshot!("unseen", shown(Value::Null));
}

#[test]
fn a_running_job_shows_bar_figures_transport_and_why_not_another() {
    assert_snapshot!("running", shown(running()));
}

#[test]
fn before_the_scan_is_complete_nothing_is_guessed() {
    let mut status = running();
    // What an operator would not write is not believed either.
    status["progress"]["scanComplete"] = json!(false);
    let text = shown(status);
    for guess in ["41%", "[==", " of ", "left"] {
        assert!(!text.contains(guess), "{guess} in\n{text}");
    }
    assert_snapshot!("still_listing", text);
}

#[test]
fn a_waiting_job_says_for_what() {
    let status = json!({
        "phase": "Queued", "queuePosition": 3,
        "waitingFor": "DestinationBusy: MirrorJob other was made earlier and will write pvc/models-new:/, which overlaps this destination",
        "conditions": [condition("PreflightPassed", "False", "DestinationBusy", "MirrorJob other was made earlier")]
    });
    assert_snapshot!("queued", shown(status));
}

#[test]
fn a_job_between_attempts_shows_them_and_the_last_failure() {
    assert_snapshot!("repeated", shown(repeated()));
}

#[test]
fn a_failed_job_shows_why_and_what_is_still_true_of_it() {
    assert_snapshot!("failed", shown(failed()));
}

#[test]
fn a_complete_job_shows_how_long_it_took() {
    let status = placed(json!({
        "phase": "Complete",
        "startTime": "2026-03-01T11:56:00Z",
        "completionTime": "2026-03-01T11:59:07Z",
        "transport": {"selected": "Local", "encryption": "ControlPlane"},
        "progress": {
            "percent": 100, "filesDone": 1, "filesTotal": 1, "bytesDone": 5, "bytesTotal": 5,
            "bytesPerSecond": 5, "etaSeconds": 0, "scanComplete": true, "display": "100%"
        },
        "verification": {"compared": 1, "mismatches": 0},
        "plan": {"filesToCopy": 1, "bytesToCopy": 5, "filesToDelete": 2, "metadataToRepair": 3, "filesUnchanged": 4},
        "attempts": [{"number": 1, "startTime": "2026-03-01T11:56:00Z", "endTime": "2026-03-01T11:59:07Z",
                      "exitCode": 0, "node": "node-b", "bytesDone": 5}],
        "attemptsTotal": 1
    }));
    assert_snapshot!("complete", shown(status));
}

#[test]
fn a_narrow_terminal_breaks_sentences_and_cuts_tables() {
    let text = block(&job(repeated()), now()).render(Some(48), false);
    assert!(
        text.lines().all(|line| line.chars().count() <= 48),
        "{text}"
    );
    assert_snapshot!("narrow", text);
}

#[test]
fn colours_are_there_only_when_they_are_asked_for() {
    let text = block(&job(failed()), now());
    assert!(!text.render(Some(80), false).contains('\x1b'));
    assert!(text.render(Some(80), true).contains("\x1b[31mFailed"));
}

#[test]
fn a_list_shows_what_each_job_waits_for_in_a_word() {
    let waiting = json!({"phase": "Preparing", "waitingFor": "VolumeInUse: a sentence that has no room here"});
    let jobs = [
        job(running()),
        job(waiting),
        job(failed()),
        job(Value::Null),
    ];
    let text = [
        list::list(&jobs, false, now()).render(None, false),
        list::list(&jobs[..1], true, now()).render(None, false),
    ];
    assert_snapshot!("list", text.concat());
}

/// The rows of a screen after something was written to it. Knows what [`Frame`] uses.
fn screen(writes: &[String]) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut row = 0;
    for write in writes {
        let mut rest = write.as_str();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("\x1b[K") {
                rest = after;
            } else if let Some(after) = rest.strip_prefix("\x1b[J") {
                rows.truncate(row);
                rows.push(String::new());
                rest = after;
            } else if let Some(after) = rest.strip_prefix("\x1b[") {
                let (number, after) = after.split_once('A').unwrap();
                row -= number.parse::<usize>().unwrap();
                rest = after.strip_prefix('\r').unwrap();
            } else {
                let end = rest.find(['\x1b', '\n']).unwrap();
                rows[row] = rest[..end].to_owned();
                rest = &rest[end..];
                if let Some(after) = rest.strip_prefix("\x1b[K\n") {
                    row += 1;
                    if rows.len() == row {
                        rows.push(String::new());
                    }
                    rest = after;
                }
            }
        }
    }
    rows
}

fn lines(lines: &[&str]) -> Text {
    let mut text = Text::default();
    for line in lines {
        text.push(Line::cut().plain(line));
    }
    text
}

#[test]
fn a_block_is_drawn_over_the_one_before_whether_it_grows_or_shrinks() {
    let mut frame = Frame::default();
    let writes = [
        frame.draw(&lines(&["one", "two"]), (80, 24), false),
        frame.draw(&lines(&["uno", "due", "tre"]), (80, 24), false),
        frame.draw(&lines(&["eins"]), (80, 24), false),
    ];
    assert_eq!(screen(&writes[..1]), ["one", "two", ""]);
    assert_eq!(screen(&writes[..2]), ["uno", "due", "tre", ""]);
    assert_eq!(screen(&writes), ["eins", ""]);
}

#[test]
fn a_block_that_is_higher_than_the_screen_is_cut_so_that_it_can_be_drawn_over() {
    let mut frame = Frame::default();
    let first = frame.draw(&lines(&["1", "2", "3", "4", "5"]), (80, 4), false);
    assert_eq!(first.matches('\n').count(), 3);
    assert!(first.contains("the rest is below"), "{first:?}");
    assert!(
        frame
            .draw(&lines(&["1"]), (80, 4), false)
            .starts_with("\x1b[3A\r")
    );
}

#[test]
fn rows_that_a_narrower_terminal_has_broken_are_drawn_over_too() {
    let mut frame = Frame::default();
    frame.draw(&lines(&["x".repeat(50).as_str(), "y"]), (80, 24), false);
    assert!(
        frame
            .draw(&lines(&["z"]), (20, 24), false)
            .starts_with("\x1b[4A\r")
    );
}

#[test]
fn an_object_is_printed_with_its_kind_and_without_who_changed_what() {
    let object = json!({
        "metadata": {"name": "copy", "managedFields": [{"manager": "kubectl"}]},
        "spec": {"operation": "Copy"}
    });
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let printed = printed(&plain(&object).unwrap(), Format::Yaml).unwrap();
    assert_eq!(
        printed,
        "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\nmetadata:\n  name: copy\nspec:\n  operation: Copy\n"
    );
}
