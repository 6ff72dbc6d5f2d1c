//! Generates what histories have recorded, and queries about it.

use proptest::{prelude::*, sample::select};

use super::{
    histories::{Recorded, recorded},
    samples::{BASE, sample, score},
};
use crate::domain::{Observation, Order, PageNumber, PageSize, TimeRange, UnixTime};

/// Few cases each, because there are many tests, and exact examples of the edge cases.
pub(super) fn few_cases() -> ProptestConfig {
    ProptestConfig::with_cases(64)
}

/// The number of hours in which samples lie.
pub(super) const HOURS: i64 = 6;

/// Generates a time within some hours: near the ends of hours, close to others, or anywhere; one in four
/// with a fraction.
pub(super) fn second() -> impl Strategy<Value = f64> {
    let hour = prop_oneof![2 => Just(1i64), 1 => Just(2), 1 => 0..HOURS];
    let second = prop_oneof![0i64..40, 3580i64..3600, 1800i64..1900, 0i64..3600];
    let quarter = prop_oneof![3 => Just(0i32), 1 => 0i32..4];
    (hour, second, quarter).prop_map(|(hour, second, quarter)| {
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let whole = (hour * 3600 + second) as f64;
        whole + f64::from(quarter) / 4.0
    })
}

pub(super) fn samples() -> impl Strategy<Value = Vec<Observation>> {
    let price = prop_oneof![1u64..6, 1u64..900_000_000_000];
    let one = (second(), price);
    prop::collection::vec(one, 0..50).prop_map(|mut samples| {
        samples.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        samples.into_iter().map(|(second, pesos)| sample(second, pesos)).collect()
    })
}

/// Generates samples in slots of 10 s, of 60 s, of an hour, or of several lengths; sometimes with an hour
/// that has members but no sample.
pub(super) fn recordings() -> impl Strategy<Value = Recorded> {
    let slots = select(vec![
        [(0, 10), (360_000, 10)],
        [(0, 60), (360_000, 60)],
        [(0, 10), (5400, 60)],
        [(0, 60), (3600, 20)],
    ]);
    (samples(), slots, prop::option::of(0..HOURS)).prop_map(|(samples, slots, empty)| {
        let hour_of = |sample: &Observation| (sample.sample.timestamp.second() - BASE) / 3600;
        let empty = empty.filter(|hour| samples.iter().all(|sample| hour_of(sample) != *hour));
        let recorded = recorded(samples).slots(slots);
        empty.into_iter().fold(recorded, Recorded::empty)
    })
}

/// Generates ranges with any of their ends open, some of them before or after all samples.
pub(super) fn ranges() -> impl Strategy<Value = TimeRange> {
    let far = prop_oneof![-20_000.0f64..-10.0, 21_600.0f64..40_000.0];
    let end = || prop_oneof![8 => second(), 1 => far.clone()];
    (prop::option::weighted(0.9, end()), prop::option::weighted(0.9, end())).prop_map(
        |(one, other)| {
            let time = |second: f64| score(second).to_string().parse::<UnixTime>().unwrap();
            let (mut one, mut other) = (one.map(time), other.map(time));
            if one.is_some() && other.is_some() && one > other {
                std::mem::swap(&mut one, &mut other);
            }
            TimeRange::new(one, other).unwrap()
        },
    )
}

pub(super) fn orders() -> impl Strategy<Value = Order> {
    select(vec![Order::Ascending, Order::Descending])
}

pub(super) fn pages() -> impl Strategy<Value = (PageNumber, PageSize)> {
    let number =
        prop_oneof![4 => (1u64..8).prop_map(PageNumber::Number), 1 => Just(PageNumber::Last)];
    (number, (1u64..30).prop_map(|size| size.to_string().parse().unwrap()))
}
