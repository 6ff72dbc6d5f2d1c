//! The rollups: answers come from them, and where they are wrong they are made anew.

use cotiza::domain::{Observation, Sample, TimeRange, UnixTime};

use crate::harness::{Database, SOON, eventually};

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
            database.command(&["HGETALL", "{prices}:rollups:2"]).await;
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
    let nodes: u64 = database.command(&["HLEN", "{prices}:rollups:2"]).await;
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
    let fields: Vec<String> = database.command(&["HKEYS", "{prices}:rollups:2"]).await;
    let extremes = || fields.iter().filter(|field| field.ends_with(":extremes"));
    assert_eq!(extremes().count(), 4, "a node of each level");
    for field in extremes() {
        database.command::<()>(&["HDEL", "{prices}:rollups:2", field]).await;
    }
    assert_eq!(store.aggregate(&everything).await.unwrap(), before);
    let whole = || async {
        let now: Vec<String> = database.command(&["HKEYS", "{prices}:rollups:2"]).await;
        extremes().all(|field| now.contains(field))
    };
    eventually(SOON, "they are whole", whole).await;
    assert_eq!(store.aggregate(&everything).await.unwrap(), before);
}

/// Three days of samples, 10 minutes apart.
fn three_days() -> Vec<Observation> {
    let sample =
        |n: i64| Sample { timestamp: 1_700_006_400 + n * 600, price: "1.5".parse().unwrap() };
    (0..432).map(sample).map(Observation::from).collect()
}

#[tokio::test]
async fn a_coarse_bucket_alone_that_is_wrong_is_made_anew() {
    let database = Database::new().await;
    let store = database.store();
    store.record_all(&three_days()).await.unwrap();
    let day = "1d:1698278400";
    let node: Vec<u8> = database.command(&["HGET", "{prices}:rollups:2", day]).await;
    assert!(node.iter().any(|&byte| byte != 0));
    database.command::<()>(&["HDEL", "{prices}:rollups:2", day, &format!("{day}:extremes")]).await;
    let at = |second| Some(UnixTime::from_seconds(second));
    let days = TimeRange::new(at(1_700_006_400), at(1_700_006_400 + 3 * 86_400)).unwrap();
    let total = store.total(&days).await.unwrap().summary;
    assert_eq!((total.count, total.average().to_string()), (432, "1.50".into()));
    let back = || async {
        let now: Option<Vec<u8>> = database.command(&["HGET", "{prices}:rollups:2", day]).await;
        now.as_ref() == Some(&node)
    };
    eventually(SOON, "it is as before", back).await;
}

#[tokio::test]
async fn what_was_read_is_not_read_again_until_it_changes() {
    let database = Database::new().await;
    let (reader, writer) = (database.store(), database.store());
    writer.record_all(&three_days()).await.unwrap();
    let everything = TimeRange::default();
    let count = async || reader.total(&everything).await.unwrap().summary.count;
    for _twice in 0..2 {
        assert_eq!(count().await, 432);
    }
    // Nobody is told of this: who read these nodes goes by what it read.
    let fields: Vec<String> = database.command(&["HKEYS", "{prices}:rollups:2"]).await;
    for field in fields.iter().filter(|field| field.starts_with("1d") || field.starts_with("24d")) {
        database.command::<()>(&["HDEL", "{prices}:rollups:2", field]).await;
    }
    assert_eq!(count().await, 432);
    assert_eq!(database.store().total(&everything).await.unwrap().summary.count, 432);
    let whole = || async {
        database.command::<Vec<String>>(&["HKEYS", "{prices}:rollups:2"]).await.len()
            == fields.len()
    };
    eventually(SOON, "who had not read them found them missing", whole).await;

    let far = Sample { timestamp: 1_700_006_401 + 432 * 600, price: "2.5".parse().unwrap() };
    writer.record(&far.into()).await.unwrap();
    assert_eq!(count().await, 433);
    database.command::<()>(&["DEL", "prices", "{prices}:rollups:2"]).await;
    assert_eq!(count().await, 0);
    writer.record_all(&three_days()[..7]).await.unwrap();
    assert_eq!(count().await, 7);
}
