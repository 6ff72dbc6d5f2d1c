//! How much of a range was recorded, and where the gaps are.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use poem::Request;
use poem_openapi::{Object, OpenApi, param::Query};
use serde::Serialize;

use super::{
    Tag,
    answer::Answer,
    error::ApiError,
    formats::ListBody,
    listing::{ListingAnswer, without_pages},
    params::{self, Format},
    proxies::Proxies,
};
use crate::{
    domain::{self, Missed, Moment, Order, Page, PageNumber, PageSize, TimeRange},
    history::{History, HistoryError},
};

pub(super) struct Coverage {
    history: Arc<History>,
    proxies: Proxies,
}

/// How much of a range was recorded. Each expected slot is recorded, missed or pending.
#[derive(Debug, Object)]
pub struct CoverageResponse {
    /// The slots that began in the range, from the first one ever recorded up to now.
    pub expected: u64,
    /// Those with a price.
    pub recorded: u64,
    /// Those that ended without one.
    pub missed: u64,
    /// The missed ones by reason.
    pub reasons: Reasons,
    /// 1 if the current slot has no price yet, else 0.
    pub pending: u64,
    /// Recorded slots among those that have ended, from 0 to 1; null of none.
    pub share: Option<f64>,
}

/// Missed slots by the reason they were missed for.
#[derive(Debug, Object, Serialize)]
pub struct Reasons {
    /// The exchange did not answer in time.
    exchange_timeout: u64,
    /// The exchange could not be reached, or answered with an error.
    exchange_error: u64,
    /// The exchange answered something that is no price.
    bad_answer: u64,
    /// The job was begun only after the slot was over.
    too_late: u64,
    /// The workers that ran the job died.
    worker_lost: u64,
    /// Redis could not be reached, or lost what it had recorded in a failover.
    redis_away: u64,
    /// The exchange answered a price that was not believed.
    price_rejected: u64,
    /// The job waited until the slot was over: no worker was running.
    no_worker: u64,
    /// An operator had paused the queue, or removed the job.
    paused: u64,
    /// Nobody tells why: no scheduler was running.
    not_scheduled: u64,
}

/// A stretch of missed slots, one after the other.
#[derive(Debug, Object, Serialize)]
struct GapResponse {
    /// When the first missed slot begins, in unix seconds (UTC).
    since: i64,
    /// The last second of the last missed slot.
    until: i64,
    /// How many slots were missed.
    slots: u64,
    /// The slots by reason.
    reasons: Reasons,
}

impl Coverage {
    pub(super) fn new(history: Arc<History>, proxies: Proxies) -> Self {
        Self { history, proxies }
    }

    /// A page of all gaps for each batch, so that any number can be sent.
    async fn all(
        &self,
        format: Format,
        range: TimeRange,
        order: Order,
    ) -> Result<ListingAnswer<GapResponse>, ApiError> {
        let (history, now) = (Arc::clone(&self.history), self.history.now());
        let size = PageSize::largest();
        let first = history.gaps(&range, now, PageNumber::default(), size, order).await?;
        let until = first.until;
        let rows = |page: Page<domain::Gap>| {
            page.items.into_iter().map(GapResponse::from).collect::<Vec<_>>()
        };
        let next = first.value.as_ref().and_then(Page::next);
        let first = first.value.map(rows).unwrap_or_default();
        let rest = stream::try_unfold(next, move |next| {
            let history = Arc::clone(&history);
            async move {
                let Some(number) = next.map(PageNumber::Number) else {
                    return Ok::<_, HistoryError>(None);
                };
                let page = history.gaps(&range, now, number, size, order).await?.value;
                Ok(page.map(|page| {
                    let next = page.next();
                    (rows(page), next)
                }))
            }
        });
        let columns = [&["since", "until", "slots"][..], &Reasons::COLUMNS].concat();
        let body = ListBody::rows(format, columns, stream::iter([Ok(first)]).chain(rest));
        Ok(ListingAnswer::List(body, until))
    }
}

