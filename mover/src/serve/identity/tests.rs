use std::os::unix::fs::PermissionsExt;

use blit_transport::auth::grant::Scopes;
use blit_transport::path::RelPath;

use super::*;

#[test]
fn a_folder_is_made_once_private_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("missing/identity");
    let first = DaemonIdentity::open_or_make(&folder, SystemTime::now()).unwrap();
    let again = DaemonIdentity::open_or_make(&folder, SystemTime::now()).unwrap();
    assert_eq!(first.server(), again.server());
    assert_eq!(first.token_key().as_bytes(), again.token_key().as_bytes());
    assert_eq!(folder.metadata().unwrap().mode() & 0o7777, 0o700);
    for name in ["ca.crt", "ca.key", "tls.crt", "tls.key", "token.key"] {
        let mode = folder.join(name).metadata().unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
    let left = std::fs::read_dir(folder.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "nothing else is left");
}

#[test]
fn daemons_that_make_a_folder_at_the_same_time_agree() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("identity");
    let keys: Vec<_> = std::thread::scope(|scope| {
        let make = || DaemonIdentity::open_or_make(&folder, SystemTime::now()).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        let ended = threads.into_iter().map(|thread| thread.join().unwrap());
        ended.map(|made| *made.token_key().as_bytes()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn an_identity_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("identity");
    DaemonIdentity::open_or_make(&folder, SystemTime::now()).unwrap();
    for name in ["token.key", "ca.key", "tls.key", "."] {
        let path = folder.join(name);
        let was = path.metadata().unwrap().permissions();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(was.mode() | 0o040)).unwrap();
        let error = DaemonIdentity::open(&folder).unwrap_err();
        assert!(
            matches!(error, IdentityFolderError::Exposed(_)),
            "{name}: {error}"
        );
        std::fs::set_permissions(&path, was).unwrap();
    }
    DaemonIdentity::open(&folder).unwrap();
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(dir.path().join("letter"), "dear").unwrap();
    let error = DaemonIdentity::open_or_make(dir.path(), SystemTime::now()).unwrap_err();
    assert!(error.to_string().contains("token.key"), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn certificates_of_clients_are_signed_by_the_authority() {
    let identity = DaemonIdentity::make(SystemTime::now()).unwrap();
    let grant = Grant {
        scopes: Scopes::all(),
        prefix: RelPath::new(b"/a").unwrap(),
    };
    let hour = Duration::from_secs(3600);
    let client = identity
        .certify("me", &grant, hour, SystemTime::now())
        .unwrap();
    assert_eq!(client.ca_pem(), identity.server().ca_pem());
    assert!(
        identity
            .certify("not/me", &grant, hour, SystemTime::now())
            .is_err()
    );
}
