//! The event stream: every slot is sent once and in order, even if the connection or Redis fails.

use std::time::Duration;

use cotiza::{config::Config, domain::MissedReason, store::Recorded};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::harness::{
    Api, Database, Event, Events, RedisServer, SOON, eventually, members, observation, samples,
};

/// Starts an API with slots of one second.
async fn api(database: &Database, change: impl FnOnce(&mut Config)) -> Api {
    let mut config = Config::default();
    config.schedule.every = Duration::from_secs(1);
    change(&mut config);
    Api::with_config(database, &config).await
}

/// Records a price in the current second and returns that second.
async fn record(database: &Database, price: &str) -> i64 {
    let store = database.store_of(Duration::from_secs(1));
    let second = database.now().await;
    assert_eq!(store.record(&observation(second, price)).await.unwrap(), Recorded::Stored);
    second
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

fn ids(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.id).collect()
}

/// Starts an API with a price recorded a second ago and opens a stream. Returns it with the first event, which is
/// this price.
async fn stream_from_last_price(database: &Database) -> (Api, Events, Event) {
    database.record(&[(database.now().await - 1, "1.5")]).await;
    let api = api(database, |_| {}).await;
    let mut events = api.stream("/api/stream/", &[]).await;
    let [last] = events.take(1).await.try_into().unwrap();
    assert_eq!((last.name.as_str(), &last.data["price"]), ("price", &1.5.into()));
    (api, events, last)
}

#[tokio::test]
async fn missed_slots_are_sent_with_their_reasons() {
    let database = Database::new().await;
    let (_api, mut events, last) = stream_from_last_price(&database).await;
    let slot = last.id + 1;
    let store = database.store_of(Duration::from_secs(1));
    store.record_missed(&[slot], MissedReason::BadAnswer).await.unwrap();
    let missed = events.take(2).await;
    assert_eq!((names(&missed), ids(&missed)), (vec!["missed"; 2], vec![slot, slot + 1]));
    assert_eq!(missed[0].data["reason"], "bad_answer");
    assert_eq!(missed[1].data["reason"], "not_scheduled");
}

#[tokio::test]
async fn a_recorded_price_is_sent_after_the_missed_slots_before_it() {
    let database = Database::new().await;
    let (_api, mut events, last) = stream_from_last_price(&database).await;
    let recorded = record(&database, "2.5").await;
    let sent = events.take(usize::try_from(recorded - last.id).unwrap()).await;
    let expected: Vec<i64> = (last.id + 1..=recorded).collect();
    assert_eq!(ids(&sent), expected);
    let (price, missed) = sent.split_last().unwrap();
    assert!(names(missed).iter().all(|name| *name == "missed"), "{missed:?}");
    assert_eq!((price.name.as_str(), &price.data["price"]), ("price", &2.5.into()));
    assert_eq!(price.data["timestamp"], recorded);
}

#[tokio::test]
async fn a_reconnected_client_receives_the_slots_after_its_last_event_once() {
    let database = Database::new().await;
    let end = database.now().await - 20;
    // A sample in every second slot of a quarter of an hour.
    database.put_prices(&members(&samples(end - 898).every(2).count(450).price("1.5"))).await;
    let api = api(&database, |_| {}).await;
    let mut all = api.stream(&format!("/api/stream/?since={}", end - 898), &[]).await;
    let all = all.take(900).await;
    let expected: Vec<i64> = (end - 898..=end + 1).collect();
    assert_eq!(ids(&all), expected);
    assert_eq!(names(&all[..4]), ["price", "missed", "price", "missed"]);
    for from in [0, 399, 899] {
        let id = all[from].id.to_string();
        let mut events = api.stream("/api/stream/", &[("last-event-id", &id)]).await;
        let rest = events.take(all.len() - 1 - from).await;
        assert_eq!(rest, all[from + 1..]);
    }
}

/// Starts an API whose only sample is a week old and whose feed of events has started. Records a price and waits
/// until it is known; returns its second.
async fn after_a_long_gap(database: &Database) -> (Api, i64) {
    let begin = database.now().await - 7 * 24 * 3600;
    database.record(&[(begin, "1.5")]).await;
    let api = api(database, |_| {}).await;
    // The first client starts the feed.
    let mut first = api.stream("/api/stream/", &[]).await;
    assert_eq!(ids(&first.take(1).await), [begin]);
    drop(first);
    let recorded = record(database, "2.5").await;
    eventually(SOON, "the price is known", || async {
        api.get("/api/latest/").await.ok()["price"] == 2.5
    })
    .await;
    (api, recorded)
}

#[tokio::test]
async fn after_a_long_gap_a_new_client_receives_the_last_price_at_once() {
    let database = Database::new().await;
    let (api, recorded) = after_a_long_gap(&database).await;
    let mut client = api.stream("/api/stream/", &[]).await;
    let last = timeout(Duration::from_secs(2), client.take(1)).await.expect("at once");
    assert_eq!((names(&last), ids(&last)), (vec!["price"], vec![recorded]));
    let following = client.take(2).await;
    assert_eq!(ids(&following), [recorded + 1, recorded + 2]);
}

#[tokio::test]
async fn a_client_can_receive_more_slots_than_are_kept_in_memory() {
    let database = Database::new().await;
    let (api, recorded) = after_a_long_gap(&database).await;
    let path = format!("/api/stream/?since={}", recorded - 1000);
    let all = api.stream(&path, &[]).await.take(1003).await;
    let expected: Vec<i64> = (recorded - 1000..=recorded + 2).collect();
    assert_eq!(ids(&all), expected);
    assert_eq!(all[1000].name, "price");
}

