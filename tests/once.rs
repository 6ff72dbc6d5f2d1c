//! Requests that were carried out although their answers were lost: they are sent again, and done once.

use std::time::Duration;

use cotiza::{
    clock::Clock,
    connection::Server,
    domain::{Attempt, Observation, Price, Quote, Sample, Slots, Timestamp},
    store::{Action, Recorded, Store},
};

use crate::harness::{Forwarder, Node};

/// A store whose answers can be lost, and the server behind it.
async fn store() -> (Node, Forwarder, Store) {
    let node = Node::start("");
    node.answers().await;
    let forwarder = Forwarder::to(node.port).await;
    let slots = Slots::new(Duration::from_secs(10)).unwrap();
    let server = Server::at(&forwarder.url()).unwrap();
    (node, forwarder, Store::new(&server, slots, Clock::machine()))
}

fn observation(second: i64) -> Observation {
    let timestamp = Timestamp::from_second(second);
    Sample { timestamp, price: "84000000".parse().unwrap() }.into()
}

#[tokio::test]
async fn a_sample_whose_answer_is_lost_is_stored_once_and_told_as_stored() {
    let (node, forwarder, store) = store().await;
    let now = Clock::machine().unix_seconds();
    // The server knows the script now.
    store.record(&observation(now - 20)).await.unwrap();
    forwarder.cut_next_answer();
    assert_eq!(store.record(&observation(now)).await.unwrap(), Recorded::Stored);
    assert!(forwarder.has_cut());
    assert_eq!(store.record(&observation(now)).await.unwrap(), Recorded::SlotTaken);
    assert_eq!(node.ask::<u64>(&["ZCARD", "prices"]).await.unwrap(), 1);
    assert_eq!(node.ask::<u64>(&["XLEN", "{prices}:changes"]).await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_counted_is_counted_once() {
    let (node, forwarder, store) = store().await;
    let slot = Slots::new(Duration::from_secs(10)).unwrap().containing(1_717_184_860);
    let price: Price = "84000000".parse().unwrap();
    let attempt = || Attempt {
        source: "buenbit".to_owned(),
        at: 1_717_184_861,
        took: Duration::from_millis(5),
        answer: Ok(Quote { ask: price, bid: None }),
    };
    store.report(slot, &[attempt()]).await.unwrap();
    forwarder.cut_next_answer();
    store.report(slot, &[attempt()]).await.unwrap();
    assert!(forwarder.has_cut());
    let counted: u64 = node.ask(&["HGET", "{prices}:source:buenbit", "answered"]).await.unwrap();
    assert_eq!(counted, 2);
    assert_eq!(node.ask::<u64>(&["LLEN", "{prices}:attempts:buenbit"]).await.unwrap(), 2);

    let action = Action {
        at: 1,
        by: "ana@host".to_owned(),
        action: "queue pause".to_owned(),
        note: String::new(),
    };
    forwarder.cut_next_answer();
    store.note_action(&action).await.unwrap();
    assert!(forwarder.has_cut());
    assert_eq!(store.actions().await.unwrap(), [action]);
}

#[tokio::test]
async fn an_hour_whose_answer_is_lost_is_replaced_once() {
    let (node, forwarder, store) = store().await;
    let start = 1_717_182_000;
    let schedule = store.schedule().await.unwrap();
    let samples: Vec<Observation> = (0..3).map(|at| observation(start + at * 10)).collect();
    let empty = store.hour(start).await.unwrap();
    assert_eq!(store.add(&empty, &samples[..1], &schedule).await.unwrap(), Some(1));
    let stored = store.hour(start).await.unwrap();
    forwarder.cut_next_answer();
    assert_eq!(store.add(&stored, &samples, &schedule).await.unwrap(), Some(2));
    assert!(forwarder.has_cut());
    assert_eq!(node.ask::<u64>(&["ZCARD", "prices"]).await.unwrap(), 3);
    assert_eq!(node.ask::<u64>(&["XLEN", "{prices}:changes"]).await.unwrap(), 2);
}
