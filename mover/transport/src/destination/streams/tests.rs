use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[derive(Default)]
struct Closed(AtomicBool);

impl Close for Closed {
    fn close(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_stream_that_is_lost_is_closed_and_its_state_is_final_when_it_is_over() {
    let (streams, closed) = (Streams::default(), Arc::new(Closed::default()));
    streams
        .add(0, PlaneKind::Tcp, Arc::clone(&closed) as Arc<dyn Close>)
        .unwrap();
    assert!(streams.any_open());
    assert!(!streams.is_over_or_close(0), "its receiver still works");
    assert!(closed.0.load(Ordering::Relaxed));
    let state = streams.over(0).unwrap();
    assert!(state.over && streams.is_over_or_close(0) && !streams.any_open());
    assert_eq!(streams.final_state(0), state);
    assert!(streams.is_over_or_close(7), "never came");
    assert!(streams.final_state(7).over);
    let late = streams.add(7, PlaneKind::Tcp, Arc::new(Closed::default()));
    assert!(late.is_none(), "what was said of it would be wrong");
}

#[test]
fn a_stream_that_is_over_keeps_nothing_open() {
    let (streams, closed) = (Streams::default(), Arc::new(Closed::default()));
    let closer = Arc::clone(&closed) as Arc<dyn Close>;
    streams.add(0, PlaneKind::Tcp, closer).unwrap();
    streams.over(0).unwrap();
    assert_eq!(Arc::strong_count(&closed), 1);
}

#[test]
fn streams_that_come_after_the_end_or_twice_are_closed() {
    let streams = Streams::default();
    let add = |number| {
        let closed = Arc::new(Closed::default());
        let added = streams.add(
            number,
            PlaneKind::Grpc,
            Arc::clone(&closed) as Arc<dyn Close>,
        );
        (added.is_some(), closed.0.load(Ordering::Relaxed))
    };
    assert_eq!(add(1), (true, false));
    assert_eq!(add(1), (false, true), "the number is taken");
    assert_eq!(streams.plane(), PlaneKind::Grpc);
    streams.close();
    assert_eq!(add(2), (false, true));
}

#[test]
fn planes_that_were_tried_are_told_once_also_to_who_asks_late() {
    let streams = Streams::default();
    let tried = |reason: &str| Tried {
        plane: PlaneKind::Tcp,
        reason: reason.to_owned(),
    };
    streams.tried(vec![tried("early")]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    streams.on_tried(Box::new(move |tried| {
        lock(&telling).push(tried.reason.clone())
    }));
    streams.tried(vec![tried("early"), tried("late")]);
    assert_eq!(*lock(&told), ["early", "late"]);
    assert_eq!(streams.all_tried().len(), 2);
}

#[test]
fn streams_that_are_too_many_are_told_of_until_they_are_over_the_youngest_first() {
    let streams = Streams::default();
    let add = |number, plane| streams.add(number, plane, Arc::new(Closed::default()));
    for number in [4, 0, 7, 2] {
        add(number, PlaneKind::Tcp).unwrap();
    }
    add(9, PlaneKind::Grpc).unwrap();
    assert!(!streams.keep(PlaneKind::Tcp, 4) && !streams.any_leaving());
    assert!(streams.keep(PlaneKind::Tcp, 2));
    // What is said once is not new.
    assert!(!streams.keep(PlaneKind::Tcp, 2));
    let leave = || {
        let told = streams.progress().into_iter().filter(|state| state.leave);
        let mut told: Vec<_> = told.map(|state| state.stream).collect();
        told.sort_unstable();
        told
    };
    assert_eq!(leave(), [4, 7]);
    assert_eq!(streams.working(PlaneKind::Tcp), 2);
    assert_eq!(streams.working(PlaneKind::Grpc), 1);
    let over = streams.over(4).unwrap();
    assert!(over.over && !over.leave, "{over:?}");
    assert_eq!(leave(), [7]);
    assert!(streams.any_leaving());
    streams.over(7).unwrap();
    assert!(!streams.any_leaving());
    // One that came before it was known that it is not needed.
    add(8, PlaneKind::Tcp).unwrap();
    assert!(streams.keep(PlaneKind::Tcp, 2));
    assert_eq!(leave(), [8]);
}
