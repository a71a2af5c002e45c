use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::history::entry::{Body, Run};

fn entry(files: u64) -> Entry {
    Entry::now(Body::Run(Box::new(Run {
        files_copied: files,
        ..Run::default()
    })))
}

fn files(history: &HistoryFile) -> Vec<u64> {
    let copied = |entry: Entry| match entry.body {
        Body::Run(run) => run.files_copied,
        Body::Profile(_) => panic!(),
    };
    history.read().unwrap().into_iter().map(copied).collect()
}

fn located(variables: &[(&str, &str)]) -> Option<PathBuf> {
    let found = HistoryFile::from_environment(|name| {
        let variable = variables.iter().find(|(known, _)| *known == name);
        variable.map(|(_, value)| value.into())
    });
    found.map(|history| history.path)
}

#[test]
fn it_lies_where_configuration_lies_unless_it_is_switched_off() {
    let expected = |path: &str| Some(PathBuf::from(path));
    assert_eq!(
        located(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]),
        expected("/x/blit/perf_local.jsonl")
    );
    for ignored in ["", "relative"] {
        assert_eq!(
            located(&[("HOME", "/h"), ("XDG_CONFIG_HOME", ignored)]),
            expected("/h/.config/blit/perf_local.jsonl")
        );
    }
    assert_eq!(located(&[]), None);
    assert_eq!(located(&[("HOME", "/h"), (DISABLE, "1")]), None);
    assert!(located(&[("HOME", "/h"), (DISABLE, "0")]).is_some());
}

#[test]
fn lines_come_back_in_their_order_and_nobody_else_may_read_them() {
    let work = tempfile::tempdir().unwrap();
    let history = HistoryFile::at(work.path().join("made/blit/perf_local.jsonl"));
    assert_eq!(files(&history), Vec::<u64>::new());
    for n in 1..=3 {
        history.append(&entry(n)).unwrap();
    }
    assert_eq!(files(&history), [1, 2, 3]);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(history.path()), 0o600);
    assert_eq!(mode(history.path().parent().unwrap()), 0o700);
    // Also one that was made otherwise.
    std::fs::set_permissions(history.path(), PermissionsExt::from_mode(0o644)).unwrap();
    history.append(&entry(4)).unwrap();
    assert_eq!(mode(history.path()), 0o600);
}

#[test]
fn half_a_line_costs_that_line_only() {
    let work = tempfile::tempdir().unwrap();
    let history = HistoryFile::at(work.path().join("perf_local.jsonl"));
    history.append(&entry(1)).unwrap();
    let mut torn = OpenOptions::new().append(true).open(&history.path).unwrap();
    torn.write_all(b"{\"schema\":\"blit.pe").unwrap();
    history.append(&entry(2)).unwrap();
    assert_eq!(files(&history), [1, 2]);
}

#[test]
fn half_a_line_costs_that_line_only_also_where_the_file_is_shortened() {
    let work = tempfile::tempdir().unwrap();
    let history = HistoryFile {
        path: work.path().join("perf_local.jsonl"),
        cap: 4_000,
    };
    let torn = [&[b'\n'; 3_900][..], b"{\"schema\":\"blit.pe"].concat();
    std::fs::write(&history.path, torn).unwrap();
    history.append(&entry(2)).unwrap();
    assert_eq!(files(&history), [2]);
}

#[test]
fn it_stays_below_its_cap_and_keeps_what_is_new() {
    let work = tempfile::tempdir().unwrap();
    let history = HistoryFile {
        path: work.path().join("perf_local.jsonl"),
        cap: 20_000,
    };
    for n in 1..=200 {
        history.append(&entry(n)).unwrap();
        assert!(history.path.metadata().unwrap().len() <= 20_000);
    }
    let kept = files(&history);
    assert!(kept.len() > 10, "{kept:?}");
    let expected: Vec<u64> = (201 - kept.len() as u64..=200).collect();
    assert_eq!(kept, expected);
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 1);
}

