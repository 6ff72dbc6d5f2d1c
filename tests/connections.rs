//! Connections that become unusable: each role replaces them by itself and continues.

use std::time::Duration;

use cotiza::{connection::Server, store::keys};
use nix::sys::signal::Signal;
use redis::aio::ConnectionLike;
use tokio::time::{sleep, timeout};

use crate::harness::{Forwarder, Node, SOON, Stack, eventually, run};

/// The longest time from a usable Redis to the first sample, with slots of one second.
const RECOVERY: Duration = Duration::from_secs(5);

#[tokio::test]
async fn open_connections_whose_packets_are_lost_are_replaced() {
    let node = Node::start("");
    node.wait_until_ready().await;
    let forwarder = Forwarder::to(node.port).await;
    let stack = Stack::start(&[("REDIS_URL", &forwarder.url())]).await;
    stack.wait_for_samples("at first", SOON).await;
    for _ in 0..2 {
        forwarder.black_hole_open_connections();
        stack.wait_for_samples("on new connections", RECOVERY).await;
    }
    let missed = stack.check_slots().await;
    assert!(missed.values().sum::<u64>() <= 10, "{missed:?}");
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_replaced_by_the_new_primary() {
    let (old, new) = (Node::start(""), Node::start(""));
    old.wait_until_ready().await;
    let forwarder = Forwarder::to(old.port).await;
    let stack = Stack::start(&[("REDIS_URL", &forwarder.url())]).await;
    stack.wait_for_samples("at first", SOON).await;
    let port = old.port.to_string();
    new.command::<()>(&["REPLICAOF", "127.0.0.1", &port]).await.unwrap();
    eventually(SOON, "the replica is in sync", || async {
        let info: String = new.command(&["INFO", "replication"]).await.unwrap_or_default();
        info.contains("master_link_status:up")
    })
    .await;
    // Both servers and the connections stay up: only responses show that the server was demoted.
    new.command::<()>(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    forwarder.set_target(new.port);
    old.command::<()>(&["REPLICAOF", "127.0.0.1", &new.port.to_string()]).await.unwrap();
    stack.wait_for_samples("on the new primary", RECOVERY).await;
    stack.check_slots().await;
}

#[tokio::test]
async fn a_server_that_hangs_is_replaced_by_one_that_answers() {
    let (hung, other) = (Node::start(""), Node::start(""));
    hung.wait_until_ready().await;
    let forwarder = Forwarder::to(hung.port).await;
    let stack = Stack::start(&[("REDIS_URL", &forwarder.url())]).await;
    stack.wait_for_samples("at first", SOON).await;
    hung.signal(Signal::SIGSTOP);
    sleep(Duration::from_secs(1)).await;
    forwarder.set_target(other.port);
    eventually(RECOVERY, "recording on the other server", || async {
        other.command::<u64>(&["ZCARD", keys::PRICES]).await.is_ok_and(|count| count > 0)
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
    stack.wait_for_samples("at first", SOON).await;
    let with_password = format!("redis://:one@{}", node.address());
    crate::harness::redis_command::<()>(&with_password, &["CONFIG", "SET", "requirepass", "t o"])
        .await
        .unwrap();
    std::fs::write(&file, "t o").unwrap();
    let with_password = format!("redis://:t%20o@{}", node.address());
    crate::harness::redis_command::<u64>(&with_password, &["CLIENT", "KILL", "SKIPME", "yes"])
        .await
        .unwrap();
    stack.wait_for_samples("with the new password", RECOVERY).await;
    stack.check_slots().await;
}

#[tokio::test]
async fn resp3_and_unix_sockets_are_supported() {
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
        stack.wait_for_samples(&url, SOON).await;
        assert_eq!(stack.warnings(), Vec::<String>::new(), "{url}");
        for arguments in
            [["prices", "list"], ["queue", "ls"], ["process", "ls"], ["prices", "check"]]
        {
            let output = run(&arguments, &environment).await;
            assert_eq!(output.code, 0, "{url} {arguments:?}: {}", output.stderr);
        }
    }
}

#[tokio::test]
async fn concurrent_requests_share_one_failed_attempt_to_connect() {
    let server = Server::from_url("redis://10.255.255.1:1").unwrap();
    let connection = server.shared();
    let requests = (0..20).map(|_| {
        let mut connection = connection.clone();
        async move { connection.req_packed_command(&redis::cmd("PING")).await.is_err() }
    });
    let results = timeout(Duration::from_secs(6), futures_util::future::join_all(requests)).await;
    assert!(results.expect("the requests share attempts").into_iter().all(|failed| failed));
}

#[tokio::test]
async fn refused_writes_are_logged_once_when_they_start_and_once_when_they_end() {
    let node = Node::start("");
    node.wait_until_ready().await;
    let url = node.url();
    let stack = Stack::start(&[("REDIS_URL", &url)]).await;
    stack.wait_for_samples("at first", SOON).await;
    node.command::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await.unwrap();
    for process in &stack.processes {
        let line = process.wait_for_line("Redis refuses writes").await;
        assert!(line.contains("NOREPLICAS"), "{line}");
    }
    sleep(Duration::from_secs(3)).await;
    node.command::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await.unwrap();
    for process in &stack.processes {
        process.wait_for_line("Redis accepts writes again").await;
    }
    stack.wait_for_samples("when writes are accepted", RECOVERY).await;
    stack.check_slots().await;
    let others = |line: &String| !line.contains("Redis refuses writes");
    let warnings: Vec<String> = stack.warnings().into_iter().filter(others).collect();
    assert!(warnings.len() <= 4, "{warnings:#?}");
}
