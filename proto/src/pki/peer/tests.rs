use super::{PeerName, PeerPattern, Role};

#[test]
fn names_read_back_as_they_were_written() {
    for name in [
        PeerName::mover("6f1c1a52-59b9-4a0e-8f0e-0d9ff35c4d0e", 1, Role::Source).unwrap(),
        PeerName::mover("x", u32::MAX, Role::Destination).unwrap(),
        PeerName::operator("blit-system.blit").unwrap(),
    ] {
        assert_eq!(name.to_string().parse::<PeerName>().unwrap(), name);
    }
}

#[test]
fn other_spellings_are_not_names() {
    for text in [
        "",
        "blit://",
        "blit://a",
        "blit://a/1",
        "blit://a/1/relay",
        "blit://a/0/source",
        "blit://a/01/source",
        "blit://a/+1/source",
        "blit://a/-1/source",
        "blit://a/1/source/",
        "blit://a/1/source/x",
        "blit:///1/source",
        "blit://a b/1/source",
        "blit://a%2fb/1/source",
        "blit://operator",
        "blit://operator/",
        "blit://operator/x/source",
        "spiffe://a/1/source",
    ] {
        assert!(text.parse::<PeerName>().is_err(), "{text}");
    }
}

#[test]
fn a_job_cannot_pass_for_an_operator() {
    assert!(PeerName::mover("operator", 1, Role::Source).is_err());
    assert!(PeerName::mover("operator/x", 1, Role::Source).is_err());
    assert!(PeerName::mover("a/1/source", 1, Role::Source).is_err());
}

#[test]
fn the_counterpart_is_the_other_side_of_the_same_attempt() {
    let source = PeerName::mover("a", 2, Role::Source).unwrap();
    let destination = PeerName::mover("a", 2, Role::Destination).unwrap();
    assert_eq!(source.counterpart(), Some(destination.clone()));
    assert_eq!(destination.counterpart(), Some(source));
    assert_eq!(PeerName::operator("o").unwrap().counterpart(), None);
}

#[test]
fn a_pattern_matches_nobody_else() {
    let source = PeerName::mover("a", 2, Role::Source).unwrap();
    let pattern = PeerPattern::Exactly(source.clone());
    assert!(pattern.matches(&source));
    assert!(!pattern.matches(&PeerName::mover("a", 1, Role::Source).unwrap()));
    assert!(!pattern.matches(&PeerName::mover("b", 2, Role::Source).unwrap()));
    assert!(!pattern.matches(&source.counterpart().unwrap()));
    assert!(!PeerPattern::AnyOperator.matches(&source));
    assert!(PeerPattern::AnyOperator.matches(&PeerName::operator("o").unwrap()));
}
