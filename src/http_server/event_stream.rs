//! Event streams over HTTP/1. After the head of the response has been written, a stream takes over the
//! socket, because hyper's buffers would use 20 KB for each connected client.

use std::{io, sync::Arc};

use futures_util::stream;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use poem::{Body, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::{
    connection::ResponseBody,
    socket::{Activity, Socket},
};

/// Returns whether a response is an event stream.
pub(super) fn is_event_stream(response: &Response) -> bool {
    response.content_type() == Some("text/event-stream")
}

/// Holds the events of a response until its head has been written.
#[derive(Debug, Clone)]
pub(super) struct Handover {
    activity: Arc<Activity>,
    /// The events, and whether they are sent with chunked encoding.
    taken: Arc<Mutex<Option<(ResponseBody, bool)>>>,
}

impl Handover {
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        Self { activity, taken: Arc::default() }
    }

    /// Takes the events out of a response and replaces its body by one that never yields data. `is_chunked`
    /// is `false` for HTTP/1.0, which has no chunked encoding.
    pub(super) fn take_from(&self, response: &mut Response, is_chunked: bool) {
        *self.taken.lock() = Some((response.take_body().into(), is_chunked));
        response.set_body(Body::from_bytes_stream(stream::pending::<io::Result<Vec<u8>>>()));
    }

    /// Returns the events, once the head of their response has been written.
    pub(super) fn events(&self) -> Option<(ResponseBody, bool)> {
        if self.activity.is_taken() { self.taken.lock().take() } else { None }
    }
}

/// An event stream that has taken over its socket.
pub(super) struct EventStream {
    pub(super) socket: Socket,
    pub(super) events: ResponseBody,
    pub(super) is_chunked: bool,
}

impl EventStream {
    /// Sends events until the events end, the client disconnects, or the server stops.
    pub(super) async fn serve(mut self, stopping: &CancellationToken) {
        let mut discarded = [0; 64];
        loop {
            let frame = tokio::select! {
                frame = self.events.frame() => frame,
                read = self.socket.read(&mut discarded) => match read {
                    Ok(1..) => continue,
                    // The client has disconnected.
                    _ => return,
                },
                () = stopping.cancelled() => None,
            };
            // After an error the final chunk is not sent, so that the client detects an incomplete body.
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
