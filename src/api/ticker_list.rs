//! The recorded prices of a range, in pages or as a stream.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use poem::Request;
use poem_openapi::{Object, OpenApi, param::Query};
use serde::Serialize;

use super::{
    Tag,
    error::ApiError,
    formats::ListBody,
    listing::{ListingAnswer, reject_page_parameters},
    numbers::ten_thousandths_to_pesos,
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

/// A recorded price.
#[derive(Debug, Object, Serialize)]
struct Ticker {
    /// Time at which the price was observed: Unix time in seconds (UTC).
    timestamp: i64,
    /// Price of one bitcoin in pesos.
    price: f64,
    /// Name of the source, or the names of several sources joined by `+`; null if unknown.
    source: Option<String>,
}

impl TickerList {
    pub(super) fn new(history: Arc<History>, proxies: Proxies) -> Self {
        Self { history, proxies }
    }

    /// Streams all samples of a range. The first batch is read before the response starts, so that a failure
    /// is reported as an error status.
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
        Self { timestamp: timestamp.second(), price: ten_thousandths_to_pesos(price), source }
    }
}

fn tickers(rows: Vec<Row>) -> Vec<Ticker> {
    rows.into_iter().map(Ticker::from).collect()
}

#[OpenApi(tag = "Tag::Prices")]
impl TickerList {
    /// Recorded prices
    ///
    /// Returns the prices of a range: as JSON in pages, as CSV or NDJSON all of them. All pages take the same
    /// time, regardless of their number. A page that does not exist is a 404.
    #[allow(clippy::too_many_arguments, reason = "one for each parameter of the request")]
    #[oai(path = "/api/ticker-list", method = "get", operation_id = "ticker_list")]
    async fn ticker_list(
        &self,
        request: &Request,
        /// Page number from 1, or `last`. Not allowed with CSV and NDJSON. Default: 1.
        page: Query<Option<PageNumber>>,
        /// Number of prices per page. Not allowed with CSV and NDJSON.
        page_size: Query<Option<PageSize>>,
        /// Start of the range, inclusive. Default: the first recorded price.
        since: Query<Option<Moment>>,
        /// End of the range, inclusive. Default: the last recorded price.
        until: Query<Option<Moment>>,
        /// Sort order. `asc`: oldest first; `desc`: newest first.
        order: Query<Option<Order>>,
        /// Format of the response. Default: the format preferred by the `Accept` header, else JSON.
        format: Query<Option<Format>>,
    ) -> Result<ListingAnswer<Ticker>, ApiError> {
        let range = params::range(since.0, until.0, self.history.now())?;
        let order = order.0.unwrap_or_default();
        let format = Format::of(format.0, request);
        reject_page_parameters(format, page.0, page_size.0)?;
        if format != Format::Json {
            return self.all(format, range, order).await;
        }
        let (number, size) = (page.0.unwrap_or_default(), page_size.0.unwrap_or_default());
        let page = self.history.page(&range, number, size, order).await?;
        Ok(ListingAnswer::of(page, request, &self.proxies))
    }
}
