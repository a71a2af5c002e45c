//! A file with more names than an inode of the destination can have.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::snapshot::Snapshot;

use crate::blit::{Mirror, Way};
use crate::machine;

/// On ext4 there can be 65,000.
const NAMES: usize = 65_100;
/// Of these in one directory.
const IN_EACH: usize = 5_000;

#[test]
fn names_that_find_no_room_on_one_inode_share_another_and_the_next_run_touches_nothing() {
    let _shared = machine::shared();
    let (there, here) = (FileSystem::Xfs, FileSystem::Ext4);
    let (from, to) = (Area::on(there).unwrap(), Area::on(here).unwrap());
    let (source, destination) = (from.join("source"), to.join("destination"));
    let names = || (0..NAMES).map(|n| format!("{}/{n}", n / IN_EACH));
    for (n, name) in names().enumerate() {
        let name = source.join(name);
        if n % IN_EACH == 0 {
            fs::create_dir_all(name.parent().unwrap()).unwrap();
        }
        match n {
            0 => fs::write(name, "content").unwrap(),
            _ => fs::hard_link(source.join("0/0"), name).unwrap(),
        }
    }
    for way in [Way::Local, Way::Run] {
        let destination = destination.join(format!("{way:?}"));
        fs::create_dir_all(&destination).unwrap();
        let mirror = Mirror {
            way,
            source: &source,
            destination: &destination,
            work: to.path(),
        };
        mirror.complete();
        let mut inodes = HashMap::new();
        for name in names() {
            let found = fs::metadata(destination.join(name)).unwrap();
            assert_eq!(found.len(), 7);
            *inodes.entry(found.ino()).or_insert(0) += 1;
        }
        let mut shares: Vec<_> = inodes.into_values().collect();
        shares.sort_unstable();
        assert_eq!(shares, [100, 65_000], "{way:?}");
        let before = Snapshot::of(&destination).unwrap();
        let again = mirror.complete();
        assert_eq!(again["filesCopied"], 0, "{way:?}: {again}");
        before.assert_untouched(&Snapshot::of(&destination).unwrap());
    }
}
