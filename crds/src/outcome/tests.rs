use proptest::prelude::*;

use super::*;
use crate::mirrorjob::{Side, TransportKind, TriedTransport};

#[test]
fn the_precedence_orders_every_failure_once() {
    let numbers: Vec<u8> = ExitCode::PRECEDENCE
        .iter()
        .map(|code| code.code())
        .collect();
    assert_eq!(
        numbers,
        [130, 2, 31, 32, 30, 41, 40, 20, 12, 14, 21, 13, 10, 11, 1]
    );
    assert_eq!(ExitCode::ALL.len(), ExitCode::PRECEDENCE.len() + 1);
}

#[test]
fn where_several_codes_hold_the_heaviest_is_the_exit_code() {
    use ExitCode::*;
    assert_eq!(ExitCode::heaviest([]), Complete);
    assert_eq!(ExitCode::heaviest([Complete, Complete]), Complete);
    assert_eq!(
        ExitCode::heaviest([EntriesFailed, Complete, SourceChanged]),
        SourceChanged
    );
    assert_eq!(
        ExitCode::heaviest([DestinationFull, Interrupted]),
        Interrupted
    );
    assert_eq!(
        ExitCode::heaviest([OtherError, DeletionsWithheld]),
        DeletionsWithheld
    );
}

#[test]
fn a_code_survives_the_way_through_its_number_and_json() {
    for code in ExitCode::ALL {
        assert_eq!(ExitCode::from_code(code.code()), Some(code));
        let json = serde_json::to_string(&code).unwrap();
        assert_eq!(json, code.code().to_string());
        assert_eq!(serde_json::from_str::<ExitCode>(&json).unwrap(), code);
    }
    let error = serde_json::from_str::<ExitCode>("77")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("77 is not an exit code of blit"),
        "{error}"
    );
}

#[test]
fn the_side_that_went_first_explains_the_attempt() {
    use ExitCode::*;
    assert_eq!(of_attempt(Some(Complete), Some(Complete)), Complete);
    assert_eq!(
        of_attempt(Some(PermissionDenied), Some(PeerUnreachable)),
        PermissionDenied
    );
    assert_eq!(
        of_attempt(Some(PeerUnreachable), Some(DestinationFull)),
        DestinationFull
    );
    assert_eq!(
        of_attempt(Some(PeerUnreachable), Some(PeerUnreachable)),
        PeerUnreachable
    );
    assert_eq!(of_attempt(None, Some(PeerUnreachable)), PeerUnreachable);
    // The operator asks the other one to end when it does not by itself.
    assert_eq!(of_attempt(Some(Usage), Some(Interrupted)), Usage);
    assert_eq!(
        of_attempt(Some(PeerUnreachable), Some(Interrupted)),
        Interrupted
    );
}

#[test]
fn an_attempt_is_complete_only_by_the_word_of_the_destination() {
    use ExitCode::*;
    assert_eq!(of_attempt(Some(PeerUnreachable), Some(Complete)), Complete);
    assert_eq!(of_attempt(Some(Complete), None), OtherError);
    assert_eq!(
        of_attempt(Some(Complete), Some(PeerUnreachable)),
        PeerUnreachable
    );
    assert_eq!(of_attempt(None, None), OtherError);
}

#[test]
fn every_failure_has_a_reason_and_success_has_none() {
    assert_eq!(Reason::of(ExitCode::Complete, None), None);
    for code in ExitCode::PRECEDENCE {
        let reason = Reason::of(code, None).unwrap();
        assert_ne!(reason.class(), Class::Waiting, "{code} ends a mover");
    }
    let guard = |guard| {
        Reason::of(ExitCode::GuardRefused, Some(guard))
            .unwrap()
            .as_str()
    };
    assert_eq!(guard(Guard::SourceEmpty), "SourceEmpty");
    assert_eq!(guard(Guard::NothingInCommon), "NothingInCommon");
    assert_eq!(guard(Guard::MaxDelete), "MaxDeleteExceeded");
}

#[test]
fn a_reason_is_one_word_and_the_same_in_text_and_json() {
    for reason in Reason::ALL {
        assert_eq!(
            serde_json::to_string(&reason).unwrap(),
            format!("\"{reason}\"")
        );
        assert!(
            reason
                .as_str()
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic())
        );
    }
}

#[test]
fn a_termination_message_fits_however_long_its_cause_is() {
    for text in [
        "x".repeat(20_000),
        "\u{1}\"é".repeat(5_000),
        "\u{1F980}".repeat(4_000),
    ] {
        let mut message = TerminationMessage::new(Side::Source, ExitCode::OtherError, text);
        for kind in 0..100 {
            message
                .not_kept
                .insert(format!("{kind}-{}", "k".repeat(200)), u64::MAX);
            message.tried.push(TriedTransport {
                kind: TransportKind::Tcp,
                reason: message.message.clone(),
            });
        }
        let json = message.to_json().unwrap();
        assert!(
            json.len() <= MAX_TERMINATION_MESSAGE,
            "{} bytes",
            json.len()
        );
        let read = TerminationMessage::from_json(&json).unwrap();
        assert_eq!(read.exit_code, ExitCode::OtherError);
        assert!(read.message.ends_with('…'));
        assert!(!read.not_kept.is_empty());
    }
}

#[test]
fn a_short_termination_message_arrives_whole() {
    let mut message = TerminationMessage::new(
        Side::Destination,
        ExitCode::GuardRefused,
        "the source is empty",
    );
    message.guard = Some(Guard::SourceEmpty);
    message.files_copied = 7;
    message.tried.push(TriedTransport {
        kind: TransportKind::Tcp,
        reason: "10.1.2.3:9032: no answer".to_owned(),
    });
    let json = message.to_json().unwrap();
    assert_eq!(TerminationMessage::from_json(&json).unwrap(), message);
    assert_eq!(message.reason(), Some(Reason::SourceEmpty));
    assert!(
        json.starts_with(r#"{"side":"destination","exitCode":12,"message":"#),
        "{json}"
    );
}

proptest! {
    #[test]
    fn an_altered_termination_message_is_one_or_none_and_is_written_as_it_was_read(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
        cause in any::<String>(),
        kinds in proptest::collection::btree_map("\\PC{0,40}", any::<u64>(), 0..20),
        seconds in 0.0..1e9f64,
    ) {
        let mut message = TerminationMessage::new(Side::Destination, ExitCode::DeletionsWithheld, cause);
        message.not_kept = kinds;
        message.duration_seconds = seconds;
        message.files_total = Some(u64::MAX);
        let mut json = message.to_json().unwrap().into_bytes();
        prop_assert!(json.len() <= MAX_TERMINATION_MESSAGE);
        for (at, byte) in flips {
            let at = at.index(json.len());
            json[at] = byte;
        }
        if cuts {
            json.truncate(cut.index(json.len()));
        }
        let read = TerminationMessage::from_json(&String::from_utf8_lossy(&json));
        prop_assert!(!cuts || read.is_err(), "half a message is none");
        if let Ok(read) = read {
            let _ = read.reason();
            let again = read.to_json().unwrap();
            prop_assert!(again.len() <= MAX_TERMINATION_MESSAGE);
            let again = TerminationMessage::from_json(&again).unwrap();
            prop_assert_eq!((again.exit_code, again.side), (read.exit_code, read.side));
        }
    }

    #[test]
    fn any_text_is_a_termination_message_or_none(text in any::<String>()) {
        let _ = TerminationMessage::from_json(&text);
    }
}
