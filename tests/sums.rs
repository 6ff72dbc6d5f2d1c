//! Sums against a naive model: whatever happens to `prices`, every one is right.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use cotiza::{
    domain::{Extremes, Observation, Sample, Slots, Summary, TimeRange, UnixTime},
    store::Store,
};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

use crate::harness::{Database, SOON};

/// What may happen to the samples, by us or by somebody with redis-cli.
#[derive(Debug, Clone)]
enum Event {
    /// Recorded by a worker or an import, in any order of time.
    Record(Vec<(i64, i64)>),
    /// Written by the old stack: a price alone, at a time that may have a fraction.
    Legacy(f64, i64),
    /// Taken away by hand: the n-th sample.
    Delete(usize),
    /// The rollups made anew.
    Rebuild,
}

/// What `prices` should hold: members with their scores.
type Model = BTreeMap<String, f64>;

/// Up to half a year after some day, so that all levels take part, and bunched together.
fn second() -> impl Strategy<Value = i64> {
    prop_oneof![
        1_700_000_000i64..1_700_003_000,
        1_700_000_000i64..1_700_100_000,
        1_700_000_000i64..1_715_000_000
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let price = || 1i64..9_000_000_000_000_000;
    let samples = prop::collection::vec((second(), price()), 1..40);
    let legacy = (second(), 0u32..4, 1i64..50);
    prop_oneof![
        6 => samples.prop_map(Event::Record),
        2 => legacy.prop_map(|(at, quarter, price)| {
            #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
            let score = at as f64 + f64::from(quarter) / 4.0;
            Event::Legacy(score, price)
        }),
        1 => (0usize..100).prop_map(Event::Delete),
        1 => Just(Event::Rebuild),
    ]
}

struct Bench {
    runtime: Runtime,
    database: Database,
    /// Who asks, and remembers what was read.
    store: Store,
    /// Who changes what the other one remembers.
    writer: Store,
    slots: Slots,
}

impl Bench {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let database = runtime.block_on(Database::new());
        let [store, writer] = runtime.block_on(async { [database.store(), database.store()] });
        Self {
            runtime,
            database,
            store,
            writer,
            slots: Slots::new(Duration::from_secs(10)).unwrap(),
        }
    }

    fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.runtime.block_on(self.database.command(words))
    }

    fn happen(&self, event: Event, model: &mut Model) {
        match event {
            Event::Record(samples) => {
                let price = |price: i64| cotiza::domain::pesos(price).to_string().parse().unwrap();
                let samples: Vec<Sample> = samples
                    .into_iter()
                    .map(|(timestamp, units)| Sample { timestamp, price: price(units) })
                    .collect();
                let observed: Vec<_> = samples.iter().map(|sample| (*sample).into()).collect();
                let stored = self.runtime.block_on(self.writer.record_all(&observed)).unwrap();
                let before = model.len();
                for sample in &samples {
                    let slot = self.slots.containing(sample.timestamp);
                    let taken = model.values().any(|&score| slot.contains(floor(score)));
                    if !taken {
                        model.insert(
                            sample.member(),
                            UnixTime::from_seconds(sample.timestamp).to_string().parse().unwrap(),
                        );
                    }
                }
                assert_eq!(stored, (model.len() - before) as u64);
            }
            Event::Legacy(score, price) => {
                // A price seen again would move the old sample, as it did for the old stack.
                let member = format!("{price}.{}", model.len());
                self.command::<()>(&["ZADD", "prices", &score.to_string(), &member]);
                model.insert(member, score);
            }
            Event::Delete(n) => {
                if let Some(member) = model.keys().nth(n % model.len().max(1)).cloned() {
                    self.command::<()>(&["ZREM", "prices", &member]);
                    model.remove(&member);
                }
            }
            Event::Rebuild => {
                let rebuilt = self.writer.rebuild(1_600_000_000, 1_800_000_000, |_| ());
                self.runtime.block_on(rebuilt).unwrap();
            }
        }
    }

    fn aggregate(&self, since: f64, until: f64) -> Summary {
        let at = |second: f64| Some(second.to_string().parse().unwrap());
        let range = TimeRange::new(at(since), at(until)).unwrap();
        // First, so that it is what finds the rollups wrong.
        let total = self.runtime.block_on(self.store.total(&range)).unwrap();
        let aggregate = self.runtime.block_on(self.store.aggregate(&range)).unwrap();
        assert_eq!(aggregate.resolution, None);
        assert_eq!((total.summary, total.resolution), (aggregate.summary.total(), None));
        aggregate.summary
    }
}

#[allow(clippy::cast_possible_truncation, reason = "unix seconds")]
fn floor(score: f64) -> i64 {
    score.floor() as i64
}

