use std::sync::Mutex;

use super::*;
use crate::data::{Close, FrameSink};
use crate::error::DataFailure;
use crate::sync::lock;

/// A plane over which some streams cannot be opened; it remembers what was tried.
#[derive(Default)]
struct Fake {
    failing: Vec<u32>,
    dialled: Mutex<Vec<u32>>,
}

struct Nothing;

impl Close for Nothing {
    fn close(&self) {}
}

impl FrameStream for Nothing {
    fn receive(&mut self, _: &mut [u8]) -> std::io::Result<bool> {
        Ok(false)
    }

    fn closer(&self) -> Arc<dyn Close> {
        Arc::new(Self)
    }
}

impl DataPlane for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn open(&self, _: &DataToken) -> Result<Box<dyn FrameSink>, TransportError> {
        unreachable!("a destination receives")
    }

    fn open_receiving(&self, token: &DataToken) -> Result<Box<dyn FrameStream>, TransportError> {
        lock(&self.dialled).push(token.stream);
        match self.failing.contains(&token.stream) {
            true => Err(TransportError::Data {
                address: ([192, 0, 2, 1], 9032).into(),
                reason: DataFailure::Refused,
            }),
            false => Ok(Box::new(Nothing)),
        }
    }
}

fn tokens(streams: impl IntoIterator<Item = u32>) -> Vec<DataToken> {
    let token = |stream| DataToken {
        stream,
        ..DataToken::default()
    };
    streams.into_iter().map(token).collect()
}

/// What is open: the plane and the streams.
type Open = Result<(PlaneKind, Vec<u32>), TransportError>;

/// What came of opening streams 0 and 1 where some of them cannot be opened over TCP, and those that were tried inside gRPC.
fn opened(failing: &[u32], fresh: Option<Result<Vec<DataToken>, String>>) -> (Open, Vec<u32>) {
    let tcp: Arc<dyn DataPlane> = Arc::new(Fake {
        failing: failing.to_vec(),
        ..Fake::default()
    });
    let inside = Arc::new(Fake::default());
    let grpc = Arc::clone(&inside) as Arc<dyn DataPlane>;
    let fresh = fresh.map(|tokens| async move |_: usize| tokens);
    let opening = data(PlanePolicy::ANY, &tcp, &grpc, tokens(0..2), fresh);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sorted = |mut numbers: Vec<u32>| {
        numbers.sort_unstable();
        numbers
    };
    let opened = runtime.block_on(opening).map(|(plane, streams, _)| {
        let numbers = streams.into_iter().map(|(number, _)| number);
        (plane, sorted(numbers.collect()))
    });
    let dialled = lock(&inside.dialled).clone();
    (opened, sorted(dialled))
}

#[test]
fn where_one_socket_of_two_fails_its_token_is_not_tried_again_elsewhere() {
    let (with_one, inside) = opened(&[1], Some(Ok(tokens(2..4))));
    // The other comes later, with a token of its own.
    assert_eq!(with_one.unwrap(), (PlaneKind::Tcp, vec![0]));
    assert!(inside.is_empty(), "{inside:?}");
    // A source that is too old for that would miss it.
    let (without, inside) = opened(&[1], None);
    let error = without.unwrap_err();
    assert!(matches!(error, TransportError::Data { .. }), "{error}");
    assert!(inside.is_empty(), "{inside:?}");
}

#[test]
fn where_no_socket_can_be_opened_content_goes_inside_grpc_with_tokens_that_were_not_used() {
    let (all, inside) = opened(&[0, 1], Some(Ok(tokens(2..4))));
    assert_eq!(all.unwrap(), (PlaneKind::Grpc, vec![2, 3]));
    assert_eq!(inside, [2, 3]);
    // Where there are no others the first may be good.
    for fresh in [None, Some(Err("busy".to_owned())), Some(Ok(Vec::new()))] {
        let (all, inside) = opened(&[0, 1], fresh);
        assert_eq!(all.unwrap(), (PlaneKind::Grpc, vec![0, 1]));
        assert_eq!(inside, [0, 1]);
    }
}
