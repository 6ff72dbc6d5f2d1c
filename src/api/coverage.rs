//! `/api/coverage` and `/api/gaps`: how much of a range was recorded, and where the gaps are.

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
    listing::{ListingAnswer, reject_page_parameters},
    params::{self, Format},
    proxies::Proxies,
};
use crate::{
    domain::{
        self, MissedReason, MissedSlots, Moment, Order, Page, PageNumber, PageSize, TimeRange,
        with_missed_reasons,
    },
    history::{History, HistoryError},
};

pub(super) struct Coverage {
    history: Arc<History>,
    proxies: Proxies,
}

/// How much of a range was recorded: each expected slot is recorded, missed or pending.
#[derive(Debug, Object)]
pub struct CoverageResponse {
    /// The number of slots that began in the range, from the first recorded slot of all until now.
    pub expected: u64,
    /// The number of slots with a price.
    pub recorded: u64,
    /// The number of slots that ended without a price.
    pub missed: u64,
    /// The missed slots by reason.
    pub reasons: Reasons,
    /// 1 if the current slot has no price yet, else 0.
    pub pending: u64,
    /// The share of recorded slots among those that have ended, from 0 to 1; null if none has ended.
    pub share: Option<f64>,
}

macro_rules! reasons_response {
    ($($(#[$description:meta])* $reason:ident $name:ident),+ $(,)?) => {
        /// Missed slots by reason.
        #[derive(Debug, Object, Serialize)]
        pub struct Reasons {
            $($(#[$description])* $name: u64,)+
            /// No reason was recorded: no scheduler was running.
            not_scheduled: u64,
        }

        impl Reasons {
            /// The names of the fields.
            pub(super) const COLUMNS: [&'static str; MissedReason::ALL.len() + 1] =
                [$(stringify!($name),)+ "not_scheduled"];
        }

        impl From<&MissedSlots> for Reasons {
            fn from(missed: &MissedSlots) -> Self {
                Self {
                    $($name: missed.count(MissedReason::$reason),)+
                    not_scheduled: missed.not_scheduled,
                }
            }
        }
    };
}
with_missed_reasons!(reasons_response);

/// Consecutive missed slots.
#[derive(Debug, Object, Serialize)]
struct GapResponse {
    /// The first second of the first missed slot, in unix seconds (UTC).
    since: i64,
    /// The last second of the last missed slot, in unix seconds (UTC).
    until: i64,
    /// The number of missed slots.
    slots: u64,
    /// The missed slots by reason.
    reasons: Reasons,
}

impl Coverage {
    pub(super) fn new(history: Arc<History>, proxies: Proxies) -> Self {
        Self { history, proxies }
    }

    /// Streams all gaps of a range, one page at a time, so that their number is not limited.
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
    /// Returns how many slots of a range were recorded, and why the others were missed. Time before the first
    /// recorded price does not count.
    #[oai(path = "/api/coverage", method = "get", operation_id = "coverage")]
    async fn coverage(
        &self,
        /// Start of the range, inclusive. Default: the first recorded price.
        since: Query<Option<Moment>>,
        /// End of the range, inclusive. Default: now.
        until: Query<Option<Moment>>,
    ) -> Result<Answer<CoverageResponse>, ApiError> {
        let now = self.history.now();
        let range = params::range(since.0, until.0, now)?;
        let known = self.history.coverage(&range, now).await?;
        Ok(Answer::of(known, |coverage| CoverageResponse::from(&coverage)))
    }

    /// Gaps
    ///
    /// Returns the gaps: consecutive slots that ended without a price, with the reasons. JSON responses are
    /// paged; CSV and NDJSON responses have all gaps of the range.
    #[allow(clippy::too_many_arguments, reason = "one for each parameter of the request")]
    #[oai(path = "/api/gaps", method = "get", operation_id = "gaps")]
    async fn gaps(
        &self,
        request: &Request,
        /// Page number, from 1, or `last`. Default: 1.
        page: Query<Option<PageNumber>>,
        /// Number of gaps per page, 1 to 1000. Default: 10.
        page_size: Query<Option<PageSize>>,
        /// Start of the range, inclusive. Default: the first recorded price.
        since: Query<Option<Moment>>,
        /// End of the range, inclusive. Default: now.
        until: Query<Option<Moment>>,
        /// `asc`: oldest first; `desc`: newest first. Default: `asc`.
        order: Query<Option<Order>>,
        /// Response format. Default: the one that the header `Accept` prefers.
        format: Query<Option<Format>>,
    ) -> Result<ListingAnswer<GapResponse>, ApiError> {
        let now = self.history.now();
        let range = params::range(since.0, until.0, now)?;
        let order = order.0.unwrap_or_default();
        let format = Format::of(format.0, request);
        reject_page_parameters(format, page.0, page_size.0)?;
        if format != Format::Json {
            return self.all(format, range, order).await;
        }
        let (number, size) = (page.0.unwrap_or_default(), page_size.0.unwrap_or_default());
        let page = self.history.gaps(&range, now, number, size, order).await?;
        Ok(ListingAnswer::of(page, request, &self.proxies))
    }
}
