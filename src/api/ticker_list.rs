//! The recorded prices, page by page.

use std::sync::Arc;

use poem::Request;
use poem_openapi::{Object, OpenApi, param::Query};

use super::{Tag, error::ApiError, listing::ListingAnswer, number, params, proxies::Proxies};
use crate::{
    domain::{PageNumber, PageSize, UnixTime, pesos},
    history::History,
    store::Row,
};

pub(super) struct TickerList {
    history: Arc<History>,
    proxies: Proxies,
}

/// One recorded price.
#[derive(Debug, Object)]
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
}

impl From<Row> for Ticker {
    fn from(Row { timestamp, price, source }: Row) -> Self {
        let source = source.map(|name| name.to_string());
        Self { timestamp: timestamp.second(), price: number(pesos(price)), source }
    }
}

#[OpenApi(tag = "Tag::Prices")]
impl TickerList {
    /// Recorded prices
    ///
    /// All prices, or those between two times, oldest first, page by page. Any page costs the
    /// same, the last as little as the first. A page that does not exist is a 404.
    #[oai(path = "/api/ticker-list", method = "get", operation_id = "ticker_list")]
    async fn ticker_list(
        &self,
        request: &Request,
        /// Which page: a whole number from 1, or `last`.
        page: Query<Option<PageNumber>>,
        /// Prices a page.
        page_size: Query<Option<PageSize>>,
        /// The first moment of the range; without it, from the beginning.
        since: Query<Option<UnixTime>>,
        /// The last moment of the range; without it, to the end.
        until: Query<Option<UnixTime>>,
    ) -> Result<ListingAnswer<Ticker>, ApiError> {
        let range = params::range(since.0, until.0)?;
        let (number, size) = (page.0.unwrap_or_default(), page_size.0.unwrap_or_default());
        let page = self.history.page(&range, number, size).await?;
        Ok(ListingAnswer::of(page, request, &self.proxies))
    }
}
