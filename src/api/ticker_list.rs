//! The recorded prices, page by page or all of a range.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use poem::Request;
use poem_openapi::{Object, OpenApi, param::Query};
use serde::Serialize;

use super::{
    Tag,
    error::ApiError,
    formats::ListBody,
    listing::{ListingAnswer, without_pages},
    numbers::units,
    params::{self, Format},
    proxies::Proxies,
};
use crate::{
    domain::{Moment, Order, PageNumber, PageSize, TimeRange},
    history::{History, HistoryError},
    store::Row,
};

const COLUMNS: [&str; 3] = ["timestamp", "price", "source"];

pub(super) struct TickerList {
    history: Arc<History>,
    proxies: Proxies,
}

/// One recorded price.
#[derive(Debug, Object, Serialize)]
struct Ticker {
    /// When it was observed, in unix seconds (UTC).
    timestamp: i64,
    /// The price of one bitcoin in pesos.
    price: f64,
    /// The name of the source, or several names joined by `+`; null if it is not known.
    source: Option<String>,
}

impl TickerList {
    pub(super) fn new(history: Arc<History>, proxies: Proxies) -> Self {
        Self { history, proxies }
    }

    /// All samples of a range. The question is asked once before anything is answered, so that what
    /// cannot be answered is an error.
    async fn all(
        &self,
        format: Format,
        range: TimeRange,
        order: Order,
    ) -> Result<ListingAnswer<Ticker>, ApiError> {
        let history = Arc::clone(&self.history);
        let first = history.batch(&range, order, None).await?;
        let until = first.until;
        let rest = stream::try_unfold(first.value.next, move |next| {
            let history = Arc::clone(&history);
            async move {
                let Some(next) = next else { return Ok::<_, HistoryError>(None) };
                let batch = history.batch(&range, order, Some(next)).await?.value;
                Ok(Some((tickers(batch.rows), batch.next)))
            }
        });
        let first = stream::iter([Ok(tickers(first.value.rows))]);
        let body = ListBody::rows(format, COLUMNS.to_vec(), first.chain(rest));
        Ok(ListingAnswer::List(body, until))
    }
}

impl From<Row> for Ticker {
    fn from(Row { timestamp, price, source }: Row) -> Self {
        let source = source.map(|name| name.to_string());
        Self { timestamp: timestamp.second(), price: units(price), source }
    }
}

fn tickers(rows: Vec<Row>) -> Vec<Ticker> {
    rows.into_iter().map(Ticker::from).collect()
}

#[OpenApi(tag = "Tag::Prices")]
impl TickerList {
    /// Recorded prices
    ///
    /// All prices, or those between two times: as JSON page by page, as CSV or NDJSON all of them. Any
    /// page costs the same, the last as little as the first. A page that does not exist is a 404.
    #[allow(clippy::too_many_arguments, reason = "one for each parameter of the request")]
    #[oai(path = "/api/ticker-list", method = "get", operation_id = "ticker_list")]
    async fn ticker_list(
        &self,
        request: &Request,
        /// Which page: a whole number from 1, or `last`.
        page: Query<Option<PageNumber>>,
        /// Prices a page.
        page_size: Query<Option<PageSize>>,
        /// The first moment of the range; without it, from the beginning.
        since: Query<Option<Moment>>,
        /// The last moment of the range; without it, to the end.
        until: Query<Option<Moment>>,
        /// `asc`: oldest first; `desc`: newest first.
        order: Query<Option<Order>>,
        /// The format; without it, the one that the header `Accept` prefers.
        format: Query<Option<Format>>,
    ) -> Result<ListingAnswer<Ticker>, ApiError> {
        let range = params::range(since.0, until.0, self.history.now())?;
        let order = order.0.unwrap_or_default();
        let format = Format::of(format.0, request);
        without_pages(format, page.0, page_size.0)?;
        if format != Format::Json {
            return self.all(format, range, order).await;
        }
        let (number, size) = (page.0.unwrap_or_default(), page_size.0.unwrap_or_default());
        let page = self.history.page(&range, number, size, order).await?;
        Ok(ListingAnswer::of(page, request, &self.proxies))
    }
}
