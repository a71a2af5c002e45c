use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::event::sentence;
use super::merge::{Stamped, stamped};
use super::*;
use crate::kubectl::fixtures::job;
use crate::kubectl::text::Style;
use crate::mirrorjob::build::MoverKind;

fn event(mut fields: Value) -> String {
    fields["schema"] = json!("blit.events/v1");
    fields["seq"] = json!(1);
    fields["time"] = json!("2026-03-01T12:00:00.5Z");
    fields["runId"] = json!("r");
    fields.to_string()
}

#[test]
fn events_become_sentences() {
    let summary = json!({
        "type": "summary", "result": "EntriesFailed", "exitCode": 10, "message": "2 entries failed",
        "filesCopied": 1, "filesUnchanged": 1000, "filesFailed": 2, "bytesCopied": 2048, "durationSeconds": 3.12
    });
    let said = [
        json!({"type": "start", "version": "0.1.0", "operation": "mirror", "destination": "/data",
               "listen": {"control": "[::]:9031", "data": 9032}}),
        json!({"type": "start", "version": "0.1.0", "source": "/data"}),
        json!({"type": "phase", "phase": "waiting"}),
        json!({"type": "phase", "phase": "fly"}),
        json!({"type": "progress", "scanComplete": false, "filesDone": 1, "bytesDone": 1536, "filesTotal": null,
               "bytesTotal": null, "bytesPerSecond": 100, "etaSeconds": 5}),
        json!({"type": "progress", "scanComplete": true, "filesDone": 1, "bytesDone": 1536, "filesTotal": 2000,
               "bytesTotal": 4096, "filesFailed": 1, "bytesPerSecond": 100, "etaSeconds": 26}),
        json!({"type": "note", "kind": "notKept", "path": "", "message": "times"}),
        json!({"type": "note", "kind": "vanished", "pathBytes": "YS//Yg==", "message": "gone"}),
        json!({"type": "withheld", "path": "a/b", "reason": "cannot be listed"}),
        json!({"type": "error", "path": "a/b", "message": "permission denied"}),
        json!({"type": "error", "message": "the peer is gone"}),
        summary,
    ];
    let said: Vec<_> = said
        .into_iter()
        .map(|fields| sentence(&event(fields)).text)
        .collect();
    assert_eq!(
        said,
        [
            "blit 0.1.0 starts, mirror to /data, listens on [::]:9031, data on port 9032",
            "blit 0.1.0 starts from /data",
            "waits for the other mover",
            "phase fly",
            "1.5 KiB, 1 entry, 100 B/s, still listing",
            "1.5 KiB of 4.0 KiB, 1 of 2,000 entries, 1 failed, 100 B/s, 26 s left",
            "notKept: the root: times",
            "vanished: a/\\xffb: gone",
            "nothing is deleted below a/b: cannot be listed",
            "error: a/b: permission denied",
            "error: the peer is gone",
            "EntriesFailed (exit code 10): 2 entries failed; 1 entry copied (2.0 KiB), 1,000 unchanged, 2 failed in 3.1 s",
        ]
    );
}

#[test]
fn what_is_no_known_event_is_passed_on_as_it_is() {
    let unknown = event(json!({"type": "teleport", "to": "mars"}));
    for line in ["thread panicked", "{\"a\": 1}", "", unknown.as_str()] {
        let said = sentence(line);
        assert_eq!((said.text.as_str(), said.time), (line, None));
    }
    let error = sentence(&event(json!({"type": "error", "message": "x"})));
    assert_eq!(error.style, Style::Bad);
    assert_eq!(error.time, Some("2026-03-01T12:00:00.5Z".parse().unwrap()));
}

fn at(second: i64, text: &str) -> Stamped {
    Stamped {
        time: Timestamp::from_second(second).unwrap(),
        line: text.to_owned(),
    }
}

fn drain(merge: &mut Merge<u8>, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| merge.next(now).map(|(_, line)| line.line)).collect()
}

#[test]
fn two_logs_are_merged_in_the_order_of_time() {
    let now = Instant::now();
    let mut merge = Merge::new(None);
    merge.open(1);
    merge.open(2);
    for (second, text) in [(1, "a1"), (4, "a4")] {
        merge.take(&1, at(second, text), now);
    }
    assert_eq!(
        drain(&mut merge, now),
        Vec::<String>::new(),
        "the other may be older"
    );
    for (second, text) in [(2, "b2"), (3, "b3"), (5, "b5")] {
        merge.take(&2, at(second, text), now);
    }
    assert_eq!(drain(&mut merge, now), ["a1", "b2", "b3", "a4"]);
    assert!(!merge.is_done());
    merge.close(&1);
    assert_eq!(drain(&mut merge, now), ["b5"]);
    merge.close(&2);
    assert!(merge.is_done());
}

