use super::*;

const MIB: u64 = 1024 * 1024;

#[test]
fn the_path_is_the_first_of_the_table_that_fits() {
    let flat = Whole {
        files: 100_000,
        bytes: 400 * MIB,
        largest_file: 8192,
        largest_directory: 100_000,
        ..Whole::default()
    };
    let cases = [
        (
            Whole {
                files: 16,
                bytes: MIB,
                ..Whole::default()
            },
            Some(FastPath::TinyTree),
        ),
        (
            Whole {
                untouched: true,
                ..flat
            },
            Some(FastPath::InSync),
        ),
        (flat, Some(FastPath::FlatDirectory)),
        (
            Whole {
                largest_directory: 500,
                ..flat
            },
            Some(FastPath::ManySmallFiles),
        ),
        (
            Whole {
                files: 3,
                bytes: 4096 * MIB,
                largest_file: 4000 * MIB,
                largest_directory: 3,
                ..Whole::default()
            },
            Some(FastPath::HugeFile),
        ),
        (
            Whole {
                files: 500,
                bytes: 4096 * MIB,
                largest_file: 80 * MIB,
                largest_directory: 10,
                ..Whole::default()
            },
            None,
        ),
        (Whole::default(), None),
    ];
    for (run, expected) in cases {
        assert_eq!(taken(&run), expected, "{run:?}");
    }
}
