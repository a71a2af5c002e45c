//! One of everything: every kind of entry and attribute that Blit promises to keep, by name.

use super::{Acl, Attributes, Content, Holes, Kind, Node, Tree, capability};

/// Returns a tree that holds every kind of entry, name, attribute and hole at least once, the same always.
pub fn every_kind() -> Tree {
    let mut list = List {
        nodes: Vec::new(),
        directories: 1,
        others: 0,
    };
    list.files();
    list.names();
    list.special();
    list.attributes();
    list.links();
    list.directories();
    Tree {
        root: with(|a| a.mtime = (1_234_567_890, 987_654_321)),
        nodes: list.nodes,
    }
}

/// The list so far, with the counts that number directories and what can be linked to.
struct List {
    nodes: Vec<Node>,
    directories: usize,
    others: usize,
}

impl List {
    /// Adds a node and returns its number: among directories if it is one, else among the others.
    fn add(&mut self, place: usize, name: &[u8], kind: Kind, attributes: Attributes) -> usize {
        let count = match kind {
            Kind::Directory => &mut self.directories,
            _ => &mut self.others,
        };
        let number = *count;
        *count += 1;
        self.nodes.push(Node {
            place,
            name: name.to_vec(),
            kind,
            attributes,
        });
        number
    }

    fn directory(&mut self, place: usize, name: &str, attributes: Attributes) -> usize {
        self.add(place, name.as_bytes(), Kind::Directory, attributes)
    }

    fn files(&mut self) {
        let place = self.directory(0, "sizes", Attributes::default());
        let sizes = [
            0,
            1,
            4095,
            4096,
            4097,
            65_535,
            65_536,
            65_537,
            1 << 20,
            (5 << 20) + 1,
            20 << 20,
        ];
        for size in sizes {
            let content = Kind::File(Content::full(size, size));
            self.add(
                place,
                size.to_string().as_bytes(),
                content,
                Attributes::default(),
            );
        }
        let place = self.directory(0, "holes", Attributes::default());
        let holes = [
            Holes::Leading,
            Holes::Middle,
            Holes::Trailing,
            Holes::Comb,
            Holes::All,
        ];
        for holes in holes {
            for size in [4096, 65_537, (1 << 20) + 1, 9 << 20] {
                let name = format!("{holes:?}-{size}");
                let content = Kind::File(Content {
                    size,
                    holes,
                    seed: size,
                });
                self.add(place, name.as_bytes(), content, Attributes::default());
            }
        }
        let vast = Content {
            size: 256 << 20,
            holes: Holes::All,
            seed: 0,
        };
        self.add(place, b"vast", Kind::File(vast), Attributes::default());
    }

    fn names(&mut self) {
        let place = self.directory(0, "names", Attributes::default());
        let names: [&[u8]; 14] = [
            b"\xff\xfe",
            b"caf\xe9",
            "caf\u{e9}".as_bytes(),
            "cafe\u{301}".as_bytes(),
            b"two\nlines",
            b"\x1b[31mred",
            b"-rf",
            b"--delete",
            b" ",
            b"...",
            b"*",
            b"a\\b\"'$(x)",
            b".blit.user.tmp",
            &[b'n'; 255],
        ];
        for name in names {
            self.add(
                place,
                name,
                Kind::File(Content::full(10, 1)),
                Attributes::default(),
            );
        }
    }

    fn special(&mut self) {
        let place = self.directory(0, "special", Attributes::default());
        let owned = || with(|a| (a.mode, a.uid, a.gid) = (0o640, 7, 8));
        self.add(place, b"fifo", Kind::Fifo, owned());
        self.add(place, b"socket", Kind::Socket, owned());
        self.add(place, b"null", Kind::CharDevice(1, 3), owned());
        self.add(place, b"far", Kind::CharDevice(511, 262_143), owned());
        self.add(place, b"loop", Kind::BlockDevice(7, 300), owned());
        let targets: [(&[u8], &[u8]); 5] = [
            (b"relative", b"../sizes/1"),
            (b"absolute", b"/etc/passwd"),
            (b"dangling", b"no such file"),
            (b"itself", b"itself"),
            (b"long", &[b't'; 1000]),
        ];
        for (name, target) in targets {
            self.add(place, name, Kind::Symlink(target.to_vec()), owned());
        }
    }

