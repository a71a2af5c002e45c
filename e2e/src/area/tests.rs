use super::*;

#[test]
fn an_area_has_a_file_system_of_its_own_and_leaves_nothing_behind() {
    for file_system in ALL {
        let area = Area::on(file_system).unwrap();
        let home = area.path().parent().unwrap().to_path_buf();
        let device = |path: &Path| nix::sys::stat::stat(path).unwrap().st_dev;
        assert_ne!(device(area.path()), device(&home));
        assert_eq!(std::fs::read_dir(area.path()).unwrap().count(), 0);
        drop(area);
        assert!(!home.exists());
    }
}

#[test]
fn an_area_in_use_is_still_removed() {
    let area = Area::on(FileSystem::Ext4).unwrap();
    let home = area.path().parent().unwrap().to_path_buf();
    let _open = std::fs::File::create(area.join("held")).unwrap();
    drop(area);
    assert!(!home.exists());
}

#[test]
fn a_read_only_area_refuses_writes_until_it_is_writable_again() {
    let area = Area::on(FileSystem::Ext4).unwrap();
    area.set_read_only(true).unwrap();
    assert!(std::fs::write(area.join("a"), "x").is_err());
    area.set_read_only(false).unwrap();
    std::fs::write(area.join("a"), "x").unwrap();
}

#[test]
fn a_loss_of_power_takes_what_was_not_written_and_leaves_names_without_content() {
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        let mut area = Area::on(file_system).unwrap();
        std::fs::write(area.join("safe"), "safe").unwrap();
        std::fs::File::open(area.join("safe"))
            .unwrap()
            .sync_all()
            .unwrap();
        // The length is in the journal at once, the data is not.
        let late = std::fs::File::create_new(area.join("late")).unwrap();
        late.set_len(1 << 20).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&late, b"late", 0).unwrap();
        drop(late);
        area.lose_power(true).unwrap();
        assert!(std::fs::write(area.join("more"), "x").is_err());
        area.restore_power().unwrap();
        assert_eq!(std::fs::read(area.join("safe")).unwrap(), b"safe");
        let late = std::fs::read(area.join("late")).unwrap();
        assert_eq!(late.len(), 1 << 20, "{file_system:?}");
        assert!(late.iter().all(|byte| *byte == 0), "{file_system:?}");
        std::fs::write(area.join("more"), "x").unwrap();
    }
}
