//! What a source may ask at worst about its data streams.

use blit_engine::entry::Kind;
use blit_proto::v2::{FileHeader, Inode, Location, PlaneTried};
use proptest::prelude::*;
use prost::Message;
use tokio::runtime::Runtime;

use super::*;
use crate::wire::any_message::{change, changed};

/// How long an answer may take where nothing is waited for.
const SOON: Duration = Duration::from_secs(30);

fn header() -> PushHeader {
    PushHeader {
        hello: Some(version::hello()),
        root: Some(FileHeader {
            kind: 2,
            mode: 0o755,
            dir: Some(0),
            ..FileHeader::default()
        }),
        location: Some(Location {
            boot_id: "boot".to_owned(),
            chain: vec![Inode::default(); 3],
        }),
        display: "here".to_owned(),
        data_plane: "TCP".to_owned(),
        ..PushHeader::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn an_altered_question_about_streams_gets_an_answer_within_bounds(
        lost in proptest::collection::vec(any::<u32>(), 0..70),
        tokens in prop_oneof![0..80u32, any::<u32>()],
        tried in proptest::collection::vec(("TCP|GRPC|[A-Z]{0,4}", any::<String>()), 0..70),
        changes in proptest::collection::vec(change(), 0..5),
    ) {
        let tried = tried.into_iter().map(|(kind, reason)| PlaneTried { kind, reason });
        let request = StreamsRequest {
            session: "session".to_owned(),
            lost,
            tokens,
            tried: tried.collect(),
        };
        let Ok(request) = StreamsRequest::decode(&*changed(request.encode_to_vec(), &changes)) else {
            return Ok(());
        };
        let runtime = Runtime::new().unwrap();
        let (outbound, _told) = mpsc::channel(4);
        let root = entry::root_from_header(header().root.unwrap()).unwrap();
        let link = Link::new(root, false, false, None, outbound, runtime.handle().clone());
        let book = TokenBook::new("session", Direction::Push, b"certificate").unwrap();
        let recovery = Recovery {
            link: Arc::downgrade(&link),
            tokens: Arc::new(book),
        };
        let (asked, wanted) = (request.lost.clone(), request.tokens as usize);
        let answer = async { tokio::time::timeout(SOON, recovery.answer(request)).await };
        let answer = runtime.block_on(answer);
        match answer.expect("it waits for ever") {
            Ok(answer) => {
                prop_assert!(asked.len() <= AT_ONCE && answer.one_time_tokens.len() == wanted);
                prop_assert!(wanted <= AT_ONCE);
                // No stream has ever come.
                let told = answer.states.iter().map(|state| state.stream);
                prop_assert!(told.eq(asked) && answer.states.iter().all(|state| state.over));
                prop_assert!(answer.states.iter().all(|state| (state.frames, state.bytes) == (0, 0)));
            }
            Err(status) => {
                prop_assert!(asked.len() > AT_ONCE || wanted > AT_ONCE, "{status}");
            }
        }
        for tried in link.streams.all_tried() {
            prop_assert!(!tried.reason.contains(|c: char| c.is_control()));
            prop_assert!(tried.reason.chars().count() <= 512);
        }
    }

    #[test]
    fn an_altered_header_opens_a_session_with_a_directory_or_none(
        changes in proptest::collection::vec(change(), 0..5),
        verify in any::<bool>(),
    ) {
        let Ok(header) = PushHeader::decode(&*changed(header().encode_to_vec(), &changes)) else {
            return Ok(());
        };
        let proves = header
            .hello
            .iter()
            .any(|hello| hello.features.iter().any(|feature| feature == version::VERIFY));
        if let Ok(prepared) = prepare(header, verify) {
            prop_assert_eq!(prepared.checked.root.meta.kind, Kind::Directory);
            prop_assert!(prepared.checked.root.name.is_empty());
            prop_assert_eq!(prepared.checked.proof.is_some(), verify);
            prop_assert!(!verify || proves);
            let peer = PeerInfo::new("somebody".to_owned(), prepared.header);
            prop_assert!(!peer.display.contains(|c: char| c.is_control()));
        }
    }
}
