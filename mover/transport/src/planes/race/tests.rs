use super::*;
use PlaneKind::{Grpc, Tcp};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn view(tcp: (usize, usize), grpc: (usize, usize), tokens: usize) -> View {
    let count = |(open, dialled)| Count { open, dialled };
    View {
        tcp: count(tcp),
        grpc: count(grpc),
        tokens,
        asked: false,
    }
}

/// Everything that is to be done at a time, where nothing changes the view.
#[track_caller]
fn steps(race: &mut Race, view: &View, now: Duration) -> Vec<Step> {
    let steps: Vec<Step> = std::iter::from_fn(|| race.step(view, now))
        .take(9)
        .collect();
    assert!(steps.len() < 9, "it does not come to rest: {steps:?}");
    steps
}

#[test]
fn tcp_goes_first_and_is_enough() {
    let mut race = Race::new(PlanePolicy::ANY, 2);
    assert_eq!(
        steps(&mut race, &view((0, 0), (0, 0), 2), ms(0)),
        [Step::Dial(Tcp, 2)]
    );
    let open = view((2, 0), (0, 0), 0);
    assert_eq!(steps(&mut race, &open, ms(20)), []);
    assert_eq!(race.next_look(&open, ms(20)), None);
}

#[test]
fn more_streams_over_tcp_are_opened_when_they_are_wanted() {
    let mut race = Race::new(PlanePolicy::ANY, 2);
    steps(&mut race, &view((0, 0), (0, 0), 2), ms(0));
    assert_eq!(steps(&mut race, &view((2, 0), (0, 0), 0), ms(20)), []);
    race.want_tcp(4);
    let open = view((2, 0), (0, 0), 0);
    assert_eq!(race.step(&open, ms(2000)), Some(Step::Ask(2)));
    let with_tokens = view((2, 0), (0, 0), 2);
    assert_eq!(
        steps(&mut race, &with_tokens, ms(2001)),
        [Step::Dial(Tcp, 2)]
    );
    race.want_tcp(2);
    assert_eq!(steps(&mut race, &view((4, 0), (0, 0), 0), ms(4000)), []);
}

#[test]
fn a_long_pause_before_more_streams_ends_when_the_last_one_breaks() {
    let mut race = Race::new(PlanePolicy::TCP, 2);
    steps(&mut race, &view((0, 0), (0, 0), 2), ms(0));
    steps(&mut race, &view((2, 0), (0, 0), 0), ms(20));
    race.want_tcp(4);
    let more = view((2, 0), (0, 0), 2);
    // Nothing opens of what is dialled.
    for now in (1_000..10_000).step_by(500) {
        steps(&mut race, &more, ms(now));
    }
    let broken = view((0, 0), (0, 0), 4);
    assert_eq!(steps(&mut race, &broken, ms(10_000)), []);
    assert_eq!(steps(&mut race, &broken, ms(10_500)), [Step::Dial(Tcp, 4)]);
}

#[test]
fn data_starts_inside_grpc_after_a_quarter_of_a_second_and_moves_over() {
    let mut race = Race::new(PlanePolicy::ANY, 2);
    steps(&mut race, &view((0, 0), (0, 0), 2), ms(0));
    let dialling = view((0, 2), (0, 0), 0);
    assert_eq!(steps(&mut race, &dialling, ms(249)), []);
    assert_eq!(race.next_look(&dialling, ms(249)), Some(ms(250)));
    assert_eq!(race.step(&dialling, ms(250)), Some(Step::Ask(2)));
    let with_tokens = view((0, 2), (0, 0), 2);
    assert_eq!(race.step(&with_tokens, ms(251)), Some(Step::Dial(Grpc, 2)));
    assert_eq!(steps(&mut race, &view((0, 2), (2, 0), 0), ms(300)), []);
    assert_eq!(
        race.step(&view((1, 1), (2, 0), 0), ms(900)),
        Some(Step::LeaveGrpc)
    );
    assert_eq!(steps(&mut race, &view((2, 0), (0, 0), 0), ms(901)), []);
}

#[test]
fn tcp_is_given_up_after_three_seconds_and_tried_again_every_thirty() {
    let mut race = Race::new(PlanePolicy::ANY, 2);
    steps(&mut race, &view((0, 0), (0, 0), 2), ms(0));
    let dialling = view((0, 2), (2, 0), 0);
    assert_eq!(steps(&mut race, &dialling, ms(2_999)), []);
    assert_eq!(steps(&mut race, &dialling, ms(3_000)), [Step::GiveUpTcp]);
    let without = view((0, 0), (2, 0), 2);
    assert_eq!(steps(&mut race, &without, ms(32_999)), []);
    assert_eq!(race.next_look(&without, ms(4_000)), Some(ms(33_000)));
    assert_eq!(steps(&mut race, &without, ms(33_000)), [Step::Dial(Tcp, 2)]);
    assert_eq!(steps(&mut race, &without, ms(34_000)), []);
    assert_eq!(steps(&mut race, &without, ms(63_000)), [Step::Dial(Tcp, 2)]);
}

#[test]
fn where_only_tcp_may_be_used_its_end_is_that_of_the_session() {
    let mut race = Race::new(PlanePolicy::TCP, 2);
    let nothing = view((0, 0), (0, 0), 2);
    assert_eq!(steps(&mut race, &nothing, ms(0)), [Step::Dial(Tcp, 2)]);
    assert_eq!(steps(&mut race, &nothing, ms(600)), [Step::Dial(Tcp, 2)]);
    assert_eq!(race.step(&nothing, ms(3_000)), Some(Step::End));
}

