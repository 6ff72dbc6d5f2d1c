//! A connection to a Redis Cluster: redis-rs's own, with what it leaves out. Depends on nothing of the crate.

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

use super::{health::ANSWER_TIMEOUT, server::CONNECT_TIMEOUT};

/// The hash tag of queues in a cluster. The name of a queue is `<tag><name>` there: apalis-redis also writes
/// the key `core:apalis:queues:list` in its scripts, and this tag has the slot of that key.
pub const QUEUE_TAG: &str = "{n76}";

/// Keys that do not exist, in the slots of all that is stored: the store's and the queues'.
pub(super) const PROBES: [&str; 2] = ["{prices}:probe", "{n76}probe"];

/// The longest that a request may take. Shorter than [`ANSWER_TIMEOUT`]: a request that a node has not answered
/// is not sent to it again.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(1900);

/// A connection to all nodes of a cluster that are needed.
#[derive(Clone)]
pub(super) struct Cluster(ClusterConnection);

impl Cluster {
    /// Connects to the cluster of a node.
    pub(super) async fn connect(
        node: ConnectionInfo,
        certificates: Option<&TlsCertificates>,
    ) -> RedisResult<Self> {
        let settings = node.tcp_settings().clone();
        let mut builder = ClusterClient::builder([node])
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(ANSWER_TIMEOUT)
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

    /// The host and port of each node that has slots, or is a replica of one that has.
    pub(super) async fn nodes(&mut self) -> RedisResult<Vec<(String, u16)>> {
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let slots: Vec<Vec<Value>> = command.query_async(self).await?;
        let mut nodes: Vec<(String, u16)> = slots.iter().flatten().filter_map(node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        Ok(nodes)
    }

    /// Sends a command to the primary that has the key.
    pub(super) async fn send_to(&mut self, key: &str, command: Cmd) -> RedisResult<Value> {
        let route = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
        let route = RoutingInfo::SingleNode(route);
        self.0.route_command(command, route).await
    }
}

impl ConnectionLike for Cluster {
    /// Scripts are loaded into all primaries, one of which may be about to take over a slot; only those that run
    /// them now are waited for. redis-rs waits for all nodes, so that no script could be run while one hangs.
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            if !is_script_load(command) {
                return self.0.req_packed_command(command).await;
            }
            let all = MultipleNodeRoutingInfo::AllMasters;
            let all = RoutingInfo::MultiNode((all, Some(ResponsePolicy::OneSucceeded)));
            let mut answer = self.0.route_command(command.clone(), all).await?;
            for key in PROBES {
                answer = self.send_to(key, command.clone()).await?;
            }
            Ok(answer)
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

/// A node in an answer to CLUSTER SLOTS, `[host, port, id, ...]`; the first and last slot beside it are none.
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
