//! How much of a range was recorded, and where the gaps are.

use std::sync::Arc;

use poem::Request;
use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Json};

use super::{Tag, error::ApiError, listing::ListingAnswer, params, proxies::Proxies};
use crate::{
    domain::{self, Missed, PageNumber, PageSize, UnixTime},
    history::History,
};

pub(super) struct Coverage {
    history: Arc<History>,
    proxies: Proxies,
}

/// The answer to a question for coverage.
#[derive(ApiResponse)]
enum CoverageAnswer {
    /// How much of the range was recorded.
    #[oai(status = 200)]
    Coverage(
        Json<CoverageResponse>,
        /// Set while the store is away: the answer may have changed since this unix second.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
}

/// How much of a range was recorded. Each expected slot is recorded, missed or pending.
#[derive(Debug, Object)]
struct CoverageResponse {
    /// The slots that began in the range, from the first one ever recorded up to now.
    expected: u64,
    /// Those with a price.
    recorded: u64,
    /// Those that ended without one.
    missed: u64,
    /// The missed ones by reason.
    reasons: Reasons,
    /// 1 if the current slot has no price yet, else 0.
    pending: u64,
    /// Recorded slots among those that have ended, from 0 to 1; null of none.
    share: Option<f64>,
}

/// Missed slots by the reason they were missed for.
#[derive(Debug, Object)]
struct Reasons {
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
    /// The store could not be reached.
    redis_away: u64,
    /// The exchange answered a price that was not believed.
    price_rejected: u64,
    /// Nobody tells why: no scheduler was running.
    not_scheduled: u64,
}

/// A stretch of missed slots, one after the other.
#[derive(Debug, Object)]
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

    fn now(&self) -> i64 {
        self.history.store().clock().unix_seconds()
    }
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
            not_scheduled,
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
        since: Query<Option<UnixTime>>,
        /// The last moment of the range; without it, up to now.
        until: Query<Option<UnixTime>>,
    ) -> Result<CoverageAnswer, ApiError> {
        let range = params::range(since.0, until.0)?;
        let known = self.history.coverage(&range, self.now()).await?;
        let coverage = known.value;
        let response = CoverageResponse {
            expected: coverage.expected,
            recorded: coverage.recorded,
            missed: coverage.missed.total(),
            reasons: Reasons::from(&coverage.missed),
            pending: coverage.pending,
            share: coverage.share(),
        };
        Ok(CoverageAnswer::Coverage(Json(response), known.until))
    }

    /// Gaps
    ///
    /// The stretches of slots that ended without a price, oldest first, page by page, each with
    /// its reasons.
    #[oai(path = "/api/gaps", method = "get", operation_id = "gaps")]
    async fn gaps(
        &self,
        request: &Request,
        /// Which page: a whole number from 1, or `last`.
        page: Query<Option<PageNumber>>,
        /// Gaps a page.
        page_size: Query<Option<PageSize>>,
        /// The first moment of the range; without it, from the beginning.
        since: Query<Option<UnixTime>>,
        /// The last moment of the range; without it, up to now.
        until: Query<Option<UnixTime>>,
    ) -> Result<ListingAnswer<GapResponse>, ApiError> {
        let range = params::range(since.0, until.0)?;
        let (number, size) = (page.0.unwrap_or_default(), page_size.0.unwrap_or_default());
        let page = self.history.gaps(&range, self.now(), number, size).await?;
        Ok(ListingAnswer::of(page, request, &self.proxies))
    }
}
