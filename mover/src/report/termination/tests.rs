use super::super::record;
use super::*;

fn summary(code: ExitCode) -> SummaryRecord {
    SummaryRecord {
        exit_code: code.code(),
        message: Some("cannot open secret/plans.txt".to_owned()),
        files_copied: 7,
        ..SummaryRecord::default()
    }
}

#[test]
fn the_last_word_names_no_file() {
    for code in ExitCode::ALL {
        let message = message(
            Side::Destination,
            SelectedTransport::Tcp,
            Vec::new(),
            &summary(code),
        );
        assert_eq!(message.exit_code, code);
        assert_eq!(message.files_copied, 7);
        assert!(!message.message.contains("plans"), "{}", message.message);
        assert_eq!(message.message.is_empty(), code == ExitCode::Complete);
    }
}

#[test]
fn a_refusal_keeps_its_rule_and_its_own_words() {
    let refused = SummaryRecord {
        guard: Some(record::Guard {
            reason: "MaxDeleteExceeded".to_owned(),
            message: "7 of 8 entries".to_owned(),
        }),
        ..summary(ExitCode::GuardRefused)
    };
    let message = message(
        Side::Destination,
        SelectedTransport::Tcp,
        Vec::new(),
        &refused,
    );
    assert_eq!(message.guard, Some(Guard::MaxDelete));
    assert_eq!(message.message, "7 of 8 entries");
    assert_eq!(
        message.reason().map(|r| r.as_str()),
        Some("MaxDeleteExceeded")
    );
}

#[test]
fn a_cause_that_names_no_file_is_told() {
    let lost = SummaryRecord {
        public_message: Some("nobody answers at 10.0.0.1".to_owned()),
        ..summary(ExitCode::PeerUnreachable)
    };
    let message = message(Side::Source, SelectedTransport::Tcp, Vec::new(), &lost);
    assert_eq!(message.message, "nobody answers at 10.0.0.1");
    assert_eq!(message.transport, None);
}

#[test]
fn the_mover_that_writes_says_how_the_data_travelled() {
    let done = summary(ExitCode::Complete);
    for way in [SelectedTransport::Local, SelectedTransport::Tcp] {
        let message = message(Side::Destination, way, Vec::new(), &done);
        assert_eq!(message.transport, Some(way));
    }
}

#[test]
fn a_refusal_names_the_fields_of_a_manifest() {
    let refused = |message: &str| SummaryRecord {
        guard: Some(record::Guard {
            reason: "SourceEmpty".to_owned(),
            message: message.to_owned(),
        }),
        ..summary(ExitCode::GuardRefused)
    };
    for (flag, field) in [
        (
            "allow it (--allow-empty-source)",
            "spec.deletion.allowEmptySource",
        ),
        ("allow it (--max-delete)", "spec.deletion.maxDelete"),
    ] {
        let way = SelectedTransport::Tcp;
        let message = message(Side::Destination, way, Vec::new(), &refused(flag)).message;
        assert!(
            message.contains(field) && !message.contains("--"),
            "{message}"
        );
    }
}

#[test]
fn what_a_run_came_to_is_told_without_names() {
    let counted = SummaryRecord {
        public_message: Some("3 entries could not be copied".to_owned()),
        ..summary(ExitCode::EntriesFailed)
    };
    let way = SelectedTransport::Tcp;
    let message = message(Side::Destination, way, Vec::new(), &counted);
    assert_eq!(message.message, "3 entries could not be copied");
}