impl Reasons {
    /// The names of the fields.
    pub(super) const COLUMNS: [&'static str; 10] = [
        "exchange_timeout",
        "exchange_error",
        "bad_answer",
        "too_late",
        "worker_lost",
        "redis_away",
        "price_rejected",
        "no_worker",
        "paused",
        "not_scheduled",
    ];
}

impl From<&Missed> for Reasons {
    fn from(missed: &Missed) -> Self {
        let [
            exchange_timeout,
            exchange_error,
            bad_answer,
            too_late,
            worker_lost,
            redis_away,
            price_rejected,
            no_worker,
            paused,
        ] = missed.told;
        let not_scheduled = missed.not_scheduled;
        Self {
            exchange_timeout,
            exchange_error,
            bad_answer,
            too_late,
            worker_lost,
            redis_away,
            price_rejected,
            no_worker,
            paused,
            not_scheduled,
        }
    }
}

impl From<&domain::Coverage> for CoverageResponse {
    fn from(coverage: &domain::Coverage) -> Self {
        Self {
            expected: coverage.expected,
            recorded: coverage.recorded,
            missed: coverage.missed.total(),
            reasons: Reasons::from(&coverage.missed),
            pending: coverage.pending,
            share: coverage.share(),
        }
    }
}

impl From<domain::Gap> for GapResponse {
    fn from(gap: domain::Gap) -> Self {
        Self {
            since: gap.from,
            until: gap.until - 1,
            slots: gap.missed.total(),
            reasons: Reasons::from(&gap.missed),
        }
    }
}

#[OpenApi(tag = "Tag::Coverage")]
impl Coverage {
    /// Coverage
    ///
    /// How many of the slots of a range were recorded, and why the others were not. Time before
    /// the first recorded price does not count.
    #[oai(path = "/api/coverage", method = "get", operation_id = "coverage")]
    async fn coverage(
        &self,
        /// The first moment of the range; without it, from the beginning.
        since: Query<Option<Moment>>,
        /// The last moment of the range; without it, up to now.
        until: Query<Option<Moment>>,
    ) -> Result<Answer<CoverageResponse>, ApiError> {
        let now = self.history.now();
        let range = params::range(since.0, until.0, now)?;
        let known = self.history.coverage(&range, now).await?;
        Ok(Answer::of(known, |coverage| CoverageResponse::from(&coverage)))
    }

    /// Gaps
    ///
    /// The stretches of slots that ended without a price, each with its reasons: as JSON page by page,
    /// as CSV or NDJSON all of them.
    #[allow(clippy::too_many_arguments, reason = "one for each parameter of the request")]
    #[oai(path = "/api/gaps", method = "get", operation_id = "gaps")]
    async fn gaps(
        &self,
        request: &Request,
        /// Which page: a whole number from 1, or `last`.
        page: Query<Option<PageNumber>>,
        /// Gaps a page.
        page_size: Query<Option<PageSize>>,
        /// The first moment of the range; without it, from the beginning.
        since: Query<Option<Moment>>,
        /// The last moment of the range; without it, up to now.
        until: Query<Option<Moment>>,
        /// `asc`: oldest first; `desc`: newest first.
        order: Query<Option<Order>>,
        /// The format; without it, the one that the header `Accept` prefers.
        format: Query<Option<Format>>,
    ) -> Result<ListingAnswer<GapResponse>, ApiError> {
        let now = self.history.now();
        let range = params::range(since.0, until.0, now)?;
        let order = order.0.unwrap_or_default();
        let format = Format::of(format.0, request);
        without_pages(format, page.0, page_size.0)?;
        if format != Format::Json {
            return self.all(format, range, order).await;
        }
        let (number, size) = (page.0.unwrap_or_default(), page_size.0.unwrap_or_default());
        let page = self.history.gaps(&range, now, number, size, order).await?;
        Ok(ListingAnswer::of(page, request, &self.proxies))
    }
}