#[test]
fn where_only_grpc_may_be_used_tcp_is_not_dialled() {
    let mut race = Race::new(PlanePolicy::GRPC, 2);
    let nothing = view((0, 0), (0, 0), 2);
    assert_eq!(steps(&mut race, &nothing, ms(0)), [Step::Dial(Grpc, 2)]);
    assert_eq!(steps(&mut race, &view((0, 0), (2, 0), 2), ms(1)), []);
    assert_eq!(race.step(&nothing, ms(10)), None);
    assert_eq!(race.step(&nothing, ms(600)), Some(Step::Dial(Grpc, 2)));
    assert_eq!(race.step(&nothing, ms(8_010)), Some(Step::End));
}

#[test]
fn one_stream_that_is_lost_is_replaced_while_the_other_works() {
    let mut race = Race::new(PlanePolicy::ANY, 2);
    steps(&mut race, &view((0, 0), (0, 0), 2), ms(0));
    steps(&mut race, &view((2, 0), (0, 0), 0), ms(10));
    let one = view((1, 0), (0, 0), 1);
    assert_eq!(steps(&mut race, &one, ms(5_000)), [Step::Dial(Tcp, 1)]);
    assert_eq!(steps(&mut race, &one, ms(5_600)), [Step::Dial(Tcp, 1)]);
    // It cannot be replaced; the other goes on, and nothing is said.
    assert_eq!(steps(&mut race, &one, ms(8_100)), [Step::Dial(Tcp, 1)]);
    assert_eq!(steps(&mut race, &one, ms(9_000)), []);
    assert_eq!(steps(&mut race, &one, ms(38_100)), [Step::Dial(Tcp, 1)]);
}

/// Returns the pauses between the dials of a minute where each stream that is dialled is there at the next look, and gone at the
/// one after it.
fn pauses_where_streams_flap(plane: PlaneKind, policy: PlanePolicy) -> Vec<Duration> {
    let mut race = Race::new(policy, 1);
    let (mut dials, mut open) = (Vec::new(), 0);
    for now in (0..60_000).step_by(50).map(ms) {
        let count = |of| if of == plane { (open, 0) } else { (0, 0) };
        let steps = steps(&mut race, &view(count(Tcp), count(Grpc), 1), now);
        open = steps.len();
        if open > 0 {
            assert_eq!(steps, [Step::Dial(plane, 1)]);
            dials.push(now);
        }
    }
    dials.windows(2).map(|two| two[1] - two[0]).collect()
}

#[test]
fn streams_that_break_again_and_again_are_opened_less_and_less_often() {
    for (plane, policy) in [(Tcp, PlanePolicy::TCP), (Grpc, PlanePolicy::GRPC)] {
        let pauses = pauses_where_streams_flap(plane, policy);
        assert!(pauses.is_sorted(), "{plane}: {pauses:?}");
        assert!(pauses.len() < 20, "{plane}: {} in a minute", pauses.len());
        let last = pauses.last().unwrap();
        assert!(
            (LONGEST_PAUSE..LONGEST_PAUSE + PAUSE).contains(last),
            "{plane}: {pauses:?}"
        );
    }
}

#[test]
fn streams_that_held_for_long_are_replaced_at_once_and_often_again() {
    let mut race = Race::new(PlanePolicy::TCP, 1);
    let (gone, open) = (view((0, 0), (0, 0), 1), view((1, 0), (0, 0), 0));
    for second in 0..20 {
        steps(&mut race, &gone, ms(second * 1000));
        steps(&mut race, &open, ms(second * 1000 + 100));
    }
    steps(&mut race, &open, ms(30_000));
    assert_eq!(steps(&mut race, &gone, ms(30_001)), [Step::Dial(Tcp, 1)]);
    assert_eq!(steps(&mut race, &gone, ms(30_500)), []);
    assert_eq!(steps(&mut race, &gone, ms(30_501)), [Step::Dial(Tcp, 1)]);
}

#[test]
fn tcp_is_not_given_up_while_there_is_no_token_to_dial_it_with() {
    let mut race = Race::new(PlanePolicy::ANY, 2);
    steps(&mut race, &view((0, 0), (0, 0), 2), ms(0));
    steps(&mut race, &view((2, 0), (0, 0), 0), ms(20));
    let broken = view((0, 0), (0, 0), 0);
    assert_eq!(race.step(&broken, ms(10_000)), Some(Step::Ask(2)));
    let waiting = View {
        asked: true,
        ..broken
    };
    assert_eq!(steps(&mut race, &waiting, ms(14_000)), []);
    let with_tokens = view((0, 0), (0, 0), 4);
    let dialled = steps(&mut race, &with_tokens, ms(15_000));
    assert_eq!(dialled, [Step::Dial(Tcp, 2), Step::Dial(Grpc, 2)]);
    let dialling = view((0, 2), (2, 0), 0);
    assert_eq!(race.next_look(&dialling, ms(15_000)), Some(ms(18_000)));
    assert_eq!(steps(&mut race, &dialling, ms(18_000)), [Step::GiveUpTcp]);
}
