use super::{MaxDelete, Refusal, Tops, judge_deletions, judge_owner_limit, judge_tops};

fn tops(source_entries: u64, destination_entries: u64, common: u64) -> Tops {
    Tops {
        source_entries,
        destination_entries,
        common,
    }
}

#[test]
fn an_empty_source_is_refused_even_with_a_limit_unless_it_is_allowed() {
    assert_eq!(
        judge_tops(tops(0, 0, 0), None, false),
        Err(Refusal::SourceEmpty)
    );
    let limit = Some(MaxDelete::Percent(100));
    assert_eq!(
        judge_tops(tops(0, 9, 0), limit, false),
        Err(Refusal::SourceEmpty)
    );
    assert_eq!(judge_tops(tops(0, 9, 0), None, true), Ok(()));
}

#[test]
fn a_destination_without_a_common_name_needs_a_stated_limit() {
    assert_eq!(
        judge_tops(tops(3, 2, 0), None, false),
        Err(Refusal::NothingInCommon)
    );
    assert_eq!(
        judge_tops(tops(3, 2, 0), Some(MaxDelete::Count(5)), false),
        Ok(())
    );
    assert_eq!(judge_tops(tops(3, 2, 1), None, false), Ok(()));
    assert_eq!(judge_tops(tops(3, 0, 0), None, false), Ok(()));
}

#[test]
fn by_default_half_of_a_destination_of_more_than_a_hundred_entries_may_go() {
    assert_eq!(judge_deletions(100, 100, None, false), Ok(()));
    assert_eq!(judge_deletions(50, 101, None, false), Ok(()));
    assert!(judge_deletions(51, 101, None, false).is_err());
    assert_eq!(judge_deletions(101, 101, None, true), Ok(()));
}

#[test]
fn limits_count_exactly() {
    let count = |n| Some(MaxDelete::Count(n));
    assert!(judge_deletions(1, 1000, count(0), false).is_err());
    assert_eq!(judge_deletions(0, 1000, count(0), false), Ok(()));
    assert_eq!(judge_deletions(7, 1000, count(7), false), Ok(()));
    assert!(judge_deletions(8, 1000, count(7), true).is_err());
    let percent = |p| Some(MaxDelete::Percent(p));
    assert_eq!(judge_deletions(100, 1000, percent(10), false), Ok(()));
    assert!(judge_deletions(101, 1000, percent(10), false).is_err());
    assert_eq!(judge_deletions(u64::MAX, 1, percent(100), false), Ok(()));
}

#[test]
fn max_delete_is_a_count_or_a_share() {
    assert_eq!("1000".parse(), Ok(MaxDelete::Count(1000)));
    assert_eq!("10%".parse(), Ok(MaxDelete::Percent(10)));
    for bad in ["", "-1", "101%", "ten", "%", "1.5%", "10 %"] {
        assert!(bad.parse::<MaxDelete>().is_err(), "{bad}");
    }
}

#[test]
fn the_limit_of_the_owner_holds_whatever_else_was_asked_for() {
    assert_eq!(judge_owner_limit(u64::MAX, 1, None), Ok(()));
    assert_eq!(
        judge_owner_limit(7, 1000, Some(MaxDelete::Count(7))),
        Ok(())
    );
    let refused = judge_owner_limit(8, 1000, Some(MaxDelete::Count(7))).unwrap_err();
    assert!(
        refused.to_string().contains("whoever runs it allows 7"),
        "{refused}"
    );
    assert!(judge_owner_limit(11, 100, Some(MaxDelete::Percent(10))).is_err());
}
