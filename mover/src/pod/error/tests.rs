use std::time::Duration;

use blit_proto::control::ControlError;

use super::*;

#[test]
fn each_way_a_session_fails_has_its_exit_code() {
    let reason = || "why".to_owned();
    let cases: [(TransportError, ExitCode); 7] = [
        (
            TransportError::Lost {
                peer: "p".to_owned(),
                reason: reason(),
            },
            ExitCode::PeerUnreachable,
        ),
        (
            TransportError::NoSource {
                address: ([127, 0, 0, 1], 1).into(),
                waited: Duration::from_secs(1),
            },
            ExitCode::PeerUnreachable,
        ),
        (
            TransportError::DataNotAuthenticated {
                address: ([127, 0, 0, 1], 1).into(),
            },
            ExitCode::NotAuthenticated,
        ),
        (
            ControlError::Incompatible { reason: reason() }.into(),
            ExitCode::IncompatibleVersions,
        ),
        (
            TransportError::Stalled {
                deadline: Duration::from_secs(1),
                waited: reason(),
            },
            ExitCode::Stalled,
        ),
        (TransportError::Interrupted(reason()), ExitCode::Interrupted),
        (TransportError::Source(reason()), ExitCode::PermissionDenied),
    ];
    for (error, code) in cases {
        let error = PodError::from(error);
        assert_eq!(error.exit_code(), code, "{error}");
    }
}

#[test]
fn roots_in_each_others_way_are_wrong_usage() {
    assert_eq!(PodError::from(Overlap::Same).exit_code(), ExitCode::Usage);
    assert_eq!(
        PodError::from(ParentError::Gone).exit_code(),
        ExitCode::Interrupted
    );
}

#[test]
fn a_data_port_that_does_not_answer_is_named_as_a_plane_that_was_tried() {
    let error = PodError::from(TransportError::Data {
        address: ([10, 1, 2, 3], 9032).into(),
        reason: blit_transport::DataFailure::Unreachable("no answer within 3 s".to_owned()),
    });
    assert!(error.is_of_planes());
    assert_eq!(
        error.tried(),
        Some(Tried {
            plane: PlaneKind::Tcp,
            reason: "10.1.2.3:9032: no answer within 3 s".to_owned(),
        })
    );
    assert_eq!(PodError::from(Overlap::Same).tried(), None);
}
