//! Connections that are no good any more: every role gets another one by itself, and goes on.

use std::time::Duration;

use cotiza::connection::Server;
use nix::sys::signal::Signal;
use redis::aio::ConnectionLike;
use tokio::time::{sleep, timeout};

use crate::harness::{Forwarder, Node, SOON, Stack, eventually, run};

/// From a Redis that can be used to the first recorded sample, with slots of a second.
const RECOVERY: Duration = Duration::from_secs(5);

#[tokio::test]
async fn open_connections_whose_packets_are_lost_are_replaced() {
    let node = Node::start("");
    node.answers().await;
    let forwarder = Forwarder::to(node.port).await;
    let stack = Stack::start(&[("REDIS_URL", &forwarder.url())]).await;
    stack.records("at first", SOON).await;
    for _ in 0..2 {
        forwarder.lose_open_connections();
        stack.records("on new connections", RECOVERY).await;
    }
    let missed = stack.settles().await;
    assert!(missed.values().sum::<u64>() <= 10, "{missed:?}");
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_left_for_the_new_primary() {
    let (old, new) = (Node::start(""), Node::start(""));
    old.answers().await;
    let forwarder = Forwarder::to(old.port).await;
    let stack = Stack::start(&[("REDIS_URL", &forwarder.url())]).await;
    stack.records("at first", SOON).await;
    let port = old.port.to_string();
    new.ask::<()>(&["REPLICAOF", "127.0.0.1", &port]).await.unwrap();
    eventually(SOON, "the replica is in step", || async {
        let info: String = new.ask(&["INFO", "replication"]).await.unwrap_or_default();
        info.contains("master_link_status:up")
    })
    .await;
    // Both stay up and the connections stay open: only answers tell that the server was demoted.
    new.ask::<()>(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    forwarder.point_to(new.port);
    old.ask::<()>(&["REPLICAOF", "127.0.0.1", &new.port.to_string()]).await.unwrap();
    stack.records("on the new primary", RECOVERY).await;
    stack.settles().await;
}

#[tokio::test]
async fn a_server_that_hangs_is_left_for_one_that_answers() {
    let (hung, other) = (Node::start(""), Node::start(""));
    hung.answers().await;
    let forwarder = Forwarder::to(hung.port).await;
    let stack = Stack::start(&[("REDIS_URL", &forwarder.url())]).await;
    stack.records("at first", SOON).await;
    hung.signal(Signal::SIGSTOP);
    sleep(Duration::from_secs(1)).await;
    forwarder.point_to(other.port);
    eventually(RECOVERY, "recording on the other server", || async {
        other.ask::<u64>(&["ZCARD", "prices"]).await.is_ok_and(|count| count > 0)
    })
    .await;
    hung.signal(Signal::SIGCONT);
}

#[tokio::test]
async fn a_changed_password_is_read_again_from_its_file() {
    let node = Node::start("requirepass one");
    let file = node.folder().join("password");
    std::fs::write(&file, "one\r\n").unwrap();
    let environment =
        [("REDIS_URL", node.url()), ("COTIZA__REDIS__PASSWORD_FILE", file.display().to_string())];
    let environment = [0, 1].map(|at| (environment[at].0, environment[at].1.as_str()));
    let stack = Stack::start(&environment).await;
    stack.records("at first", SOON).await;
    let with_password = format!("redis://:one@{}", node.address());
    crate::harness::ask::<()>(&with_password, &["CONFIG", "SET", "requirepass", "t o"])
        .await
        .unwrap();
    std::fs::write(&file, "t o").unwrap();
    let with_password = format!("redis://:t%20o@{}", node.address());
    crate::harness::ask::<u64>(&with_password, &["CLIENT", "KILL", "SKIPME", "yes"]).await.unwrap();
    stack.records("with the new password", RECOVERY).await;
    stack.settles().await;
}

#[tokio::test]
async fn all_works_with_the_newer_protocol_and_through_a_socket() {
    let folder = tempfile::TempDir::new().unwrap();
    let socket = folder.path().join("redis.sock");
    let settings = format!("unixsocket {}\nrequirepass s%cret", socket.display());
    let node = Node::start(&settings);
    let file = node.folder().join("password");
    std::fs::write(&file, "s%cret\n").unwrap();
    let file = file.display().to_string();
    for url in [
        format!("unix://{}?db=2", socket.display()),
        format!("valkey://127.0.0.1:{}/3?protocol=resp3", node.port),
    ] {
        let environment = [("REDIS_URL", url.as_str()), ("COTIZA__REDIS__PASSWORD_FILE", &file)];
        let stack = Stack::start(&environment).await;
        stack.records(&url, SOON).await;
        assert_eq!(stack.complaints(), Vec::<String>::new(), "{url}");
        for arguments in
            [["prices", "list"], ["queue", "ls"], ["process", "ls"], ["prices", "check"]]
        {
            let output = run(&arguments, &environment).await;
            assert_eq!(output.code, 0, "{url} {arguments:?}: {}", output.stderr);
        }
    }
}

#[tokio::test]
async fn a_request_while_redis_is_away_fails_once_for_all_who_wait() {
    let server = Server::at("redis://10.255.255.1:1").unwrap();
    let connection = server.shared();
    let asked = (0..20).map(|_| {
        let mut connection = connection.clone();
        async move { connection.req_packed_command(&redis::cmd("PING")).await.is_err() }
    });
    let all = timeout(Duration::from_secs(6), futures_util::future::join_all(asked)).await;
    assert!(all.expect("they share the attempts").into_iter().all(|failed| failed));
}

#[tokio::test]
async fn refused_writes_are_one_line_when_they_begin_and_one_when_they_end() {
    let node = Node::start("");
    node.answers().await;
    let url = node.url();
    let stack = Stack::start(&[("REDIS_URL", &url)]).await;
    stack.records("at first", SOON).await;
    node.ask::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await.unwrap();
    for process in &stack.processes {
        let line = process.says("Redis refuses writes").await;
        assert!(line.contains("NOREPLICAS"), "{line}");
    }
    sleep(Duration::from_secs(3)).await;
    node.ask::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await.unwrap();
    for process in &stack.processes {
        process.says("Redis accepts writes again").await;
    }
    stack.records("when writes are accepted", RECOVERY).await;
    stack.settles().await;
    let others = |line: &String| !line.contains("Redis refuses writes");
    let complaints: Vec<String> = stack.complaints().into_iter().filter(others).collect();
    assert!(complaints.len() <= 4, "{complaints:#?}");
}
