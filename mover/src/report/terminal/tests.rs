use super::*;

#[test]
fn a_name_cannot_move_the_cursor() {
    let record = Record::Error {
        path: EntryPath::new(b"evil\x1b[2J\n\xff"),
        message: "cannot open".to_owned(),
    };
    assert_eq!(
        diagnostic(&record, false).unwrap(),
        r"error: evil\u{1b}[2J\n\xff: cannot open"
    );
}

#[test]
fn what_a_daemon_says_cannot_move_the_cursor_nor_make_up_lines() {
    let evil = || "\x1b[2J\u{9b}1m\nerror: none".to_owned();
    let records = [
        Record::Error {
            path: EntryPath::default(),
            message: evil(),
        },
        Record::Withheld {
            path: EntryPath::new(b"a"),
            reason: evil(),
        },
        Record::Slow {
            call: evil(),
            path: EntryPath::new(b"a"),
            seconds: 1.0,
        },
        Record::Note {
            path: EntryPath::new(b"a"),
            kind: evil(),
            message: evil(),
        },
    ];
    for record in records {
        let line = diagnostic(&record, true).unwrap();
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        assert!(line.contains(r"\u{1b}[2J\u{9b}1m\n"), "{line}");
    }
    let line = not_kept_line(&evil(), 1, &[evil()]);
    assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    // What a command says itself may have several lines.
    assert_eq!(plain("one\ntwo\x1b"), "one\ntwo\\u{1b}");
}

#[test]
fn the_root_is_called_the_root() {
    let record = Record::Withheld {
        path: EntryPath::new(b""),
        reason: "EIO".to_owned(),
    };
    assert_eq!(
        diagnostic(&record, false).unwrap(),
        "warning: nothing is deleted below the root: EIO"
    );
}

#[test]
fn a_call_that_takes_long_is_named() {
    let record = Record::Slow {
        call: "read".to_owned(),
        path: EntryPath::new(b"a/b"),
        seconds: 10.0,
    };
    assert_eq!(
        diagnostic(&record, false).unwrap(),
        "warning: read of `a/b` has not returned for 10 s"
    );
}

#[test]
fn notes_are_for_those_who_ask_for_more() {
    let record = Record::Note {
        path: EntryPath::new(b"a"),
        kind: "vanished".to_owned(),
        message: "gone before it was read".to_owned(),
    };
    assert_eq!(diagnostic(&record, false), None);
    assert_eq!(
        diagnostic(&record, true).unwrap(),
        "note: a: vanished: gone before it was read"
    );
}

#[test]
fn what_was_not_kept_is_said_with_a_few_names() {
    let names: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).into();
    assert_eq!(
        not_kept_line("owner", 12, &names),
        "warning: owner could not be kept on 12 entries (a, b, c, …)"
    );
    assert_eq!(
        not_kept_line("owner", 1, &names[..1]),
        "warning: owner could not be kept on 1 entry (a)"
    );
}

#[test]
fn lines_in_a_log_keep_their_distance() {
    let terminal = Terminal::new(Screen::new(Style::Lines), false, false);
    let start = Instant::now();
    assert!(terminal.is_due(start));
    assert!(!terminal.is_due(start + Duration::from_secs(1)));
    assert!(terminal.is_due(start + LINE_INTERVAL));
}

/// A terminal of 80 columns that remembers everything that was written to it.
#[derive(Clone, Debug, Default)]
struct Paper(std::sync::Arc<Mutex<String>>);

impl indicatif::TermLike for Paper {
    fn width(&self) -> u16 {
        80
    }
    fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn write_line(&self, line: &str) -> std::io::Result<()> {
        self.write_str(&format!("{line}\n"))
    }
    fn write_str(&self, text: &str) -> std::io::Result<()> {
        self.0.lock().unwrap().push_str(text);
        Ok(())
    }
    fn clear_line(&self) -> std::io::Result<()> {
        self.write_str("\r")
    }
    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Shows the figures of a run that knows its totals, and returns what was on the terminal.
fn shown(style: Style) -> String {
    let paper = Paper::default();
    let target = ProgressDrawTarget::term_like(Box::new(paper.clone()));
    let terminal = Terminal::new(Screen::on(style, target), true, false);
    let figures = super::super::figures::Figures {
        phase: super::super::figures::Phase::Copy,
        scan_complete: true,
        files_done: 410,
        files_total: Some(1000),
        bytes_done: 41 << 20,
        bytes_total: Some(100 << 20),
        bytes_per_second: Some(10 << 20),
        eta_seconds: Some(6),
        ..Default::default()
    };
    terminal.take(&Record::Progress(figures));
    let during = paper.0.lock().unwrap().clone();
    terminal.take(&Record::Summary(Box::default()));
    // Nothing of it stays when the run is over.
    assert_eq!(paper.0.lock().unwrap().rsplit('\r').next().unwrap(), "");
    during
}

#[test]
fn a_terminal_shows_a_spinner_the_share_the_throughput_and_the_time_left() {
    let shown = shown(Style::Live);
    let line = shown.rsplit(['\r', '\n']).next().unwrap().trim_end();
    let (spinner, text) = line.split_once(' ').unwrap();
    assert_eq!(spinner.chars().count(), 1, "{shown:?}");
    assert_eq!(
        text,
        "41%  41.0 MiB of 100 MiB  410 of 1,000 files  10.0 MiB/s  6.0 s left"
    );
}

#[test]
fn nothing_is_drawn_where_progress_is_hidden() {
    assert_eq!(shown(Style::Hidden), "");
}
