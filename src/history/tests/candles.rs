//! Candles: which intervals of a range have one, in which order, and which slots they missed.

use proptest::{prelude::*, sample::select};

use super::{
    arbitrary,
    histories::{history_of, nothing, recorded, result, start_of, value},
    naive::Naive,
    samples::{BASE, at, between, samples, since, until},
};
use crate::{
    domain::{Candle, Candles, Interval, Order, TimeRange, UnixTime, Zone},
    history::History,
};

fn every(interval: &str) -> Candles {
    let interval = interval.parse().unwrap();
    let order = Order::Ascending;
    Candles { interval, zone: Zone::UTC, filled: false, order, limit: usize::MAX }
}

fn filled(interval: &str) -> Candles {
    Candles { filled: true, ..every(interval) }
}

fn descending(wanted: Candles) -> Candles {
    Candles { order: Order::Descending, ..wanted }
}

const NOW: i64 = 100_000;

/// Returns the candles of a range as of a second after [`BASE`].
fn candles(history: &History, range: &TimeRange, wanted: &Candles, now: i64) -> Vec<Candle> {
    value(history.candles(range, wanted, BASE + now)).0
}

/// Returns the beginnings of candles, in seconds after [`BASE`].
fn starts(candles: &[Candle]) -> Vec<i64> {
    candles.iter().map(|candle| candle.start - BASE).collect()
}

#[test]
fn an_empty_history_has_no_candles() {
    let history = nothing().history();
    assert_eq!(candles(&history, &TimeRange::default(), &filled("1h"), NOW), []);
}

#[test]
fn a_candle_has_the_open_high_low_and_close_price() {
    let history = history_of(at([(0.0, 5), (20.0, 9), (30.0, 2), (50.0, 6), (60.0, 7)]));
    let found = candles(&history, &TimeRange::default(), &every("1m"), NOW);
    let prices = |candle: &Candle| candle.prices().unwrap().map(|price| price / 10_000);
    assert_eq!(found.iter().map(prices).collect::<Vec<_>>(), [[5, 9, 2, 6], [7, 7, 7, 7]]);
    assert_eq!((found[0].start, found[0].end), (BASE, BASE + 60));
}

#[test]
fn intervals_without_samples_are_left_out() {
    let history = history_of(at([(0.0, 1), (50_000.0, 2), (50_100.0, 3)]));
    let found = candles(&history, &TimeRange::default(), &every("1m"), NOW);
    assert_eq!(starts(&found), [0, 49_980, 50_100]);
    let found = candles(&history, &TimeRange::default(), &descending(every("1m")), NOW);
    assert_eq!(starts(&found), [50_100, 49_980, 0]);
}

#[test]
fn filled_intervals_repeat_the_last_price_up_to_now() {
    let history = history_of(at([(0.0, 1), (70.0, 2), (190.0, 3)]));
    let found = candles(&history, &TimeRange::default(), &filled("1m"), 310);
    assert_eq!(starts(&found), [0, 60, 120, 180, 240, 300]);
    let fills: Vec<_> = found.iter().map(|candle| candle.filled).collect();
    assert_eq!(fills, [None, None, Some(20_000), None, Some(30_000), Some(30_000)]);
    assert_eq!(found[2].prices(), Some([20_000; 4]));
    let newest_first = candles(&history, &TimeRange::default(), &descending(filled("1m")), 310);
    assert_eq!(starts(&newest_first), [300, 240, 180, 120, 60, 0]);
}

#[test]
fn intervals_after_the_last_sample_are_not_filled_if_now_is_earlier() {
    let history = history_of(at([(0.0, 1), (190.0, 3)]));
    let found = candles(&history, &TimeRange::default(), &filled("1m"), 100);
    assert_eq!(starts(&found), [0, 60, 120, 180]);
}

#[test]
fn intervals_that_lie_partly_in_the_range_are_whole() {
    let history = history_of(samples());
    let found = candles(&history, &between(90.0, 130.0), &every("1m"), NOW);
    assert_eq!(starts(&found), [60, 120]);
    assert!(found.iter().all(|candle| candle.summary.count == 6));
    assert_eq!(starts(&candles(&history, &between(119.5, 120.0), &every("1m"), NOW)), [60, 120]);
    assert_eq!(starts(&candles(&history, &between(60.0, 119.75), &every("1m"), NOW)), [60]);
}

#[test]
fn ranges_before_and_after_all_samples_have_no_candles() {
    let history = history_of(samples().from(600).count(60));
    let none = |range| candles(&history, &range, &every("1m"), NOW).is_empty();
    assert!(none(until(599.0)) && !none(until(600.0)));
    assert!(none(since(1200.0)) && !none(since(1199.0)));
    let none = |range| candles(&history, &range, &filled("1m"), 2000).is_empty();
    assert!(none(until(599.0)) && !none(since(2000.0)) && !none(since(2030.0)));
    assert!(none(since(2040.0)));
}

