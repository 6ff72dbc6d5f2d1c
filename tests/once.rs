//! Requests to Redis whose responses are lost: they are sent again, and take effect only once.

use std::time::Duration;

use cotiza::{
    clock::Clock,
    connection::Server,
    domain::{Attempt, Price, Quote},
    store::{Action, Recorded, Store, keys},
};

use crate::harness::{Forwarder, Node, observation, observations, samples, slots_of};

/// Returns a store, its server, and the forwarder between them, which can drop responses.
async fn store() -> (Node, Forwarder, Store) {
    let node = Node::start("");
    node.wait_until_ready().await;
    let forwarder = Forwarder::to(node.port).await;
    let server = Server::from_url(&forwarder.url()).unwrap();
    (node, forwarder, Store::new(&server, slots_of(10), Clock::machine()))
}

#[tokio::test]
async fn a_sample_whose_response_is_lost_is_stored_once_and_reported_as_stored() {
    let (node, forwarder, store) = store().await;
    let now = Clock::machine().unix_seconds();
    // The first call loads the script into the server.
    store.record(&observation(now - 20, "84000000")).await.unwrap();
    forwarder.drop_next_response();
    assert_eq!(store.record(&observation(now, "84000000")).await.unwrap(), Recorded::Stored);
    assert!(forwarder.has_dropped_response());
    assert_eq!(store.record(&observation(now, "84000000")).await.unwrap(), Recorded::SlotTaken);
    assert_eq!(node.command::<u64>(&["ZCARD", keys::PRICES]).await.unwrap(), 1);
    assert_eq!(node.command::<u64>(&["XLEN", keys::CHANGES]).await.unwrap(), 1);
}

#[tokio::test]
async fn attempts_whose_response_is_lost_are_recorded_once() {
    let (node, forwarder, store) = store().await;
    let slot = slots_of(10).containing(1_717_184_860);
    let price: Price = "84000000".parse().unwrap();
    let attempt = || Attempt {
        source: "buenbit".to_owned(),
        at: 1_717_184_861,
        took: Duration::from_millis(5),
        answer: Ok(Quote { ask: price, bid: None }),
    };
    store.record_attempts(slot, &[attempt()]).await.unwrap();
    forwarder.drop_next_response();
    store.record_attempts(slot, &[attempt()]).await.unwrap();
    assert!(forwarder.has_dropped_response());
    let source = keys::source("buenbit");
    assert_eq!(node.command::<u64>(&["HGET", &source, "answered"]).await.unwrap(), 2);
    let attempts = keys::attempts("buenbit");
    assert_eq!(node.command::<u64>(&["LLEN", &attempts]).await.unwrap(), 2);
}

#[tokio::test]
async fn an_action_whose_response_is_lost_is_recorded_once() {
    let (_node, forwarder, store) = store().await;
    // The first call opens the connection.
    assert!(store.actions().await.unwrap().is_empty());
    let action = Action {
        at: 1,
        by: "ana@host".to_owned(),
        action: "queue pause".to_owned(),
        note: String::new(),
    };
    forwarder.drop_next_response();
    store.record_action(&action).await.unwrap();
    assert!(forwarder.has_dropped_response());
    assert_eq!(store.actions().await.unwrap(), [action]);
}

#[tokio::test]
async fn an_hour_whose_response_is_lost_is_replaced_once() {
    let (node, forwarder, store) = store().await;
    let start = 1_717_182_000;
    let schedule = store.schedule().await.unwrap();
    let samples = observations(&samples(start).every(10).count(3).price("84000000"));
    let empty = store.hour(start).await.unwrap();
    assert_eq!(store.add(&empty, &samples[..1], &schedule).await.unwrap(), Some(1));
    let stored = store.hour(start).await.unwrap();
    forwarder.drop_next_response();
    assert_eq!(store.add(&stored, &samples, &schedule).await.unwrap(), Some(2));
    assert!(forwarder.has_dropped_response());
    assert_eq!(node.command::<u64>(&["ZCARD", keys::PRICES]).await.unwrap(), 3);
    assert_eq!(node.command::<u64>(&["XLEN", keys::CHANGES]).await.unwrap(), 2);
}
