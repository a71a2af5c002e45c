//! Files that are made from the types are committed and up to date.

use std::fs;
use std::path::Path;

use blit_crds::generated;

#[test]
fn every_generated_file_is_committed_as_it_would_be_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in generated::files().unwrap() {
        let committed = fs::read_to_string(root.join(file.path)).unwrap_or_default();
        assert!(
            committed == file.content,
            "{} is out of date; run `{}` and commit the result",
            file.path,
            generated::COMMAND
        );
    }
}

#[test]
fn the_chart_is_of_the_version_of_the_program_and_installs_and_keeps_the_definition() {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/blit");
    let read = |name: &str| -> serde_json::Value {
        let text = fs::read_to_string(chart.join(name)).unwrap_or_default();
        serde_saphyr::from_str(&text).unwrap_or_default()
    };
    assert_eq!(read("Chart.yaml")["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(read("Chart.yaml")["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(read("values.yaml")["crds"]["install"], true);
    assert_eq!(read("values.yaml")["crds"]["keep"], true);
}
