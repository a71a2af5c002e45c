use super::Metrics;

#[test]
fn samples_are_found_by_name_and_labels() {
    let metrics = Metrics::parse(
        "# TYPE a counter\na_total{x=\"1\",y=\"p,q\"} 3\na_total{x=\"2\",y=\"\\\"}\\n\"} 4.5\nb 1e3 1700000000\n# EOF\n",
    );
    assert_eq!(metrics.value("a_total", &[("x", "1")]), Some(3.0));
    assert_eq!(metrics.value("a_total", &[("y", "\"}\n")]), Some(4.5));
    assert_eq!(metrics.value("a_total", &[]), None, "two samples fit");
    assert_eq!(metrics.sum("a_total", &[]), 7.5);
    assert_eq!(metrics.value("b", &[]), Some(1000.0));
}

#[test]
fn the_series_of_an_object_are_told_apart_by_namespace_and_name() {
    let metrics = Metrics::parse(
        "m{namespace=\"n\",name=\"a\"} 1\nm{namespace=\"o\",name=\"a\"} 1\nm{namespace=\"n\",name=\"b\"} 1\n",
    );
    assert_eq!(metrics.of_object("n", "a").len(), 1);
}
