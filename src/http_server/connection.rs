//! One connection of a client: reads its requests and sends the responses.

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

/// The maximum number of concurrent requests of one HTTP/2 connection.
const MAX_STREAMS: u32 = 8;
/// The bytes that are buffered for the response to each of them.
const STREAM_BUFFER: usize = 16 * 1024;

/// The body of a response.
pub(super) type ResponseBody = BoxBody<Bytes, std::io::Error>;

/// An accepted connection.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) client: SocketAddr,
    pub(super) max_head: usize,
    pub(super) cors: CorsLayer,
    pub(super) entry: Entry,
    pub(super) stopping: CancellationToken,
}

impl Connection {
    /// Responds to requests until the client or the server closes the connection.
    pub(super) async fn serve(self, routes: Arc<impl Endpoint<Output = Response> + 'static>) {
        let Self { stream, client, max_head, cors, entry, stopping } = self;
        let Ok(local) = stream.local_addr() else { return };
        let _ignored = stream.set_nodelay(true);
        let mut socket = Socket::new(stream, Arc::clone(entry.activity()));
        // Waiting here avoids allocating hyper's buffers before the client sends something.
        let is_http2 = tokio::select! {
            is_http2 = socket.is_http2() => is_http2,
            () = stopping.cancelled() => return,
        };
        let Ok(is_http2) = is_http2 else { return };
        let handover = Handover::new(Arc::clone(entry.activity()));
        let responder = Responder {
            routes,
            addresses: (local, client),
            activity: Arc::clone(entry.activity()),
            handover: handover.clone(),
        };
        let plain = service_fn(move |request| responder.respond(request));
        let with_cors = cors.layer(plain.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            // Requests without Origin also get the CORS headers, for caches. The CORS layer would treat every
            // OPTIONS request as a preflight request.
            let is_plain_options = request.method() == Method::OPTIONS
                && !request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
            if is_plain_options {
                Either::Left(plain.clone().oneshot(request))
            } else {
                Either::Right(with_cors.clone().oneshot(request))
            }
        });
        let service = TowerToHyperService::new(content::compression().layer(service));
        let socket = TokioIo::new(socket);
        if is_http2 {
            return Box::pin(http2(max_head, socket, service, &stopping)).await;
        }
        // Boxed, so that an event stream does not keep the memory of this future.
        let served = Box::pin(http1(max_head, socket, service, &handover, &stopping));
        if let Some(events) = served.await {
            drop(handover);
            events.serve(&stopping).await;
        }
    }
}

/// Calls the routes for each request of a connection.
struct Responder<E> {
    routes: Arc<E>,
    /// The local address and the address of the client.
    addresses: (SocketAddr, SocketAddr),
    activity: Arc<Activity>,
    handover: Handover,
}

impl<E> Clone for Responder<E> {
    fn clone(&self) -> Self {
        Self {
            routes: Arc::clone(&self.routes),
            addresses: self.addresses,
            activity: Arc::clone(&self.activity),
            handover: self.handover.clone(),
        }
    }
}

impl<E: Endpoint<Output = Response> + 'static> Responder<E> {
    /// Returns the response to a request. The future is boxed because a connection keeps its memory until the
    /// response has been sent.
    fn respond(
        &self,
        request: hyper::Request<Incoming>,
    ) -> BoxFuture<'static, Result<hyper::Response<ResponseBody>, Infallible>> {
        let Self { routes, addresses: (local, client), activity, handover } = self.clone();
        Box::pin(async move {
            // Its drop ends the handling even if the client cancels the request.
            let handling = Handling::begin(activity);
            let (is_get, version) = (request.method() == Method::GET, request.version());
            let (local, client) = (LocalAddr(Addr::from(local)), RemoteAddr(Addr::from(client)));
            let request = Request::from((request, local, client, Scheme::HTTP));
            let mut response = routes.get_response(request).await;
            drop(handling);
            if is_get && version <= Version::HTTP_11 && event_stream::is_event_stream(&response) {
                handover.take_from(&mut response, version == Version::HTTP_11);
            }
            Ok(response.into())
        })
    }
}

/// Serves HTTP/1. Returns an event stream if the client has requested one.
async fn http1<S, B>(
    max_head: usize,
    socket: TokioIo<Socket>,
    service: S,
    handover: &Handover,
    stopping: &CancellationToken,
) -> Option<EventStream>
where
    S: Service<hyper::Request<Incoming>, Response = hyper::Response<B>, Error = Infallible> + Unpin,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + 'static,
{
    let mut server = http1::Builder::new();
    server.max_buf_size(max_head).header_read_timeout(None);
    let mut connection = server.serve_connection(socket, service);
    let mut is_stopping = std::pin::pin!(stopping.cancelled());
    let mut is_requested = false;
    let events = poll_fn(|cx| {
        if !is_requested && is_stopping.as_mut().poll(cx).is_ready() {
            is_requested = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        // An error means that the client has disconnected or does not use HTTP.
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(_ended) => Poll::Ready(None),
            Poll::Pending => handover.events().map_or(Poll::Pending, |it| Poll::Ready(Some(it))),
        }
    });
    let (events, is_chunked) = events.await?;
    let socket = connection.into_parts().io.into_inner();
    Some(EventStream { socket, events, is_chunked })
}

/// Serves HTTP/2. HTTP/1 is served by [`http1()`], which can hand over the socket to an event stream.
async fn http2<S, B>(
    max_head: usize,
    socket: TokioIo<Socket>,
    service: S,
    stopping: &CancellationToken,
) where
    S: Service<hyper::Request<Incoming>, Response = hyper::Response<B>, Error = Infallible>,
    S: Send + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut server = auto::Builder::new(TokioExecutor::new()).http2_only();
    // A connection with many concurrent requests must not use much more memory than one with a single
    // request.
    server
        .http2()
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(STREAM_BUFFER)
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX));
    let mut connection = std::pin::pin!(server.serve_connection(socket, service));
    tokio::select! {
        _ended = connection.as_mut() => return,
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ended = connection.await;
}
