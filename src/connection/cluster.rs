//! A connection to a Redis Cluster: that of redis-rs with a different routing of scripts.
//! Depends on no other module.

use std::time::Duration;

use futures_util::FutureExt;
use redis::{
    Cmd, ConnectionInfo, Pipeline, RedisFuture, RedisResult, TlsCertificates, Value,
    aio::ConnectionLike,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{
        MultipleNodeRoutingInfo, ResponsePolicy, Route, RoutingInfo, SingleNodeRoutingInfo,
        SlotAddr,
    },
};

use super::{health::RESPONSE_TIMEOUT, server::CONNECT_TIMEOUT};

/// The hash tag of queues in a cluster, where a queue is named `<tag><name>`. The scripts of apalis-redis
/// also write the key `core:apalis:queues:list`; this tag hashes to the slot of that key.
pub const QUEUE_TAG: &str = "{n76}";

/// Keys that do not exist, in the two slots of the stored data: those of the store and of the queues.
pub(super) const PROBES: [&str; 2] = ["{prices}:probe", "{n76}probe"];

/// The time limit of a request including its retries. It is shorter than [`RESPONSE_TIMEOUT`] so that a request
/// to a node that does not respond is not sent again.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(1900);

/// A connection to the required nodes of a cluster.
#[derive(Clone)]
pub(super) struct Cluster(ClusterConnection);

impl Cluster {
    /// Connects to the cluster that a node belongs to.
    pub(super) async fn connect(
        node: ConnectionInfo,
        certificates: Option<&TlsCertificates>,
    ) -> RedisResult<Self> {
        let settings = node.tcp_settings().clone();
        let mut builder = ClusterClient::builder([node])
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(RESPONSE_TIMEOUT)
            .overall_response_timeout(Some(REQUEST_TIMEOUT))
            .tcp_settings(settings)
            .retries(3)
            .min_retry_wait(20)
            .max_retry_wait(200);
        if let Some(certificates) = certificates {
            builder = builder.certs(certificates.clone());
        }
        builder.build()?.get_async_connection().await.map(Self)
    }

    /// Returns the host and port of each node with slots, and of the replicas of these nodes.
    pub(super) async fn nodes(&mut self) -> RedisResult<Vec<(String, u16)>> {
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let slots: Vec<Vec<Value>> = command.query_async(self).await?;
        let mut nodes: Vec<(String, u16)> = slots.iter().flatten().filter_map(node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        Ok(nodes)
    }

    /// Sends a command to the primary that stores the key.
    pub(super) async fn send_to(&mut self, key: &str, command: Cmd) -> RedisResult<Value> {
        let route = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
        let route = RoutingInfo::SingleNode(route);
        self.0.route_command(command, route).await
    }
}

impl ConnectionLike for Cluster {
    /// Sends a command. SCRIPT LOAD is sent to all primaries, since one of them may soon take over a slot,
    /// but only the responses of those that run scripts now are awaited. redis-rs would wait for all nodes,
    /// so no script could run while one node hangs.
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            if !is_script_load(command) {
                return self.0.req_packed_command(command).await;
            }
            let all = MultipleNodeRoutingInfo::AllMasters;
            let all = RoutingInfo::MultiNode((all, Some(ResponsePolicy::OneSucceeded)));
            let mut response = self.0.route_command(command.clone(), all).await?;
            for key in PROBES {
                response = self.send_to(key, command.clone()).await?;
            }
            Ok(response)
        }
        .boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(commands, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

/// Parses a node, `[host, port, id, ...]`, in a response to CLUSTER SLOTS. Returns `None` for the slot
/// numbers next to it.
fn node(value: &Value) -> Option<(String, u16)> {
    let Value::Array(parts) = value else { return None };
    let [host, port, ..] = parts.as_slice() else { return None };
    let host: String = redis::from_redis_value_ref(host).ok()?;
    let port = redis::from_redis_value_ref(port).ok()?;
    (!host.is_empty() && host != "?").then_some((host, port))
}

fn is_script_load(command: &Cmd) -> bool {
    let is = |at: usize, word: &[u8]| matches!(command.args_iter().nth(at), Some(redis::Arg::Simple(it)) if it.eq_ignore_ascii_case(word));
    is(0, b"SCRIPT") && is(1, b"LOAD")
}
