//! What is known of the Redis server itself.

use std::time::{Duration, Instant};

use redis::FromRedisValue;

use super::{Store, StoreError, answer, keys};
use crate::connection::{self, Connection};

/// How the server is. Of what it does not tell, or the user must not ask, the value is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReport {
    /// Whether it is a Valkey.
    pub is_valkey: bool,
    /// Its version.
    pub version: Option<String>,
    /// The bytes of memory that its data takes.
    pub memory: Option<u64>,
    /// The limit of that memory in bytes; also `None` if there is none.
    pub max_memory: Option<u64>,
    /// What it deletes when its memory is full, `maxmemory-policy`.
    pub eviction: Option<String>,
    /// Whether it writes an append-only file.
    pub has_append_only_file: Option<bool>,
    /// The number of replicas that are connected.
    pub replicas: Option<u64>,
    /// Whether it is a node of a Redis Cluster.
    pub is_cluster: bool,
    /// How long it took to answer.
    pub latency: Duration,
}

impl Store {
    /// How the server is, in a cluster the one that has the samples.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn server(&self) -> Result<ServerReport, StoreError> {
        let mut connection = answer("connect to Redis", self.connection.current()).await?;
        let latency = latency(&mut connection).await?;
        let info = connection.send_to(keys::META, redis::cmd("INFO")).await;
        let info = info.and_then(|info| Ok(String::from_redis_value(info)?)).unwrap_or_default();
        let field = |name: &str| connection::field(&info, name);
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

    /// How long the server takes to answer.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn latency(&self) -> Result<Duration, StoreError> {
        let mut connection = answer("connect to Redis", self.connection.current()).await?;
        latency(&mut connection).await
    }

    /// What tells these runs of the servers that have the samples and the queues from all others.
    ///
    /// # Errors
    /// If Redis fails, or this user must not read it.
    pub async fn server_runs(&self) -> Result<String, StoreError> {
        let mut connection = answer("connect to Redis", self.connection.current()).await?;
        let mut runs = Vec::new();
        for key in connection.probes() {
            runs.push(run_at(&mut connection, key).await?);
        }
        Ok(runs.join(" "))
    }

    /// A setting of the server; `None` if this user must not read it.
    pub async fn server_setting(&self, name: &str) -> Option<String> {
        let mut get = redis::cmd("CONFIG");
        get.arg("GET").arg(name);
        let mut connection = self.connection.current().await.ok()?;
        let answer = connection.send_to(keys::META, get).await.ok()?;
        let pairs = Vec::<(String, String)>::from_redis_value(answer).ok()?;
        pairs.into_iter().next().map(|(_, value)| value)
    }
}

async fn latency(connection: &mut Connection) -> Result<Duration, StoreError> {
    let asked = Instant::now();
    let mut exists = redis::cmd("EXISTS");
    exists.arg(keys::META);
    answer("ask Redis", exists.query_async::<u8>(connection)).await?;
    Ok(asked.elapsed())
}

/// What tells this run of the server that has the samples from all others.
pub(super) async fn server_run(connection: &mut Connection) -> Result<String, StoreError> {
    run_at(connection, keys::META).await
}

/// The same of the server that has the key.
async fn run_at(connection: &mut Connection, key: &str) -> Result<String, StoreError> {
    let mut info = redis::cmd("INFO");
    info.arg("server");
    let info = answer("ask which server this is", connection.send_to(key, info)).await?;
    let info = String::from_redis_value(info).unwrap_or_default();
    Ok(connection::field(&info, "run_id").unwrap_or_default().to_owned())
}
