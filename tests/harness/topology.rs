//! Several redis-servers that belong together: a primary with replicas and Sentinels, or a cluster.

use std::{
    collections::HashMap, fmt::Write as _, net::TcpListener, path::Path, process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;
use redis::{AsyncConnectionConfig, RedisResult};
use tempfile::TempDir;

use super::{SOON, eventually, free_port, guarded::Guarded};

/// One redis-server or Sentinel of a group, ended with it.
pub struct Node {
    pub port: u16,
    folder: TempDir,
    words: Vec<String>,
    server: Option<Guarded>,
}

impl Node {
    /// A server with these settings on a free port, with an append-only file.
    pub fn start(settings: &str) -> Self {
        Self::on(free_port(), settings)
    }

    pub fn on(port: u16, settings: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("redis.conf");
        let mut text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nappendonly yes\nsave \"\"\nloglevel notice\n",
            folder.path().display()
        );
        writeln!(text, "{settings}").expect("a string");
        std::fs::write(&file, text).expect("written");
        let words = vec!["redis-server".to_owned(), file.display().to_string()];
        let mut node = Self { port, folder, words, server: None };
        node.restart();
        node
    }

    /// A Sentinel of a primary at that port.
    fn sentinel(primary: u16, settings: &str) -> Self {
        let port = free_port();
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n{settings}\n"
        );
        Self { port, ..Self::bare_sentinel(&text) }
    }

    /// A Sentinel with all of its settings given.
    pub fn bare_sentinel(settings: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, settings).expect("written");
        let words = ["redis-server", &file.display().to_string(), "--sentinel"];
        let words = words.map(str::to_owned).into();
        let mut node = Self { port: 0, folder, words, server: None };
        node.restart();
        node
    }

    /// Starts it, with its data, if it was killed.
    pub fn restart(&mut self) {
        let log = self.folder.path().join("log");
        self.server = Some(Guarded::start(&self.words, &[], &log));
    }

    pub fn kill(&mut self) {
        self.server = None;
    }

    pub fn signal(&self, signal: Signal) {
        self.server.as_ref().expect("it lives").signal(signal);
    }

    /// The folder of its data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address())
    }

    /// The answer to a command, on a connection of its own.
    pub async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        ask(&self.url(), words).await
    }

    pub async fn answers(&self) {
        eventually(SOON, "a node answers", || async {
            self.ask::<String>(&["PING"]).await.is_ok()
        })
        .await;
    }
}

/// The answer of the Redis at a URL to a command, on a connection of its own.
pub async fn ask<T: redis::FromRedisValue>(url: &str, words: &[&str]) -> RedisResult<T> {
    let client = redis::Client::open(url)?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_response_timeout(Some(Duration::from_secs(2)));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await
}

/// A primary with two replicas, which three Sentinels watch under the name `main`.
pub struct Watched {
    pub servers: Vec<Node>,
    pub sentinels: Vec<Node>,
}

impl Watched {
    /// `server` and `sentinel` are settings of each server and of each Sentinel.
    pub async fn start(server: &str, sentinel: &str) -> Self {
        let mut servers = vec![Node::start(server)];
        for _ in 0..2 {
            let settings = format!("{server}\nreplicaof 127.0.0.1 {}", servers[0].port);
            servers.push(Node::start(&settings));
        }
        let primary = servers[0].port;
        let sentinels = (0..3).map(|_| Node::sentinel(primary, sentinel)).collect();
        Self { servers, sentinels }
    }

    /// Waits until every Sentinel knows the two replicas and the two other Sentinels.
    pub async fn is_ready(&self) {
        for sentinel in &self.sentinels {
            eventually(SOON, "the Sentinels know each other", || async {
                let known =
                    sentinel.ask::<HashMap<String, String>>(&["SENTINEL", "MASTER", "main"]);
                known.await.is_ok_and(|known| {
                    known["num-slaves"] == "2" && known["num-other-sentinels"] == "2"
                })
            })
            .await;
        }
    }

    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(Node::address).collect();
        format!("redis+sentinel://{}/main/0", hosts.join(","))
    }

    /// The position of the server that the Sentinels call the primary.
    pub async fn primary(&self) -> usize {
        let mut found = None;
        eventually(SOON, "a Sentinel names the primary", || async {
            for sentinel in &self.sentinels {
                let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"];
                if let Ok((_, port)) = sentinel.ask::<(String, u16)>(&words).await {
                    return self.servers.iter().any(|server| server.port == port);
                }
            }
            false
        })
        .await;
        for sentinel in &self.sentinels {
            let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"];
            if let Ok((_, port)) = sentinel.ask::<(String, u16)>(&words).await {
                found = self.servers.iter().position(|server| server.port == port);
            }
        }
        found.expect("a primary")
    }
}

/// Three masters with a replica each.
pub struct Cluster {
    pub nodes: Vec<Node>,
}

impl Cluster {
    /// `None` if redis-cli, which creates the cluster, is not installed.
    pub async fn start() -> Option<Self> {
        if Command::new("redis-cli").arg("--version").output().is_err() {
            println!("skipped: redis-cli is not installed");
            return None;
        }
        let settings = "cluster-enabled yes\ncluster-node-timeout 1500\n\
                        cluster-replica-validity-factor 0";
        let nodes: Vec<Node> = (0..6).map(|_| Node::on(free_bus_port(), settings)).collect();
        for node in &nodes {
            node.answers().await;
        }
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(nodes.iter().map(Node::address))
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .expect("redis-cli");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let cluster = Self { nodes };
        eventually(SOON, "the replicas have the data of their masters", || async {
            let mut linked = 0;
            for node in &cluster.nodes {
                let info: String = node.ask(&["INFO", "replication"]).await.unwrap_or_default();
                linked += usize::from(info.contains("master_link_status:up"));
            }
            linked == 3
        })
        .await;
        Some(cluster)
    }

    /// A URL that names one of the nodes.
    pub fn url(&self, node: usize) -> String {
        self.nodes[node].url()
    }

    /// The position of the master of a slot.
    pub async fn master_of(&self, slot: u16) -> usize {
        type Slots = Vec<(u16, u16, (String, u16))>;
        for node in &self.nodes {
            let Ok(slots) = node.ask::<Vec<Vec<redis::Value>>>(&["CLUSTER", "SLOTS"]).await else {
                continue;
            };
            let ranges: Slots = slots.iter().filter_map(|range| range_of(range)).collect();
            let found = ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
            if let Some((_, _, (_, port))) = found {
                return self.nodes.iter().position(|node| node.port == *port).expect("a node");
            }
        }
        panic!("no node knows the master of slot {slot}");
    }
}

fn range_of(range: &[redis::Value]) -> Option<(u16, u16, (String, u16))> {
    let number = |value: &redis::Value| redis::from_redis_value_ref::<u16>(value).ok();
    let redis::Value::Array(master) = range.get(2)? else { return None };
    let host = redis::from_redis_value_ref(master.first()?).ok()?;
    Some((number(range.first()?)?, number(range.get(1)?)?, (host, number(master.get(1)?)?)))
}

/// A free port whose bus of the cluster, 10,000 further, is free too.
fn free_bus_port() -> u16 {
    loop {
        let port = free_port();
        let bus = port.checked_add(10_000);
        if bus.is_some_and(|bus| TcpListener::bind(("127.0.0.1", bus)).is_ok()) {
            return port;
        }
    }
}
