use std::os::unix::fs::PermissionsExt;

use super::{Identity, IdentityError};

fn identity() -> Identity {
    Identity::new(
        "ca".to_owned(),
        "certificate".to_owned(),
        "secret".to_owned(),
    )
}

#[test]
fn a_folder_reads_back_as_it_was_written() {
    for written in [
        identity(),
        identity().with_operator_ca("operators".to_owned()),
    ] {
        let dir = tempfile::tempdir().unwrap();
        written.write(dir.path()).unwrap();
        assert!(Identity::read(dir.path()).unwrap() == written);
    }
}

#[test]
fn files_are_for_the_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    identity().write(dir.path()).unwrap();
    for name in ["ca.crt", "tls.crt", "tls.key"] {
        let mode = std::fs::metadata(dir.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn an_identity_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    identity().write(dir.path()).unwrap();
    assert!(matches!(
        identity().write(dir.path()),
        Err(IdentityError::Write { .. })
    ));
}

#[test]
fn a_missing_file_is_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let text = Identity::read(dir.path()).unwrap_err().to_string();
    assert!(
        text.contains("ca.crt") && text.contains("tls.key"),
        "{text}"
    );
}

#[test]
fn the_key_does_not_show_in_debug_output() {
    assert!(!format!("{:?}", identity()).contains("secret"));
}

#[test]
fn text_that_is_not_pem_is_refused_by_name() {
    let text = identity().leaf().unwrap_err().to_string();
    assert!(text.contains("tls.crt"), "{text}");
}
