use blit_engine::entry::{Meta, Time};

use super::*;

fn listed(name: &[u8], kind: Kind, mode: u32, size: u64) -> Entry {
    Entry {
        name: name.into(),
        meta: Meta {
            kind,
            mode,
            uid: 0,
            gid: 1000,
            size,
            blocks: 0,
            mtime: Time {
                seconds: 86_400,
                nanoseconds: 5,
            },
            ctime: Time::default(),
            rdev: (1, 3),
            dev: (0, 0),
            ino: 1,
            nlink: 1,
        },
        target: (kind == Kind::Symlink).then(|| b"a\nb".as_slice().into()),
        dir: None,
        xattrs: None,
    }
}

#[test]
fn a_list_looks_like_that_of_ls() {
    let entries = [
        listed(b"dir", Kind::Directory, 0o1755, 4096),
        listed(b"f\x1b", Kind::File, 0o6640, 5),
        listed(b"l", Kind::Symlink, 0o777, 3),
        listed(b"null", Kind::CharDevice, 0o666, 0),
    ];
    let lines = text(&entries, &TimeZone::UTC);
    let expected = [
        "drwxr-xr-t 1 0 1000 4096 1970-01-02 00:00 dir",
        "-rwSr-S--- 1 0 1000    5 1970-01-02 00:00 f\\x1b",
        "lrwxrwxrwx 1 0 1000    3 1970-01-02 00:00 l -> a\\nb",
        "crw-rw-rw- 1 0 1000  1,3 1970-01-02 00:00 null",
    ];
    for (line, expected) in lines.iter().zip(expected) {
        let comparable = line.replace('\u{1b}', "?");
        assert_eq!(comparable, *line, "control characters are escaped");
        assert_eq!(&line[..42], &expected[..42]);
    }
}

#[test]
fn a_name_that_is_not_text_is_base64_in_json() {
    let line: serde_json::Value =
        serde_json::from_str(&json(&listed(b"\xff", Kind::File, 0o600, 7))).unwrap();
    assert_eq!(line["pathBytes"], "/w==");
    assert_eq!((&line["kind"], &line["size"]), (&"file".into(), &7.into()));
    assert_eq!(line["modified"], "1970-01-02T00:00:00.000000005Z");
}

#[test]
fn a_long_list_is_shown_as_it_comes() {
    let mut shown = Shown::new(true, TimeZone::UTC, Vec::new());
    let named = |n: usize| listed(format!("{n:06}").as_bytes(), Kind::File, 0o644, 0);
    for n in (0..TOGETHER).rev() {
        assert!(shown.take(named(n)));
    }
    let printed = String::from_utf8(shown.out.clone()).unwrap();
    assert_eq!(
        printed.lines().count(),
        TOGETHER,
        "nothing waits for the end"
    );
    assert!(printed.lines().next().unwrap().contains("\"000000\""));
    shown.take(named(TOGETHER));
    shown.finish();
    let printed = String::from_utf8(shown.out).unwrap();
    assert_eq!(printed.lines().count(), TOGETHER + 1);
}

#[test]
fn a_list_that_nobody_reads_any_more_ends() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut shown = Shown::new(false, TimeZone::UTC, Closed);
    let taken = (0..TOGETHER).map(|_| shown.take(listed(b"n", Kind::File, 0o644, 0)));
    assert_eq!(taken.filter(|wanted| *wanted).count(), TOGETHER - 1);
}
