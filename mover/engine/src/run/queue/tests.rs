use super::{Planned, Queue, Turn};

#[test]
fn the_listing_is_complete_when_the_last_planner_is_done_and_not_when_all_is_applied() {
    let queue = Queue::new(2, 2, false);
    let turn = || queue.turn(|| false);
    assert_eq!((turn(), turn()), (Turn::Plan, Turn::Plan));
    assert_eq!(queue.offer("batch"), None);
    assert!(
        !queue.planned(Planned::Finished),
        "the other one still plans"
    );
    assert!(queue.planned(Planned::Part), "nothing more will be listed");
    assert_eq!(turn(), Turn::Apply("batch"), "though there is work left");
}

#[test]
fn a_worker_that_found_the_listing_dry_lists_on_as_soon_as_a_part_is_in_hand() {
    use std::sync::mpsc::channel;
    let queue = Queue::<&str>::new(2, 2, false);
    assert_eq!(queue.turn(|| false), Turn::Plan, "this one lists a part");
    assert_eq!(queue.turn(|| false), Turn::Plan);
    queue.planned(Planned::Nothing);
    std::thread::scope(|scope| {
        let (turns, turn) = channel();
        let queue = &queue;
        scope.spawn(move || turns.send(queue.turn(|| false)));
        // The part is in hand, and being planned: planning it is not over.
        queue.part_taken();
        let next = turn.recv_timeout(std::time::Duration::from_secs(60));
        assert_eq!(next, Ok(Turn::Plan));
        queue.planned(Planned::Part);
        queue.planned(Planned::Finished);
    });
}

#[test]
fn the_first_batch_is_taken_at_once_and_planning_comes_first_after_it() {
    let queue = Queue::new(2, 2, false);
    let turn = || queue.turn(|| false);
    assert_eq!(turn(), Turn::Plan);
    assert_eq!(queue.offer(1), None);
    assert_eq!(queue.offer(2), None);
    assert_eq!((turn(), turn()), (Turn::Apply(1), Turn::Plan));
}
