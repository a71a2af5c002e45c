//! A real tree: /usr of this machine, with whatever a distribution puts there.

use std::path::Path;
use std::thread;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::mutate::mutate;
use blit_e2e::{oracle, seed};

use crate::blit::{Mirror, Way};
use crate::machine;

/// Changes between two runs.
const CHANGES: usize = 200;

/// /usr is mirrored in both ways; one copy is then changed and mirrored onto the other, in both ways.
#[test]
fn usr_is_mirrored_and_200_changes_are_followed_in_both_ways() {
    let _alone = machine::alone();
    // Two copies of /usr go with their image in one stroke; on the machine's own file system their removal
    // alone takes minutes where every freed block is discarded.
    let area = Area::on(FileSystem::Ext4).unwrap();
    let usr = Path::new("/usr");
    let (local, run) = (area.join("local"), area.join("run"));
    let mirror = |way, source, destination| Mirror {
        way,
        source,
        destination,
        work: area.path(),
    };
    mirror(Way::Local, usr, &local).complete();
    mirror(Way::Run, usr, &run).complete();
    thread::scope(|scope| {
        scope.spawn(|| oracle::assert_mirrored(usr, &local));
        oracle::assert_mirrored(usr, &run);
    });

    let seed = seed::for_test();
    for (round, way) in [Way::Local, Way::Run].into_iter().enumerate() {
        let seed = seed.wrapping_add(round as u64);
        let changes = mutate(&local, CHANGES, seed).unwrap();
        let log = changes
            .iter()
            .map(|change| format!("{change}\n"))
            .collect::<String>();
        println!("{}={seed} {way:?}:\n{log}", seed::VARIABLE);
        let summary = mirror(way, &local, &run).complete();
        let copied = summary["filesCopied"].as_u64().unwrap();
        assert!(
            copied < 20 * CHANGES as u64,
            "{copied} files copied for {CHANGES} changes"
        );
        oracle::assert_mirrored(&local, &run);
    }
}
