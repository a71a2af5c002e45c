use super::{Action, Filters, Line, LinesError, Pattern, parse_lines, parse_option};

fn matches(pattern: &str, path: &str, directory: bool) -> bool {
    Pattern::new(pattern.as_bytes())
        .unwrap()
        .matches(path.as_bytes(), directory)
}

fn filters(options: &[(Action, &str)]) -> Filters {
    let line = |(action, text): &(Action, &str)| parse_option(text.as_bytes(), *action).unwrap();
    Filters::of_lines(options.iter().map(line))
}

#[test]
fn a_name_matches_at_every_depth_and_a_leading_slash_only_at_the_root() {
    assert!(matches("foo", "foo", false));
    assert!(matches("foo", "a/b/foo", false));
    assert!(!matches("foo", "foo/a", false));
    assert!(matches("/foo", "foo", false));
    assert!(!matches("/foo", "a/foo", false));
}

#[test]
fn a_pattern_with_a_slash_matches_the_last_components() {
    assert!(matches("a/b", "x/a/b", false));
    assert!(!matches("a/b", "xa/b", false));
    assert!(matches("a/*", "x/a/b", false));
    assert!(!matches("a/*", "x/a/b/c", false));
}

#[test]
fn a_trailing_slash_is_for_directories_only() {
    assert!(matches("foo/", "a/foo", true));
    assert!(!matches("foo/", "a/foo", false));
}

#[test]
fn wildcards_stop_at_slashes_but_for_two_stars() {
    assert!(matches("/a*z", "abcz", false));
    assert!(!matches("/a*z", "ab/cz", false));
    assert!(matches("/a**z", "ab/cz", false));
    assert!(!matches("/a?b", "a/b", false));
    assert!(!matches("/a[^x]b", "a/b", false));
    assert!(matches("**/foo", "foo", false));
    assert!(matches("a/**/z", "x/a/b/c/z", false));
    assert!(!matches("a/**/z", "a/z", false));
}

#[test]
fn three_stars_at_the_end_match_a_directory_with_its_content() {
    assert!(matches("/dir/***", "dir", true));
    assert!(matches("/dir/***", "dir/a/b", false));
    assert!(!matches("/dir/***", "dir", false));
}

#[test]
fn classes_have_ranges_names_and_negation() {
    for (pattern, yes, no) in [
        ("[a-c]x", "bx", "dx"),
        ("[!a-c]x", "dx", "bx"),
        ("[]a]x", "]x", "bx"),
        ("[a-]x", "-x", "bx"),
        ("[[:digit:]-]x", "7x", "ax"),
        ("[\\]]x", "]x", "\\x"),
    ] {
        assert!(matches(pattern, yes, false), "{pattern} {yes}");
        assert!(!matches(pattern, no, false), "{pattern} {no}");
    }
    assert!(!matches("[abc", "a", false));
    assert!(!matches("[abc", "[abc", false));
}

#[test]
fn a_backslash_escapes_only_where_there_are_wildcards() {
    assert!(matches("a\\b", "a\\b", false));
    assert!(matches("\\**", "*x", false));
    assert!(!matches("\\*?", "ab", false));
}

#[test]
fn names_are_bytes() {
    let pattern = Pattern::new(b"a?\xff").unwrap();
    assert!(pattern.matches(b"a\xfe\xff", false));
    assert!(!pattern.matches("aé\u{ff}".as_bytes(), false));
}

#[test]
fn a_pattern_of_many_stars_takes_no_time_to_speak_of() {
    let pattern = "*a".repeat(1000);
    assert!(!matches(&pattern, &"a".repeat(255), false));
}

#[test]
fn the_first_rule_that_matches_decides() {
    let (exclude, include) = (Action::Exclude, Action::Include);
    let rules = filters(&[
        (include, "keep.tmp"),
        (exclude, "*.tmp"),
        (exclude, "keep*"),
    ]);
    assert!(!rules.excludes(b"a/keep.tmp", false));
    assert!(rules.excludes(b"a/other.tmp", false));
    assert!(rules.excludes(b"keep.txt", false));
    assert!(!filters(&[(include, "a")]).excludes(b"b", false));
}

#[test]
fn an_option_can_name_its_action_itself_and_forget_all_before_it() {
    let (exclude, include) = (Action::Exclude, Action::Include);
    assert!(!filters(&[(exclude, "+ a"), (exclude, "a")]).excludes(b"a", false));
    assert!(filters(&[(include, "- a")]).excludes(b"a", false));
    assert!(filters(&[(exclude, "a"), (include, "!")]).is_empty());
    assert!(parse_option(b"", exclude).is_err());
    assert!(parse_option(b"- ", exclude).is_err());
}

#[test]
fn files_have_comments_and_name_the_line_that_is_wrong() {
    let text = b"# first\n; second\n\n- *.o\r\n+ keep\nplain\n";
    let lines = parse_lines(text, Some(Action::Exclude)).unwrap();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| *line != Line::Clear));
    assert_eq!(
        parse_lines(text, None),
        Err(LinesError::NoAction { line: 6 })
    );
    assert!(matches!(
        parse_lines(b"- a\n- \n", None),
        Err(LinesError::Pattern { line: 2, .. })
    ));
}
