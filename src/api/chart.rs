//! Pictures of the price: a chart of any range, and a badge.

mod axes;
mod badge;
mod drawing;

use std::sync::Arc;

use poem_openapi::{
    ApiResponse, OpenApi,
    param::Query,
    payload::{Json, PlainText},
};

use self::{badge::badge, drawing::Drawing};
use super::{
    Tag,
    error::{ApiError, Problem},
    params::{self, ChartKind, Pixels, Theme},
};
use crate::{
    config::Config,
    domain::{Candles, Interval, Moment, Order, TimeRange, UnixTime, Zone},
    history::{History, Known},
};

/// The pixels of a point of a line, and of a candle.
const POINT: i64 = 1;
const CANDLE: i64 = 8;
/// What is drawn where nothing was recorded, in seconds.
const EMPTY: i64 = 3600;

/// The lengths of candles that people know, in seconds.
const LENGTHS: [i64; 16] = [
    10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 604_800,
    2_592_000,
];

pub(super) struct Charts {
    history: Arc<History>,
    /// The seconds of a slot.
    slot: i64,
    stale_after: i64,
}

/// A picture.
#[derive(ApiResponse)]
enum PictureAnswer {
    /// The picture.
    #[oai(status = 200, content_type = "image/svg+xml")]
    Picture(
        PlainText<String>,
        /// Set while the store is away: the answer may have changed since this unix second.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
    /// It cannot be drawn.
    #[oai(status = 500, content_type = "application/problem+json")]
    Failed(Json<Problem>),
}

impl Charts {
    pub(super) fn new(history: Arc<History>, config: &Config, slot: i64) -> Self {
        Self { history, slot, stale_after: config.stale_after() }
    }

    /// The unix seconds of the edges of a chart.
    fn edges(&self, range: &TimeRange, now: i64) -> (i64, i64) {
        let size = self.history.size();
        let until = range.until().map_or(now, UnixTime::second);
        let first = size.first.unwrap_or(until - EMPTY);
        let since = range.since().map_or(first, UnixTime::second);
        // A range that begins in the future is drawn as it is: empty.
        if range.until().is_none() && since >= until {
            return (since, since + EMPTY);
        }
        (since.min(until - self.slot), until)
    }

    /// The unix seconds between which each slot should have a price: from the first one ever recorded to the
    /// last slot that has ended for certain.
    fn expected(&self, (since, until): (i64, i64), now: i64) -> (i64, i64) {
        let first = self.history.size().first.unwrap_or(i64::MAX);
        (since.max(first), until.min(now - 2 * self.slot))
    }

    /// The length of a candle, so that there is one in so many pixels of a range.
    fn length(&self, (since, until): (i64, i64), width: u32, as_candles: bool) -> i64 {
        let most = (i64::from(width) / if as_candles { CANDLE } else { POINT }).max(1);
        // Rounded up: more candles than are asked for would leave out the newest.
        let least = ((until - since + most - 1) / most).max(self.slot);
        let known = LENGTHS.into_iter().find(|length| *length >= least && length % self.slot == 0);
        let whole = (least + self.slot - 1) / self.slot * self.slot;
        known.filter(|_| as_candles).unwrap_or(whole)
    }
}

#[OpenApi(tag = "Tag::Prices")]
impl Charts {
    /// Chart
    ///
    /// The prices of a range as a picture (SVG): as a line, whose breaks are slots without a price, or as
    /// candles. It takes as long for ten years as for an hour. The root element says where the plot is:
    /// `data-since` and `data-until` are the unix seconds at `data-left` and `data-right`.
    #[allow(clippy::too_many_arguments, reason = "one for each parameter of the request")]
    #[oai(path = "/api/chart.svg", method = "get", operation_id = "chart")]
    async fn chart(
        &self,
        /// The first moment; without it, that of the first price.
        since: Query<Option<Moment>>,
        /// The last moment; without it, now.
        until: Query<Option<Moment>>,
        /// The width in pixels.
        width: Query<Option<Pixels>>,
        /// The height in pixels.
        height: Query<Option<Pixels>>,
        /// What the prices are drawn as.
        kind: Query<Option<ChartKind>>,
        /// The colours, for a light or a dark page.
        theme: Query<Option<Theme>>,
        /// The time zone of the labels, by its name in the IANA database.
        time_zone: Query<Option<Zone>>,
    ) -> Result<PictureAnswer, ApiError> {
        let now = self.history.now();
        let zone = time_zone.0.unwrap_or(Zone::UTC);
        let range = params::range_in(since.0, until.0, now, zone)?;
        let edges = self.edges(&range, now);
        let as_candles = kind.0 == Some(ChartKind::Candles);
        let (width, height) = (width.0.map_or(800, |it| it.0), height.0.map_or(300, |it| it.0));
        let length = self.length(edges, width, as_candles);
        let wanted = Candles {
            interval: Interval::Seconds(length),
            zone,
            filled: false,
            order: Order::Ascending,
            limit: usize::try_from(width).unwrap_or(usize::MAX) + 2,
        };
        let drawn = TimeRange::new(
            Some(UnixTime::from_seconds(edges.0)),
            Some(UnixTime::from_seconds(edges.1)),
        );
        let drawn = drawn.map_err(|error| ApiError::parameter("since", error.to_string()))?;
        let Known { value: (candles, _), until } =
            self.history.candles(&drawn, &wanted, now).await?;
        let drawing = Drawing {
            candles: &candles,
            since: edges.0,
            until: edges.1,
            expected: self.expected(edges, now),
            length,
            width,
            height,
            as_candles,
            is_dark: theme.0 == Some(Theme::Dark),
            zone,
        };
        Ok(match drawing.svg() {
            Ok(svg) => PictureAnswer::Picture(PlainText(svg), until),
            Err(error) => {
                tracing::error!(%error, "a chart was not drawn");
                PictureAnswer::Failed(Json(Problem::internal()))
            }
        })
    }

    /// Badge
    ///
    /// The last price as a small picture (SVG) for other pages; grey when it is stale.
    #[oai(path = "/api/badge.svg", method = "get", operation_id = "badge")]
    async fn badge(&self) -> Result<PictureAnswer, ApiError> {
        let Known { value: latest, until } = self.history.latest().await?;
        let now = self.history.now();
        let price = latest.map(|latest| {
            let age = now - latest.sample.timestamp.second();
            (latest.sample.price, age > self.stale_after)
        });
        Ok(PictureAnswer::Picture(PlainText(badge(price)), until))
    }
}
