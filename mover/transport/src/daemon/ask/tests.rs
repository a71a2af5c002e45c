use blit_engine::run::MaxDelete;
use proptest::prelude::*;

use super::*;

fn rule(action: Action, pattern: &[u8]) -> Rule {
    Rule {
        action,
        pattern: Pattern::new(pattern).unwrap(),
    }
}

#[test]
fn what_is_asked_for_arrives() {
    let filters = Filters::new(vec![
        rule(Action::Include, b"/keep/**"),
        rule(Action::Exclude, b"*.tmp\xff"),
        rule(Action::Exclude, b"build/"),
    ]);
    let ask = Ask {
        path: b"a/\xfe".to_vec(),
        options: Options {
            operation: Operation::Mirror,
            max_delete: Some(MaxDelete::Percent(7)),
            allow_empty_source: true,
            checksum: true,
            dry_run: true,
            filters: Arc::new(filters),
            delete_excluded: true,
            existing: Existing {
                only: true,
                ignore: false,
                update: true,
            },
            owner: OwnerMap {
                uid: Some(0),
                gid: None,
            },
            strict: true,
            verify: true,
            ..Options::default()
        },
        entries: true,
        single_file: true,
        into_directory: true,
        file_name: b"name".to_vec(),
    };
    let back = Ask::from_wire(ask.to_wire(), true).unwrap();
    assert_eq!(format!("{back:?}"), format!("{ask:?}"));
}

#[test]
fn a_client_cannot_set_what_the_daemon_decides() {
    let ask = Ask {
        options: Options {
            fsync: true,
            workers: Some(1),
            without_special_files: true,
            delete_limit: Some(MaxDelete::Percent(100)),
            ..Options::default()
        },
        ..Ask::default()
    };
    let back = Ask::from_wire(ask.to_wire(), false).unwrap();
    assert_eq!(
        format!("{:?}", back.options),
        format!("{:?}", Options::default())
    );
}

#[test]
fn nonsense_is_refused() {
    let pattern = |pattern: Vec<u8>| FilterRule {
        exclude: true,
        pattern,
    };
    let refused = |ask: PushAsk| assert!(Ask::from_wire(ask, false).is_err());
    for bound in ["101%", "-1", "many", "0000000000000000000000001"] {
        refused(PushAsk {
            max_delete: bound.to_owned(),
            ..PushAsk::default()
        });
    }
    for text in [Vec::new(), vec![0], vec![b'a'; PATTERN_BYTES + 1]] {
        refused(PushAsk {
            filters: vec![pattern(text)],
            ..PushAsk::default()
        });
    }
    for name in ["", "..", "a/b"] {
        let ask = PushAsk {
            file_name: name.as_bytes().to_vec(),
            ..PushAsk::default()
        };
        assert!(Ask::from_wire(ask, true).is_err(), "{name}");
    }
    refused(PushAsk {
        filters: vec![pattern(b"a".to_vec()); RULES + 1],
        ..PushAsk::default()
    });
}

proptest! {
    #[test]
    fn any_pattern_arrives_as_it_was_written(text in proptest::collection::vec(1u8.., 1..40)) {
        let filters = Filters::new(vec![rule(Action::Exclude, &text)]);
        let ask = Ask {
            options: Options { filters: Arc::new(filters.clone()), ..Options::default() },
            ..Ask::default()
        };
        let back = Ask::from_wire(ask.to_wire(), false).unwrap();
        prop_assert_eq!(&*back.options.filters, &filters);
    }
}
