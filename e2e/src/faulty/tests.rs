use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use super::*;
use crate::oracle;

#[test]
fn without_a_fault_it_keeps_what_any_file_system_keeps() {
    let faulty = Faulty::mount(Nature::default()).unwrap();
    let (one, other) = (faulty.join("one"), faulty.join("other"));
    fs::create_dir_all(one.join("below")).unwrap();
    fs::write(one.join("below/file"), "content").unwrap();
    fs::hard_link(one.join("below/file"), one.join("hard")).unwrap();
    std::os::unix::fs::symlink("nowhere", one.join("link")).unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-a", "--"])
        .args([&one, &other])
        .status();
    assert!(copied.unwrap().success());
    let options = oracle::Options {
        holes: false,
        ..oracle::Options::default()
    };
    oracle::assert_mirrored_within(&one, &other, &options);
    fs::remove_dir_all(&one).unwrap();
    assert_eq!(fs::read_dir(faulty.path()).unwrap().count(), 1);
}

#[test]
fn calls_on_a_name_fail_until_it_is_healed() {
    let faulty = Faulty::mount(Nature::default()).unwrap();
    fs::create_dir(faulty.join("bad")).unwrap();
    for name in ["bad/a", "bad/b", "bad/c", "bad/d", "file"] {
        fs::write(faulty.join(name), name).unwrap();
    }
    faulty.fail(Call::Read, "file");
    faulty.fail(Call::ReadDirectory, "bad");
    let error = fs::read(faulty.join("file")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::EIO));
    let listed: Vec<_> = fs::read_dir(faulty.join("bad")).unwrap().collect();
    assert_eq!(listed.iter().filter(|entry| entry.is_ok()).count(), 2);
    assert!(listed.iter().any(|entry| entry.is_err()));
    faulty.heal();
    assert_eq!(fs::read(faulty.join("file")).unwrap(), b"file");
    assert_eq!(fs::read_dir(faulty.join("bad")).unwrap().count(), 4);
}

#[test]
fn each_call_that_changes_or_looks_fails_by_name_or_by_content_until_it_is_healed() {
    let faulty = Faulty::mount(Nature::default()).unwrap();
    let (bad, other) = (faulty.join("bad"), faulty.join("other"));
    for path in [&bad, &other] {
        fs::write(path, "bad content").unwrap();
    }
    let open = |path| fs::File::options().write(true).open(path).unwrap();
    let (bad_file, other_file) = (open(&bad), open(&other));
    let mode = || std::os::unix::fs::PermissionsExt::from_mode(0o600);
    let time = SystemTime::UNIX_EPOCH;
    type Act<'a> = Box<dyn Fn() -> std::io::Result<()> + 'a>;
    let folder = faulty.join("folder");
    let by_name: [(Call, &str, Act<'_>); 8] = [
        (Call::Look, "bad", Box::new(|| fs::metadata(&bad).map(drop))),
        (
            Call::SetMode,
            "bad",
            Box::new(|| bad_file.set_permissions(mode())),
        ),
        (
            Call::SetTime,
            "bad",
            Box::new(|| bad_file.set_modified(time)),
        ),
        (
            Call::Rename,
            "bad",
            Box::new(|| fs::rename(&bad, faulty.join("new"))),
        ),
        (
            Call::Unlink,
            "new",
            Box::new(|| fs::remove_file(faulty.join("new"))),
        ),
        (
            Call::MakeDirectory,
            "fold*",
            Box::new(|| fs::create_dir(&folder)),
        ),
        (
            Call::OpenDirectory,
            "folder",
            Box::new(|| fs::read_dir(&folder).map(drop)),
        ),
        (
            Call::RemoveDirectory,
            "f*",
            Box::new(|| fs::remove_dir(&folder)),
        ),
    ];
    for (call, name, act) in by_name {
        faulty.fail(call, name);
        assert_eq!(act().unwrap_err().raw_os_error(), Some(nix::libc::EIO));
        faulty.heal();
        act().unwrap();
    }
    let link = faulty.join("link");
    let write = |mut file: &fs::File| std::io::Write::write_all(&mut file, b"more");
    let by_content: [(Call, Act<'_>); 3] = [
        (Call::Link, Box::new(|| fs::hard_link(&other, &link))),
        (Call::Unlink, Box::new(|| fs::remove_file(&other))),
        (Call::Write, Box::new(|| write(&other_file))),
    ];
    for (call, act) in by_content {
        faulty.fail_content(call, "bad content");
        assert_eq!(act().unwrap_err().raw_os_error(), Some(nix::libc::EIO));
        faulty.heal();
        act().unwrap();
    }
}

#[test]
fn the_dots_come_last_or_not_at_all() {
    for dots_last in [false, true] {
        let faulty = Faulty::mount(Nature {
            dots_last,
            ..Nature::default()
        })
        .unwrap();
        fs::write(faulty.join("file"), "").unwrap();
        let listed = std::process::Command::new("ls")
            .args(["-fU"])
            .arg(faulty.path())
            .output();
        let wanted = match dots_last {
            true => "file\n.\n..\n",
            false => "file\n",
        };
        assert_eq!(String::from_utf8(listed.unwrap().stdout).unwrap(), wanted);
    }
}

#[test]
fn a_read_hangs_until_it_is_released() {
    let faulty = Faulty::mount(Nature::default()).unwrap();
    fs::write(faulty.join("file"), "content").unwrap();
    faulty.hang(Call::Read, "file");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| fs::read(faulty.join("file")));
        while faulty.hanging() == 0 {
            std::thread::yield_now();
        }
        assert!(!reader.is_finished());
        faulty.release();
        assert_eq!(reader.join().unwrap().unwrap(), b"content");
    });
}

#[test]
fn times_are_cut_and_names_are_folded() {
    let faulty = Faulty::mount(Nature {
        time_granule: 1_000_000_000,
        folds_case: true,
        ..Nature::default()
    })
    .unwrap();
    fs::write(faulty.join("Name"), "content").unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 500);
    let file = fs::File::options().write(true).open(faulty.join("nAME"));
    file.unwrap().set_modified(time).unwrap();
    let found = fs::metadata(faulty.join("NAME")).unwrap();
    assert_eq!((found.mtime(), found.mtime_nsec()), (1_000_000_000, 0));
    assert_eq!(found.ctime_nsec(), 0);
    let again = fs::File::create_new(faulty.join("name")).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
}
