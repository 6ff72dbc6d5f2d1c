//! Event streams of HTTP/1. When the head of the answer has been written, a stream has the socket for
//! itself: hyper's buffers would take 20 KB for each client, for as long as it stays.

use std::{io, sync::Arc};

use futures_util::stream;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use poem::{Body, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::{
    connection::AnswerBody,
    socket::{Activity, Socket},
};

/// Whether an answer goes on for as long as the client stays.
pub(super) fn is_one(response: &Response) -> bool {
    response.content_type() == Some("text/event-stream")
}

/// Takes the events out of an answer, until its head has been written.
#[derive(Debug, Clone)]
pub(super) struct Handover {
    activity: Arc<Activity>,
    /// The events, and whether they are sent in chunks.
    taken: Arc<Mutex<Option<(AnswerBody, bool)>>>,
}

impl Handover {
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        Self { activity, taken: Arc::default() }
    }

    /// Takes the events; what is left has a body that never comes. HTTP/1.0 knows no chunks.
    pub(super) fn take_from(&self, response: &mut Response, is_chunked: bool) {
        *self.taken.lock() = Some((response.take_body().into(), is_chunked));
        response.set_body(Body::from_bytes_stream(stream::pending::<io::Result<Vec<u8>>>()));
    }

    /// The events, once the head of their answer has been written.
    pub(super) fn events(&self) -> Option<(AnswerBody, bool)> {
        if self.activity.is_taken() { self.taken.lock().take() } else { None }
    }
}

/// An event stream that has its socket for itself.
pub(super) struct EventStream {
    pub(super) socket: Socket,
    pub(super) events: AnswerBody,
    pub(super) is_chunked: bool,
}

impl EventStream {
    /// Sends events until one of the sides ends it.
    pub(super) async fn serve(mut self, stopping: &CancellationToken) {
        let mut unasked = [0; 64];
        loop {
            let frame = tokio::select! {
                frame = self.events.frame() => frame,
                read = self.socket.read(&mut unasked) => match read {
                    Ok(1..) => continue,
                    // The client is gone.
                    _ => return,
                },
                () = stopping.cancelled() => None,
            };
            // An error ends it without the end of the body, which tells the client.
            let Some(frame) = frame.transpose().ok() else { return };
            let is_end = frame.is_none();
            let bytes = frame.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
            if self.send(&bytes, is_end).await.is_err() || is_end {
                return;
            }
        }
    }

    async fn send(&mut self, bytes: &[u8], is_end: bool) -> io::Result<()> {
        if !self.is_chunked {
            self.socket.write_all(bytes).await?;
        } else if is_end {
            self.socket.write_all(b"0\r\n\r\n").await?;
        } else if !bytes.is_empty() {
            let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
            chunk.extend_from_slice(bytes);
            chunk.extend_from_slice(b"\r\n");
            self.socket.write_all(&chunk).await?;
        }
        self.socket.flush().await
    }
}
