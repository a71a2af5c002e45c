use super::parse;

#[test]
fn values_are_read_with_and_without_quotes() {
    let values = parse("# facts\nA=1\nexport B='two words'\nC=\"x=y\"\n\n");
    let found: Vec<(&str, &str)> = values.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(found, [("A", "1"), ("B", "two words"), ("C", "x=y")]);
}
