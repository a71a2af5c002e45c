//! Questions that were altered on purpose: a daemon answers them, or says why not, and reaches for nothing that its
//! caller may not use.

use std::net::TcpListener;
use std::sync::LazyLock;
use std::time::Duration;

use blit_engine::entry::Entry;
use blit_engine::run::Purged;
use blit_proto::pki::{Authority, Identity};
use blit_proto::v2::Hello;
use proptest::prelude::*;
use prost::Message;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;

use super::*;
use crate::auth::grant::{Grant, Scopes};
use crate::daemon::{Given, Pushed};
use crate::wire::any_message::{Change, change, changed};

/// How long an answer may take.
const SOON: Duration = Duration::from_secs(30);

/// Notes what it is asked for.
#[derive(Default)]
struct Noted(Mutex<Vec<RelPath>>);

struct Noting(Arc<Noted>);

impl Handler for Noting {
    fn list(
        &self,
        path: &RelPath,
        _give: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<Option<String>, Refusal> {
        lock(&self.0.0).push(path.clone());
        Ok(None)
    }

    fn give(&self, _path: &RelPath, _one_file_system: bool) -> Result<Given, Refusal> {
        Err(Refusal::Usage("nothing is given".to_owned()))
    }

    fn push(&self, _pushed: Pushed) {}

    fn purge(&self, paths: &[RelPath], _dry_run: bool) -> Result<Purged, Refusal> {
        lock(&self.0.0).extend_from_slice(paths);
        Ok(Purged::default())
    }
}

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let authority = Authority::new("test", SystemTime::now()).unwrap();
    authority.issue(&PeerName::daemon("test").unwrap()).unwrap()
});

struct Asked {
    runtime: Runtime,
    service: DaemonService,
    noted: Arc<Noted>,
    _data: DataListener,
}

impl Asked {
    fn new() -> Self {
        let data = DataListener::start(TcpListener::bind("127.0.0.1:0").unwrap(), None).unwrap();
        let noted = Arc::<Noted>::default();
        let config = DaemonConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_port: 0,
            identity: IDENTITY.clone(),
            token_key: TokenKey::random().unwrap(),
            read_only: false,
            progress_deadline: SOON,
            unread_deadline: SOON,
            handler: Arc::new(Noting(Arc::clone(&noted))),
        };
        Self {
            runtime: Runtime::new().unwrap(),
            service: DaemonService(Arc::new(Shared::new(config, &data))),
            noted,
            _data: data,
        }
    }

    /// Has a caller ask who may use what is below `mine` only; `None` if there is no answer in time.
    fn ask<T, U>(
        &self,
        question: T,
        answer: impl AsyncFnOnce(&DaemonService, Request<T>) -> Result<U, Status>,
    ) -> Option<Result<U, Status>> {
        let mut request = Request::new(question);
        request.extensions_mut().insert(Principal {
            name: "somebody".to_owned(),
            grant: Grant {
                scopes: Scopes::all(),
                prefix: mine(),
            },
            proof: b"proof".to_vec(),
            expired: false,
        });
        let asked = async { tokio::time::timeout(SOON, answer(&self.service, request)).await };
        self.runtime.block_on(asked).ok()
    }

    /// Returns what files were reached for.
    fn reached(&self) -> Vec<RelPath> {
        std::mem::take(&mut *lock(&self.noted.0))
    }
}

fn mine() -> RelPath {
    RelPath::new(b"mine").unwrap()
}

/// A path as somebody may write it.
fn path() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "(/|mine|other|a|\\.|\\.\\.){0,8}".prop_map(String::into_bytes),
        "mine/[a-z]{1,4}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

fn altered<T: Message + Default>(question: &T, changes: &[Change]) -> Option<T> {
    T::decode(&*changed(question.encode_to_vec(), changes)).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn an_altered_purge_removes_nothing_that_its_caller_may_not_use(
        paths in proptest::collection::vec(path(), 0..5),
        changes in proptest::collection::vec(change(), 0..4),
    ) {
        let asked = Asked::new();
        let question = PurgeRequest { paths, dry_run: false };
        let Some(question) = altered(&question, &changes) else {
            return Ok(());
        };
        let named = question.paths.clone();
        let answer = asked.ask(question, async |service, request| service.purge(request).await);
        let answer = answer.expect("there is no answer");
        let removed = asked.reached();
        prop_assert!(answer.is_ok() || removed.is_empty(), "a purge is done whole or not at all");
        for (path, named) in removed.iter().zip(named) {
            prop_assert!(path.is_within(&mine()) && *path != mine(), "{path}");
            prop_assert_eq!(path, &RelPath::new(&named).unwrap());
        }
    }

    #[test]
    fn an_altered_question_for_a_list_shows_nothing_that_its_caller_may_not_use(
        path in path(),
        changes in proptest::collection::vec(change(), 0..4),
    ) {
        let asked = Asked::new();
        let Some(question) = altered(&ListRequest { path }, &changes) else {
            return Ok(());
        };
        let named = question.path.clone();
        let answer = asked.ask(question, async |service, request| {
            let mut pieces = service.list(request).await?.into_inner();
            let mut last = None;
            while let Some(piece) = pieces.next().await {
                last = Some(piece?);
            }
            Ok(last)
        });
        let listed = asked.reached();
        match answer.expect("there is no answer") {
            Ok(last) => {
                prop_assert!(last.is_some_and(|piece| piece.end.is_some()));
                prop_assert_eq!(&listed, &[RelPath::new(&named).unwrap()]);
                prop_assert!(listed[0].is_within(&mine()));
            }
            Err(_) => prop_assert!(listed.is_empty()),
        }
    }

    #[test]
    fn an_altered_ping_or_question_about_streams_is_answered_and_opens_no_session_of_others(
        session in "[a-z]{0,8}",
        try_data in any::<bool>(),
        changes in proptest::collection::vec(change(), 0..5),
    ) {
        let asked = Asked::new();
        let ping = PingRequest {
            hello: Some(Hello { min: 1, max: 1, ..version::hello() }),
            source: Some(SourceState {
                busy: true,
                waits_for: "a disk".to_owned(),
                lost: vec![1, 2],
                ..SourceState::default()
            }),
            session: session.clone(),
            try_data,
        };
        if let Some(ping) = altered(&ping, &changes) {
            let tries = ping.try_data;
            let answer = asked.ask(ping, async |service, request| service.ping(request).await);
            let answer = answer.expect("there is no answer").unwrap().into_inner();
            prop_assert!(answer.source.is_none() && answer.tried.is_none());
            prop_assert_eq!(answer.try_sending.is_some(), tries);
        }
        let question = StreamsRequest { session, lost: vec![1], tokens: 4, tried: Vec::new() };
        if let Some(question) = altered(&question, &changes) {
            let answer = asked.ask(question, async |service, request| service.streams(request).await);
            // There is no session.
            prop_assert!(answer.expect("there is no answer").is_err());
        }
        prop_assert!(asked.reached().is_empty());
    }
}