/// Adds up one after the other what lies in the range.
fn naive(model: &Model, since: f64, until: f64, slots: Slots) -> Summary {
    let mut rows: Vec<(f64, &String)> = model
        .iter()
        .filter(|&(_, score)| (since..=until).contains(score))
        .map(|(member, score)| (*score, member))
        .collect();
    // As Redis sorts them.
    rows.sort_by(|one, other| one.0.total_cmp(&other.0).then_with(|| one.1.cmp(other.1)));
    let units = |member: &str| -> i64 {
        member
            .split(':')
            .next()
            .unwrap()
            .parse::<cotiza::domain::Price>()
            .unwrap()
            .ten_thousandths()
    };
    let priced: Vec<(i64, i64)> =
        rows.iter().map(|(at, member)| (floor(*at), units(member))).collect();
    let mut starts: Vec<i64> = priced.iter().map(|(at, _)| slots.containing(*at).start()).collect();
    starts.dedup();
    Summary {
        count: priced.len() as u64,
        slots: starts.len() as u64,
        sum: priced.iter().map(|(_, price)| i128::from(*price)).sum(),
        extremes: priced.first().zip(priced.last()).map(|(&first, &last)| Extremes {
            min: priced.iter().map(|(_, price)| *price).min().unwrap(),
            max: priced.iter().map(|(_, price)| *price).max().unwrap(),
            first,
            last,
        }),
    }
}

#[test]
fn every_sum_is_that_of_a_naive_model_whatever_happened() {
    let bench = Bench::new();
    let ranges = prop::collection::vec((second(), second(), 0u32..4), 1..8);
    let strategy = (prop::collection::vec(event(), 1..12), ranges, any::<bool>());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) };
    let checked = TestRunner::new(config).run(&strategy, |(mut events, ranges, deletions)| {
        bench.command::<()>(&["FLUSHDB"]);
        // Rollups are checked by their counts: one sample put in by hand for another one taken
        // out goes unnoticed until a rebuild, so a case has either.
        events.retain(|event| match event {
            Event::Legacy(..) => !deletions,
            Event::Delete(_) => deletions,
            _ => true,
        });
        let mut model = Model::new();
        for event in events {
            bench.happen(event, &mut model);
            bench.aggregate(0.0, 9_999_999_999.0);
        }
        let all = (0, 9_999_999_999, 0);
        for (one, other, quarter) in ranges.into_iter().chain([all]) {
            #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
            let (since, until) =
                (one.min(other) as f64, one.max(other) as f64 + f64::from(quarter) / 4.0);
            let expected = naive(&model, since, until, bench.slots);
            prop_assert_eq!(bench.aggregate(since, until), expected, "{} to {}", since, until);
        }
        Ok(())
    });
    checked.unwrap();
}

#[tokio::test]
async fn sums_are_right_while_samples_come_in() {
    let database = Database::new().await;
    let (reader, writer, late) = (database.store(), database.store(), database.store());
    let sample = |n: i64| Sample { timestamp: 1_700_000_000 + n, price: "2.5".parse().unwrap() };
    let samples: Vec<Observation> = (0..40_000).map(|n| sample(n * 10).into()).collect();
    let (even, odd): (Vec<_>, Vec<_>) =
        samples.chunks(50).enumerate().partition(|(n, _)| n % 2 == 0);
    let recorded = AtomicU64::new(0);
    let write = async |store: &Store, batches: Vec<(usize, &[Observation])>| {
        for (_, batch) in batches {
            recorded.fetch_add(store.record_all(batch).await.unwrap(), Ordering::SeqCst);
        }
    };
    let written = async { tokio::join!(write(&writer, even), write(&late, odd)) };
    let at = |second| Some(UnixTime::from_seconds(1_700_000_000 + second));
    // The n-th range, and how many samples it has in the end.
    let range = |n: i64| {
        let (since, until) = (n * 7919 % 400_000, n * 7919 % 400_000 + n * 104_729 % 200_000);
        let all = until.min(399_990) / 10 - (since - 1).div_euclid(10);
        (TimeRange::new(at(since), at(until)).unwrap(), all.max(0).unsigned_abs())
    };
    let ask = async {
        let (mut asked, mut seen) = (0, 0);
        while seen < 40_000 {
            let before = recorded.load(Ordering::SeqCst);
            let total = reader.total(&TimeRange::default()).await.unwrap().summary;
            assert!(total.count >= before.max(seen), "{total:?}, {before} recorded, {seen} seen");
            seen = total.count;
            let (range, all) = range(asked);
            let part = reader.total(&range).await.unwrap().summary;
            assert!(part.count <= all, "{part:?} of {all} in {range:?}");
            for total in [total, part] {
                assert_eq!(total.sum, i128::from(total.count) * 25_000, "{range:?}");
            }
            asked += 1;
        }
        asked
    };
    let (_, asked) = tokio::join!(written, tokio::time::timeout(SOON, ask));
    assert!(asked.expect("all are seen") > 100);
    for n in 0..100 {
        let (range, all) = range(n);
        assert_eq!(reader.total(&range).await.unwrap().summary.count, all, "{range:?}");
    }
}
