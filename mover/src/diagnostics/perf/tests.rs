use super::*;
use crate::history::entry::SCHEMA;
use crate::history::place::FileSystems;

fn entry(body: Body) -> Entry {
    Entry {
        schema: SCHEMA.to_owned(),
        time: "2026-11-21T09:00:00.123456789Z".to_owned(),
        version: "0.1.0".to_owned(),
        body,
    }
}

#[test]
fn runs_and_measurements_are_tables() {
    let run = Run {
        operation: "mirror".to_owned(),
        transport: "Local".to_owned(),
        file_systems: FileSystems {
            source: "xfs".to_owned(),
            destination: "ext4".to_owned(),
            same: false,
        },
        result: "Complete".to_owned(),
        files_copied: 100_000,
        files_unchanged: 3,
        bytes_copied: 550 << 20,
        duration_seconds: 2.09,
        planning_seconds: Some(1.5),
        seconds_to_first_byte: Some(0.0041),
        workers: Some(16),
        time_spent: Some(TimeSpent {
            scan: 1.0,
            read: 1.0,
            write: 1.0,
            metadata: 0.5,
            delete: 0.0,
            wait: 0.5,
        }),
        ..Run::default()
    };
    let failed = Run {
        operation: "copy".to_owned(),
        transport: "TCP".to_owned(),
        result: "EntriesFailed".to_owned(),
        duration_seconds: 75.0,
        sync_seconds: 0.5,
        ..Run::default()
    };
    let profile = Profile {
        file_system: "ext4".to_owned(),
        small_files_per_second: 12_345.6,
        large_bytes_per_second: 1e9,
        fsync_seconds: 0.0031,
        ..Profile::default()
    };
    let entries = [
        entry(Body::Run(Box::new(run))),
        entry(Body::Run(Box::new(failed))),
        entry(Body::Profile(profile)),
    ];
    let expected = "\
when                 what      file systems   copied  unchanged  deleted    bytes  planned  first byte        took  result
2026-11-21 09:00:00  mirror    xfs > ext4    100,000          3        0  550 MiB   1.50 s      4.1 ms      2.09 s  Complete
2026-11-21 09:00:00  copy TCP  ? > ?               0          0        0      0 B        -           -  1 min 15 s  EntriesFailed

Where the time of all threads went:

when                 scan  read  write  metadata  delete  wait  flush to disk  workers
2026-11-21 09:00:00   25%   25%    25%       12%      0%   12%              -       16
2026-11-21 09:00:00     -     -      -         -       -     -         0.50 s        -

Measured by `blit profile`:

when                 file system  small files/s  large file   fsync
2026-11-21 09:00:00  ext4                12,345   954 MiB/s  3.1 ms
";
    assert_eq!(describe(&entries, &TimeZone::UTC), expected);
}

#[test]
fn nothing_is_said_to_be_nothing() {
    assert_eq!(describe(&[], &TimeZone::UTC), "No runs yet.\n");
}
