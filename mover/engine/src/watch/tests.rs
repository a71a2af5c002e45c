use std::os::fd::AsFd;
use std::sync::mpsc::sync_channel;

use super::slot::relative;
use super::*;

/// What the only thread of a roster does.
fn only(roster: &Roster) -> Seen {
    let seen = roster.look();
    assert_eq!(seen.len(), 1);
    seen[0]
}

#[test]
fn a_thread_is_seen_in_its_call_with_the_object_and_gone_when_it_ends() {
    let roster = Roster::new();
    let home = tempfile::tempdir().unwrap();
    let dir = crate::fs::Dir::open_root(home.path()).unwrap();
    let name = "n".repeat(255);
    {
        let _enlisted = roster.enlist();
        assert_eq!(only(&roster).doing, Doing::Busy);
        let in_call = call_at(Call::Open, dir.as_fd(), name.as_bytes(), || {
            let seen = only(&roster);
            (seen, roster.object(&seen).unwrap())
        });
        assert_eq!(in_call.0.doing, Doing::Call(Call::Open));
        let expected = home.path().join(&name);
        assert_eq!(in_call.1.path, expected.as_os_str().as_encoded_bytes());
        let root = root_path(dir.as_fd()).unwrap();
        assert_eq!(in_call.1.below(&[root]), name.as_bytes());
        assert_eq!(only(&roster).doing, Doing::Busy);
        assert_eq!(roster.object(&in_call.0), None, "the call is over");
        // A shorter name leaves nothing of the longer one.
        let second = call_at(Call::Stat, dir.as_fd(), b"ab", || {
            roster.object(&only(&roster)).unwrap()
        });
        assert!(second.path.ends_with(b"/ab"));
    }
    assert_eq!(roster.look(), []);
}

#[test]
fn a_call_is_described_by_the_path_below_a_root_and_by_no_other() {
    let roster = Roster::new();
    let home = tempfile::tempdir().unwrap();
    let dir = crate::fs::Dir::open_root(home.path()).unwrap();
    let roots = [root_path(dir.as_fd()).unwrap()];
    let _enlisted = roster.enlist();
    let said = |roots: &[Vec<u8>]| roster.in_call(&only(&roster), roots);
    assert_eq!(said(&roots), None, "it is in no call");
    let named = call_at(Call::Open, dir.as_fd(), b"a\x1b", || said(&roots));
    assert_eq!(named.unwrap(), r"the call open on a\u{1b}");
    let root = call(Call::Getdents, dir.as_fd(), || said(&roots));
    assert_eq!(root.unwrap(), "the call getdents on the root");
    // Who is told may not know what lies outside.
    let outside = call(Call::Getdents, dir.as_fd(), || said(&[b"/no".to_vec()]));
    assert_eq!(outside.unwrap(), "the call getdents");
}

#[test]
fn waiting_is_idle_until_there_is_work() {
    let roster = Roster::new();
    let _enlisted = roster.enlist();
    let before = only(&roster).stamp;
    waits(Wait::Work);
    // One that polls stays idle and has done nothing.
    waits(Wait::Listing);
    assert_eq!(only(&roster).doing, Doing::Idle(Wait::Listing));
    assert_eq!(only(&roster).stamp, before);
    idle(Wait::Window, || {
        assert_eq!(only(&roster).doing, Doing::Idle(Wait::Window));
    });
    works();
    assert_eq!(only(&roster).doing, Doing::Busy);
    assert_ne!(only(&roster).stamp, before);
}

#[test]
fn a_visitor_counts_as_waiting_outside_its_work() {
    let roster = Roster::new();
    let inside = roster.visit(|| only(&roster).doing);
    assert_eq!(inside, Doing::Busy);
    assert_eq!(only(&roster).doing, Doing::Idle(Wait::Arrival));
    let stamp = only(&roster).stamp;
    roster.visit(works);
    assert_ne!(only(&roster).stamp, stamp);
    assert_eq!(only(&roster).doing, Doing::Idle(Wait::Arrival));
}

#[test]
fn what_is_read_of_another_thread_is_whole() {
    let roster = Roster::new();
    let home = tempfile::tempdir().unwrap();
    let dir = crate::fs::Dir::open_root(home.path()).unwrap();
    let (stop, stopped) = sync_channel::<()>(0);
    std::thread::scope(|scope| {
        let (roster, dir) = (&roster, &dir);
        scope.spawn(move || {
            let _enlisted = roster.enlist();
            let mut n: usize = 0;
            while !matches!(
                stopped.try_recv(),
                Err(std::sync::mpsc::TryRecvError::Disconnected)
            ) {
                n += 1;
                let byte = b'a' + (n % 26) as u8;
                call_at(Call::Stat, dir.as_fd(), &vec![byte; 1 + n % 200], || {
                    std::thread::yield_now();
                });
            }
        });
        let mut whole = 0;
        while whole < 50 {
            for seen in roster.look() {
                let Some(object) = roster.object(&seen) else {
                    continue;
                };
                let name = object.path.rsplit(|byte| *byte == b'/').next().unwrap();
                assert!(!name.is_empty() && name.iter().all(|byte| byte == &name[0]));
                whole += 1;
            }
        }
        drop(stop);
    });
}

#[test]
fn paths_are_relative_to_the_root_they_lie_in() {
    assert_eq!(relative(b"/a", b"/a/b/c"), Some(&b"b/c"[..]));
    assert_eq!(relative(b"/a", b"/a"), Some(&b""[..]));
    assert_eq!(relative(b"/", b"/b/c"), Some(&b"b/c"[..]));
    assert_eq!(relative(b"/a", b"/ab/c"), None);
    assert_eq!(relative(b"/a", b"/b"), None);
}
