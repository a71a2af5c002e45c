use super::{Planned, Queue, Turn};

#[test]
fn the_listing_is_complete_when_the_last_planner_is_done_and_not_when_all_is_applied() {
    let queue = Queue::new(2, false);
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
