//! Groups of redis-servers: a primary with replicas and Sentinels, or a cluster.

use std::{
    collections::HashMap, fmt::Write as _, net::TcpListener, path::Path, process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;
use redis::{AsyncConnectionConfig, RedisResult};
use tempfile::TempDir;

use super::{SOON, eventually, free_port, server_process::ServerProcess};

/// One redis-server or Sentinel, which is killed when it is dropped.
pub struct Node {
    pub port: u16,
    folder: TempDir,
    words: Vec<String>,
    server: Option<ServerProcess>,
}

impl Node {
    /// Starts a server with these settings and an append-only file on a free port.
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

    /// Starts a Sentinel of the primary at the port.
    fn sentinel(primary: u16, settings: &str) -> Self {
        let port = free_port();
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n{settings}\n"
        );
        Self { port, ..Self::bare_sentinel(&text) }
    }

    /// Starts a Sentinel with exactly these settings.
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

    /// Starts the server again with its data.
    pub fn restart(&mut self) {
        let log = self.folder.path().join("log");
        self.server = Some(ServerProcess::start(&self.words, &[], &log));
    }

    pub fn kill(&mut self) {
        self.server = None;
    }

    pub fn signal(&self, signal: Signal) {
        self.server.as_ref().expect("it is running").signal(signal);
    }

    /// Returns its data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address())
    }

    /// Sends a command on its own connection and returns the response.
    pub async fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        redis_command(&self.url(), words).await
    }

    pub async fn wait_until_ready(&self) {
        eventually(SOON, "a node responds", || async {
            self.command::<String>(&["PING"]).await.is_ok()
        })
        .await;
    }
}

/// Sends a command to the Redis at the URL on its own connection and returns the response.
pub async fn redis_command<T: redis::FromRedisValue>(url: &str, words: &[&str]) -> RedisResult<T> {
    let client = redis::Client::open(url)?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_response_timeout(Some(Duration::from_secs(2)));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await
}

/// A primary with two replicas, monitored by three Sentinels under the name `main`.
pub struct SentinelGroup {
    pub servers: Vec<Node>,
    pub sentinels: Vec<Node>,
}

impl SentinelGroup {
    /// Starts the group; `server` and `sentinel` are the settings of each server and of each Sentinel.
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

    /// Waits until every Sentinel has found the two replicas and the two other Sentinels.
    pub async fn wait_until_ready(&self) {
        for sentinel in &self.sentinels {
            eventually(SOON, "the Sentinels have found each other", || async {
                let state =
                    sentinel.command::<HashMap<String, String>>(&["SENTINEL", "MASTER", "main"]);
                state.await.is_ok_and(|state| {
                    state["num-slaves"] == "2" && state["num-other-sentinels"] == "2"
                })
            })
            .await;
        }
    }

    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(Node::address).collect();
        format!("redis+sentinel://{}/main/0", hosts.join(","))
    }

    /// Returns the position of the server that is the primary according to the Sentinels.
    pub async fn primary(&self) -> usize {
        let mut found = None;
        eventually(SOON, "a Sentinel returns the primary", || async {
            for sentinel in &self.sentinels {
                let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"];
                if let Ok((_, port)) = sentinel.command::<(String, u16)>(&words).await {
                    return self.servers.iter().any(|server| server.port == port);
                }
            }
            false
        })
        .await;
        for sentinel in &self.sentinels {
            let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"];
            if let Ok((_, port)) = sentinel.command::<(String, u16)>(&words).await {
                found = self.servers.iter().position(|server| server.port == port);
            }
        }
        found.expect("a primary")
    }
}

/// A cluster of three masters with one replica each.
pub struct Cluster {
    pub nodes: Vec<Node>,
}

impl Cluster {
    /// Starts a cluster; `None` if redis-cli, which creates it, is not installed.
    pub async fn start() -> Option<Self> {
        if Command::new("redis-cli").arg("--version").output().is_err() {
            println!("skipped: redis-cli is not installed");
            return None;
        }
        let settings = "cluster-enabled yes\ncluster-node-timeout 1500\n\
                        cluster-replica-validity-factor 0";
        let nodes: Vec<Node> = (0..6).map(|_| Node::on(free_bus_port(), settings)).collect();
        for node in &nodes {
            node.wait_until_ready().await;
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
                let info: String = node.command(&["INFO", "replication"]).await.unwrap_or_default();
                linked += usize::from(info.contains("master_link_status:up"));
            }
            linked == 3
        })
        .await;
        Some(cluster)
    }

    /// Returns the URL of one of the nodes.
    pub fn url(&self, node: usize) -> String {
        self.nodes[node].url()
    }

    /// Returns the position of the master of a hash slot.
    pub async fn master_of(&self, slot: u16) -> usize {
        type Slots = Vec<(u16, u16, (String, u16))>;
        for node in &self.nodes {
            let Ok(slots) = node.command::<Vec<Vec<redis::Value>>>(&["CLUSTER", "SLOTS"]).await
            else {
                continue;
            };
            let ranges: Slots = slots.iter().filter_map(|range| range_of(range)).collect();
            let found = ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
            if let Some((_, _, (_, port))) = found {
                return self.nodes.iter().position(|node| node.port == *port).expect("a node");
            }
        }
        panic!("no node returns the master of slot {slot}");
    }
}

fn range_of(range: &[redis::Value]) -> Option<(u16, u16, (String, u16))> {
    let number = |value: &redis::Value| redis::from_redis_value_ref::<u16>(value).ok();
    let redis::Value::Array(master) = range.get(2)? else { return None };
    let host = redis::from_redis_value_ref(master.first()?).ok()?;
    Some((number(range.first()?)?, number(range.get(1)?)?, (host, number(master.get(1)?)?)))
}

/// Returns a free port such that the port of the cluster bus, which is 10,000 higher, is free too.
fn free_bus_port() -> u16 {
    loop {
        let port = free_port();
        let bus = port.checked_add(10_000);
        if bus.is_some_and(|bus| TcpListener::bind(("127.0.0.1", bus)).is_ok()) {
            return port;
        }
    }
}
