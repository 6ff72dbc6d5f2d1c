//! The status of the Redis server itself.

use std::time::{Duration, Instant};

use redis::FromRedisValue;

use super::{Store, StoreError, keys, send};
use crate::connection::{self, Connection};

/// The status of the server. Values that it does not report, or that this user may not read, are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReport {
    /// Whether it is a Valkey server.
    pub is_valkey: bool,
    /// The version of the server.
    pub version: Option<String>,
    /// The memory that its data uses, in bytes.
    pub memory: Option<u64>,
    /// The limit of that memory in bytes; also `None` if there is no limit.
    pub max_memory: Option<u64>,
    /// The eviction policy when its memory is full, `maxmemory-policy`.
    pub eviction: Option<String>,
    /// Whether it writes an append-only file.
    pub has_append_only_file: Option<bool>,
    /// The number of connected replicas.
    pub replicas: Option<u64>,
    /// Whether it is a node of a Redis Cluster.
    pub is_cluster: bool,
    /// The time that the server took to respond.
    pub latency: Duration,
}

impl Store {
    /// Returns the status of the server; in a cluster, that of the node with the samples.
    ///
    /// # Errors
    /// Returns an error if the server does not respond.
    pub async fn server(&self) -> Result<ServerReport, StoreError> {
        let mut connection = send("connect to Redis", self.connection.current()).await?;
        let latency = latency(&mut connection).await?;
        let info = connection.send_to(keys::META, redis::cmd("INFO")).await;
        let info = info.and_then(|info| Ok(String::from_redis_value(info)?)).unwrap_or_default();
        let field = |name: &str| connection::info_field(&info, name);
        let number = |name: &str| field(name).and_then(|text| text.parse::<u64>().ok());
        let valkey = field("valkey_version");
        Ok(ServerReport {
            is_valkey: valkey.is_some(),
            version: valkey.or_else(|| field("redis_version")).map(str::to_owned),
            memory: number("used_memory"),
            max_memory: number("maxmemory").filter(|most| *most > 0),
            eviction: field("maxmemory_policy").map(str::to_owned),
            has_append_only_file: number("aof_enabled").map(|enabled| enabled == 1),
            replicas: number("connected_slaves"),
            is_cluster: connection.is_cluster(),
            latency,
        })
    }

    /// Returns the time that the server takes to respond.
    ///
    /// # Errors
    /// Returns an error if the server does not respond.
    pub async fn latency(&self) -> Result<Duration, StoreError> {
        let mut connection = send("connect to Redis", self.connection.current()).await?;
        latency(&mut connection).await
    }

    /// Returns the `run_id`s of the servers that have the samples and the queues: they identify the current
    /// runs.
    ///
    /// # Errors
    /// Returns an error if Redis fails, or if this user may not read them.
    pub async fn server_runs(&self) -> Result<String, StoreError> {
        let mut connection = send("connect to Redis", self.connection.current()).await?;
        let mut runs = Vec::new();
        for key in connection.probes() {
            runs.push(run_at(&mut connection, key).await?);
        }
        Ok(runs.join(" "))
    }

    /// Returns a setting of the server; `None` if this user may not read it.
    pub async fn server_setting(&self, name: &str) -> Option<String> {
        let mut get = redis::cmd("CONFIG");
        get.arg("GET").arg(name);
        let mut connection = self.connection.current().await.ok()?;
        let response = connection.send_to(keys::META, get).await.ok()?;
        let pairs = Vec::<(String, String)>::from_redis_value(response).ok()?;
        pairs.into_iter().next().map(|(_, value)| value)
    }
}

async fn latency(connection: &mut Connection) -> Result<Duration, StoreError> {
    let sent = Instant::now();
    let mut exists = redis::cmd("EXISTS");
    exists.arg(keys::META);
    send("measure the latency of Redis", exists.query_async::<u8>(connection)).await?;
    Ok(sent.elapsed())
}

/// Returns the `run_id` of the server that has the samples: it identifies the current run.
pub(super) async fn server_run(connection: &mut Connection) -> Result<String, StoreError> {
    run_at(connection, keys::META).await
}

/// Returns the `run_id` of the server that has the key.
async fn run_at(connection: &mut Connection, key: &str) -> Result<String, StoreError> {
    let mut info = redis::cmd("INFO");
    info.arg("server");
    let info = send("identify the Redis server", connection.send_to(key, info)).await?;
    let info = String::from_redis_value(info).unwrap_or_default();
    Ok(connection::info_field(&info, "run_id").unwrap_or_default().to_owned())
}