#[tokio::test]
async fn every_slot_of_a_redis_outage_is_sent() {
    let mut server = RedisServer::start();
    let database = server.ready_database().await;
    let first = record(&database, "1.5").await;
    let api = api(&database, |_| {}).await;
    let mut events = api.stream("/api/stream/", &[]).await;
    assert_eq!(ids(&events.take(1).await), [first]);
    server.kill();
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.restart();
    database.wait_until_ready().await;
    let last = record(&database, "2.5").await;
    // The slots of the outage are sent when their reasons have been recorded.
    let expected: Vec<i64> = (first + 1..=last).collect();
    let mut sent = Vec::new();
    while sent.len() < expected.len() {
        sent.extend(events.take(1).await);
    }
    assert_eq!(ids(&sent), expected);
    assert_eq!(sent.last().unwrap().name, "price");
}

#[tokio::test]
async fn a_stream_beyond_max_streams_is_refused_with_503() {
    let database = Database::new().await;
    record(&database, "1.5").await;
    let api = api(&database, |config| config.api.max_streams = 1).await;
    let first = api.stream("/api/stream/", &[]).await;
    let refused = api.get("/api/stream/").await;
    let problem = refused.problem(503);
    assert!(problem["detail"].as_str().unwrap().contains("1 clients"), "{problem}");
    assert_eq!(refused.headers["retry-after"], "1");
    drop(first);
    eventually(SOON, "the closed stream is no longer counted", || async {
        let mut events = api.stream_or_refusal("/api/stream/").await;
        match &mut events {
            Some(events) => events.next().await.is_some(),
            None => false,
        }
    })
    .await;
}

#[tokio::test]
async fn comments_keep_a_stream_without_events_alive() {
    let database = Database::new().await;
    record(&database, "1.5").await;
    // With slots of one hour, no event is due.
    let api = api(&database, |config| {
        config.schedule.every = Duration::from_hours(1);
        config.api.idle_timeout = Duration::from_secs(1);
    })
    .await;
    let mut events = api.stream("/api/stream/", &[]).await;
    events.take(1).await;
    let silent = timeout(Duration::from_secs(4), events.next()).await;
    assert!(silent.is_err(), "an event or the end of the stream: {silent:?}");
    assert!(events.comments() >= 3, "{} comments", events.comments());
}

#[tokio::test]
async fn a_start_before_the_first_slot_means_the_first_slot() {
    let database = Database::new().await;
    let first = record(&database, "1.5").await;
    let api = api(&database, |_| {}).await;
    for id in [i64::MIN, 0] {
        let mut events = api.stream("/api/stream/", &[("last-event-id", &id.to_string())]).await;
        assert_eq!(ids(&events.take(1).await), [first], "{id}");
    }
}

#[tokio::test]
async fn a_start_in_the_future_or_in_milliseconds_means_the_current_time() {
    let database = Database::new().await;
    let first = record(&database, "1.5").await;
    let api = api(&database, |_| {}).await;
    let started = database.now().await;
    let mut clients = Vec::new();
    for id in [first + 1_000_000, first * 1000, i64::MAX] {
        clients.push(api.stream("/api/stream/", &[("last-event-id", &id.to_string())]).await);
    }
    for events in &mut clients {
        let next = ids(&events.take(1).await)[0];
        assert!((started - 1..started + 60).contains(&next), "{next}, started at {started}");
    }
}

#[tokio::test]
async fn an_invalid_start_is_refused_with_the_name_of_the_parameter() {
    let api = api(&Database::new().await, |_| {}).await;
    assert_eq!(api.get("/api/stream/?since=noon").await.problem(400)["parameter"], "since");
    let headers = [("last-event-id", "x")];
    let answer = api.request(reqwest::Method::GET, "/api/stream/", &headers).await;
    assert_eq!(answer.problem(400)["parameter"], "Last-Event-ID");
}

/// Reads until the text `end` has been received and returns everything received.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = String::new();
    while !read.contains(end) {
        let mut buffer = [0; 1024];
        let length = timeout(SOON, stream.read(&mut buffer)).await.expect("data in time").unwrap();
        assert!(length > 0, "closed before {end:?} was received: {read}");
        read += std::str::from_utf8(&buffer[..length]).unwrap();
    }
    read
}

#[tokio::test]
async fn a_stream_can_follow_other_requests_on_its_connection() {
    let database = Database::new().await;
    record(&database, "1.5").await;
    let api = api(&database, |_| {}).await;
    let address = api.origin.strip_prefix("http://").unwrap();
    // POST, PUT and PATCH begin with the same letter as the preface of HTTP/2.
    for method in ["POST", "PUT", "PATCH", "GET", "HEAD"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let first = format!("{method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        // The first byte is sent in its own packet.
        stream.write_all(&first.as_bytes()[..1]).await.unwrap();
        stream.flush().await.unwrap();
        stream.write_all(&first.as_bytes()[1..]).await.unwrap();
        let answer = read_until(&mut stream, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{method}: {answer}");
        stream.write_all(b"GET /api/stream/ HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let events = read_until(&mut stream, "event: price").await;
        assert!(events.contains("text/event-stream"), "{method}: {events}");
    }
}