#[test]
fn the_interval_of_the_first_sample_is_found_from_before_it() {
    let history = history_of(at([(30.0, 1)]));
    assert_eq!(starts(&candles(&history, &until(5.0), &every("1m"), NOW)), [0]);
    assert_eq!(starts(&candles(&history, &since(55.0), &every("1m"), NOW)), [0]);
}

#[test]
fn more_candles_than_the_limit_continue_at_the_next_interval() {
    let history = history_of(samples().count(60));
    let page = |range: TimeRange, wanted: Candles, limit| {
        let wanted = Candles { limit, ..wanted };
        let (found, next) = value(history.candles(&range, &wanted, BASE + NOW));
        (starts(&found), next.map(|next| next - BASE))
    };
    let all = TimeRange::default();
    assert_eq!(page(all, every("1m"), 2), (vec![0, 60], Some(120)));
    assert_eq!(page(since(120.0), every("1m"), 8), ((2..10).map(|n| n * 60).collect(), None));
    assert_eq!(page(all, descending(every("1m")), 2), (vec![540, 480], Some(479)));
    assert_eq!(page(until(130.0), every("1m"), 2), (vec![0, 60], Some(120)));
    assert_eq!(page(until(119.0), every("1m"), 1), (vec![0], Some(60)));
    assert_eq!(page(between(0.0, 65.0), every("1m"), 1), (vec![0], Some(60)));
    assert_eq!(page(all, every("1m"), 0), (vec![], Some(0)));
}

#[test]
fn the_next_interval_begins_within_the_range() {
    let history = history_of(at([(0.0, 1), (110.0, 2)]));
    let next = |range: TimeRange, wanted: Candles| {
        let wanted = Candles { limit: 1, ..wanted };
        value(history.candles(&range, &wanted, BASE + NOW)).1.map(|next| next - BASE)
    };
    assert_eq!(next(until(70.0), every("1m")), Some(60));
    assert_eq!(next(until(300.0), every("30s")), Some(110), "empty intervals are skipped");
    assert_eq!(next(until(95.0), every("30s")), Some(95));
    assert_eq!(next(since(20.0), descending(every("1m"))), Some(59));
    assert_eq!(next(since(5.0), descending(every("30s"))), Some(5));
    assert_eq!(next(since(5.25), descending(every("30s"))), Some(6));
}

#[test]
fn missed_slots_of_a_candle_are_counted_from_the_first_slot_until_now() {
    let history = history_of(at([(25.0, 1), (40.0, 2), (125.0, 3)]));
    let found = candles(&history, &TimeRange::default(), &filled("1m"), 150);
    let slots: Vec<_> = found.iter().map(|candle| (candle.expected, candle.missed)).collect();
    // The slots from 20 s on: 20 and 40 are recorded. In the last minute 120 is; 150 is still open.
    assert_eq!(slots, [(4, 2), (6, 6), (4, 2)]);
}

#[test]
fn the_open_slot_is_not_missed_whether_it_has_a_sample_or_not() {
    let slots = |samples, now| {
        let history = history_of(samples);
        let found = candles(&history, &TimeRange::default(), &every("1m"), now);
        found.last().map(|candle| (candle.expected, candle.missed))
    };
    assert_eq!(slots(at([(0.0, 1), (10.0, 2)]), 29), Some((3, 0)));
    assert_eq!(slots(at([(0.0, 1), (20.0, 2)]), 29), Some((3, 1)));
    assert_eq!(slots(at([(0.0, 1), (20.0, 2)]), 30), Some((4, 1)));
    assert_eq!(slots(at([(0.0, 1), (50.0, 2)]), 59), Some((6, 4)));
    assert_eq!(slots(at([(0.0, 1), (50.0, 2)]), 60), Some((6, 4)));
    assert_eq!(slots(at([(0.0, 1), (60.0, 2)]), 60), Some((1, 0)));
}

#[test]
fn whole_hours_need_no_samples_in_memory() {
    let history = recorded(samples().count(3 * 360)).evicted(0..3).history();
    let found = candles(&history, &TimeRange::default(), &every("1h"), NOW);
    assert_eq!(starts(&found), [0, 3600, 7200]);
    let found = candles(&history, &between(4000.0, 5000.0), &every("1h"), NOW);
    assert_eq!(starts(&found), [3600]);
}

