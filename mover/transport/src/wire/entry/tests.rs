use blit_engine::entry::{DirId, Entry, Kind, Meta, Time, Xattrs};
use blit_proto::v2::FileHeader;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use super::{from_header, root_from_header, to_header};

/// Any entry that a scan can find.
pub(crate) fn entries() -> impl Strategy<Value = Entry> {
    let name = vec(1..=255u8, 1..=255).prop_map(|mut name| {
        name.iter_mut()
            .filter(|b| **b == b'/')
            .for_each(|b| *b = b'_');
        if name == b"." || name == b".." {
            name.push(b'x');
        }
        name.into_boxed_slice()
    });
    let kind = prop_oneof![
        Just(Kind::File),
        Just(Kind::Directory),
        Just(Kind::Symlink),
        Just(Kind::Fifo),
        Just(Kind::Socket),
        Just(Kind::CharDevice),
        Just(Kind::BlockDevice),
    ];
    let time = (any::<i64>(), 0..1_000_000_000u32).prop_map(|(seconds, nanoseconds)| Time {
        seconds,
        nanoseconds,
    });
    let meta = (
        (
            kind,
            0..=0o7777u32,
            any::<(u32, u32)>(),
            0..=i64::MAX as u64,
            any::<u64>(),
        ),
        (
            time.clone(),
            time,
            any::<(u32, u32)>(),
            any::<(u32, u32)>(),
            any::<(u64, u32)>(),
        ),
    );
    let meta = meta.prop_map(
        |((kind, mode, (uid, gid), size, blocks), (mtime, ctime, rdev, dev, (ino, nlink)))| Meta {
            kind,
            mode,
            uid,
            gid,
            size,
            blocks,
            mtime,
            ctime,
            rdev: if kind.is_device() { rdev } else { (0, 0) },
            dev,
            ino,
            nlink,
        },
    );
    let target = vec(1..=255u8, 1..4096).prop_map(Vec::into_boxed_slice);
    let attribute =
        proptest::collection::btree_map(vec(1..=255u8, 1..255), vec(any::<u8>(), 0..500), 0..4);
    let xattrs = attribute.prop_map(|map| {
        Xattrs(
            map.into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    });
    (
        name,
        meta,
        target,
        1..u64::MAX,
        proptest::option::of(xattrs),
    )
        .prop_map(|(name, meta, target, dir, xattrs)| Entry {
            name,
            meta,
            target: (meta.kind == Kind::Symlink).then_some(target),
            dir: (meta.kind == Kind::Directory).then_some(DirId(dir)),
            xattrs,
        })
}

/// An ordinary file.
pub(crate) fn file(name: &[u8], size: u64) -> Entry {
    let time = Time {
        seconds: 1_700_000_000,
        nanoseconds: 5,
    };
    let meta = Meta {
        kind: Kind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size,
        blocks: size.div_ceil(512),
        mtime: time,
        ctime: time,
        rdev: (0, 0),
        dev: (8, 1),
        ino: 11,
        nlink: 1,
    };
    Entry {
        name: name.into(),
        meta,
        target: None,
        dir: None,
        xattrs: None,
    }
}

/// A directory.
pub(crate) fn directory(name: &[u8], id: u64) -> Entry {
    let mut entry = file(name, 4096);
    entry.meta.kind = Kind::Directory;
    entry.dir = Some(DirId(id));
    entry
}

proptest! {
    #[test]
    fn every_entry_reads_back_as_it_was_sent(entry in entries()) {
        let bytes = to_header(&entry).encode_to_vec();
        let header = FileHeader::decode(bytes.as_slice()).unwrap();
        prop_assert_eq!(from_header(header).unwrap(), entry);
    }

    #[test]
    fn random_bytes_never_make_an_entry_that_leaves_its_directory(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(header) = FileHeader::decode(bytes.as_slice())
            && let Ok(entry) = from_header(header)
        {
            prop_assert!(blit_engine::entry::is_valid_name(&entry.name));
        }
    }
}

/// Changes the message of a good entry; it must be refused.
fn refused(entry: &Entry, change: impl FnOnce(&mut FileHeader)) {
    let mut header = to_header(entry);
    change(&mut header);
    let shown = format!("{header:?}");
    assert!(from_header(header).is_err(), "{shown}");
}

#[test]
fn names_that_leave_the_directory_are_refused() {
    for name in [&b""[..], b".", b"..", b"a/b", b"/etc", b"a\0", &[b'x'; 256]] {
        refused(&file(b"x", 1), |header| header.name = name.to_vec());
    }
}

#[test]
fn attributes_out_of_range_are_refused() {
    let file = file(b"x", 1);
    refused(&file, |header| header.kind = 0);
    refused(&file, |header| header.kind = 99);
    refused(&file, |header| header.mode = 0o10000);
    refused(&file, |header| header.size = 1 << 63);
    refused(&file, |header| header.mtime_nanoseconds = 1_000_000_000);
    refused(&file, |header| header.ctime_nanoseconds = u32::MAX);
    refused(&file, |header| header.target = Some(b"x".to_vec()));
    refused(&file, |header| header.dir = Some(1));
    refused(&directory(b"d", 1), |header| header.dir = None);
    refused(&directory(b"d", 1), |header| header.dir = Some(0));
}

#[test]
fn a_link_needs_a_target_that_can_be_one() {
    let mut link = file(b"l", 1);
    link.meta.kind = Kind::Symlink;
    link.target = Some(b"t"[..].into());
    refused(&link, |header| header.target = None);
    refused(&link, |header| header.target = Some(Vec::new()));
    refused(&link, |header| header.target = Some(vec![b'x'; 4096]));
    refused(&link, |header| header.target = Some(b"a\0b".to_vec()));
}

#[test]
fn attributes_that_the_kernel_would_not_take_are_refused() {
    let mut entry = file(b"x", 1);
    let pair = |name: &[u8]| (name.into(), b"v"[..].into());
    entry.xattrs = Some(Xattrs(vec![pair(b"user.a"), pair(b"user.b")]));
    let with = |change: fn(&mut Vec<blit_proto::v2::Xattr>)| {
        move |header: &mut FileHeader| change(&mut header.xattrs.as_mut().unwrap().attributes)
    };
    refused(&entry, with(|list| list.swap(0, 1)));
    refused(&entry, with(|list| list[1].name = b"user.a".to_vec()));
    refused(&entry, with(|list| list[0].name = Vec::new()));
    refused(&entry, with(|list| list[0].name = vec![b'x'; 256]));
    refused(&entry, with(|list| list[0].value = vec![0; (64 << 10) + 1]));
}

#[test]
fn the_root_is_a_directory_without_a_name() {
    let mut root = directory(b"", 1);
    root.dir = Some(DirId::ROOT);
    assert_eq!(root_from_header(to_header(&root)).unwrap(), root);
    for wrong in [file(b"", 0), directory(b"x", 1), directory(b"", 1)] {
        assert!(root_from_header(to_header(&wrong)).is_err());
    }
}
