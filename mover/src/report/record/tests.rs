use super::*;

fn line(record: Record) -> Line {
    Line {
        schema: SCHEMA.to_owned(),
        seq: 7,
        time: "2026-11-21T02:03:04.5Z".to_owned(),
        run_id: "c0ffee".to_owned(),
        record,
    }
}

fn round_trip(record: Record) -> String {
    let line = line(record);
    let text = serde_json::to_string(&line).unwrap();
    let back: Line = serde_json::from_str(&text).unwrap();
    assert_eq!(back, line, "{text}");
    text
}

#[test]
fn a_line_carries_schema_type_number_time_and_run() {
    let text = round_trip(Record::Phase {
        phase: Phase::Delete,
    });
    assert_eq!(
        text,
        r#"{"schema":"blit.events/v1","seq":7,"time":"2026-11-21T02:03:04.5Z","runId":"c0ffee","type":"phase","phase":"delete"}"#
    );
}

#[test]
fn a_name_that_is_not_utf8_travels_as_base64() {
    let text = round_trip(Record::Entry {
        path: EntryPath::new(b"dir/\xff"),
        change: "created".to_owned(),
        itemize: ">f+++++++++".to_owned(),
        directory: false,
        target: None,
    });
    assert!(text.contains(r#""pathBytes":"ZGlyL/8=""#), "{text}");
    assert!(!text.contains(r#""path":"#), "{text}");
    assert_eq!(EntryPath::new(b"dir/\xff").bytes().unwrap(), b"dir/\xff");
    assert_eq!(
        EntryPath::new("ä".as_bytes()).bytes().unwrap(),
        "ä".as_bytes()
    );
}

#[test]
fn a_failed_run_has_no_path_at_all() {
    let text = round_trip(Record::Error {
        path: EntryPath::default(),
        message: "no space".to_owned(),
    });
    assert!(!text.contains("path"), "{text}");
}

#[test]
fn a_destination_says_where_it_listens_in_its_first_event() {
    let text = round_trip(Record::Start(Start {
        version: "0.1.0".to_owned(),
        listen: Some(Listen {
            control: "127.0.0.1:9031".to_owned(),
            data: Some(9032),
        }),
        ..Start::default()
    }));
    assert!(
        text.ends_with(
            r#""type":"start","version":"0.1.0","listen":{"control":"127.0.0.1:9031","data":9032}}"#
        ),
        "{text}"
    );
}

#[test]
fn a_summary_has_every_field_of_the_schema_even_where_nothing_is_known() {
    let text = round_trip(Record::Summary(Box::default()));
    for field in [
        "result",
        "exitCode",
        "filesTotal",
        "filesCopied",
        "filesUnchanged",
        "filesDeleted",
        "filesFailed",
        "metadataRepaired",
        "bytesCopied",
        "bytesTotal",
        "bytesSent",
        "vanished",
        "unstable",
        "notKept",
        "deletionsWithheld",
        "guard",
        "fastPath",
        "durationSeconds",
        "secondsToFirstByte",
        "planningSeconds",
        "syncSeconds",
        "peakMemory",
        "transport",
    ] {
        assert!(
            text.contains(&format!("\"{field}\":")),
            "{field} is missing in {text}"
        );
    }
    assert!(text.contains(r#""filesTotal":null"#), "{text}");
}

#[test]
fn a_reader_ignores_fields_it_does_not_know() {
    let text = r#"{"schema":"blit.events/v1","seq":1,"time":"t","runId":"r","type":"phase","phase":"copy","later":1}"#;
    let line: Line = serde_json::from_str(text).unwrap();
    assert_eq!(line.record, Record::Phase { phase: Phase::Copy });
}
