use super::*;
use crate::mirrorjob::dereference::fixtures::{node, taint, tolerates};

fn requirement(key: &str, operator: &str, values: &[&str]) -> NodeSelectorRequirement {
    NodeSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
    }
}

fn of_labels(requirements: Vec<NodeSelectorRequirement>) -> NodeSelectorTerm {
    NodeSelectorTerm {
        match_expressions: Some(requirements),
        match_fields: None,
    }
}

fn selector(terms: Vec<NodeSelectorTerm>) -> NodeSelector {
    NodeSelector {
        node_selector_terms: terms,
    }
}

/// Node `a`, label `host` `a`, label `cores` `8`.
fn a() -> Node {
    let mut node = node("a");
    node.labels.insert("cores".to_owned(), "8".to_owned());
    node
}

#[test]
fn every_operator_means_what_it_means_to_the_scheduler() {
    let cases: [(&str, &str, &[&str], bool); 15] = [
        ("host", "In", &["a", "b"], true),
        ("host", "In", &["b"], false),
        ("zone", "In", &["a"], false),
        ("host", "NotIn", &["b"], true),
        ("host", "NotIn", &["a"], false),
        ("zone", "NotIn", &["a"], true),
        ("host", "Exists", &[], true),
        ("zone", "Exists", &[], false),
        ("host", "DoesNotExist", &[], false),
        ("zone", "DoesNotExist", &[], true),
        ("cores", "Gt", &["7"], true),
        ("cores", "Gt", &["8"], false),
        ("cores", "Lt", &["9"], true),
        ("host", "Lt", &["9"], false),
        ("host", "Like", &["a"], false),
    ];
    for (key, operator, values, expected) in cases {
        let selector = selector(vec![of_labels(vec![requirement(key, operator, values)])]);
        assert_eq!(
            selected(&a(), &selector),
            expected,
            "{key} {operator} {values:?}"
        );
    }
}

#[test]
fn one_term_must_hold_with_all_its_requirements() {
    let yes = requirement("host", "Exists", &[]);
    let no = requirement("zone", "Exists", &[]);
    let both = of_labels(vec![yes.clone(), no.clone()]);
    assert!(!selected(&a(), &selector(vec![both.clone()])));
    assert!(selected(&a(), &selector(vec![both, of_labels(vec![yes])])));
    assert!(!selected(&a(), &selector(vec![of_labels(vec![no])])));
}

#[test]
fn a_selector_without_requirements_means_no_node() {
    assert!(!selected(&a(), &selector(vec![])));
    assert!(!selected(
        &a(),
        &selector(vec![NodeSelectorTerm::default()])
    ));
}

#[test]
fn a_node_can_be_selected_by_name() {
    let term = |name: &str| NodeSelectorTerm {
        match_expressions: None,
        match_fields: Some(vec![requirement("metadata.name", "In", &[name])]),
    };
    assert!(selected(&a(), &selector(vec![term("a")])));
    assert!(!selected(&a(), &selector(vec![term("b")])));
}

#[test]
fn tolerations_are_those_of_kubernetes() {
    let toleration =
        |key: &str, operator: Option<&str>, value: Option<&str>, effect: Option<&str>| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            Toleration {
                key: Some(key.to_owned()).filter(|key| !key.is_empty()),
                operator: text(operator),
                value: text(value),
                effect: text(effect),
                toleration_seconds: None,
            }
        };
    let cases = [
        (toleration("gpu", Some("Exists"), None, None), true),
        (toleration("", Some("Exists"), None, None), true),
        (toleration("gpu", None, Some("only"), None), true),
        (
            toleration("gpu", Some("Equal"), Some("only"), Some("NoSchedule")),
            true,
        ),
        (toleration("gpu", Some("Equal"), Some("other"), None), false),
        (toleration("gpu", None, None, None), false),
        (
            toleration("gpu", Some("Exists"), None, Some("NoExecute")),
            false,
        ),
        (toleration("cpu", Some("Exists"), None, None), false),
        (toleration("", None, Some("only"), None), false),
    ];
    let mut node = node("a");
    node.taints = vec![taint("gpu", "NoSchedule")];
    for (toleration, expected) in cases {
        let repelled = repelled(&node, std::slice::from_ref(&toleration));
        assert_eq!(repelled.is_none(), expected, "{toleration:?}");
    }
}

#[test]
fn a_cordon_can_be_tolerated() {
    let mut node = node("a");
    node.unschedulable = true;
    assert_eq!(repelled(&node, &[]).as_deref(), Some("is cordoned"));
    assert_eq!(repelled(&node, &[tolerates(CORDONED)]), None);
}
