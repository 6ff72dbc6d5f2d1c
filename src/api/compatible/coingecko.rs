//! The endpoints of CoinGecko's API v3 that have the price of a coin, for bitcoin in ars. Other coins and
//! currencies are answered as unknown ones. What Cotiza does not know, volumes and capitalisations, is
//! null.

mod answers;

use std::{collections::BTreeMap, sync::Arc};

use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};

use self::answers::{ChartResponse, Days, Figure, GeckoAnswer, PingResponse, Prices, Refusal, Row};
use crate::{
    api::{
        Tag,
        answer::Answer,
        error::ApiError,
        latest::{change_percent, price_of_yesterday},
        numbers::{pesos, units},
    },
    domain::{Candle, Candles, Interval, Order, Point, TimeRange, Timestamp, UnixTime, Zone},
    history::{History, Known},
};

const COIN: &str = "bitcoin";
const CURRENCY: &str = "ars";
const DAY: i64 = 24 * 3600;
/// The most prices of an answer, the newest ones: those of 27 years at its own granularity, of a month
/// with `interval=5m`.
const MOST: usize = 10_000;

pub(in crate::api) struct CoinGecko {
    history: Arc<History>,
}

impl CoinGecko {
    pub(in crate::api) fn new(history: Arc<History>) -> Self {
        Self { history }
    }

    /// The first price of each interval within the range, and the last price if the range reaches up to
    /// now.
    async fn chart(
        &self,
        range: &TimeRange,
        interval: Interval,
        with_last: bool,
    ) -> Result<Known<ChartResponse>, ApiError> {
        let Known { value: candles, mut until } = self.candles(range, interval).await?;
        let mut points = Vec::with_capacity(candles.len() + 1);
        for candle in &candles {
            points.extend(self.first_within(range, candle).await?);
        }
        let row = |(at, price): &Point| (at.micros() / 1000, units(*price));
        let mut prices: Vec<(i64, f64)> = points.iter().map(row).collect();
        if with_last {
            let latest = self.history.latest().await?;
            until = until.or(latest.until);
            if let Some(last) = latest.value {
                let last = (last.sample.timestamp.micros() / 1000, pesos(last.sample.price));
                if prices.last().is_some_and(|known| known.0 < last.0) {
                    prices.push(last);
                }
            }
        }
        Ok(Known { value: ChartResponse::new(&prices), until })
    }

    /// The first sample of a candle that lies in the range. The first candle may begin before it, the
    /// last one end after it.
    async fn first_within(
        &self,
        range: &TimeRange,
        candle: &Candle,
    ) -> Result<Option<Point>, ApiError> {
        let is_early =
            |(at, _): &Point| range.since().is_some_and(|since| at.score() < since.as_score());
        let is_late =
            |(at, _): &Point| range.until().is_some_and(|until| at.score() > until.as_score());
        let mut first = candle.summary.extremes.map(|all| all.first);
        if first.as_ref().is_some_and(is_early) {
            // The first one of the range may lie in a later candle, which has it then.
            let of_range = self.history.summary(range).await?.value.extremes;
            let end = Timestamp::from_second(candle.end).score();
            first = of_range.map(|all| all.first).filter(|(at, _)| at.score() < end);
        }
        Ok(first.filter(|first| !is_late(first)))
    }

    /// The candles of a range, oldest first; the newest ones if there are too many.
    async fn candles(
        &self,
        range: &TimeRange,
        interval: Interval,
    ) -> Result<Known<Vec<Candle>>, ApiError> {
        let wanted = Candles {
            interval,
            zone: Zone::UTC,
            filled: false,
            order: Order::Descending,
            limit: MOST,
        };
        let Known { value: (mut candles, _), until } =
            self.history.candles(range, &wanted, self.history.now()).await?;
        candles.reverse();
        Ok(Known { value: candles, until })
    }

    /// The range of the last so many days.
    fn last(&self, days: Days) -> TimeRange {
        let since = self.history.now().saturating_sub(days.seconds());
        let since = (days != Days::Max).then_some(since.max(UnixTime::MIN.second()));
        TimeRange::new(since.map(UnixTime::from_seconds), None).unwrap_or_default()
    }
}

