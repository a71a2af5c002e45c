use super::*;

fn places(source: &str) -> FileSystems {
    FileSystems {
        source: source.to_owned(),
        destination: "ext4".to_owned(),
        same: false,
    }
}

fn run(source: &str, transport: &str, workers: Option<usize>) -> Entry {
    Entry::now(Body::Run(Box::new(Run {
        transport: transport.to_owned(),
        file_systems: places(source),
        workers,
        ..Run::default()
    })))
}

#[test]
fn a_run_begins_with_what_runs_between_the_same_kinds_of_file_systems_found() {
    let entries = [
        run("nfs", "Local", Some(16)),
        run("ext4", "Local", Some(2)),
        run("nfs", "TCP", Some(5)),
        run("nfs", "Local", None),
    ];
    assert_eq!(foreseen(&entries, &places("nfs")), Some(16));
    assert_eq!(foreseen(&entries, &places("ext4")), Some(2));
    assert_eq!(foreseen(&entries, &places("xfs")), None);
}
