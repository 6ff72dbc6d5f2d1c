//! A load balancer in front of a Redis: forwards connections to a server that can be replaced, and can lose
//! the packets of those that are open.

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

/// A running forwarder; ended with the test.
pub struct Forwarder {
    pub port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    target: AtomicU16,
    /// Connections of an earlier epoch lose what is sent on them.
    epoch: AtomicU64,
    /// Whether the next answer is lost with its connection.
    cuts: AtomicBool,
}

impl Forwarder {
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::new(State {
            target: target.into(),
            epoch: AtomicU64::default(),
            cuts: AtomicBool::default(),
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

    /// Sends new connections to another server; those that are open stay where they are.
    pub fn point_to(&self, target: u16) {
        self.state.target.store(target, Ordering::SeqCst);
    }

    /// Closes a connection in place of the next answer, when the server has carried out the request.
    pub fn cut_next_answer(&self) {
        self.state.cuts.store(true, Ordering::SeqCst);
    }

    /// Whether that has happened.
    pub fn has_cut(&self) -> bool {
        !self.state.cuts.load(Ordering::SeqCst)
    }

    /// Loses from now on what is sent on open connections, which stay open.
    pub fn lose_open_connections(&self) {
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
    are_answers: bool,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if are_answers && state.cuts.swap(false, Ordering::SeqCst) {
            return;
        }
        if state.epoch.load(Ordering::SeqCst) == epoch
            && to.write_all(&bytes[..count]).await.is_err()
        {
            return;
        }
    }
    // Nobody hears of the end of a connection whose packets are lost.
    if state.epoch.load(Ordering::SeqCst) != epoch {
        std::future::pending::<()>().await;
    }
}
