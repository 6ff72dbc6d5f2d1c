//! The rollups against a naive model: whatever happens to `prices`, every sum is right.

use std::{collections::BTreeMap, time::Duration};

use cotiza::{
    domain::{
        Extremes, Observation, PageNumber, PageSize, Provenance, Sample, Slots, Summary, TimeRange,
        UnixTime,
    },
    store::{Recorded, Store},
};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

use crate::harness::{Database, SOON, eventually};

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
    store: Store,
    slots: Slots,
}

impl Bench {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let database = runtime.block_on(Database::new());
        let store = runtime.block_on(async { database.store() });
        Self { runtime, database, store, slots: Slots::new(Duration::from_secs(10)).unwrap() }
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
                let stored = self.runtime.block_on(self.store.record_all(&observed)).unwrap();
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
                let rebuilt = self.store.rebuild(1_600_000_000, 1_800_000_000, |_| ());
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
async fn samples_of_the_old_stack_are_summed_up_at_once_and_indexed_in_the_background() {
    let database = Database::new().await;
    let store = database.store();
    let members: Vec<(String, String)> =
        (0..3000).map(|n| ((1_700_000_000 + n * 40).to_string(), format!("{n}.5"))).collect();
    let rows: Vec<(&str, &str)> =
        members.iter().map(|(score, member)| (score.as_str(), member.as_str())).collect();
    database.put_prices(&rows).await;
    let everything = TimeRange::default();
    let aggregate = store.aggregate(&everything).await.unwrap();
    assert_eq!(aggregate.summary.count, 3000);
    assert_eq!(aggregate.summary.total().average().to_string(), "1500.00");
    let indexed = || async {
        let nodes: Vec<(Vec<u8>, Vec<u8>)> =
            database.command(&["HGETALL", "{prices}:rollups"]).await;
        let sums = |field: &[u8]| field.starts_with(b"5m:") && !field.ends_with(b":extremes");
        let finest = nodes.iter().filter(|(field, _)| sums(field));
        let buckets = finest.flat_map(|(_, sums)| sums.chunks(14));
        let count = |bucket: &[u8]| u32::from_le_bytes(bucket[10..14].try_into().unwrap());
        buckets.map(count).sum::<u32>() == 3000
    };
    eventually(SOON, "the index is whole", indexed).await;
    assert_eq!(store.aggregate(&everything).await.unwrap(), aggregate);
}

#[tokio::test]
async fn a_slot_has_one_sample_whoever_records_first() {
    let database = Database::new().await;
    let stores: Vec<Store> = (0..8).map(|_| database.store()).collect();
    let sample = |n: i64| Sample {
        timestamp: 1_700_000_001 + n,
        price: format!("{}.5", n + 1).parse().unwrap(),
    };
    let recorded = futures_util::future::join_all(
        stores
            .iter()
            .zip(0..)
            .map(|(store, n)| async move { store.record(&sample(n).into()).await.unwrap() }),
    )
    .await;
    let stored = recorded.iter().filter(|&&outcome| outcome == Recorded::Stored).count();
    assert_eq!((stored, database.prices().await.len()), (1, 1));
    assert_eq!(stores[0].aggregate(&TimeRange::default()).await.unwrap().summary.count, 1);
}

#[tokio::test]
async fn samples_far_from_all_others_are_found_by_who_asked_before() {
    let database = Database::new().await;
    let (reader, writer) = (database.store(), database.store());
    let years = 365 * 86_400;
    let sample = |timestamp: i64| Sample { timestamp, price: "2.5".parse().unwrap() };
    let mut count = 0;
    for second in [1_700_000_000, 1_700_000_000 + 9 * years, 1_700_000_000 - 30 * years] {
        writer.record(&sample(second).into()).await.unwrap();
        count += 1;
        let all = reader.aggregate(&TimeRange::default()).await.unwrap();
        assert_eq!(
            (all.summary.count, all.summary.total().average().to_string()),
            (count, "2.50".into())
        );
    }
    let nodes: u64 = database.command(&["HLEN", "{prices}:rollups"]).await;
    assert_eq!(nodes, 3 * 4 * 2 + 1, "two parts of a node of each level, and the frame");
}

#[tokio::test]
async fn sums_come_from_the_rollups_whichever_end_is_open() {
    let database = Database::new().await;
    let store = database.store();
    let recorded: Vec<Observation> = (0..100)
        .map(|n| Sample { timestamp: 1_700_000_100 + n * 10, price: "1.5".parse().unwrap() }.into())
        .collect();
    store.record_all(&recorded).await.unwrap();
    // One sample for another: as many as before, so that only who reads it notices.
    database.command::<()>(&["ZREM", "prices", "1.5:1700000600"]).await;
    database.command::<()>(&["ZADD", "prices", "1700000600", "99.5:1700000600"]).await;
    let at = |second| Some(UnixTime::from_seconds(second));
    let (first, last) = (at(1_700_000_000), at(1_700_001_500));
    for (since, until) in [(first, last), (None, last), (first, None), (None, None)] {
        let range = TimeRange::new(since, until).unwrap();
        let total = store.total(&range).await.unwrap().summary;
        assert_eq!((total.count, total.average().to_string()), (100, "1.50".into()), "{range:?}");
        let summary = store.aggregate(&range).await.unwrap().summary;
        assert_eq!(summary.total(), total, "{range:?}");
    }
}

#[tokio::test]
async fn rollups_that_lost_their_extremes_are_made_anew() {
    let database = Database::new().await;
    let store = database.store();
    let recorded: Vec<Observation> = (0..100)
        .map(|n| {
            Sample {
                timestamp: 1_700_000_000 + n * 10,
                price: format!("{}.5", n + 1).parse().unwrap(),
            }
            .into()
        })
        .collect();
    store.record_all(&recorded).await.unwrap();
    let everything = TimeRange::default();
    let before = store.aggregate(&everything).await.unwrap();
    let fields: Vec<String> = database.command(&["HKEYS", "{prices}:rollups"]).await;
    let extremes = || fields.iter().filter(|field| field.ends_with(":extremes"));
    assert_eq!(extremes().count(), 4, "a node of each level");
    for field in extremes() {
        database.command::<()>(&["HDEL", "{prices}:rollups", field]).await;
    }
    assert_eq!(store.aggregate(&everything).await.unwrap(), before);
    let whole = || async {
        let now: Vec<String> = database.command(&["HKEYS", "{prices}:rollups"]).await;
        extremes().all(|field| now.contains(field))
    };
    eventually(SOON, "they are whole", whole).await;
    assert_eq!(store.aggregate(&everything).await.unwrap(), before);
}

#[tokio::test]
async fn a_page_that_is_asked_for_again_shows_what_is_stored_now() {
    let database = Database::new().await;
    let store = database.store();
    let observation = |price: &str, source: &str| Observation {
        sample: Sample { timestamp: 1_700_000_000, price: price.parse().unwrap() },
        provenance: Some(Provenance { source: source.into(), ask: None, bid: None }),
    };
    let shown = async || {
        let (first, size) = (PageNumber::default(), PageSize::default());
        let page = store.page(&TimeRange::default(), first, size).await.unwrap().unwrap();
        page.items
    };
    let one = observation("2.5", "one");
    store.record(&one).await.unwrap();
    let expected = [one];
    assert_eq!(shown().await, expected);
    assert_eq!(shown().await, expected);

    database.command::<()>(&["DEL", "prices"]).await;
    let other = observation("3.5", "other");
    store.record(&other).await.unwrap();
    assert_eq!(shown().await, [other]);
}
