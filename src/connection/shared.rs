//! A connection that is opened again when it is unfit. Depends on nothing of the crate.

use std::sync::{Arc, Weak};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value, aio::ConnectionLike};
use tokio::task::JoinError;

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
enum State {
    /// There is none.
    #[default]
    None,
    /// One is being opened, by a task of its own: those who wait for it may give up.
    Opening(Shared<BoxFuture<'static, RedisResult<Connection>>>),
    Open(Connection),
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
        let opening = {
            let mut state = self.state.lock();
            match &*state {
                State::Open(current) if current.is_fit() => return Ok(current.clone()),
                State::Opening(opening) => opening.clone(),
                _ => {
                    let task = tokio::spawn(open(self.server.clone(), Arc::downgrade(&self.state)));
                    let ended = |ended: Result<RedisResult<Connection>, JoinError>| {
                        ended.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
                    };
                    let opening = task.map(ended).boxed().shared();
                    *state = State::Opening(opening.clone());
                    opening
                }
            }
        };
        opening.await
    }
}

/// Opens a connection and puts it into the state. Takes it out again when it is unfit: the client of a
/// cluster goes on trying to repair one that nobody uses.
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