#[test]
fn a_damaged_hour_makes_the_candles_that_contain_it_fail() {
    let recorded = recorded(at([(0.0, 1), (7200.0, 2)])).damaged(1);
    let history = recorded.history();
    let fails = |range: TimeRange, wanted: Candles| {
        let error = result(history.candles(&range, &wanted, BASE + NOW)).err();
        error.map(|error| error.to_string())
    };
    let message = fails(TimeRange::default(), every("1h")).unwrap();
    assert!(message.contains(&format!("second {} is damaged", start_of(1))), "{message}");
    assert!(fails(TimeRange::default(), every("3h")).is_some());
    assert!(fails(since(7200.0), descending(every("1h"))).is_none());
    assert!(fails(until(3599.0), every("1h")).is_none());
}

#[test]
fn days_follow_the_time_zone() {
    // 22:00 UTC is 19:00 in Argentina, 5 hours before the end of the day.
    let history = history_of(samples().every(3600).count(24));
    let zone = "America/Argentina/Buenos_Aires".parse().unwrap();
    let found = candles(&history, &since(0.0), &Candles { zone, ..every("1d") }, NOW);
    assert_eq!(starts(&found), [-19 * 3600, 5 * 3600]);
    let counts: Vec<u64> = found.iter().map(|candle| candle.summary.count).collect();
    assert_eq!(counts, [5, 19]);
}

/// Returns the candles of a range by the naive model. Intervals must consist of whole slots.
fn naive(naive: &Naive, range: &TimeRange, wanted: &Candles, now: i64) -> Vec<Candle> {
    let (Some(first), Some(last)) = (naive.points.first(), naive.points.last()) else {
        return Vec::new();
    };
    let end = if wanted.filled { now.max(last.0.second()) } else { last.0.second() };
    let slots = naive.slots(now);
    let (mut found, mut price) = (Vec::new(), None);
    let mut start = wanted.interval.start_of(first.0.second(), wanted.zone);
    while start <= end {
        let until = wanted.interval.end_of(start, wanted.zone);
        let inside = naive.of_seconds(start, until);
        let of_candle = |slot: &i64| (start..until).contains(slot);
        let expected = slots.iter().filter(|(slot, _)| of_candle(&slot.start()));
        let ended = expected.clone().filter(|(slot, _)| slot.end() <= now);
        let candle = Candle {
            start,
            end: until,
            summary: inside.summary(),
            filled: price.filter(|_| wanted.filled && inside.points.is_empty()),
            expected: expected.count() as u64,
            missed: ended.filter(|(_, sample)| sample.is_none()).count() as u64,
            reasons: None,
        };
        price = inside.points.last().map(|(_, price)| *price).or(price);
        let is_in_range = range.since().is_none_or(|since| since.second() < until)
            && range.until().is_none_or(|until| until.second() >= start);
        if is_in_range && candle.prices().is_some() {
            found.push(candle);
        }
        start = until;
    }
    wanted.order.sort(&mut found);
    found
}

fn intervals() -> impl Strategy<Value = Interval> {
    select(vec!["1m", "7m", "1h", "3h", "1d"]).prop_map(|text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(arbitrary::few_cases())]
    #[test]
    fn candles_of_all_ranges_match_the_naive_model(
        recorded in arbitrary::recordings(), range in arbitrary::ranges(), interval in intervals(),
        is_filled in any::<bool>(), order in arbitrary::orders(), later in 0i64..5000,
    ) {
        let model = Naive::of(&recorded.samples, &recorded.schedule);
        let now = model.points.last().map_or(BASE, |(at, _)| at.second()) + later;
        let wanted = Candles { interval, zone: Zone::UTC, filled: is_filled, order, limit: usize::MAX };
        let (found, next) = value(recorded.history().candles(&range, &wanted, now));
        prop_assert_eq!(next, None);
        prop_assert_eq!(found, naive(&model, &range, &wanted, now), "{:?}", range);
    }

    #[test]
    fn pages_of_candles_continue_where_the_last_one_ended(
        recorded in arbitrary::recordings(), range in arbitrary::ranges(), interval in intervals(),
        is_filled in any::<bool>(), order in arbitrary::orders(), limit in 1usize..5,
    ) {
        let history = recorded.history();
        let wanted = Candles { interval, zone: Zone::UTC, filled: is_filled, order, limit: usize::MAX };
        let now = BASE + 6 * 3600;
        let (all, _) = value(history.candles(&range, &wanted, now));
        let (mut paged, mut rest) = (Vec::new(), range);
        loop {
            let (found, next) = value(history.candles(&rest, &Candles { limit, ..wanted }, now));
            prop_assert!(next.is_none() || found.len() == limit);
            paged.extend(found);
            let Some(next) = next else { break };
            let next = Some(UnixTime::from_seconds(next));
            rest = match order {
                Order::Ascending => TimeRange::new(next, range.until()),
                Order::Descending => TimeRange::new(range.since(), next),
            }.unwrap();
        }
        prop_assert_eq!(paged, all);
    }
}
