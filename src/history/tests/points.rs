//! Single samples: the latest, the last one until a time, the price of a second, and neighbours of a cut.

use proptest::prelude::*;

use super::{
    arbitrary,
    histories::{history_of, index_of, nothing, recorded, start_of, value, view},
    naive::Naive,
    samples::{BASE, at, point, point_of, sample, sample_of, samples, score, time},
};
use crate::history::view::{Cut, HourError};

fn cut(position: usize, offset: usize) -> Cut {
    Cut { position, offset }
}

#[test]
fn an_empty_history_has_no_sample_at_any_time() {
    let history = nothing().history();
    assert_eq!(value(history.latest()), None);
    assert_eq!(value(history.last_until(time(0.0))), None);
    assert_eq!(value(history.price_at(BASE)), None);
    let index = nothing().index();
    assert_eq!(view(&index).point_before(cut(0, 0)), Ok(None));
    assert_eq!(view(&index).point_after(cut(0, 0)), Ok(None));
}

#[test]
fn the_latest_sample_has_its_provenance() {
    let samples = vec![sample(0.0, 1), sample_of("one", 1.0, 2), sample_of("two", 2.0, 3)];
    assert_eq!(value(history_of(samples.clone()).latest()), Some(samples[2].clone()));
}

#[test]
fn the_last_sample_until_a_time_may_be_at_that_time() {
    let samples = vec![sample_of("one", 5.0, 1), sample(3605.5, 2)];
    let history = history_of(samples.clone());
    let last = |second| value(history.last_until(time(second)));
    assert_eq!(last(4.75), None);
    assert_eq!(last(5.0).as_ref(), Some(&samples[0]));
    assert_eq!(last(3605.25).as_ref(), Some(&samples[0]));
    assert_eq!(last(3605.5).as_ref(), Some(&samples[1]));
    assert_eq!(last(100_000.0).as_ref(), Some(&samples[1]));
}

#[test]
fn the_price_of_a_second_is_that_of_its_last_sample() {
    let history = history_of(at([(5.0, 1), (5.25, 2), (5.75, 3), (6.0, 4), (3599.0, 5)]));
    let price = |second| value(history.price_at(BASE + second)).map(|price| price / 10_000);
    assert_eq!([4, 5, 6, 7].map(price), [None, Some(3), Some(4), None]);
    assert_eq!([3599, 3600].map(price), [Some(5), None]);
}

#[test]
fn neighbours_of_a_cut_may_lie_in_other_hours() {
    let index = recorded(at([(1.0, 1), (2.0, 2), (7200.0, 3)])).empty(1).index();
    let before = |cut| view(&index).point_before(cut).unwrap();
    let after = |cut| view(&index).point_after(cut).unwrap();
    assert_eq!(before(cut(0, 0)), None);
    assert_eq!((before(cut(0, 1)), after(cut(0, 1))), (Some(point(1.0, 1)), Some(point(2.0, 2))));
    assert_eq!(after(cut(0, 0)), Some(point(1.0, 1)));
    assert_eq!(
        (before(cut(1, 0)), after(cut(1, 0))),
        (Some(point(2.0, 2)), Some(point(7200.0, 3)))
    );
    assert_eq!(
        (before(cut(2, 0)), after(cut(0, 2))),
        (Some(point(2.0, 2)), Some(point(7200.0, 3)))
    );
    assert_eq!((before(cut(3, 0)), after(cut(3, 0))), (Some(point(7200.0, 3)), None));
    assert_eq!(after(cut(2, 1)), None);
}

#[test]
fn neighbours_in_evicted_hours_need_their_samples() {
    let index = recorded(samples().count(3 * 360)).evicted([0, 2]).index();
    let evicted = |hour| Some(HourError::Evicted(start_of(hour)));
    assert_eq!(view(&index).point_before(cut(1, 0)).err(), evicted(0));
    assert_eq!(view(&index).point_after(cut(2, 0)).err(), evicted(2));
    assert_eq!(view(&index).latest().err(), evicted(2));
    let last = view(&index).last_until(time(3601.0)).unwrap().unwrap();
    assert_eq!(last.sample.timestamp.second(), start_of(1));
}

