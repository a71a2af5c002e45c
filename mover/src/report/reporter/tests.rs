use std::sync::Arc;

use blit_engine::entry::Kind;
use blit_engine::plan::itemize::Item;
use blit_engine::run::events::Change;

use super::*;

#[derive(Clone, Default)]
struct Kept {
    records: Arc<Mutex<Vec<Record>>>,
    entries: bool,
}

impl Output for Kept {
    fn wants_entries(&self) -> bool {
        self.entries
    }

    fn take(&self, record: &Record) {
        self.records.lock().unwrap().push(record.clone());
    }
}

fn report(entries: bool, events: &[Event<'_>]) -> Vec<Record> {
    let kept = Kept {
        entries,
        ..Kept::default()
    };
    let reporter = Reporter::new(kept.clone());
    events.iter().for_each(|event| reporter.event(event));
    kept.records.lock().unwrap().clone()
}

fn progress(seconds: u64, bytes_copied: u64, scan_complete: bool) -> Event<'static> {
    Event::Progress(Progress {
        scan_complete,
        files_total: 10,
        files_copied: 2,
        files_unchanged: 3,
        bytes_total: 10_000,
        bytes_copied,
        bytes_unchanged: 1000,
        elapsed: Duration::from_secs(seconds),
        ..Progress::default()
    })
}

#[test]
fn figures_carry_the_phase_the_rate_and_totals_only_after_the_scan() {
    let records = report(
        false,
        &[
            Event::Phase(events::Phase::Copy),
            progress(1, 1000, false),
            progress(2, 3000, false),
            progress(3, 5000, true),
        ],
    );
    let [
        Record::Phase { phase: Phase::Copy },
        Record::Progress(a),
        Record::Progress(b),
        Record::Progress(c),
    ] = &records[..]
    else {
        panic!("{records:?}")
    };
    assert_eq!(
        (a.phase, a.bytes_per_second, a.files_total),
        (Phase::Copy, Some(1000), None)
    );
    assert_eq!(
        (b.bytes_per_second, b.bytes_total, b.eta_seconds),
        (Some(2000), None, None)
    );
    assert_eq!((c.files_done, c.files_total), (5, Some(10)));
    assert_eq!((c.bytes_done, c.bytes_total), (6000, Some(10_000)));
    assert_eq!((c.bytes_per_second, c.eta_seconds), (Some(2000), Some(2)));
    assert_eq!(c.percent(), Some(60));
}

#[test]
fn entries_are_reported_only_where_they_are_wanted() {
    let entry = || Event::Entry {
        path: b"a\xff",
        change: Change::Replaced,
        item: Item::new(Kind::Symlink),
        target: Some(b"to\n"),
    };
    assert_eq!(report(false, &[entry()]), []);
    assert_eq!(
        report(true, &[entry()]),
        [Record::Entry {
            path: EntryPath::new(b"a\xff"),
            change: "replaced".to_owned(),
            itemize: "cL+++++++++".to_owned(),
            directory: false,
            target: Some("to\\n".to_owned()),
        }]
    );
}

#[test]
fn what_failed_and_what_was_withheld_is_named() {
    let records = report(
        false,
        &[
            Event::Failed {
                path: b"x",
                message: "cannot open".to_owned(),
            },
            Event::Withheld {
                path: b"y",
                reason: "EIO".to_owned(),
            },
            Event::Note {
                path: b"z",
                kind: "vanished",
                message: String::new(),
            },
        ],
    );
    assert_eq!(
        records,
        [
            Record::Error {
                path: EntryPath::new(b"x"),
                message: "cannot open".to_owned()
            },
            Record::Withheld {
                path: EntryPath::new(b"y"),
                reason: "EIO".to_owned()
            },
            Record::Note {
                path: EntryPath::new(b"z"),
                kind: "vanished".to_owned(),
                message: String::new()
            },
        ]
    );
}
