use super::{TempNames, directory_name, run_id_of};

#[test]
fn only_names_of_the_exact_form_are_recognised() {
    let names = TempNames::new("abcdef123456");
    for ours in [names.unique(), names.unique(), names.of_directory(b"x")] {
        assert_eq!(run_id_of(&ours), Some(&b"abcdef123456"[..]));
    }
    for user in [
        &b".blit.tmp"[..],
        b".blit.abcdef12345.tmp",
        b".blit.abcdef123456.tmp",
        b".blit.abcdef12345_1.tmp",
        b"blit.abcdef1234561.tmp",
        b".blit.abcdef1234561.tmp~",
    ] {
        assert_eq!(run_id_of(user), None, "{user:?}");
    }
}

#[test]
fn a_later_run_finds_the_directory_of_an_earlier_one() {
    let names = TempNames::new("abcdef123456");
    assert_eq!(
        names.of_directory(b"data"),
        directory_name("abcdef123456", b"data")
    );
    assert_ne!(names.of_directory(b"data"), names.of_directory(b"date"));
}
