use super::*;

#[test]
fn an_area_has_a_file_system_of_its_own_and_leaves_nothing_behind() {
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
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
