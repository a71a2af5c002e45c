use std::sync::Arc;

use super::super::figures::Phase;
use super::super::record::{EntryPath, Line};
use super::*;

/// A writer whose content can be looked at, and that can fail.
#[derive(Clone, Default)]
struct Shared {
    bytes: Arc<Mutex<Vec<u8>>>,
    broken: bool,
}

impl Write for Shared {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        if self.broken {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        self.bytes.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn lines(shared: &Shared) -> Vec<Line> {
    let bytes = shared.bytes.lock().unwrap().clone();
    String::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn entry(i: u32) -> Record {
    Record::Entry {
        path: EntryPath::new(i.to_string().as_bytes()),
        change: "created".to_owned(),
        itemize: ">f+++++++++".to_owned(),
        directory: false,
        target: None,
    }
}

#[test]
fn lines_of_many_threads_are_whole_and_numbered_in_order() {
    let shared = Shared::default();
    let json = JsonLines::new(Box::new(shared.clone()), "run".to_owned(), true);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..500).for_each(|i| json.take(&entry(i))));
        }
    });
    json.take(&Record::Summary(Box::default()));
    let lines = lines(&shared);
    assert_eq!(lines.len(), 4001);
    for (i, line) in lines.iter().enumerate() {
        assert_eq!(line.seq, i as u64 + 1);
        assert_eq!(
            (line.schema.as_str(), line.run_id.as_str()),
            (SCHEMA, "run")
        );
        line.time.parse::<Timestamp>().unwrap();
    }
}

#[test]
fn anything_but_an_entry_is_written_at_once_with_what_waits() {
    let shared = Shared::default();
    let json = JsonLines::new(Box::new(shared.clone()), "run".to_owned(), true);
    json.take(&entry(1));
    assert_eq!(lines(&shared).len(), 0);
    json.take(&Record::Phase { phase: Phase::Copy });
    assert_eq!(lines(&shared).len(), 2);
}

#[test]
fn nothing_follows_the_summary() {
    let shared = Shared::default();
    let json = JsonLines::new(Box::new(shared.clone()), "run".to_owned(), true);
    json.take(&Record::Summary(Box::default()));
    json.take(&Record::Phase { phase: Phase::Copy });
    assert!(matches!(
        lines(&shared)[..],
        [Line {
            record: Record::Summary(_),
            ..
        }]
    ));
}

#[test]
fn a_reader_that_went_away_does_not_disturb_the_run() {
    let json = JsonLines::new(
        Box::new(Shared {
            broken: true,
            ..Shared::default()
        }),
        "run".to_owned(),
        true,
    );
    json.take(&Record::Phase { phase: Phase::Copy });
    json.take(&Record::Summary(Box::default()));
}
