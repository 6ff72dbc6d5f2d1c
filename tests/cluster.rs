//! A Redis Cluster: each role may connect to any node, and follows masters and slots that move.

use std::time::Duration;

use cotiza::store::keys;
use nix::sys::signal::Signal;
use tokio::time::sleep;

use crate::harness::{Cluster, SOON, Stack, eventually, run};

/// The cluster slot of `prices` and all other keys of the store.
const PRICES: u16 = 3628;
/// The cluster slot of the queues.
const QUEUES: u16 = 2813;
/// The longest time from a failure to the first sample. The cluster takes about 3 s to fail over.
const FAILOVER: Duration = Duration::from_secs(15);

/// Returns the cluster slot of a key, as a node computes it.
async fn slot_of(cluster: &Cluster, key: &str) -> u16 {
    cluster.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).await.unwrap()
}

#[tokio::test]
async fn recording_continues_after_a_master_is_killed_or_hangs() {
    let Some(mut cluster) = Cluster::start().await else { return };
    assert_eq!(slot_of(&cluster, keys::PRICES).await, PRICES);
    assert_eq!(slot_of(&cluster, "core:apalis:queues:list").await, QUEUES);
    // Each role gets the address of another node: masters and replicas.
    let urls: Vec<String> = (0..4).map(|node| cluster.url(node + 2)).collect();
    let stack = Stack::with_urls(&[], &urls).await;
    stack.wait_for_samples("at first", SOON).await;
    assert_eq!(stack.warnings(), Vec::<String>::new());

    for (slot, what) in [(PRICES, "the samples"), (QUEUES, "the queues")] {
        let master = cluster.master_of(slot).await;
        cluster.nodes[master].kill();
        let replaced = format!("another master of {what}");
        eventually(FAILOVER, &replaced, || async { cluster.master_of(slot).await != master }).await;
        stack.wait_for_samples(&format!("without the master of {what}"), FAILOVER).await;
        cluster.nodes[master].restart();
        cluster.nodes[master].wait_until_ready().await;
    }

    let master = cluster.master_of(PRICES).await;
    eventually(SOON, "the master has a replica again", || async {
        let info: String = cluster.nodes[master].command(&["INFO", "replication"]).await.unwrap();
        info.contains("connected_slaves:1")
    })
    .await;
    cluster.nodes[master].signal(Signal::SIGSTOP);
    sleep(Duration::from_secs(6)).await;
    stack.wait_for_samples("while the master hangs", FAILOVER).await;
    cluster.nodes[master].signal(Signal::SIGCONT);
    eventually(SOON, "the old master is a replica", || async {
        let info: String = cluster.nodes[master].command(&["INFO", "replication"]).await.unwrap();
        info.contains("role:slave")
    })
    .await;
    stack.wait_for_samples("after the old master has resumed", FAILOVER).await;
    stack.check_slots().await;
}

#[tokio::test]
async fn recording_continues_while_cluster_slots_are_migrated() {
    let Some(cluster) = Cluster::start().await else { return };
    let stack = Stack::start(&[("REDIS_URL", &cluster.url(0))]).await;
    stack.wait_for_samples("at first", SOON).await;
    for slot in [PRICES, QUEUES] {
        let from = cluster.master_of(slot).await;
        let to = (0..3).find(|node| *node != from).unwrap();
        let mut names = Vec::new();
        for node in [from, to] {
            names.push(cluster.nodes[node].command::<String>(&["CLUSTER", "MYID"]).await.unwrap());
        }
        let number = slot.to_string();
        let set = |node: usize, state: &'static str, name: String| {
            let (node, number) = (&cluster.nodes[node], number.clone());
            async move {
                let words = ["CLUSTER", "SETSLOT", &number, state, &name];
                node.command::<()>(&words).await.unwrap();
            }
        };
        set(to, "IMPORTING", names[0].clone()).await;
        set(from, "MIGRATING", names[1].clone()).await;
        let port = cluster.nodes[to].port.to_string();
        loop {
            let words = ["CLUSTER", "GETKEYSINSLOT", &number, "3"];
            let keys: Vec<String> = cluster.nodes[from].command(&words).await.unwrap();
            if keys.is_empty() {
                break;
            }
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            cluster.nodes[from].command::<String>(&words).await.unwrap();
            // For a while, the keys are split between both nodes.
            sleep(Duration::from_millis(200)).await;
        }
        for node in [to, from] {
            set(node, "NODE", names[1].clone()).await;
        }
        stack.wait_for_samples("after a migration", FAILOVER).await;
    }
    stack.check_slots().await;
    assert!(stack.warnings().iter().all(|line| !line.contains("ERROR")), "{:?}", stack.warnings());
}

#[tokio::test]
async fn commands_of_operators_work_on_a_cluster() {
    let Some(cluster) = Cluster::start().await else { return };
    let url = cluster.url(1);
    let environment = [("REDIS_URL", url.as_str())];
    let stack = Stack::start(&environment).await;
    stack.wait_for_samples("at first", SOON).await;
    let commands: [&[&str]; 9] = [
        &["prices", "list"],
        &["prices", "check"],
        &["queue", "ls"],
        &["queue", "pause", "housekeeping", "--note", "a test"],
        &["queue", "resume", "housekeeping"],
        &["job", "run", "housekeeping"],
        &["job", "ls"],
        &["process", "ls"],
        &["audit"],
    ];
    for arguments in commands {
        let output = run(arguments, &environment).await;
        assert_eq!(output.code, 0, "{arguments:?}: {}", output.stderr);
    }
    for path in ["/api/status/", "/api/queues/", "/api/jobs/", "/api/processes/", "/api/sources/"] {
        assert!(stack.get(path).await.is_some(), "{path}");
    }
    let status = stack.get("/api/status/").await.unwrap();
    assert_eq!(status["redis"]["up"], true, "{status}");
    let doctor = run(&["doctor"], &environment).await;
    assert_eq!(doctor.code, 0, "{}", doctor.stdout);
    assert!(doctor.stdout.contains("primary in a Redis Cluster"), "{}", doctor.stdout);
}

#[tokio::test]
async fn a_password_changed_on_all_nodes_is_read_again_from_its_file() {
    let Some(cluster) = Cluster::start().await else { return };
    let set = async |words: &[&str]| {
        for node in &cluster.nodes {
            node.command::<redis::Value>(words).await.unwrap();
        }
    };
    set(&["ACL", "SETUSER", "cotiza", "on", ">one", "+@all", "~*", "&*"]).await;
    let file = cluster.nodes[0].folder().join("password");
    std::fs::write(&file, "one\n").unwrap();
    let (url, file) =
        (cluster.url(0).replace("redis://", "redis://cotiza@"), file.display().to_string());
    let environment = [("REDIS_URL", url.as_str()), ("COTIZA__REDIS__PASSWORD_FILE", &file)];
    let stack = Stack::start(&environment).await;
    stack.wait_for_samples("at first", SOON).await;
    set(&["ACL", "SETUSER", "cotiza", "resetpass", ">two"]).await;
    std::fs::write(&file, "two\n").unwrap();
    set(&["CLIENT", "KILL", "USER", "cotiza"]).await;
    stack.wait_for_samples("with the new password", Duration::from_secs(5)).await;
    stack.check_slots().await;
}
