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
