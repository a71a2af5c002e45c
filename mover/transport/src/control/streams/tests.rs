use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tonic::Status;

use super::{UntilError, UntilOver};

#[tokio::test]
async fn what_was_said_before_the_end_arrives_and_who_waits_to_say_more_is_released() {
    let (sender, receiver) = mpsc::channel(1);
    let (over, told) = oneshot::channel();
    let mut stream = UntilOver::new(receiver, told);
    sender.send(1).await.unwrap();
    let late = tokio::spawn(async move { sender.send(2).await });
    // Full, so that the second waits.
    tokio::task::yield_now().await;
    over.send(()).unwrap();
    assert_eq!(stream.next().await, Some(1));
    let end = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
    assert_eq!(end.unwrap(), None);
    assert!(late.await.unwrap().is_err());
}

#[tokio::test]
async fn nothing_follows_an_error() {
    let messages = [Ok(1), Err(Status::aborted("enough")), Ok(2)];
    let mut stream = UntilError::new(tokio_stream::iter(messages));
    assert_eq!(stream.next().await.unwrap().unwrap(), 1);
    assert!(stream.next().await.unwrap().is_err());
    assert!(stream.next().await.is_none());
}
