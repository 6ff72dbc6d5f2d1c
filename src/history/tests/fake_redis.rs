//! A server with the few commands of Redis that a history uses. The integration tests use a real Redis.

mod data;

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::watch,
    task::JoinSet,
    time::sleep,
};

pub(super) use data::Data;

use super::histories::history_at;
use crate::history::History;

/// A response.
pub(super) enum Reply {
    Bulk(Vec<u8>),
    Integer(i64),
    Array(Vec<Reply>),
    Nothing,
}

/// The server and the runtime that it runs on.
pub(super) struct FakeRedis {
    runtime: Runtime,
    data: Arc<Mutex<Data>>,
    /// Changed to close all connections.
    closed: watch::Sender<()>,
    url: String,
}

impl FakeRedis {
    pub(super) fn start(data: Data) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (data, closed) = (Arc::new(Mutex::new(data)), watch::Sender::default());
        runtime.spawn(serve(listener, Arc::clone(&data), closed.subscribe()));
        Self { runtime, data, closed, url }
    }

    pub(super) fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock()
    }

    /// Waits for a result.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Returns a history of this server that has not been loaded.
    pub(super) fn history(&self) -> History {
        history_at(&self.url)
    }

    /// Returns a history that has been loaded, with a memory limit in bytes.
    pub(super) fn loaded(&self, memory: usize) -> History {
        let mut history = self.history();
        history.limits.memory = memory;
        self.run(history.refresh()).unwrap();
        history
    }

    /// Closes all connections.
    pub(super) fn disconnect(&self) {
        self.closed.send_replace(());
    }
}

async fn serve(listener: TcpListener, data: Arc<Mutex<Data>>, mut closed: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                connections.spawn(answer(stream, Arc::clone(&data)));
            }
            Ok(()) = closed.changed() => connections.shutdown().await,
        }
    }
}

/// Answers the requests of a connection until it is closed.
async fn answer(stream: TcpStream, data: Arc<Mutex<Data>>) -> Option<()> {
    // Without this, each response of several waits for the acknowledgement of the one before.
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    loop {
        let mut request = Vec::new();
        for _ in 0..length(&mut stream).await? {
            let mut argument = vec![0; length(&mut stream).await? + 2];
            stream.read_exact(&mut argument).await.ok()?;
            argument.truncate(argument.len() - 2);
            request.push(argument);
        }
        let mut bytes = Vec::new();
        let reply = data.lock().reply(&request);
        if matches!(reply, Reply::Nothing) && request.iter().any(|it| it == b"BLOCK") {
            // A real server waits for the next change.
            sleep(Duration::from_millis(20)).await;
        }
        reply.write(&mut bytes);
        stream.get_mut().write_all(&bytes).await.ok()?;
    }
}

/// Reads a line of a type and a length.
async fn length(stream: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.get(1..)?.trim_end().parse().ok()
}

impl Reply {
    pub(super) fn text(text: &(impl ToString + ?Sized)) -> Self {
        Self::Bulk(text.to_string().into_bytes())
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bulk(bulk) => {
                bytes.extend(format!("${}\r\n", bulk.len()).bytes());
                bytes.extend(bulk);
                bytes.extend(b"\r\n");
            }
            Self::Integer(number) => bytes.extend(format!(":{number}\r\n").bytes()),
            Self::Array(replies) => {
                bytes.extend(format!("*{}\r\n", replies.len()).bytes());
                for reply in replies {
                    reply.write(bytes);
                }
            }
            Self::Nothing => bytes.extend(b"$-1\r\n"),
        }
    }
}