#[test]
fn many_at_once_lose_no_line_also_while_it_is_shortened() {
    let work = tempfile::tempdir().unwrap();
    let history = HistoryFile {
        path: work.path().join("perf_local.jsonl"),
        cap: 100_000,
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let history = &history;
            scope.spawn(move || {
                for n in 0..100 {
                    // The lock is given up after a while; on a busy machine it is asked for again.
                    while history.append(&entry(thread * 1000 + n)).is_err() {}
                }
            });
        }
    });
    let text = std::fs::read_to_string(&history.path).unwrap();
    let kept = files(&history);
    assert_eq!(text.lines().count(), kept.len(), "a line is torn");
    // What was dropped was dropped in one piece: of each thread the newest lines are there, without a gap.
    for thread in 0..4 {
        let own: Vec<u64> = kept
            .iter()
            .copied()
            .filter(|n| n / 1000 == thread)
            .collect();
        let last = thread * 1000 + 99;
        let expected: Vec<u64> = (last + 1 - own.len() as u64..=last).collect();
        assert_eq!(own, expected, "of thread {thread}");
    }
}

#[test]
fn what_is_no_file_is_left_alone() {
    let work = tempfile::tempdir().unwrap();
    let pipe = HistoryFile::at(work.path().join("pipe"));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        pipe.path(),
        rustix::fs::FileType::Fifo,
        Mode::RWXU,
        0,
    )
    .unwrap();
    assert!(pipe.append(&entry(1)).is_err());
    let target = work.path().join("target");
    std::fs::write(&target, "mine").unwrap();
    let link = HistoryFile::at(work.path().join("link"));
    std::os::unix::fs::symlink(&target, link.path()).unwrap();
    assert!(link.append(&entry(1)).is_err());
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "mine");
}

#[test]
fn a_lock_that_nobody_gives_back_is_not_waited_for() {
    let work = tempfile::tempdir().unwrap();
    let history = HistoryFile::at(work.path().join("perf_local.jsonl"));
    history.append(&entry(1)).unwrap();
    let holder = File::open(history.path()).unwrap();
    rustix::fs::flock(&holder, FlockOperation::LockExclusive).unwrap();
    assert!(history.append(&entry(2)).is_err());
    drop(holder);
    assert_eq!(files(&history), [1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_lies_there_costs_the_lines_that_it_touches_only(
        noise in proptest::collection::vec(any::<u8>(), 0..300),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        runs in 0..6u64,
        cap in 600..6000u64,
    ) {
        let work = tempfile::tempdir().unwrap();
        let path = work.path().join("perf_local.jsonl");
        let mut before = noise;
        for run in 0..runs {
            before.push(b'\n');
            before.extend(serde_json::to_vec(&entry(run)).unwrap());
        }
        for (at, byte) in flips {
            if !before.is_empty() {
                let at = at.index(before.len());
                before[at] = byte;
            }
        }
        std::fs::write(&path, &before).unwrap();
        let history = HistoryFile { path, cap };
        let read = history.read().unwrap().len() as u64;
        // The noise may come to an end of a line, never to an entry.
        prop_assert!(read <= runs);
        prop_assert!(history.read_newest().unwrap().len() as u64 <= runs);
        history.append(&entry(1_000)).unwrap();
        prop_assert_eq!(files(&history).last().copied(), Some(1_000));
        prop_assert!(history.read().unwrap().len() as u64 <= read + 1);
    }

    #[test]
    fn a_made_up_line_is_shown_or_passed_over(
        workers in prop_oneof![Just("null".to_owned()), any::<i64>().prop_map(|n| n.to_string()), "[0-9]{1,30}"],
        seconds in prop_oneof!["-?[0-9]{1,20}(\\.[0-9]{1,4})?(e[0-9]{1,3})?", any::<f64>().prop_map(|n| n.to_string())],
        word in "[^\"\\\\\\p{C}]{0,40}",
    ) {
        let work = tempfile::tempdir().unwrap();
        let history = HistoryFile::at(work.path().join("perf_local.jsonl"));
        let line = serde_json::to_string(&Entry {
            version: word,
            ..entry(7)
        });
        let line = line.unwrap();
        let line = line
            .replace("\"workers\":null", &format!("\"workers\":{workers}"))
            .replace("\"durationSeconds\":0.0", &format!("\"durationSeconds\":{seconds}"));
        std::fs::write(history.path(), line).unwrap();
        let entries = history.read().unwrap();
        prop_assert!(entries.len() <= 1);
        let places = crate::history::place::FileSystems::default();
        let foreseen = crate::history::foreseen(&entries, &places);
        prop_assert!(foreseen.is_none_or(|workers| (1..=32).contains(&workers)));
        prop_assert!(!crate::diagnostics::perf::describe(&entries, &jiff::tz::TimeZone::UTC).is_empty());
    }
}
