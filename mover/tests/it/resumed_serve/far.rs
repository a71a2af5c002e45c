//! A large file whose data lies behind 4 GiB, where offsets need more than 32 bits: what is continued and what is compared
//! finds its place there, and the holes stay.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::path::Path;

use blit_e2e::seed::Random;
use rustix::fs::{SeekFrom, XattrFlags, seek, setxattr};

use super::{Setting, Victim, assert_one_block};
use crate::large_files::{MIB, TCP, alter, assert_only_the_rest, partials};
use crate::machine;
use crate::serve_networks::Way;

/// The first offset that does not fit into 32 bits.
const FAR: u64 = 1 << 32;

/// Length of the file.
const LENGTH: u64 = FAR + 80 * MIB + 12_345;

/// Where it has data, as (offset, length). Whether blocks are compared is told from some of them that are spread over the
/// file: one of these lies in the last range.
const DATA: [(u64, u64); 4] = [
    (0, MIB),
    (1 << 30, MIB),
    // Over the border.
    (FAR - MIB, 31 * MIB),
    (FAR + 40 * MIB, LENGTH - FAR - 40 * MIB),
];

/// Makes the file, with attributes that are not those of others.
fn make(large: &Path) {
    let file = File::create_new(large).unwrap();
    file.set_len(LENGTH).unwrap();
    let mut random = Random::new(3);
    for (offset, length) in DATA {
        let mut bytes = vec![0; length as usize];
        random.fill(&mut bytes);
        file.write_all_at(&bytes, offset).unwrap();
    }
    chown(large, Some(1), Some(2)).unwrap();
    fs::set_permissions(large, Permissions::from_mode(0o640)).unwrap();
    setxattr(large, "user.kept", b"1", XattrFlags::empty()).unwrap();
}

#[test]
fn behind_4_gib_a_push_is_continued_and_of_what_changed_one_block_is_sent_too() {
    let _shared = machine::shared();
    let content = DATA.iter().map(|(_, length)| length).sum();
    let mut setting = Setting::with(Way::Push, TCP, content, make);
    setting.killed_half_way(Victim::Client);
    let begun = File::open(&partials(&setting.destination)[0]).unwrap();
    assert!(
        seek(&begun, SeekFrom::Data(FAR)).is_ok(),
        "it was cut off before 4 GiB"
    );
    drop(begun);
    assert_only_the_rest(content, setting.mirror());
    alter(&setting.source.join("large"), FAR + 60 * MIB + 1, 1);
    assert_one_block(setting.mirror());
}