#[test]
fn a_silent_log_holds_the_other_back_only_for_a_while() {
    let now = Instant::now();
    let patience = Duration::from_millis(500);
    let mut merge = Merge::new(Some(patience));
    merge.open(1);
    merge.open(2);
    assert_eq!(merge.due(), None, "there is no line");
    merge.take(&1, at(1, "a1"), now);
    assert_eq!(merge.due(), Some(Some(now + patience)));
    assert!(drain(&mut merge, now + patience / 2).is_empty());
    assert_eq!(drain(&mut merge, now + patience), ["a1"]);
}

#[test]
fn the_time_of_the_kubelet_is_taken_off_a_line() {
    let before = Timestamp::from_second(7).unwrap();
    let time = "2026-03-01T12:00:00.123456789Z".parse().unwrap();
    assert_eq!(
        stamped("2026-03-01T12:00:00.123456789Z {\"a\": 1}", before),
        Stamped {
            time,
            line: "{\"a\": 1}".to_owned()
        }
    );
    assert_eq!(stamped("2026-03-01T12:00:00.123456789Z", before).line, "");
    assert_eq!(stamped("no time here", before), at(7, "no time here"));
}

fn pod(name: &str, attempt: u32, side: &str, state: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "labels": {"blit.dev/attempt": attempt.to_string(), "blit.dev/side": side}
        },
        "status": {
            "phase": "Pending",
            "containerStatuses": [{
                "name": "mover", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state
            }]
        }
    }))
    .unwrap()
}

#[test]
fn the_movers_of_the_last_attempt_are_meant_unless_one_is_named() {
    let pods = [
        pod("a1-s", 1, "source", json!({})),
        pod("a2-s", 2, "source", json!({})),
        pod("a2-d", 2, "destination", json!({})),
        Pod::default(),
    ];
    let names = |attempt, side| {
        let movers = chosen(&pods, Choice { attempt, side });
        let names = movers.into_iter().map(|(mover, _)| mover.pod);
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(None, None), ["a2-s", "a2-d"]);
    assert_eq!(names(Some(1), None), ["a1-s"]);
    assert_eq!(names(None, Some(SideOption::Destination)), ["a2-d"]);
    assert!(names(Some(3), None).is_empty());
    let local = [pod("a1-l", 1, "local", json!({}))];
    for side in [SideOption::Source, SideOption::Destination] {
        let choice = Choice {
            attempt: None,
            side: Some(side),
        };
        assert_eq!(chosen(&local, choice).len(), 1, "it has both volumes");
    }
}

#[test]
fn a_mover_has_a_log_when_its_container_has_begun() {
    let state = |state| log(&pod("p", 1, "source", state));
    assert_eq!(state(json!({"running": {}})), Log::Growing);
    assert_eq!(state(json!({"terminated": {"exitCode": 1}})), Log::Ended);
    let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
    assert_eq!(
        state(waiting),
        Log::NotYet("ImagePullBackOff: no such image".to_owned())
    );
    assert_eq!(state(json!({})), Log::NotYet("Pending".to_owned()));
}

#[test]
fn of_the_figures_one_in_ten_seconds_is_shown_and_everything_else_always() {
    let mover = Mover {
        attempt: 1,
        kind: MoverKind::Source,
        pod: "p".to_owned(),
    };
    let mut printer = Printer::default();
    let progress = |second: i64| {
        let time = Timestamp::from_second(second).unwrap().to_string();
        let fields = json!({"schema": "blit.events/v1", "type": "progress", "time": time, "scanComplete": true});
        Stamped {
            time: Timestamp::MIN,
            line: fields.to_string(),
        }
    };
    let shown: Vec<i64> = (0..=25)
        .filter(|second| printer.print(&mover, &progress(*second)).is_some())
        .collect();
    assert_eq!(shown, [0, 10, 20]);
    assert!(printer.print(&mover, &at(25, "panic")).is_some());
}

#[test]
fn each_line_says_who_and_when_and_each_attempt_has_a_title() {
    let mut printer = Printer::default();
    let mut text = String::new();
    for (attempt, kind) in [
        (1, MoverKind::Destination),
        (1, MoverKind::Source),
        (2, MoverKind::Local),
    ] {
        let mover = Mover {
            attempt,
            kind,
            pod: "p".to_owned(),
        };
        let line = at(1_700_000_000, "hello");
        text += &printer.print(&mover, &line).unwrap().render(None, false);
    }
    insta::assert_snapshot!("lines", text);
}

#[test]
fn why_there_is_no_log_is_said() {
    let say = |attempts: i32, attempt, side| {
        let job = job(json!({"phase": "Preparing", "attemptsTotal": attempts}));
        let args = LogsArgs {
            name: String::new(),
            follow: false,
            attempt,
            side,
            raw: false,
        };
        no_log(&job, &args)
    };
    assert_eq!(
        say(0, None, None),
        "No attempt of move-models has begun, so there is no log."
    );
    assert_eq!(
        say(2, Some(3), None),
        "Attempt 3 of move-models has not begun; there were 2."
    );
    assert_eq!(
        say(2, Some(1), Some(SideOption::Source)),
        "attempt 1 of move-models has no pod of the source any more: those of a completed job and of earlier attempts \
         are deleted."
    );
}
