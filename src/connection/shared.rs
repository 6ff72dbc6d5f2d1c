//! A connection that is opened again when it is unfit. Depends on nothing of the crate.

use std::sync::Arc;

use futures_util::FutureExt;
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value, aio::ConnectionLike};
use tokio::{sync::Mutex, time::Instant};

use super::{Connection, Server};

/// A connection that is opened on first use, shared by clones, and replaced when it is unfit.
///
/// A request that was sent on a connection that broke is sent once more, on a new one: whether Redis has
/// carried it out is not known. So everything that goes through here has the same result if it is done twice.
#[derive(Clone)]
pub struct SharedConnection {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    current: Option<Connection>,
    /// When opening one failed last, and why.
    failed: Option<(Instant, RedisError)>,
}

impl SharedConnection {
    pub(super) fn new(server: Server) -> Self {
        Self { server, state: Arc::default() }
    }

    /// The Redis that it is to.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The connection of now; it is opened if there is none that is fit.
    ///
    /// # Errors
    /// If none can be opened.
    pub async fn current(&self) -> RedisResult<Connection> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(current) = state.current.as_ref().filter(|current| current.is_fit()) {
            return Ok(current.clone());
        }
        // Another request has tried while this one waited.
        if let Some((at, error)) = &state.failed
            && *at >= asked
        {
            return Err(error.clone());
        }
        state.current = None;
        match self.server.connect().boxed().await {
            Ok(connection) => {
                state.current = Some(connection.clone());
                Ok(connection)
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

/// Whether the connection broke, so that the request may be sent again. After a time-out it is not: Redis may
/// still carry it out.
fn broke(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_timeout()
}

impl ConnectionLike for SharedConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            match self.current().await?.req_packed_command(command).await {
                Err(error) if broke(&error) => {
                    self.current().await?.req_packed_command(command).await
                }
                answer => answer,
            }
        }
        .boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        async move {
            match self.current().await?.req_packed_commands(commands, offset, count).await {
                Err(error) if broke(&error) => {
                    self.current().await?.req_packed_commands(commands, offset, count).await
                }
                answers => answers,
            }
        }
        .boxed()
    }

    /// Only for transactions of redis-rs, which are not used.
    fn get_db(&self) -> i64 {
        0
    }
}

impl std::fmt::Debug for SharedConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedConnection").finish_non_exhaustive()
    }
}
