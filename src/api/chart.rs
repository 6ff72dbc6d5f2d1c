//! Images of the price (SVG): a chart of any range, and a badge. May use the configuration, the domain and
//! the history.

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
    history::{Answered, History},
};

/// The width in pixels of a point of a line and of a candle.
const POINT: i64 = 1;
const CANDLE: i64 = 8;
/// The length in seconds of an empty chart.
const EMPTY: i64 = 3600;

/// The usual lengths of candles in seconds.
const LENGTHS: [i64; 16] = [
    10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 604_800,
    2_592_000,
];

pub(super) struct Charts {
    history: Arc<History>,
    /// The length of a slot in seconds.
    slot: i64,
    /// The age in seconds above which a price is stale.
    stale_after: i64,
}

/// The response to a request for an image.
#[derive(ApiResponse)]
enum PictureAnswer {
    /// The image, in SVG.
    #[oai(status = 200, content_type = "image/svg+xml")]
    Picture(
        PlainText<String>,
        /// Present only if the store is unreachable and the response may be outdated: Unix time in
        /// seconds (UTC) of the last contact with the store.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
    /// The image could not be drawn. The cause has been logged.
    #[oai(status = 500, content_type = "application/problem+json")]
    Failed(Json<Problem>),
}

impl Charts {
    pub(super) fn new(history: Arc<History>, config: &Config, slot: i64) -> Self {
        Self { history, slot, stale_after: config.stale_after() }
    }

    /// Returns the Unix seconds of the left and right edge of a chart.
    fn edges(&self, range: &TimeRange, now: i64) -> (i64, i64) {
        let size = self.history.size();
        let until = range.until().map_or(now, UnixTime::second);
        let first = size.first.unwrap_or(until - EMPTY);
        let since = range.since().map_or(first, UnixTime::second);
        // A range that begins in the future gives an empty chart.
        if range.until().is_none() && since >= until {
            return (since, since + EMPTY);
        }
        (since.min(until - self.slot), until)
    }

    /// Returns the Unix seconds between which each slot should have a price: from the first recorded price to
    /// the last slot that has certainly ended.
    fn expected(&self, (since, until): (i64, i64), now: i64) -> (i64, i64) {
        let first = self.history.size().first.unwrap_or(i64::MAX);
        (since.max(first), until.min(now - 2 * self.slot))
    }

    /// Returns the length of a candle in seconds, so that each candle is at least [`CANDLE`] pixels wide, or
    /// [`POINT`] pixels for a line.
    fn length(&self, (since, until): (i64, i64), width: u32, as_candles: bool) -> i64 {
        let most = (i64::from(width) / if as_candles { CANDLE } else { POINT }).max(1);
        // Rounded up: if there were more candles than the limit, the newest would be left out.
        let least = ((until - since + most - 1) / most).max(self.slot);
        let usual = LENGTHS.into_iter().find(|length| *length >= least && length % self.slot == 0);
        let whole = (least + self.slot - 1) / self.slot * self.slot;
        usual.filter(|_| as_candles).unwrap_or(whole)
    }
}

#[OpenApi(tag = "Tag::Prices")]
impl Charts {
    /// Chart
    ///
    /// Returns a chart of the prices of a range as an SVG image: candles, or a line that is interrupted where
    /// slots have no price. Attributes of the root element give the position of the plot: `data-since` and
    /// `data-until` are the Unix seconds (UTC) at the pixels `data-left` and `data-right`; `data-top` and
    /// `data-bottom` are its vertical edges.
    #[allow(clippy::too_many_arguments, reason = "one for each parameter of the request")]
    #[oai(path = "/api/chart.svg", method = "get", operation_id = "chart")]
    async fn chart(
        &self,
        /// Start of the range, inclusive; days begin in `time_zone`. Default: the first recorded price.
        since: Query<Option<Moment>>,
        /// End of the range, inclusive; days end in `time_zone`. Default: now.
        until: Query<Option<Moment>>,
        /// Width of the image in pixels. Default: 800.
        width: Query<Option<Pixels>>,
        /// Height of the image in pixels. Default: 300.
        height: Query<Option<Pixels>>,
        /// Kind of chart: a line or candles.
        kind: Query<Option<ChartKind>>,
        /// Colours of the image: for a light or a dark background.
        theme: Query<Option<Theme>>,
        /// Time zone of the labels and of days in `since` and `until`: a name of the IANA time zone database.
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
        let Answered { value: (candles, _), until } =
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
                tracing::error!(%error, "failed to draw a chart");
                PictureAnswer::Failed(Json(Problem::internal()))
            }
        })
    }

    /// Badge
    ///
    /// Returns the last price in pesos as a small SVG image to embed in other pages. It is grey if the price
    /// is stale (older than `api.stale_after`) or if there is no price yet.
    #[oai(path = "/api/badge.svg", method = "get", operation_id = "badge")]
    async fn badge(&self) -> Result<PictureAnswer, ApiError> {
        let Answered { value: latest, until } = self.history.latest().await?;
        let now = self.history.now();
        let price = latest.map(|latest| {
            let age = now - latest.sample.timestamp.second();
            (latest.sample.price, age > self.stale_after)
        });
        Ok(PictureAnswer::Picture(PlainText(badge(price)), until))
    }
}
