use std::sync::Arc;
use std::time::Duration;

use blit_engine::run::SourceError;

use super::{CAPACITY, Inbox, Taken};

const LONG: Duration = Duration::from_secs(10);

fn piece(taken: Taken<usize>) -> usize {
    match taken {
        Taken::Piece(piece) => piece,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn pieces_come_out_in_order_and_then_the_end() {
    let inbox = Inbox::new();
    for number in 0..3 {
        inbox.put(number).await;
    }
    inbox.complete();
    for number in 0..3 {
        assert_eq!(piece(inbox.take(LONG).unwrap()), number);
    }
    assert!(matches!(inbox.take(LONG), Ok(Taken::Complete)));
}

#[test]
fn without_a_piece_the_wait_is_bounded() {
    let inbox: Inbox<usize> = Inbox::new();
    assert!(matches!(
        inbox.take(Duration::from_millis(1)),
        Ok(Taken::Nothing)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_inbox_holds_the_connection_back_until_a_piece_is_taken() {
    let inbox = Arc::new(Inbox::new());
    for number in 0..CAPACITY {
        inbox.put(number).await;
    }
    let more = Arc::clone(&inbox);
    let putting = tokio::spawn(async move { more.put(CAPACITY).await });
    tokio::task::yield_now().await;
    assert!(!putting.is_finished());
    for number in 0..=CAPACITY {
        let inbox = Arc::clone(&inbox);
        let taken = tokio::task::spawn_blocking(move || inbox.take(LONG))
            .await
            .unwrap();
        assert_eq!(piece(taken.unwrap()), number);
    }
    putting.await.unwrap();
}

#[test]
fn whoever_waits_learns_that_the_session_is_over() {
    let inbox: Arc<Inbox<usize>> = Arc::new(Inbox::new());
    let waiting = Arc::clone(&inbox);
    let thread = std::thread::spawn(move || waiting.take(LONG));
    inbox.close(SourceError::Lost("gone".to_owned()));
    assert!(thread.join().unwrap().is_err());
}

#[tokio::test]
async fn a_connection_that_waits_for_room_is_let_go_when_the_session_is_over() {
    let inbox = Arc::new(Inbox::new());
    for number in 0..CAPACITY {
        inbox.put(number).await;
    }
    let more = Arc::clone(&inbox);
    let putting = tokio::spawn(async move { more.put(CAPACITY).await });
    inbox.close(SourceError::Lost("gone".to_owned()));
    putting.await.unwrap();
}
