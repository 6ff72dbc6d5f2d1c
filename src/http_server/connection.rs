//! One connection: the requests of a client, one after the other, and their answers.

use std::{
    convert::Infallible, error::Error, future::poll_fn, net::SocketAddr, pin::Pin, sync::Arc,
    task::Poll,
};

use futures_util::future::{BoxFuture, Either};
use http_body_util::combinators::BoxBody;
use hyper::{
    Method,
    body::{Body, Bytes, Incoming},
    header::ACCESS_CONTROL_REQUEST_METHOD,
    server::conn::http1,
    service::Service,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use poem::{
    Addr, Endpoint, Request, Response,
    http::{Version, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::CorsLayer;

use super::{
    connections::Entry,
    content,
    event_stream::{self, EventStream, Handover},
    socket::{Activity, Handling, Socket},
};

/// Requests at the same time in one connection of HTTP/2, and the bytes that are held for each.
const STREAMS: u32 = 8;
const STREAM_BUFFER: usize = 16 * 1024;

/// The body of an answer.
pub(super) type AnswerBody = BoxBody<Bytes, std::io::Error>;

/// A connection that was accepted.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) client: SocketAddr,
    pub(super) max_head: usize,
    pub(super) cors: CorsLayer,
    pub(super) entry: Entry,
    pub(super) stopping: CancellationToken,
}

impl Connection {
    /// Answers requests until one of the sides ends it.
    pub(super) async fn serve(self, routes: Arc<impl Endpoint<Output = Response> + 'static>) {
        let Self { stream, client, max_head, cors, entry, stopping } = self;
        let Ok(local) = stream.local_addr() else { return };
        let _small_answers_at_once = stream.set_nodelay(true);
        let mut socket = Socket::new(stream, Arc::clone(entry.activity()));
        // No buffers before the client sends something.
        let is_http2 = tokio::select! {
            is_http2 = socket.is_http2() => is_http2,
            () = stopping.cancelled() => return,
        };
        let Ok(is_http2) = is_http2 else { return };
        let handover = Handover::new(Arc::clone(entry.activity()));
        let answerer = Answerer {
            routes,
            addresses: (local, client),
            activity: Arc::clone(entry.activity()),
            handover: handover.clone(),
        };
        let plain = service_fn(move |request| answerer.answer(request));
        let for_pages = cors.layer(plain.clone());
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            // Also those that have no Origin, for caches; but an OPTIONS by hand is no preflight.
            let is_by_hand = request.method() == Method::OPTIONS
                && !request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
            if is_by_hand {
                Either::Left(plain.clone().oneshot(request))
            } else {
                Either::Right(for_pages.clone().oneshot(request))
            }
        });
        let answer = TowerToHyperService::new(content::compression().layer(answer));
        let socket = TokioIo::new(socket);
        if is_http2 {
            return Box::pin(http2(max_head, socket, answer, &stopping)).await;
        }
        // In a box, so that an event stream has not got the place of all this.
        let served = Box::pin(http1(max_head, socket, answer, &handover, &stopping));
        if let Some(events) = served.await {
            drop(handover);
            events.serve(&stopping).await;
        }
    }
}

/// What answers the requests of a connection.
struct Answerer<E> {
    routes: Arc<E>,
    /// Of this end and of the other one.
    addresses: (SocketAddr, SocketAddr),
    activity: Arc<Activity>,
    handover: Handover,
}

impl<E> Clone for Answerer<E> {
    fn clone(&self) -> Self {
        Self {
            routes: Arc::clone(&self.routes),
            addresses: self.addresses,
            activity: Arc::clone(&self.activity),
            handover: self.handover.clone(),
        }
    }
}

impl<E: Endpoint<Output = Response> + 'static> Answerer<E> {
    /// In a box: a connection keeps the place of the future until the answer has been sent.
    fn answer(
        &self,
        request: hyper::Request<Incoming>,
    ) -> BoxFuture<'static, Result<hyper::Response<AnswerBody>, Infallible>> {
        let Self { routes, addresses: (local, client), activity, handover } = self.clone();
        Box::pin(async move {
            // Also if the client cancels the request.
            let handling = Handling::begin(activity);
            let (is_get, version) = (request.method() == Method::GET, request.version());
            let (local, client) = (LocalAddr(Addr::from(local)), RemoteAddr(Addr::from(client)));
            let request = Request::from((request, local, client, Scheme::HTTP));
            let mut response = routes.get_response(request).await;
            drop(handling);
            if is_get && version <= Version::HTTP_11 && event_stream::is_one(&response) {
                handover.take_from(&mut response, version == Version::HTTP_11);
            }
            Ok(response.into())
        })
    }
}

/// Serves HTTP/1. Gives what goes on as an event stream, if the client has asked for one.
async fn http1<S, B>(
    max_head: usize,
    socket: TokioIo<Socket>,
    answer: S,
    handover: &Handover,
    stopping: &CancellationToken,
) -> Option<EventStream>
where
    S: Service<hyper::Request<Incoming>, Response = hyper::Response<B>, Error = Infallible> + Unpin,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + 'static,
{
    let mut server = http1::Builder::new();
    server.max_buf_size(max_head).header_read_timeout(None);
    let mut connection = server.serve_connection(socket, answer);
    let mut is_stopping = std::pin::pin!(stopping.cancelled());
    let mut is_asked = false;
    let events = poll_fn(|cx| {
        if !is_asked && is_stopping.as_mut().poll(cx).is_ready() {
            is_asked = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        // An error means that the client is gone or that this is not HTTP.
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(_ended) => Poll::Ready(None),
            Poll::Pending => handover.events().map_or(Poll::Pending, |it| Poll::Ready(Some(it))),
        }
    });
    let (events, is_chunked) = events.await?;
    let socket = connection.into_parts().io.into_inner();
    Some(EventStream { socket, events, is_chunked })
}

/// Serves HTTP/2 alone: an event stream of HTTP/1 needs [`http1()`], which gives it the socket.
async fn http2<S, B>(
    max_head: usize,
    socket: TokioIo<Socket>,
    answer: S,
    stopping: &CancellationToken,
) where
    S: Service<hyper::Request<Incoming>, Response = hyper::Response<B>, Error = Infallible>,
    S: Send + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut server = auto::Builder::new(TokioExecutor::new()).http2_only();
    // A connection with many requests at the same time must not take much more memory than one.
    server
        .http2()
        .max_concurrent_streams(STREAMS)
        .max_send_buf_size(STREAM_BUFFER)
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX));
    let mut connection = std::pin::pin!(server.serve_connection(socket, answer));
    tokio::select! {
        _ended = connection.as_mut() => return,
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ended = connection.await;
}
