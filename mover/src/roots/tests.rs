use std::fs;

use super::*;

fn open(area: &Path, source: &str, destination: &str) -> Result<Dir, RootError> {
    let (source, destination) = (area.join(source), area.join(destination));
    open_destination(&destination, &open_source(&source)?, &source, false).map(|(dir, _)| dir)
}

#[test]
fn a_missing_destination_is_made_with_its_parents() {
    let area = tempfile::tempdir().unwrap();
    fs::create_dir(area.path().join("src")).unwrap();
    open(area.path(), "src", "a/b/c").unwrap();
    assert!(area.path().join("a/b/c").is_dir());
}

#[test]
fn a_destination_inside_the_source_is_refused_before_it_is_made() {
    let area = tempfile::tempdir().unwrap();
    fs::create_dir(area.path().join("src")).unwrap();
    for destination in ["src/new", "src/new/deeper"] {
        let error = open(area.path(), "src", destination).unwrap_err();
        assert!(
            matches!(
                error,
                RootError::Nested {
                    inner: "destination",
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(error.exit_code(), ExitCode::Usage);
    }
    assert_eq!(fs::read_dir(area.path().join("src")).unwrap().count(), 0);
}

#[test]
fn equal_and_containing_roots_are_refused_whatever_they_are_called() {
    let area = tempfile::tempdir().unwrap();
    fs::create_dir_all(area.path().join("src/inner")).unwrap();
    std::os::unix::fs::symlink("src", area.path().join("link")).unwrap();
    let error = open(area.path(), "src", "link").unwrap_err();
    assert!(matches!(error, RootError::Same(_)), "{error}");
    let error = open(area.path(), "src/inner", "link").unwrap_err();
    assert!(
        matches!(
            error,
            RootError::Nested {
                inner: "source",
                ..
            }
        ),
        "{error}"
    );
    let error = open(area.path(), "src", "link/inner").unwrap_err();
    assert!(
        matches!(
            error,
            RootError::Nested {
                inner: "destination",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_new_directory_beside_the_source_is_no_nesting() {
    let area = tempfile::tempdir().unwrap();
    fs::create_dir(area.path().join("src")).unwrap();
    open(area.path(), "src", "src2").unwrap();
}

#[test]
fn a_missing_source_and_a_file_in_the_way_are_wrong_usage_and_named() {
    let area = tempfile::tempdir().unwrap();
    fs::write(area.path().join("file"), "x").unwrap();
    let missing = open(area.path(), "no", "dst").unwrap_err();
    assert!(
        missing.to_string().contains("/no` does not exist"),
        "{missing}"
    );
    assert_eq!(missing.exit_code(), ExitCode::Usage);
    fs::create_dir(area.path().join("src")).unwrap();
    for destination in ["file", "file/below", "file/below/deeper"] {
        let error = open(area.path(), "src", destination).unwrap_err();
        assert!(
            error.to_string().contains("/file` is not a directory"),
            "{error}"
        );
        assert_eq!(error.exit_code(), ExitCode::Usage);
    }
}
