//! A load balancer in front of a Redis: forwards connections to a server that can be changed, and can drop
//! the packets of open connections.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

/// A running forwarder, which stops when it is dropped.
pub struct Forwarder {
    pub port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    target: AtomicU16,
    /// The current epoch; packets of connections of an earlier epoch are dropped.
    epoch: AtomicU64,
    /// Whether the next response is dropped and its connection closed.
    drops_response: AtomicBool,
}

impl Forwarder {
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::new(State {
            target: target.into(),
            epoch: AtomicU64::default(),
            drops_response: AtomicBool::default(),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    let target = ("127.0.0.1", state.target.load(Ordering::SeqCst));
                    let Ok(server) = TcpStream::connect(target).await else { return };
                    let epoch = state.epoch.load(Ordering::SeqCst);
                    let ((from, to), (back, forth)) = (client.into_split(), server.into_split());
                    let other = Arc::clone(&state);
                    tokio::spawn(copy(from, forth, epoch, state, false));
                    copy(back, to, epoch, other, true).await;
                });
            }
        });
        Self { port, state, task }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Forwards new connections to another server; open connections keep theirs.
    pub fn set_target(&self, target: u16) {
        self.state.target.store(target, Ordering::SeqCst);
    }

    /// Closes the connection instead of forwarding the next response; the server has executed the request.
    pub fn drop_next_response(&self) {
        self.state.drops_response.store(true, Ordering::SeqCst);
    }

    /// Whether that response has been dropped.
    pub fn has_dropped_response(&self) -> bool {
        !self.state.drops_response.load(Ordering::SeqCst)
    }

    /// Drops all further packets of the open connections, which stay open.
    pub fn black_hole_open_connections(&self) {
        self.state.epoch.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    epoch: u64,
    state: Arc<State>,
    are_responses: bool,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if are_responses && state.drops_response.swap(false, Ordering::SeqCst) {
            return;
        }
        if state.epoch.load(Ordering::SeqCst) == epoch
            && to.write_all(&bytes[..count]).await.is_err()
        {
            return;
        }
    }
    // The end of a connection whose packets are dropped is not forwarded either.
    if state.epoch.load(Ordering::SeqCst) != epoch {
        std::future::pending::<()>().await;
    }
}
