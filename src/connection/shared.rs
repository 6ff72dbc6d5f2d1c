//! A connection that is replaced when it is unfit. Depends on no other module.

use std::sync::{Arc, Weak};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value, aio::ConnectionLike};
use tokio::task::JoinError;

use super::{Connection, Server};

/// A connection that is opened on first use, shared by its clones, and replaced when it is unfit.
///
/// If the connection breaks during a request, the request is sent once more on a new connection. Redis may
/// have executed it already, so all requests sent through this type must be idempotent.
#[derive(Clone)]
pub struct SharedConnection {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
enum State {
    /// There is no connection.
    #[default]
    None,
    /// A separate task is opening a connection, so that callers that wait for it can be cancelled.
    Opening(Shared<BoxFuture<'static, RedisResult<Connection>>>),
    Open(Connection),
}

impl SharedConnection {
    pub(super) fn new(server: Server) -> Self {
        Self { server, state: Arc::default() }
    }

    /// Returns the Redis of this connection.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns the current connection, or opens one if none is fit.
    ///
    /// # Errors
    /// Returns an error if no connection can be opened.
    pub async fn current(&self) -> RedisResult<Connection> {
        let opening = {
            let mut state = self.state.lock();
            match &*state {
                State::Open(current) if current.is_fit() => return Ok(current.clone()),
                State::Opening(opening) => opening.clone(),
                _ => {
                    let task = tokio::spawn(open(self.server.clone(), Arc::downgrade(&self.state)));
                    let flatten = |join_result: Result<RedisResult<Connection>, JoinError>| {
                        join_result.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
                    };
                    let opening = task.map(flatten).boxed().shared();
                    *state = State::Opening(opening.clone());
                    opening
                }
            }
        };
        opening.await
    }
}

/// Opens a connection and stores it in the state. Removes it when it is unfit, because a cluster client that
/// is not dropped keeps trying to reconnect.
async fn open(server: Server, state: Weak<Mutex<State>>) -> RedisResult<Connection> {
    let opened = server.connect().await;
    if let Some(shared) = state.upgrade() {
        *shared.lock() = opened.as_ref().map_or(State::None, |it| State::Open(it.clone()));
    }
    if let Ok(connection) = &opened {
        let unfit = connection.unfit.clone();
        tokio::spawn(async move {
            unfit.cancelled().await;
            let Some(shared) = state.upgrade() else { return };
            let mut state = shared.lock();
            if matches!(&*state, State::Open(current) if !current.is_fit()) {
                *state = State::None;
            }
        });
    }
    opened
}

/// Returns whether the connection broke, so that the request may be sent again. After a timeout it must not
/// be sent again, because Redis may still execute it.
fn is_broken(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_timeout()
}

impl ConnectionLike for SharedConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            match self.current().await?.req_packed_command(command).await {
                Err(error) if is_broken(&error) => {
                    self.current().await?.req_packed_command(command).await
                }
                response => response,
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
                Err(error) if is_broken(&error) => {
                    self.current().await?.req_packed_commands(commands, offset, count).await
                }
                responses => responses,
            }
        }
        .boxed()
    }

    /// Returns 0: only transactions of redis-rs use this number, and Cotiza does not use them.
    fn get_db(&self) -> i64 {
        0
    }
}

impl std::fmt::Debug for SharedConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedConnection").finish_non_exhaustive()
    }
}
