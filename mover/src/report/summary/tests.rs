use std::collections::BTreeMap;

use blit_engine::run::{Progress, Proven, Withheld};

use super::*;

fn summary() -> Summary {
    Summary {
        run_id: "run".to_owned(),
        dry_run: false,
        strict: false,
        progress: Progress {
            scan_complete: true,
            ..Progress::default()
        },
        directories_created: 0,
        metadata_repaired: 0,
        vanished: 0,
        unstable: 0,
        proven: None,
        differences: 0,
        failed: Vec::new(),
        withheld: Vec::new(),
        not_kept: BTreeMap::new(),
        destination_entries: 0,
        refusal: None,
        interrupted: false,
        stalled: false,
        fatal: None,
        duration: Duration::from_millis(1500),
        first_byte: None,
        planning: None,
        spent: Spent::default(),
        sync: None,
        fast_path: None,
        workers: None,
    }
}

fn setting() -> Setting {
    Setting {
        since: Instant::now(),
        transport: "Local",
        bytes_sent: 0,
        peak_memory: 4096,
    }
}

fn withheld() -> Vec<Withheld> {
    vec![Withheld {
        path: (*b"dir").into(),
        reason: "EIO".to_owned(),
    }]
}

#[test]
fn each_way_to_end_has_its_code_and_a_message_with_a_remedy() {
    let failed = Progress {
        files_failed: 2,
        ..Progress::default()
    };
    let destination = |errno| {
        Some(Fatal::Destination(FsError::new(
            "make directory",
            b"/dst",
            errno,
        )))
    };
    let cases = [
        (
            Summary {
                interrupted: true,
                ..summary()
            },
            130,
            "Interrupted",
        ),
        (
            Summary {
                stalled: true,
                ..summary()
            },
            40,
            "Stalled",
        ),
        (
            Summary {
                stalled: true,
                fatal: Some(Fatal::Deadline("the call read on f".to_owned())),
                ..summary()
            },
            40,
            "Stalled",
        ),
        (
            Summary {
                fatal: Some(SourceError::Stalled("nothing moved".to_owned()).into()),
                ..summary()
            },
            40,
            "Stalled",
        ),
        (
            Summary {
                unstable: 1,
                ..summary()
            },
            13,
            "SourceChanged",
        ),
        (
            Summary {
                // Such a file has failed too; that it could not be verified weighs more.
                progress: failed.clone(),
                proven: Some(Proven {
                    failed: 1,
                    ..Proven::default()
                }),
                ..summary()
            },
            14,
            "VerifyFailed",
        ),
        (
            Summary {
                progress: failed,
                ..summary()
            },
            10,
            "EntriesFailed",
        ),
        (
            Summary {
                withheld: withheld(),
                ..summary()
            },
            11,
            "DeletionsWithheld",
        ),
        (
            Summary {
                refusal: Some(Refusal::SourceEmpty),
                ..summary()
            },
            12,
            "SourceEmpty",
        ),
        (
            Summary {
                fatal: Some(Fatal::DestinationFull("a".to_owned())),
                ..summary()
            },
            20,
            "DestinationFull",
        ),
        (
            Summary {
                fatal: destination(Errno::ROFS),
                ..summary()
            },
            21,
            "PermissionDenied",
        ),
        (
            Summary {
                fatal: destination(Errno::IO),
                ..summary()
            },
            1,
            "InternalError",
        ),
        (
            Summary {
                fatal: Some(SourceError::Lost("gone".to_owned()).into()),
                ..summary()
            },
            30,
            "PeerUnreachable",
        ),
        (
            Summary {
                fatal: Some(Fatal::ForeignState),
                ..summary()
            },
            1,
            "InternalError",
        ),
    ];
    for (summary, code, result) in cases {
        let record = of_run(&summary, &setting());
        assert_eq!((record.exit_code, record.result.as_str()), (code, result));
        assert!(
            record.message.is_some_and(|m| !m.is_empty()),
            "{result} has no message"
        );
    }
}

