use super::*;

#[test]
fn only_a_clear_yes_is_one() {
    for yes in ["y\n", "Y", " yes \n", "YES"] {
        assert!(is_yes(yes), "{yes:?}");
    }
    for no in ["", "\n", "n", "no", "yeah", "y y"] {
        assert!(!is_yes(no), "{no:?}");
    }
}
