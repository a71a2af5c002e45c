use super::*;

fn parsed(text: &str) -> Option<u64> {
    whole(&Quantity(text.to_owned()))
}

#[test]
fn suffixes_are_powers_of_two_or_of_ten() {
    assert_eq!(parsed("100Mi"), Some(104_857_600));
    assert_eq!(parsed("100M"), Some(100_000_000));
    assert_eq!(parsed("1k"), Some(1_000));
    assert_eq!(parsed("1Ki"), Some(1_024));
    assert_eq!(parsed("12e3"), Some(12_000));
    assert_eq!(parsed("12E"), Some(12_000_000_000_000_000_000));
    assert_eq!(parsed("5"), Some(5));
}

#[test]
fn fractions_are_exact_and_round_up() {
    assert_eq!(parsed("1.5Gi"), Some(1_610_612_736));
    assert_eq!(parsed("0.1"), Some(1));
    assert_eq!(parsed("1500m"), Some(2));
    assert_eq!(parsed(".5k"), Some(500));
    assert_eq!(parsed("+2"), Some(2));
}

#[test]
fn what_is_no_quantity_has_no_value() {
    for text in [
        "", ".", "Mi", "fast", "-1", "1 Mi", "1.2.3", "1mi", "1e", "16Ei", "9e99",
    ] {
        assert_eq!(parsed(text), None, "{text}");
    }
}

#[test]
fn zero_is_not_positive() {
    let positive = |text: &str| is_positive(&Quantity(text.to_owned()));
    assert!(positive("1m") && positive("1"));
    assert!(!positive("0") && !positive("0Mi") && !positive("x"));
}
