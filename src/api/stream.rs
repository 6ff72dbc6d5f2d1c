//! Prices as they are recorded, and missed slots, as Server-Sent Events.

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

/// The longest that nothing is sent: it shows that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What is sent then: a comment.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");
/// What a stream begins with: after how many milliseconds a client connects again.
const BEGIN: Bytes = Bytes::from_static(b"retry: 2000\n\n");

pub(super) struct Stream {
    history: Arc<History>,
    feed: Arc<Feed>,
    clients: Arc<Semaphore>,
    most_clients: usize,
    heartbeat: Duration,
    /// The length of a slot in seconds.
    slot: i64,
}

/// The answer to who wants to follow.
#[derive(ApiResponse)]
enum StreamAnswer {
    /// Events, for as long as the client stays.
    #[oai(status = 200)]
    Events(Events),
    /// There are too many clients, or the store cannot be reached.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unavailable(
        Json<Problem>,
        /// Seconds after which to try again.
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

/// How far a client has got.
struct Client {
    feed: Arc<Feed>,
    news: watch::Receiver<()>,
    /// The second from which on slots are wanted.
    next: i64,
    heartbeat: Duration,
    /// Counts among the clients until this is dropped.
    _permit: OwnedSemaphorePermit,
}

impl Stream {
    pub(super) fn new(history: Arc<History>, config: &config::Config, slot: i64) -> Self {
        let api = &config.api;
        Self {
            feed: Arc::new(Feed::new(Arc::clone(&history), slot)),
            history,
            clients: Arc::new(Semaphore::new(api.max_streams)),
            most_clients: api.max_streams,
            // A connection that is silent for too long is closed.
            heartbeat: HEARTBEAT.min(api.idle_timeout / 3),
            slot,
        }
    }

    /// The second from which on slots are wanted if the client does not say: that of the last price.
    async fn last(&self) -> Result<i64, HistoryError> {
        let latest = self.history.latest().await?.value;
        let second = latest.map_or_else(|| self.history.now(), |it| it.sample.timestamp.second());
        Ok(second - self.slot + 1)
    }
}

impl Client {
    /// What comes next: events, or a comment if there is none for a while.
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
    /// Server-Sent Events, one for each slot, in their order: `price` when a price is recorded (`slot`,
    /// `timestamp`, `price`, `source`, `ask`, `bid`), `missed` when a slot has ended without one
    /// (`slot`, `until`, `reason`). The id of an event is the first second of its slot. A client that
    /// connects again with `Last-Event-ID`, as browsers do, gets all that it has missed; one in the
    /// future is taken for now. Without it and without `since`, the stream begins with the last price. A
    /// comment is sent every 15 s.
    #[oai(path = "/api/stream", method = "get", operation_id = "stream")]
    async fn stream(
        &self,
        /// Begin with the slots from this time on.
        since: Query<Option<Moment>>,
        /// Begin after the event with this id.
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<i64>>,
    ) -> Result<StreamAnswer, ApiError> {
        let Ok(permit) = Arc::clone(&self.clients).try_acquire_owned() else {
            let detail = format!(
                "There are {} clients of the stream already, which is the most; try again later.",
                self.most_clients
            );
            let problem = Problem::unavailable_because(detail);
            return Ok(StreamAnswer::Unavailable(Json(problem), RETRY_AFTER));
        };
        let now = self.history.now();
        let since = since.0.map(|since| since.first(now, Zone::UTC));
        let next = match (last_event_id.0, since) {
            // No event has such an id, and none would come: it may count milliseconds.
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