#[test]
fn a_complete_run_has_neither_code_nor_message() {
    let record = of_run(&summary(), &setting());
    assert_eq!(
        (record.exit_code, record.result.as_str(), record.message),
        (0, "Complete", None)
    );
    assert_eq!(
        (record.transport.as_str(), record.peak_memory),
        ("Local", 4096)
    );
}

#[test]
fn the_heaviest_of_several_ends_is_the_exit_code() {
    let summary = Summary {
        interrupted: true,
        withheld: withheld(),
        progress: Progress {
            files_failed: 1,
            ..Progress::default()
        },
        ..summary()
    };
    assert_eq!(exit_code(&summary), ExitCode::Interrupted);
}

#[test]
fn a_total_is_unknown_unless_the_scan_was_complete() {
    let progress = Progress {
        files_total: 5,
        scan_complete: false,
        ..Progress::default()
    };
    let record = of_run(
        &Summary {
            progress,
            interrupted: true,
            ..summary()
        },
        &setting(),
    );
    assert_eq!(record.files_total, None);
}

#[test]
fn a_refusal_is_named_by_its_rule() {
    let refusal = Refusal::NothingInCommon;
    let record = of_run(
        &Summary {
            refusal: Some(refusal.clone()),
            ..summary()
        },
        &setting(),
    );
    let guard = record.guard.unwrap();
    assert_eq!(guard.reason, "NothingInCommon");
    assert_eq!(Some(guard.message), record.message);
    assert_eq!(record.result, "NothingInCommon");
}

#[test]
fn the_line_says_what_was_done() {
    let record = SummaryRecord {
        files_copied: 1234,
        bytes_copied: 13_207_024_435,
        files_deleted: 3,
        files_unchanged: 56,
        duration_seconds: 12.3,
        ..SummaryRecord::default()
    };
    assert_eq!(
        line(&record),
        "copied 1,234 files (12.3 GiB), deleted 3 entries in 12 s, 1.0 GiB/s; 56 unchanged"
    );
    let record = SummaryRecord {
        files_unchanged: 2,
        duration_seconds: 0.04,
        ..Default::default()
    };
    assert_eq!(line(&record), "changed nothing in 0.0 s; 2 unchanged");
}

#[test]
fn the_public_message_names_no_file_and_still_the_remedy() {
    let failed = |fatal| Summary {
        fatal: Some(fatal),
        ..summary()
    };
    let refused = FsError::new("write", b"secret/plans.txt", Errno::ACCESS);
    let cases = [
        (
            failed(Fatal::DestinationFull("secret/plans.txt".to_owned())),
            "make space",
        ),
        (failed(Fatal::Destination(refused)), "podSecurity: Baseline"),
        (
            failed(SourceError::Nested("secret/plans.txt".to_owned()).into()),
            "mend",
        ),
        (
            failed(SourceError::Other("secret/plans.txt".to_owned()).into()),
            "cause",
        ),
        (
            failed(Fatal::Deadline(
                "the call read on secret/plans.txt".to_owned(),
            )),
            "look for the call",
        ),
        (
            failed(SourceError::Stalled("the call read on secret/plans.txt".to_owned()).into()),
            "look for the call",
        ),
        (failed(Fatal::NewerAttempt(2)), "attempt 2"),
        (
            Summary {
                progress: Progress {
                    files_failed: 3,
                    ..Progress::default()
                },
                ..summary()
            },
            "3 entries could not be copied; read which entries failed and why, and run again; \
             entries that may not be read need root, in a pod `mover.podSecurity: Baseline`",
        ),
    ];
    for (summary, remedy) in cases {
        let message = of_run(&summary, &setting()).public_message.unwrap();
        assert!(!message.contains("plans"), "{message}");
        assert!(message.contains(remedy), "{message}");
    }
}
