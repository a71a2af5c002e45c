use super::*;

#[test]
fn only_the_scheme_makes_an_operand_remote() {
    for remote in ["blit://host/path", "BLIT://host:9031/", "blit://[::1]/x"] {
        assert_eq!(
            Operand::new(remote.into()),
            Operand::Remote(remote.to_owned())
        );
    }
    for local in ["/data", "data", "./blit://host/x", "blit:/x", "blit:", ""] {
        assert_eq!(Operand::new(local.into()), Operand::Local(local.into()));
    }
    let not_utf8 = OsStr::from_bytes(b"/d\xff").to_owned();
    assert_eq!(
        Operand::new(not_utf8.clone()),
        Operand::Local(not_utf8.into())
    );
}

#[test]
fn a_slash_at_the_end_means_a_directory() {
    assert!(names_directory(OsStr::new("a/")));
    assert!(!names_directory(OsStr::new("a")));
}

#[test]
fn a_colon_before_any_slash_looks_like_rsync() {
    for (path, expected) in [
        ("host:/data", true),
        ("me@host:data", true),
        ("./a:b", false),
        ("/a:b", false),
        ("ab", false),
    ] {
        assert_eq!(
            looks_like_rsync_remote(OsStr::new(path)),
            expected,
            "{path}"
        );
    }
}
