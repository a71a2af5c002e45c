use super::{Escaped, is_valid_name};

#[test]
fn names_that_could_leave_a_directory_are_not_valid() {
    for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b", &[b'x'; 256]] {
        assert!(!is_valid_name(bad), "{bad:?}");
    }
    for good in [&b"a"[..], b"...", b" ", b"\xff\xfe", b"a\nb", &[b'x'; 255]] {
        assert!(is_valid_name(good), "{good:?}");
    }
}

#[test]
fn escaping_keeps_a_terminal_safe_and_text_readable() {
    let shown = |b: &[u8]| Escaped(b).to_string();
    assert_eq!(shown("Grüße".as_bytes()), "Grüße");
    assert_eq!(shown(b"a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
    assert_eq!(shown(b"\xffz"), "\\xffz");
    assert_eq!(shown("a\u{202e}b".as_bytes()), "a\\u{202e}b");
}
