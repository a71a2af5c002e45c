//! A link in the place of a begun file: what it leads to, a canary outside of the tree, is not continued.
//!
//! A begun file is all that the program opens to write without having made it in the same run. A link that lies there
//! from the start is met surely: no swapping is needed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use blit_e2e::area::FileSystem;
use blit_e2e::snapshot::Snapshot;
use blit_e2e::tree::Content;

use super::{SIZE, Setting};
use crate::large_files::{LIMIT, partials, write};
use crate::machine;

/// Makes the program follow links; see `blit_engine::fs::dir`.
const FOLLOW: &str = "BLIT_TEST_FOLLOW_LINKS";

/// A mirror that was cut off, whose begun file became a link to a canary that the program may take for its own.
struct Led {
    setting: Setting,
    before: Snapshot,
}

impl Led {
    fn new() -> Self {
        let mut setting = Setting::new(FileSystem::Tmpfs);
        write(&setting.source.join("large"), &Content::full(SIZE, 11));
        setting.killed_half_way(&[], false);
        let outside = setting.area.join("outside");
        let (canary, begun) = (outside.join("canary"), partials(&setting.destination));
        fs::create_dir(&outside).unwrap();
        fs::write(&canary, "canary").unwrap();
        fs::set_permissions(&canary, Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(&begun[0]).unwrap();
        symlink(&canary, &begun[0]).unwrap();
        let before = Snapshot::of(&outside).unwrap();
        Self { setting, before }
    }

    fn now(&self) -> Snapshot {
        Snapshot::of(&self.setting.area.join("outside")).unwrap()
    }
}

#[test]
fn a_link_in_the_place_of_the_begun_file_is_not_written_through() {
    let _shared = machine::shared();
    let mut led = Led::new();
    let (sent, _) = led.setting.mirror(&[]);
    assert!(sent >= SIZE, "only {sent} bytes were sent");
    led.before.assert_untouched(&led.now());
}

#[test]
fn it_would_be_written_through_if_links_were_followed() {
    let _shared = machine::shared();
    let mut led = Led::new();
    led.setting.variables = &[(FOLLOW, "1")];
    let movers = led.setting.start(&[], Arc::new(|_: &mut [u8]| ()));
    // However they end.
    movers.destination.finish_within(LIMIT).unwrap();
    movers.source.finish_within(LIMIT).unwrap();
    let canary = led.setting.area.join("outside/canary");
    assert_eq!(canary.metadata().unwrap().len(), SIZE);
}
