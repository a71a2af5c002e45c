use super::*;

const LIMITS: Limits = Limits {
    per_node: 2,
    total: 0,
};

/// A job of a namespace, made at a second, with a mover on each of these nodes.
fn candidate(name: &str, namespace: &str, second: i64, nodes: &[&str]) -> Candidate {
    Candidate {
        uid: name.to_owned(),
        namespace: namespace.to_owned(),
        created: Timestamp::from_second(second).unwrap(),
        movers: nodes
            .iter()
            .map(|node| Some(vec![(*node).to_owned()]))
            .collect(),
    }
}

fn load(movers: &[(&str, &str)]) -> Load {
    let mut load = Load::default();
    for (namespace, node) in movers {
        load.add(namespace, Some(node));
    }
    load
}

#[test]
fn the_oldest_start_until_a_node_is_full() {
    let line = [
        candidate("c", "x", 3, &["n1"]),
        candidate("a", "x", 1, &["n1"]),
        candidate("b", "x", 2, &["n1"]),
    ];
    let turns = turns(&line, &Load::default(), LIMITS);
    assert_eq!(turns["a"], Turn::Now);
    assert_eq!(turns["b"], Turn::Now);
    assert_eq!(turns["c"], Turn::Wait(1));
}

#[test]
fn namespaces_take_turns() {
    let mut line: Vec<_> = (0..8)
        .map(|n| candidate(&format!("a{n}"), "busy", n, &["n1"]))
        .collect();
    line.push(candidate("b", "quiet", 100, &["n1"]));
    let turns = turns(&line, &load(&[("busy", "n1")]), LIMITS);
    assert_eq!(turns["b"], Turn::Now);
    assert_eq!(turns["a0"], Turn::Wait(1));
    assert_eq!(turns["a7"], Turn::Wait(8));
}

#[test]
fn a_job_that_waits_for_a_full_node_keeps_nobody_from_another() {
    let line = [
        candidate("a", "x", 1, &["n1", "n2"]),
        candidate("b", "x", 2, &["n2"]),
        candidate("c", "x", 3, &["n2"]),
    ];
    let turns = turns(&line, &load(&[("y", "n1"), ("y", "n1")]), LIMITS);
    assert_eq!(turns["a"], Turn::Wait(1));
    assert_eq!(turns["b"], Turn::Now);
    assert_eq!(turns["c"], Turn::Wait(2), "the place on n2 is kept for a");
}

#[test]
fn a_mover_with_a_choice_goes_where_there_is_room() {
    let mut job = candidate("a", "x", 1, &[]);
    job.movers = vec![Some(vec!["n1".to_owned(), "n2".to_owned()])];
    let full = load(&[("y", "n1"), ("y", "n1")]);
    assert_eq!(turns(&[job], &full, LIMITS)["a"], Turn::Now);
}

#[test]
fn the_limit_in_all_counts_every_mover() {
    let limits = Limits {
        per_node: 0,
        total: 3,
    };
    let line = [
        candidate("a", "x", 1, &["n1", "n2"]),
        candidate("b", "x", 2, &["n1", "n2"]),
    ];
    let turns = turns(&line, &Load::default(), limits);
    assert_eq!(turns["a"], Turn::Now);
    assert_eq!(turns["b"], Turn::Wait(1));
}
