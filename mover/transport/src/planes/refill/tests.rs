use super::*;

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(50);

fn view(wanted: usize, open: usize, dialled: usize) -> View {
    View {
        wanted,
        open,
        dialled,
    }
}

#[test]
fn a_stream_that_breaks_is_replaced_at_once() {
    let mut refill = Refill::default();
    assert_eq!(refill.look(&view(2, 2, 0), SECOND), 0);
    assert_eq!(refill.look(&view(2, 1, 0), SECOND * 2), 1);
    // It is on its way.
    assert_eq!(refill.look(&view(2, 1, 1), SECOND * 3), 0);
    assert_eq!(refill.look(&view(2, 2, 0), SECOND * 4), 0);
    // They held for long.
    assert_eq!(refill.look(&view(2, 0, 0), SECOND * 9), 2);
}

#[test]
fn more_streams_that_are_wanted_are_opened_at_once() {
    let mut refill = Refill::default();
    for (second, wanted) in [(1, 4), (3, 8), (6, 16)] {
        let now = SECOND * second;
        assert_eq!(refill.look(&view(wanted, wanted / 2, 0), now), wanted / 2);
        let opened = view(wanted, wanted, 0);
        assert_eq!(refill.look(&opened, now + SECOND), 0);
    }
}

#[test]
fn streams_that_break_again_and_again_are_opened_less_and_less_often() {
    let mut refill = Refill::default();
    let mut opened = Vec::new();
    // Each is there at the next look, and gone at the one after it.
    let mut open = 0;
    for step in 0..20 * 60 {
        let now = STEP * step;
        match refill.look(&view(1, open, 0), now) {
            0 => open = 0,
            more => {
                opened.push(now);
                open = more;
            }
        }
    }
    let pauses: Vec<_> = opened.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert!(opened.len() < 20, "{} in a minute", opened.len());
    assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
}

#[test]
fn whoever_waits_is_told_when_to_look_again() {
    let mut refill = Refill::default();
    assert_eq!(refill.look(&view(1, 0, 0), SECOND), 1);
    let next = refill.next_look(SECOND).unwrap();
    assert_eq!(next, SECOND + PAUSE);
    assert_eq!(refill.look(&view(1, 0, 0), next - STEP), 0);
    assert_eq!(refill.look(&view(1, 0, 0), next), 1);
    assert_eq!(refill.look(&view(1, 1, 0), next + STEP), 0);
    assert_eq!(refill.next_look(next + STEP), None);
}

#[test]
fn a_plane_is_left_when_it_was_dialled_in_vain_for_three_seconds() {
    let mut refill = Refill::default();
    assert_eq!(refill.look(&view(2, 1, 0), SECOND * 10), 1);
    assert!(!refill.failed(1, SECOND * 10, SECOND * 11));
    assert!(!refill.failed(1, SECOND * 11, SECOND * 12));
    assert!(refill.failed(1, SECOND * 12, SECOND * 13));
    refill.begin_anew(SECOND * 13);
    assert_eq!(refill.look(&view(2, 0, 0), SECOND * 13), 2);
    // One dial that takes so long is enough.
    assert!(Refill::default().failed(1, SECOND, SECOND * 6));
}

#[test]
fn a_plane_over_which_a_stream_comes_is_not_left() {
    let mut refill = Refill::default();
    assert!(!refill.failed(1, SECOND, SECOND * 2));
    refill.opened();
    assert!(!refill.failed(1, SECOND * 9, SECOND * 10));
    // Nor does what failed count once all that are wanted are there.
    refill.look(&view(1, 1, 0), SECOND * 11);
    assert!(!refill.failed(1, SECOND * 20, SECOND * 21));
}

#[test]
fn a_plane_over_which_only_more_streams_do_not_come_is_not_left() {
    let mut refill = Refill::default();
    assert_eq!(refill.look(&view(4, 2, 0), SECOND), 2);
    assert!(!refill.failed(2, SECOND, SECOND * 6));
    // Nor does that count when one of the others breaks.
    assert!(!refill.failed(1, SECOND * 6, SECOND * 7));
    assert!(refill.failed(1, SECOND * 7, SECOND * 9));
}
