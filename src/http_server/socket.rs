//! A socket that tracks what its connection waits for. Depends on nothing.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The first bytes of an HTTP/2 connection (RFC 9113, 3.4).
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The event that a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first byte of the client.
    New,
    /// The rest of the head of a request.
    Head,
    /// The handler. The request has been read.
    Handling,
    /// The client to read the response.
    Responding,
    /// The next request.
    Idle,
}

/// The event that a connection waits for, and since when.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// The number of requests that are being handled; HTTP/2 permits several.
    requests: usize,
    /// Whether a part of the last response has been written.
    has_written: bool,
    /// Whether this is an HTTP/2 connection, where some bytes from the client belong to no request.
    is_http2: bool,
}

/// The socket of one connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    activity: Arc<Activity>,
    /// Bytes from the client that have been read to detect HTTP/2, and are returned by the next reads.
    peeked: Vec<u8>,
}

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new(State {
            phase: Phase::New,
            since: Instant::now(),
            requests: 0,
            has_written: false,
            is_http2: false,
        }))
    }
}

impl Activity {
    pub(super) fn get(&self) -> (Phase, Instant) {
        let state = self.0.lock();
        (state.phase, state.since)
    }

    /// Returns whether everything written of the last response has been handed to the kernel.
    pub(super) fn is_taken(&self) -> bool {
        let state = self.0.lock();
        state.phase == Phase::Idle && state.has_written
    }

    fn handling(&self) {
        let mut state = self.0.lock();
        state.requests += 1;
        state.enter(Phase::Handling);
    }

    fn answered(&self) {
        let mut state = self.0.lock();
        state.requests -= 1;
        if state.requests == 0 {
            state.has_written = false;
            state.enter(Phase::Responding);
        }
    }

    fn read(&self) {
        let mut state = self.0.lock();
        match state.phase {
            Phase::New => state.enter(Phase::Head),
            // With HTTP/2 the bytes may be a ping or an acknowledgement.
            Phase::Idle if !state.is_http2 => state.enter(Phase::Head),
            _ => {}
        }
    }

    /// Notes that the kernel has accepted more of the response. With a full buffer it does so only after the
    /// client has read about 40 KB.
    fn written(&self) {
        let mut state = self.0.lock();
        state.has_written = true;
        if matches!(state.phase, Phase::Idle | Phase::Responding) {
            state.enter(Phase::Responding);
        }
    }

    fn flushed(&self) {
        let mut state = self.0.lock();
        if state.phase == Phase::Responding {
            state.enter(Phase::Idle);
        }
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        (self.phase, self.since) = (phase, Instant::now());
    }
}

/// A guard of a request that is being handled; its drop ends the handling.
#[derive(Debug)]
pub(super) struct Handling(Arc<Activity>);

impl Handling {
    pub(super) fn begin(activity: Arc<Activity>) -> Self {
        activity.handling();
        Self(activity)
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.answered();
    }
}

impl Socket {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream, activity, peeked: Vec::new() }
    }

    /// Returns whether the client uses HTTP/2. Reads bytes until they differ from the preface of HTTP/2 or
    /// contain all of it. The next reads return these bytes again.
    pub(super) async fn is_http2(&mut self) -> io::Result<bool> {
        let mut first: Vec<u8> = Vec::new();
        while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
            let mut buffer = [0_u8; PREFACE.len()];
            let rest = buffer.get_mut(first.len()..).unwrap_or_default();
            let length = self.read(rest).await?;
            if length == 0 {
                break;
            }
            first.extend_from_slice(rest.get(..length).unwrap_or_default());
        }
        let is_http2 = first == PREFACE;
        self.activity.0.lock().is_http2 = is_http2;
        self.peeked = first;
        Ok(is_http2)
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.stream)
    }
}

impl Drop for Socket {
    /// Resets the connection if the client has not read its response, because the kernel would keep the rest
    /// for minutes.
    fn drop(&mut self) {
        if self.activity.get().0 == Phase::Responding {
            let _ignored = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.peeked.is_empty() {
            let length = self.peeked.len().min(buffer.remaining());
            let rest = self.peeked.split_off(length);
            buffer.put_slice(&self.peeked);
            self.peeked = rest;
            return Poll::Ready(Ok(()));
        }
        ready!(self.stream().poll_read(cx, buffer))?;
        self.activity.read();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream().poll_write(cx, bytes))?;
        self.activity.written();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream().poll_write_vectored(cx, bytes))?;
        self.activity.written();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream().poll_flush(cx))?;
        self.activity.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
