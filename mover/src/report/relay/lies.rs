//! What a daemon may make up about a run at it, and what its client makes of that.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::report::{summary, text};

/// Shows what comes as a client does, to nobody.
struct Shown;

impl Output for Shown {
    fn take(&self, record: &Record) {
        if let Record::Progress(figures) = record {
            text::progress_line(figures);
        }
        assert!(serde_json::to_string(record).is_ok());
    }
}

/// Values that a field may have, right or not.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![Just(u64::MAX), 0..200u64].prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        prop_oneof![Just(1e308), Just(-1.0), Just(1e-300)].prop_map(|number| json!(number)),
        any::<String>().prop_map(Value::from),
        Just(Value::from("\u{1b}[2J\u{9b}31m\nComplete")),
        Just(json!({"ACL": {"count": u64::MAX, "names": ["\u{1b}[2J"]}})),
        Just(
            json!({"scan": -1.0, "read": 1e308, "write": 0, "metadata": 0, "delete": 0, "wait": 0})
        ),
    ]
}

fn fields() -> impl Strategy<Value = Map<String, Value>> {
    let name = proptest::sample::select(vec![
        "result",
        "exitCode",
        "message",
        "filesTotal",
        "filesCopied",
        "filesUnchanged",
        "filesDeleted",
        "filesFailed",
        "metadataRepaired",
        "bytesCopied",
        "bytesDone",
        "bytesTotal",
        "differences",
        "durationSeconds",
        "secondsToFirstByte",
        "syncSeconds",
        "notKept",
        "guard",
        "timeSpent",
        "zeroCopyShare",
        "transport",
        "phase",
        "filesFound",
        "filesDone",
        "bytesFound",
        "scanComplete",
        "bytesPerSecond",
        "etaSeconds",
        "elapsedSeconds",
        "path",
        "pathBytes",
        "reason",
        "call",
        "seconds",
        "kind",
        "dryRun",
    ]);
    proptest::collection::hash_map(name.prop_map(str::to_owned), value(), 0..12)
        .prop_map(|fields| fields.into_iter().collect())
}

/// A record as a daemon would send it.
fn honest() -> Map<String, Value> {
    let record = SummaryRecord {
        result: "Complete".to_owned(),
        ..SummaryRecord::default()
    };
    match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => fields,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn a_made_up_summary_is_shown_or_passed_over(lies in fields()) {
        let mut fields = honest();
        fields.extend(lies);
        if let Some(record) = summary(&serde_json::to_vec(&fields).unwrap()) {
            summary::line(&record);
            prop_assert!(record.result.chars().all(|c| c.is_ascii_alphanumeric()));
            prop_assert!(record.result.len() <= 40);
        }
    }

    #[test]
    fn made_up_events_are_shown_or_passed_over(
        kind in proptest::sample::select(vec!["start", "phase", "progress", "entry", "note", "slow", "withheld", "error"]),
        lies in fields(),
        noise in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut event = lies;
        event.insert("type".to_owned(), kind.into());
        replay(&[serde_json::to_vec(&event).unwrap(), noise], &Shown);
    }
}

#[test]
fn a_word_for_a_result_stays_one() {
    assert_eq!(word("MaxDeleteExceeded"), "MaxDeleteExceeded");
    assert_eq!(word("\u{1b}[2Jall good\n"), "2Jallgood");
    assert_eq!(word(&"a".repeat(1000)).len(), 40);
}