    fn attributes(&mut self) {
        let place = self.directory(0, "attributes", Attributes::default());
        for mode in [
            0, 0o400, 0o644, 0o777, 0o4755, 0o2755, 0o1644, 0o6777, 0o7777,
        ] {
            let name = format!("mode-{mode:04o}");
            let owned = with(|a| (a.mode, a.uid, a.gid) = (mode, 1000, 1001));
            self.file(place, name.as_bytes(), owned);
        }
        for (name, mtime) in times() {
            self.file(place, name, with(|a| a.mtime = mtime));
        }
        let xattr =
            |name: &[u8], value: &[u8]| with(|a| a.xattrs.push((name.into(), value.into())));
        self.file(place, b"user", xattr(b"user.name", b"value"));
        self.file(place, b"user-empty", xattr(b"user.empty", b""));
        self.file(place, b"user-large", xattr(b"user.large", &[9; 3000]));
        self.file(place, b"trusted", xattr(b"trusted.name", b"\0\xff"));
        self.file(
            place,
            b"capability",
            xattr(b"security.capability", &capability(0x400)),
        );
        self.file(place, b"acl", with(|a| a.acl = Some(acl())));
        self.file(
            place,
            b"acl-0000",
            with(|a| (a.mode, a.acl) = (0, Some(acl()))),
        );
        let trusted = xattr(b"trusted.link", b"x");
        self.add(
            place,
            b"trusted-link",
            Kind::Symlink(b"x".to_vec()),
            trusted,
        );
    }

    fn file(&mut self, place: usize, name: &[u8], attributes: Attributes) {
        self.add(place, name, Kind::File(Content::full(100, 3)), attributes);
    }

    fn links(&mut self) {
        let here = self.directory(0, "links", Attributes::default());
        let there = self.directory(0, "links-elsewhere", Attributes::default());
        let kinds: [(&str, Kind); 5] = [
            ("file", Kind::File(Content::full(5000, 5))),
            ("symlink", Kind::Symlink(b"target".to_vec())),
            ("fifo", Kind::Fifo),
            ("socket", Kind::Socket),
            ("device", Kind::CharDevice(1, 5)),
        ];
        for (name, kind) in kinds {
            let first = self.add(here, name.as_bytes(), kind, Attributes::default());
            for (place, copy) in [(here, 2), (there, 3), (there, 4), (0, 5)] {
                let name = format!("{name}-{copy}");
                self.add(
                    place,
                    name.as_bytes(),
                    Kind::HardLink(first),
                    Attributes::default(),
                );
            }
        }
    }

    fn directories(&mut self) {
        let place = self.directory(0, "directories", Attributes::default());
        self.directory(place, "empty", with(|a| a.mode = 0o700));
        for mode in [0, 0o555, 0o1777, 0o2775, 0o7777] {
            let attributes = with(|a| (a.mode, a.uid, a.gid) = (mode, 3, 4));
            let inner = self.directory(place, &format!("mode-{mode:04o}"), attributes);
            self.file(inner, b"inside", Attributes::default());
            let below = self.directory(inner, "below", with(|a| a.mode = 0o500));
            self.file(below, b"inside", Attributes::default());
        }
        for (name, mtime) in times() {
            let name = String::from_utf8_lossy(name);
            self.directory(place, &name, with(|a| a.mtime = mtime));
        }
        let acls = with(|a| (a.acl, a.default_acl) = (Some(acl()), Some(acl())));
        let inherits = self.directory(place, "default-acl", acls);
        // Made before the directory has its ACL: the copy must not inherit one.
        self.file(inherits, b"without-acl", Attributes::default());
        self.directory(inherits, "without-acl-below", Attributes::default());
        let mut deep = place;
        for depth in 0..40 {
            deep = self.directory(deep, &format!("deep-{depth}"), Attributes::default());
        }
        self.file(deep, b"bottom", Attributes::default());
    }
}

/// Times at the edges; the file systems of the tests keep them all.
fn times() -> [(&'static [u8], (i64, u32)); 6] {
    [
        (b"time-0", (0, 0)),
        (b"time-before-1970", (-1, 999_999_999)),
        (b"time-1902", (-2_145_000_000, 1)),
        (b"time-after-2038", (4_000_000_000, 500_000_000)),
        (b"time-2400", (13_569_465_600, 123)),
        (b"time-ns", (1_500_000_000, 1)),
    ]
}

fn acl() -> Acl {
    Acl {
        base: (6, 4, 0),
        users: vec![(1000, 7), (1001, 0)],
        groups: vec![(50, 5)],
    }
}

fn with(change: impl FnOnce(&mut Attributes)) -> Attributes {
    let mut attributes = Attributes::default();
    change(&mut attributes);
    attributes
}
