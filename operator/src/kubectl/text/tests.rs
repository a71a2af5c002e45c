use jiff::SignedDuration;

use super::*;

fn wrapped(line: Line, width: usize) -> String {
    let mut text = Text::default();
    text.push(line);
    text.render(Some(width), false)
}

#[test]
fn a_line_goes_on_below_with_its_indentation() {
    let line = Line::hanging(4)
        .plain("one: ")
        .plain("two three four five six");
    assert_eq!(
        wrapped(line, 14),
        "one: two three\n    four five\n    six\n"
    );
}

#[test]
fn a_word_that_fits_no_line_is_broken_anywhere() {
    let line = Line::hanging(2).plain("a ").plain("0123456789abcdefghij z");
    assert_eq!(wrapped(line, 12), "a 0123456789\n  abcdefghij\n  z\n");
}

#[test]
fn no_line_is_wider_than_the_terminal_however_narrow_it_is() {
    let words =
        "Waits for ClaimNotFound: claim `nowhere` of the source 日本語日本語 does not exist";
    for hang in [0, 3, 15] {
        for width in 1..80 {
            let mut text = Text::default();
            text.push(Line::hanging(hang).and(words, Style::Warn).plain(words));
            text.push(Line::cut().plain(words));
            for row in text.rows(Some(width), false) {
                // A wide character has no room in a column.
                let columns = console::measure_text_width(&row);
                assert!(columns <= width.max(2), "{columns} > {width}: {row:?}");
            }
        }
    }
}

#[test]
fn nothing_is_lost_where_a_line_is_broken() {
    let words =
        "the quick brown fox jumps over the lazy dog and 0123456789012345678901234567890123456789";
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    for width in 1..60 {
        let all = wrapped(Line::hanging(3).plain(words), width);
        assert_eq!(squeezed(&all), squeezed(words), "at {width}");
    }
}

#[test]
fn without_a_width_lines_stay_whole() {
    let mut text = Text::default();
    text.push(Line::hanging(4).plain("x".repeat(500)));
    text.push(Line::cut().plain("y".repeat(500)));
    assert_eq!(text.rows(None, false).len(), 2);
    assert_eq!(text.render(None, false).len(), 1002);
}

#[test]
fn what_is_cut_off_is_marked() {
    let line = Line::cut().plain("0123").plain("456789");
    assert_eq!(wrapped(line.clone(), 10), "0123456789\n");
    assert_eq!(wrapped(line, 6), "01234…\n");
}

#[test]
fn texts_from_the_cluster_cannot_act_on_the_terminal() {
    let mut text = Text::default();
    text.push(Line::cut().and("a\x1b[2Jb\r\nc\u{202e}d", Style::Bad));
    let plain = text.render(None, false);
    assert_eq!(plain, "a\\u{1b}[2Jb\\r\\nc\\u{202e}d\n");
    assert_eq!(
        text.render(None, true),
        format!("\x1b[31m{}\x1b[0m\n", plain.trim_end())
    );
}

#[test]
fn a_table_is_as_wide_as_its_cells() {
    let mut table = Table::new(2, ["A", "LONG"]);
    table.row(["日本".to_owned(), "x".to_owned()], Style::Plain);
    table.row(["b".to_owned(), String::new()], Style::Plain);
    assert_eq!(
        table.text().render(None, false),
        "  A      LONG\n  日本   x\n  b\n"
    );
}

#[test]
fn figures_are_said_in_words() {
    assert_eq!(bytes(-1), "0 B");
    assert_eq!(bytes(1023), "1023 B");
    assert_eq!(bytes(1536), "1.5 KiB");
    assert_eq!(bytes(13_207_024_436), "12.3 GiB");
    assert_eq!(rate(i64::MAX), "7.9 EiB/s");
    assert_eq!(count(999), "999");
    assert_eq!(count(-1_234_567), "-1,234,567");
    assert_eq!(counted(1, "entry", "entries"), "1 entry");
    let say = |seconds| duration(SignedDuration::from_secs(seconds));
    assert_eq!(say(-5), "0 s");
    assert_eq!(say(59), "59 s");
    assert_eq!(say(187), "3 min 07 s");
    assert_eq!(say(7500), "2 h 05 min");
    assert_eq!(say(273_700), "3 d 4 h");
    let time = "2026-01-02T03:04:05.678Z".parse().unwrap();
    assert_eq!(stamp(time), "2026-01-02T03:04:05Z");
}
