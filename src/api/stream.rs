//! The stream of recorded prices and missed slots as Server-Sent Events. May use the domain, the
//! configuration and the history.

mod feed;

use std::{sync::Arc, time::Duration};

use futures_util::stream;
use hyper::body::Bytes;
use poem::{Body, IntoResponse, Response};
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Header, Query},
    payload::{Json, Payload},
    registry::{MetaSchema, MetaSchemaRef},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::sleep,
};

use self::feed::Feed;
use super::{
    Tag,
    error::{ApiError, Problem, RETRY_AFTER},
};
use crate::{
    config,
    domain::{Moment, UnixTime, Zone},
    history::{History, HistoryError},
};

/// The maximum time without data. A comment is then sent to show that the connection is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The comment that is sent as a heartbeat.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");
/// The start of each stream: the number of milliseconds after which a client reconnects.
const BEGIN: Bytes = Bytes::from_static(b"retry: 2000\n\n");

pub(super) struct Stream {
    history: Arc<History>,
    feed: Arc<Feed>,
    clients: Arc<Semaphore>,
    max_clients: usize,
    heartbeat: Duration,
    /// The length of a slot in seconds.
    slot: i64,
}

/// The response to a request for the stream.
#[derive(ApiResponse)]
enum StreamAnswer {
    /// Server-Sent Events, until the client disconnects.
    #[oai(status = 200)]
    Events(Events),
    /// The maximum number of clients is reached, or the store is unavailable.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unavailable(
        Json<Problem>,
        /// The number of seconds after which to retry.
        #[oai(header = "Retry-After")]
        u64,
    ),
}

/// Server-Sent Events.
struct Events(Body);

impl Payload for Events {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")))
    }
}

impl IntoResponse for Events {
    fn into_response(self) -> Response {
        Response::builder().content_type(Self::CONTENT_TYPE).body(self.0)
    }
}

/// A connected client and its position in the stream.
struct Client {
    feed: Arc<Feed>,
    news: watch::Receiver<()>,
    /// The next slot to send is the first one that begins at or after this Unix second.
    next: i64,
    heartbeat: Duration,
    /// Counts this client towards the maximum until it is dropped.
    _permit: OwnedSemaphorePermit,
}

impl Stream {
    pub(super) fn new(history: Arc<History>, config: &config::Config, slot: i64) -> Self {
        let api = &config.api;
        Self {
            feed: Arc::new(Feed::new(Arc::clone(&history), slot)),
            history,
            clients: Arc::new(Semaphore::new(api.max_streams)),
            max_clients: api.max_streams,
            // The server closes connections that are idle for `api.idle_timeout`.
            heartbeat: HEARTBEAT.min(api.idle_timeout / 3),
            slot,
        }
    }

    /// Returns the Unix second at which a stream starts by default: its first event is the last price.
    ///
    /// # Errors
    /// Returns an error if the history cannot be read.
    async fn last(&self) -> Result<i64, HistoryError> {
        let latest = self.history.latest().await?.value;
        let second = latest.map_or_else(|| self.history.now(), |it| it.sample.timestamp.second());
        Ok(second - self.slot + 1)
    }
}

impl Client {
    /// Returns the next part of the stream: events, or a comment if there are none for a while.
    async fn next(mut self) -> Option<(Result<Bytes, std::io::Error>, Self)> {
        loop {
            self.news.mark_unchanged();
            if let Some((events, next)) = self.feed.after(self.next).await {
                self.next = next;
                return Some((Ok(events), self));
            }
            tokio::select! {
                news = self.news.changed() => news.ok()?,
                () = sleep(self.heartbeat) => return Some((Ok(COMMENT), self)),
            }
        }
    }
}

#[OpenApi(tag = "Tag::Prices")]
impl Stream {
    /// Stream
    ///
    /// Sends Server-Sent Events, one for each slot, in order. A `price` event is sent when a price is
    /// recorded: `slot`, `timestamp`, `price`, `source`, `ask` and `bid`. Times are Unix seconds (UTC),
    /// prices are in pesos; `source`, `ask` and `bid` are null if unknown. A `missed` event is sent when a
    /// slot has ended without a price: `slot`, `until` (the last second of the slot) and `reason`. The id of
    /// an event equals its `slot`, the first second of the slot.
    ///
    /// A client that reconnects with `Last-Event-ID`, as browsers do, receives all events that it missed. An
    /// id in the future is treated as the current time. Without `Last-Event-ID` and `since`, the stream
    /// starts with the last price. After 15 s without events (or a third of `api.idle_timeout`, if that is
    /// less), a comment is sent.
    #[oai(path = "/api/stream", method = "get", operation_id = "stream")]
    async fn stream(
        &self,
        /// Start with the first slot that begins at or after this time. `Last-Event-ID` takes precedence.
        since: Query<Option<Moment>>,
        /// Start after the event with this id, the first Unix second of a slot.
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<i64>>,
    ) -> Result<StreamAnswer, ApiError> {
        let Ok(permit) = Arc::clone(&self.clients).try_acquire_owned() else {
            let detail = format!(
                "The stream already has {} clients, which is the maximum; try again later.",
                self.max_clients
            );
            let problem = Problem::unavailable_because(detail);
            return Ok(StreamAnswer::Unavailable(Json(problem), RETRY_AFTER));
        };
        let now = self.history.now();
        let since = since.0.map(|since| since.first(now, Zone::UTC));
        let next = match (last_event_id.0, since) {
            // No event has such an id; it may be in milliseconds. Waiting for it would never end.
            (Some(id), _) if id > now.saturating_add(self.slot) => now,
            (Some(id), _) => id.saturating_add(1),
            (None, Some(since)) => since.second_at_or_after(),
            (None, None) => self.last().await?,
        };
        let next = next.clamp(UnixTime::MIN.second(), UnixTime::MAX.second());
        let news = Feed::follow(&self.feed);
        let client = Client {
            feed: Arc::clone(&self.feed),
            news,
            next,
            heartbeat: self.heartbeat,
            _permit: permit,
        };
        let begin = stream::iter([Ok(BEGIN)]);
        let events = futures_util::StreamExt::chain(begin, stream::unfold(client, Client::next));
        Ok(StreamAnswer::Events(Events(Body::from_bytes_stream(events))))
    }
}
