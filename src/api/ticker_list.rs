//! The recorded prices, page by page.

use ipnet::IpNet;
use poem::Request;
use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Json};

use super::{
    Tag,
    error::{ApiError, Problem},
    links::Links,
    number, params,
};
use crate::{
    domain::{PageNumber, PageSize, Sample, UnixTime, pesos},
    store::Store,
};

pub(super) struct TickerList {
    store: Store,
    trusted_proxies: Vec<IpNet>,
}

/// One recorded price.
#[derive(Debug, Object)]
struct Ticker {
    /// When it was observed, in unix seconds (UTC).
    timestamp: i64,
    /// The price of one bitcoin in pesos.
    price: f64,
}

/// The answer to a question for a page.
#[derive(ApiResponse)]
enum TickerListAnswer {
    /// The page.
    #[oai(status = 200)]
    Page(Json<TickerListResponse>),
    /// There is no such page.
    #[oai(status = 404, content_type = "application/problem+json")]
    NoSuchPage(Json<Problem>),
}

/// One page of recorded prices.
#[derive(Debug, Object)]
struct TickerListResponse {
    /// How many prices the whole range has.
    count: u64,
    /// The address of the next page; null on the last one.
    next: Option<String>,
    /// The address of the page before; null on the first one.
    previous: Option<String>,
    /// The prices of this page, oldest first.
    results: Vec<Ticker>,
}

impl TickerList {
    pub(super) fn new(store: Store, trusted_proxies: Vec<IpNet>) -> Self {
        Self { store, trusted_proxies }
    }
}

impl From<Sample> for Ticker {
    fn from(sample: Sample) -> Self {
        Self { timestamp: sample.timestamp, price: number(pesos(sample.price.ten_thousandths())) }
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
    ) -> Result<TickerListAnswer, ApiError> {
        let range = params::range(since.0, until.0)?;
        let size = page_size.0.unwrap_or_default();
        let page = self.store.page(&range, page.0.unwrap_or_default(), size).await?;
        let Some(page) = page else {
            return Ok(TickerListAnswer::NoSuchPage(Json(Problem::invalid_page())));
        };
        let links = Links::of(request, &self.trusted_proxies);
        Ok(TickerListAnswer::Page(Json(TickerListResponse {
            count: page.count,
            next: page.next().map(|number| links.to_page(number)),
            previous: page.previous().map(|number| links.to_page(number)),
            results: page.items.into_iter().map(Ticker::from).collect(),
        })))
    }
}
