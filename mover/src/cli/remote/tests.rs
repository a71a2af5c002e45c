use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

fn parsed(url: &str) -> (String, Vec<u8>) {
    let url = RemoteUrl::parse(OsStr::new(url)).unwrap();
    (url.address(), url.path().to_vec())
}

#[test]
fn a_url_names_host_port_and_path() {
    for (url, address, path) in [
        ("blit://host", "host:9031", &b""[..]),
        ("blit://host/", "host:9031", b""),
        ("BLIT://host:1/a/b/", "host:1", b"a/b/"),
        ("blit://192.0.2.1:65535/a%20b", "192.0.2.1:65535", b"a b"),
        ("blit://[2001:DB8::1]/x", "[2001:db8::1]:9031", b"x"),
        ("blit://[::1]:99/%ff%2Fx", "[::1]:99", b"\xff/x"),
    ] {
        assert_eq!(parsed(url), (address.to_owned(), path.to_vec()), "{url}");
    }
}

#[test]
fn what_is_no_url_says_why() {
    for (url, why) in [
        ("blit:///x", "host is missing"),
        ("blit://::1/x", "brackets"),
        ("blit://[::1/x", "without"),
        ("blit://[host]/x", "no IPv6"),
        ("blit://[::1]x/", "follows"),
        ("blit://h:0/", "port"),
        ("blit://h:70000/", "port"),
        ("blit://h:/", "port"),
        ("blit://token@h/", "BLIT_TOKEN"),
        ("blit://h/a%2", "hexadecimal"),
        ("blit://h/a%zz", "hexadecimal"),
        ("blit://h/a?b", "%3F"),
        ("blit://h/../x", ".."),
        ("blit://h/%2e%2e/x", ".."),
        ("blit://h/a%00", "called"),
    ] {
        let error = RemoteUrl::parse(OsStr::new(url)).unwrap_err().to_string();
        assert!(
            error.contains(why) && error.contains("blit://HOST"),
            "{url}: {error}"
        );
    }
}

#[test]
fn a_slash_at_the_end_of_a_url_means_a_directory() {
    for (url, directory) in [
        ("blit://h", true),
        ("blit://h/a", false),
        ("blit://h/a/", true),
    ] {
        let url = RemoteUrl::parse(OsStr::new(url)).unwrap();
        assert_eq!(url.names_directory(), directory);
    }
}

#[test]
fn text_that_is_no_token_is_refused_before_anything_is_dialled() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "secret\n").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let args = AccessArgs {
        token_file: Some(file),
        ..AccessArgs::default()
    };
    let error = args.access().unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::NotAuthenticated);
    assert!(!error.to_string().contains("secret"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_url_or_say_why_not(bytes in proptest::collection::vec(any::<u8>(), 0..60), scheme in any::<bool>()) {
        let url = match scheme {
            true => [SCHEME, &bytes].concat(),
            false => bytes,
        };
        match RemoteUrl::parse(OsStr::from_bytes(&url)) {
            Ok(url) => prop_assert!(RelPath::new(url.path()).is_ok()),
            Err(error) => prop_assert!(!error.to_string().contains(|c: char| c.is_control())),
        }
    }

    #[test]
    fn a_path_arrives_as_it_was_encoded(path in proptest::collection::vec(1..=255u8, 0..40)) {
        let encoded: String = path.iter().map(|byte| format!("%{byte:02x}")).collect();
        let url = RemoteUrl::parse(OsStr::new(&format!("blit://h/{encoded}")));
        match RelPath::new(&path) {
            Ok(_) => prop_assert_eq!(url.unwrap().path().to_vec(), path),
            Err(_) => prop_assert!(url.is_err()),
        }
    }
}