/// The interval of a chart of so many seconds, unless it was asked for.
fn granularity(seconds: i64, asked: Option<&str>) -> Interval {
    match asked {
        Some("5m") => Interval::Seconds(300),
        Some("hourly") => Interval::Seconds(3600),
        Some("daily") => Interval::Days(1),
        _ if seconds <= DAY => Interval::Seconds(300),
        _ if seconds <= 90 * DAY => Interval::Seconds(3600),
        _ => Interval::Days(1),
    }
}

/// What is wrong with a request about a coin, if anything is.
fn refusal(id: &str, currency: Option<&str>) -> Option<Refusal> {
    if id != COIN {
        return Some(Refusal::unknown("coin not found"));
    }
    match currency {
        None => Some(Refusal::missing("vs_currency")),
        Some(currency) if currency.eq_ignore_ascii_case(CURRENCY) => None,
        Some(_) => Some(Refusal::invalid("invalid vs_currency")),
    }
}

#[OpenApi(tag = "Tag::Compatible")]
impl CoinGecko {
    /// CoinGecko: ping
    ///
    /// Whether the API answers, as CoinGecko says it.
    #[oai(path = "/api/v3/ping", method = "get", operation_id = "coingecko_ping")]
    async fn ping(&self) -> Answer<PingResponse> {
        let gecko_says = "(V3) To the Moon!".to_owned();
        Answer::Value(Json(PingResponse { gecko_says }), None)
    }

    /// CoinGecko: simple price
    ///
    /// The last price of `bitcoin` in `ars`. Other ids are left out, other currencies too.
    #[oai(path = "/api/v3/simple/price", method = "get", operation_id = "coingecko_simple_price")]
    async fn simple_price(
        &self,
        /// Coins, separated by commas.
        ids: Query<Option<String>>,
        /// Currencies, separated by commas.
        vs_currencies: Query<Option<String>>,
        /// Whether the change of the last 24 hours is told, in percent.
        include_24hr_change: Query<Option<String>>,
        /// Whether the unix second of the price is told.
        include_last_updated_at: Query<Option<String>>,
        /// Whether the capitalisation is told: it is not known, so null.
        include_market_cap: Query<Option<String>>,
        /// Whether the volume of the last 24 hours is told: it is not known, so null.
        include_24hr_vol: Query<Option<String>>,
    ) -> Result<GeckoAnswer<Prices>, ApiError> {
        let (Some(ids), Some(currencies)) = (&ids.0, &vs_currencies.0) else {
            let name = if ids.0.is_none() { "ids" } else { "vs_currencies" };
            return Ok(Refusal::missing(name).into());
        };
        let is_named = |list: &str, name: &str| {
            list.split(',').any(|one| one.trim().eq_ignore_ascii_case(name))
        };
        if !is_named(ids, COIN) {
            return Ok(GeckoAnswer::Value(Json(BTreeMap::new()), None));
        }
        let mut fields = BTreeMap::new();
        let Known { value: latest, until } = self.history.latest().await?;
        if let Some(latest) = latest.filter(|_| is_named(currencies, CURRENCY)) {
            let is_asked = |flag: &Option<String>| flag.as_deref() == Some("true");
            let mut tell = |name: &str, figure| fields.insert(name.to_owned(), figure);
            let price = latest.sample.price;
            tell(CURRENCY, Figure::of(pesos(price)));
            if is_asked(&include_market_cap.0) {
                tell("ars_market_cap", Figure::unknown());
            }
            if is_asked(&include_24hr_vol.0) {
                tell("ars_24h_vol", Figure::unknown());
            }
            if is_asked(&include_24hr_change.0) {
                let change = price_of_yesterday(&self.history, self.history.now()).await?;
                let change = change.map(|before| change_percent(price, before));
                tell("ars_24h_change", change.map_or_else(Figure::unknown, Figure::of));
            }
            if is_asked(&include_last_updated_at.0) {
                tell("last_updated_at", Figure::whole(latest.sample.timestamp.second()));
            }
        }
        Ok(GeckoAnswer::Value(Json(BTreeMap::from([(COIN.to_owned(), fields)])), until))
    }

