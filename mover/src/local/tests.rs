use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use blit_engine::run::new_run_id;

use super::*;

struct Case {
    area: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let area = tempfile::tempdir().unwrap();
        fs::write(area.path().join("file"), "content").unwrap();
        fs::set_permissions(area.path().join("file"), fs::Permissions::from_mode(0o640)).unwrap();
        Self { area }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.area.path().join(name)
    }

    fn run(&self, operation: Operation, source: &str, destination: &str) -> ExitCode {
        let transfer = Transfer {
            one_file_system: false,
            source: self.path(source),
            destination: self.path(destination),
            options: Options {
                operation,
                ..Options::default()
            },
        };
        run(&transfer, &new_run_id(), Outputs::default(), Instant::now())
    }

    fn copy(&self, source: &str, destination: &str) -> ExitCode {
        self.run(Operation::Copy, source, destination)
    }
}

#[test]
fn a_file_gets_the_name_that_the_destination_says() {
    let case = Case::new();
    assert_eq!(case.copy("file", "new/parents/name"), ExitCode::Complete);
    let copy = case.path("new/parents/name");
    assert_eq!(fs::read_to_string(&copy).unwrap(), "content");
    let (from, to) = (
        fs::metadata(case.path("file")).unwrap(),
        fs::metadata(copy).unwrap(),
    );
    assert_eq!(
        (to.mode(), to.mtime(), to.mtime_nsec()),
        (from.mode(), from.mtime(), from.mtime_nsec())
    );
}

#[test]
fn a_file_goes_into_a_directory_that_exists_or_is_written_with_a_slash() {
    let case = Case::new();
    fs::create_dir(case.path("there")).unwrap();
    fs::write(case.path("there/other"), "stays").unwrap();
    assert_eq!(case.copy("file", "there"), ExitCode::Complete);
    assert_eq!(
        fs::read_to_string(case.path("there/file")).unwrap(),
        "content"
    );
    assert_eq!(
        fs::read_to_string(case.path("there/other")).unwrap(),
        "stays"
    );
    assert_eq!(case.copy("file", "new/"), ExitCode::Complete);
    assert_eq!(
        fs::read_to_string(case.path("new/file")).unwrap(),
        "content"
    );
}

#[test]
fn a_link_to_a_file_is_copied_as_the_file_under_the_name_of_the_link() {
    let case = Case::new();
    symlink("file", case.path("link")).unwrap();
    assert_eq!(case.copy("link", "new/"), ExitCode::Complete);
    assert!(
        fs::symlink_metadata(case.path("new/link"))
            .unwrap()
            .is_file()
    );
}

#[test]
fn the_directory_of_a_copied_file_keeps_its_own_attributes_but_for_the_time() {
    let case = Case::new();
    fs::create_dir(case.path("there")).unwrap();
    fs::set_permissions(case.path("there"), fs::Permissions::from_mode(0o751)).unwrap();
    fs::File::open(case.path("there"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    assert_eq!(case.copy("file", "there"), ExitCode::Complete);
    let after = fs::metadata(case.path("there")).unwrap();
    assert_eq!(after.mode() & 0o7777, 0o751);
    assert!(
        after.mtime() > 0,
        "a directory that got a name has been changed"
    );
    let again = after.modified().unwrap();
    assert_eq!(case.copy("file", "there"), ExitCode::Complete);
    assert_eq!(
        fs::metadata(case.path("there"))
            .unwrap()
            .modified()
            .unwrap(),
        again
    );
}

#[test]
fn a_file_with_holes_keeps_them() {
    let case = Case::new();
    let sparse = fs::File::create(case.path("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    assert_eq!(case.copy("sparse", "copy"), ExitCode::Complete);
    let copy = fs::metadata(case.path("copy")).unwrap();
    assert_eq!(copy.len(), 64 << 20);
    assert!(copy.blocks() < 1024, "{} blocks", copy.blocks());
}

#[test]
fn what_cannot_be_asked_for_is_wrong_usage_and_changes_nothing() {
    let case = Case::new();
    fs::create_dir(case.path("dir")).unwrap();
    assert_eq!(case.run(Operation::Mirror, "file", "dir"), ExitCode::Usage);
    assert_eq!(case.copy("file", "file"), ExitCode::Usage);
    assert_eq!(case.copy("file", "."), ExitCode::Usage);
    assert_eq!(case.copy("missing", "dir"), ExitCode::Usage);
    assert_eq!(case.copy("dir", "dir/inside"), ExitCode::Usage);
    assert_eq!(case.copy("dir", "file"), ExitCode::Usage);
    assert_eq!(fs::read_dir(case.path("dir")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(case.path("file")).unwrap(), "content");
}

#[test]
fn a_fifo_is_neither_file_nor_directory() {
    let case = Case::new();
    nix::unistd::mkfifo(&case.path("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(case.copy("fifo", "dir"), ExitCode::Usage);
}
