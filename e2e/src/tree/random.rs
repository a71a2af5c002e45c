//! Random trees: a proptest strategy, and trees from a seed.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{Acl, Attributes, Content, Holes, Kind, Node, Tree, capability};

/// Sizes around which code changes its mind, in bytes, each with its weight: large ones are rare, so that
/// a tree is made in milliseconds.
const SIZES: [(u32, u64); 10] = [
    (8, 0),
    (12, 1),
    (8, 4095),
    (8, 4096),
    (8, 4097),
    (6, 65_535),
    (6, 65_536),
    (6, 65_537),
    (2, 1 << 20),
    (1, (5 << 20) + 1),
];

/// Returns random trees with at most so many nodes.
pub fn trees(nodes: usize) -> impl Strategy<Value = Tree> {
    (attributes(), vec(node(), 0..=nodes)).prop_map(|(root, nodes)| Tree { root, nodes })
}

/// Returns the tree of a seed, with exactly so many nodes described (names that collide are left out).
pub fn tree(seed: u64, nodes: usize) -> Tree {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let strategy = vec(node(), nodes).prop_map(|nodes| Tree {
        root: Attributes::default(),
        nodes,
    });
    // The strategy filters nothing, so it never gives up.
    strategy.new_tree(&mut runner).map_or_else(
        |_| Tree {
            root: Attributes::default(),
            nodes: Vec::new(),
        },
        |tree| tree.current(),
    )
}

fn node() -> impl Strategy<Value = Node> {
    (any::<u16>(), name(), kind(), attributes()).prop_map(|(place, name, kind, attributes)| Node {
        place: place.into(),
        name,
        kind,
        attributes,
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    // xfs has 9 bits for the major number and 18 for the minor.
    let device = (0..512_u64, 0..262_144_u64);
    prop_oneof![
        10 => content().prop_map(Kind::File),
        6 => Just(Kind::Directory),
        3 => target().prop_map(Kind::Symlink),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Socket),
        1 => device.clone().prop_map(|(major, minor)| Kind::CharDevice(major, minor)),
        1 => device.prop_map(|(major, minor)| Kind::BlockDevice(major, minor)),
        4 => any::<u16>().prop_map(|number| Kind::HardLink(number.into())),
    ]
}

fn content() -> impl Strategy<Value = Content> {
    let size = proptest::strategy::Union::new_weighted(
        SIZES
            .iter()
            .map(|(weight, size)| (*weight, Just(*size)))
            .collect(),
    );
    let holes = prop_oneof![
        8 => Just(Holes::None),
        1 => Just(Holes::Leading),
        1 => Just(Holes::Middle),
        1 => Just(Holes::Trailing),
        1 => Just(Holes::Comb),
        1 => Just(Holes::All),
    ];
    (size, holes, any::<u64>()).prop_map(|(size, holes, seed)| Content { size, holes, seed })
}

/// Names of every kind that a directory can hold.
fn name() -> impl Strategy<Value = Vec<u8>> {
    // The few plain names meet again in other trees: there lie replacements and type changes.
    prop_oneof![
        12 => (0..12_u8).prop_map(|n| vec![b'a' + n]),
        4 => "[a-z]{1,8}".prop_map(String::into_bytes),
        1 => "\\PC{1,20}".prop_map(|name| name.replace('/', "_").into_bytes()).prop_filter("dots", is_name),
        1 => vec(1..=255_u8, 1..20).prop_map(without_slashes).prop_filter("dots", is_name),
        1 => Just(b"-rf".to_vec()),
        1 => Just(b"two\nlines".to_vec()),
        1 => Just(b"\xff\xfe\x80".to_vec()),
        1 => Just(b" ".to_vec()),
        1 => Just(b"*?[x]\\".to_vec()),
        1 => Just(b".blit.user.tmp".to_vec()),
        1 => (b'a'..=b'c').prop_map(|byte| vec![byte; 255]),
    ]
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => name(),
        2 => Just(b"../a".to_vec()),
        1 => Just(b"/etc/passwd".to_vec()),
        1 => Just(b"/no/such/place".to_vec()),
        1 => Just(b".".to_vec()),
        // xfs takes at most 1,023 bytes.
        1 => Just([b'l'; 1000].to_vec()),
    ]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let id = || prop_oneof![4 => Just(0_u32), 1 => Just(1000), 1 => Just(65_534), 1 => Just(u32::MAX - 1)];
    let mode = prop_oneof![
        6 => Just(0o644_u32),
        4 => Just(0o755),
        2 => Just(0),
        2 => Just(0o555),
        1 => Just(0o4755),
        1 => Just(0o2775),
        1 => Just(0o1777),
        4 => 0..=0o7777_u32,
    ];
    let defaults = option::weighted(0.1, acl());
    (
        mode,
        id(),
        id(),
        mtime(),
        xattrs(),
        option::weighted(0.1, acl()),
        defaults,
    )
        .prop_map(
            |(mode, uid, gid, mtime, xattrs, acl, default_acl)| Attributes {
                mode,
                uid,
                gid,
                mtime,
                xattrs,
                acl,
                default_acl,
            },
        )
}

/// Times between 1902 and 2446, the range of ext4.
fn mtime() -> impl Strategy<Value = (i64, u32)> {
    let seconds = prop_oneof![
        6 => 1_000_000_000..1_700_000_000_i64,
        1 => -2_000_000_000..0_i64,
        1 => 4_000_000_000..7_000_000_000_i64,
        1 => Just(0),
        1 => Just(-1),
    ];
    let nanoseconds = prop_oneof![
        4 => 0..1_000_000_000_u32,
        1 => Just(0),
        1 => Just(1),
        1 => Just(999_999_999),
    ];
    (seconds, nanoseconds)
}

fn xattrs() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let name = prop_oneof![
        3 => Just(b"user.a".to_vec()),
        1 => Just(b"user.b \xff\n".to_vec()),
        2 => Just(b"trusted.a".to_vec()),
    ];
    let value = prop_oneof![
        1 => Just(Vec::new()),
        4 => vec(any::<u8>(), 1..40),
        1 => any::<u8>().prop_map(|byte| vec![byte; 1000]),
    ];
    let capability = any::<u16>().prop_map(|bits| capability(bits.into()));
    let capability = capability.prop_map(|value| (b"security.capability".to_vec(), value));
    prop_oneof![
        12 => Just(Vec::new()),
        4 => vec((name, value), 1..3),
        1 => capability.prop_map(|one| vec![one]),
    ]
}

fn acl() -> impl Strategy<Value = Acl> {
    let named = || vec((0..2000_u32, 0..8_u16), 0..3);
    ((0..8_u16, 0..8_u16, 0..8_u16), named(), named()).prop_map(|(base, users, groups)| Acl {
        base,
        users,
        groups,
    })
}

fn without_slashes(mut name: Vec<u8>) -> Vec<u8> {
    name.iter_mut()
        .filter(|byte| **byte == b'/')
        .for_each(|byte| *byte = b'_');
    name
}

fn is_name(name: &Vec<u8>) -> bool {
    name != b"." && name != b".." && name.len() <= 255
}