    /// CoinGecko: chart
    ///
    /// Prices of the last days: every 5 minutes for one day, every hour for up to 90 days, daily beyond.
    #[oai(
        path = "/api/v3/coins/:id/market_chart",
        method = "get",
        operation_id = "coingecko_market_chart"
    )]
    async fn market_chart(
        &self,
        /// The coin: `bitcoin`.
        id: Path<String>,
        /// The currency: `ars`.
        vs_currency: Query<Option<String>>,
        /// How many days, or `max`.
        days: Query<Option<String>>,
        /// `5m`, `hourly` or `daily`; without it, as the number of days says.
        interval: Query<Option<String>>,
    ) -> Result<GeckoAnswer<ChartResponse>, ApiError> {
        if let Some(refusal) = refusal(&id, vs_currency.0.as_deref()) {
            return Ok(refusal.into());
        }
        let days = match Days::parse(days.0.as_deref()) {
            Ok(days) => days,
            Err(refusal) => return Ok(refusal.into()),
        };
        let interval = granularity(days.seconds(), interval.0.as_deref());
        Ok(self.chart(&self.last(days), interval, true).await?.into())
    }

    /// CoinGecko: chart of a range
    ///
    /// The first price of each interval between two times: every 5 minutes for one day, every hour for up
    /// to 90 days, daily beyond.
    #[oai(
        path = "/api/v3/coins/:id/market_chart/range",
        method = "get",
        operation_id = "coingecko_market_chart_range"
    )]
    async fn market_chart_range(
        &self,
        /// The coin: `bitcoin`.
        id: Path<String>,
        /// The currency: `ars`.
        vs_currency: Query<Option<String>>,
        /// The first second, in unix seconds.
        from: Query<Option<String>>,
        /// The last second, in unix seconds.
        to: Query<Option<String>>,
        /// `5m`, `hourly` or `daily`; without it, as the length of the range says.
        interval: Query<Option<String>>,
    ) -> Result<GeckoAnswer<ChartResponse>, ApiError> {
        if let Some(refusal) = refusal(&id, vs_currency.0.as_deref()) {
            return Ok(refusal.into());
        }
        let second = |text: Option<&str>| text.and_then(|text| text.parse::<UnixTime>().ok());
        let missing = |name: &str, value: &Option<String>| match value {
            None => Refusal::missing(name),
            Some(_) => Refusal::invalid(format!("invalid {name}")),
        };
        let Some(since) = second(from.0.as_deref()) else {
            return Ok(missing("from", &from.0).into());
        };
        let Some(until) = second(to.0.as_deref()) else { return Ok(missing("to", &to.0).into()) };
        let Ok(range) = TimeRange::new(Some(since), Some(until)) else {
            return Ok(GeckoAnswer::Value(Json(ChartResponse::new(&[])), None));
        };
        let interval = granularity(until.second() - since.second(), interval.0.as_deref());
        Ok(self.chart(&range, interval, false).await?.into())
    }

    /// CoinGecko: candles
    ///
    /// Candles of the last days as `[milliseconds, open, high, low, close]`, the time being the end of
    /// each: of 30 minutes for up to 2 days, of 4 hours for up to 30, of 4 days beyond.
    #[oai(path = "/api/v3/coins/:id/ohlc", method = "get", operation_id = "coingecko_ohlc")]
    async fn ohlc(
        &self,
        /// The coin: `bitcoin`.
        id: Path<String>,
        /// The currency: `ars`.
        vs_currency: Query<Option<String>>,
        /// How many days, or `max`.
        days: Query<Option<String>>,
    ) -> Result<GeckoAnswer<Vec<Row>>, ApiError> {
        if let Some(refusal) = refusal(&id, vs_currency.0.as_deref()) {
            return Ok(refusal.into());
        }
        let days = match Days::parse(days.0.as_deref()) {
            Ok(days) => days,
            Err(refusal) => return Ok(refusal.into()),
        };
        let interval = match days.seconds() {
            seconds if seconds <= 2 * DAY => Interval::Seconds(30 * 60),
            seconds if seconds <= 30 * DAY => Interval::Seconds(4 * 3600),
            _ => Interval::Days(4),
        };
        let Known { value: candles, until } = self.candles(&self.last(days), interval).await?;
        let row = |candle: &Candle| {
            let prices = candle.prices()?.map(units);
            Some(Row::new(candle.end * 1000, &prices))
        };
        Ok(GeckoAnswer::Value(Json(candles.iter().filter_map(row).collect()), until))
    }
}