#[test]
fn neighbours_in_damaged_hours_are_lost() {
    let index = recorded(at([(0.0, 1), (7200.0, 2)])).damaged(1).index();
    let damaged = Err(HourError::Damaged(start_of(1)));
    assert_eq!(view(&index).point_before(cut(2, 0)), damaged);
    assert_eq!(view(&index).point_after(cut(1, 0)), damaged);
    assert_eq!(view(&index).last_until(time(5000.0)), Err(HourError::Damaged(start_of(1))));
    assert_eq!(view(&index).last_until(time(7199.0)), Err(HourError::Damaged(start_of(1))));
    assert_eq!(view(&index).last_until(time(3599.0)).unwrap(), Some(sample(0.0, 1)));
    assert_eq!(view(&index).latest().unwrap(), Some(sample(7200.0, 2)));
    let only_damaged = nothing().damaged(0).index();
    assert_eq!(view(&only_damaged).latest(), Err(HourError::Damaged(start_of(0))));
}

#[test]
fn a_cut_lies_before_the_first_sample_at_or_after_its_score() {
    let index = index_of(at([(10.0, 1), (20.0, 2), (20.5, 3), (7200.0, 4)]));
    let cut_at = |second| view(&index).cut(score(second)).unwrap();
    assert_eq!([0.0, 10.0].map(cut_at), [cut(0, 0); 2]);
    assert_eq!([10.25, 20.0].map(cut_at), [cut(0, 1); 2]);
    assert_eq!([20.25, 20.5].map(cut_at), [cut(0, 2); 2]);
    assert_eq!([20.75, 3599.0, 3600.0, 7199.0, 7200.0].map(cut_at), [cut(1, 0); 5]);
    assert_eq!([7200.5, 10_799.0, 10_800.0].map(cut_at), [cut(2, 0); 3]);
}

#[test]
fn an_hour_that_does_not_exist_is_not_in_memory() {
    let index = index_of(at([(10.0, 1)]));
    assert_eq!(view(&index).hour(1).unwrap_err(), HourError::Evicted(0));
    assert_eq!(view(&index).hour(0).unwrap().start(), BASE);
}

proptest! {
    #![proptest_config(arbitrary::few_cases())]
    #[test]
    fn single_samples_match_the_naive_model(
        recorded in arbitrary::recordings(), seconds in prop::collection::vec(arbitrary::second(), 1..8),
    ) {
        let naive = Naive::of(&recorded.samples, &recorded.schedule);
        let (history, index) = (recorded.history(), recorded.index());
        for second in seconds {
            let score = score(second);
            let split = naive.points.partition_point(|(at, _)| at.score() < score);
            let last = naive.points.iter().rfind(|(at, _)| at.score() <= score);
            let found = value(history.last_until(time(second)));
            prop_assert_eq!(found.as_ref().map(point_of), last.copied());
            let cut = view(&index).cut(score).unwrap();
            prop_assert_eq!(view(&index).rank(cut), split as u64);
            prop_assert_eq!(view(&index).point_after(cut).unwrap(), naive.points.get(split).copied());
            let before = split.checked_sub(1).map(|at| naive.points[at]);
            prop_assert_eq!(view(&index).point_before(cut).unwrap(), before);
            #[allow(clippy::cast_possible_truncation, reason = "a unix second")]
            let whole = score.floor() as i64;
            let price = naive.of_seconds(whole, whole + 1).points.last().map(|(_, price)| *price);
            prop_assert_eq!(value(history.price_at(whole)), price);
        }
        prop_assert_eq!(value(history.latest()).as_ref().map(point_of), naive.points.last().copied());
    }
}
