//! The endpoints of CoinGecko's API v3 for the price of a coin, for bitcoin in ARS. Other coins and
//! currencies are treated as unknown. Volumes and market capitalisations, which Cotiza does not have, are
//! null.

mod answers;

use std::{collections::BTreeMap, sync::Arc};

use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};

use self::answers::{
    ChartResponse, Days, Figure, GeckoAnswer, PingResponse, Prices, Rejection, Row,
};
use crate::{
    api::{
        Tag,
        answer::Answer,
        error::ApiError,
        latest::{change_percent, price_24h_ago},
        numbers::{pesos, ten_thousandths_to_pesos},
    },
    domain::{Candle, Candles, Interval, Order, Point, TimeRange, Timestamp, UnixTime, Zone},
    history::{Answered, History},
};

const COIN: &str = "bitcoin";
const CURRENCY: &str = "ars";
const DAY: i64 = 24 * 3600;
/// The maximum number of prices in a response; the newest ones are kept. It covers 27 years at the default
/// granularity and a month with `interval=5m`.
const MOST: usize = 10_000;

pub(in crate::api) struct CoinGecko {
    history: Arc<History>,
}

impl CoinGecko {
    pub(in crate::api) fn new(history: Arc<History>) -> Self {
        Self { history }
    }

    /// Returns the first price of each interval within the range and, if `with_last`, the last price.
    async fn chart(
        &self,
        range: &TimeRange,
        interval: Interval,
        with_last: bool,
    ) -> Result<Answered<ChartResponse>, ApiError> {
        let Answered { value: candles, mut until } = self.candles(range, interval).await?;
        let mut points = Vec::with_capacity(candles.len() + 1);
        for candle in &candles {
            points.extend(self.first_within(range, candle).await?);
        }
        let row = |(at, price): &Point| (at.micros() / 1000, ten_thousandths_to_pesos(*price));
        let mut prices: Vec<(i64, f64)> = points.iter().map(row).collect();
        if with_last {
            let latest = self.history.latest().await?;
            until = until.or(latest.until);
            if let Some(last) = latest.value {
                let last = (last.sample.timestamp.micros() / 1000, pesos(last.sample.price));
                if prices.last().is_some_and(|newest| newest.0 < last.0) {
                    prices.push(last);
                }
            }
        }
        Ok(Answered { value: ChartResponse::new(&prices), until })
    }

    /// Returns the first sample of a candle that lies in the range. The first candle may begin before the
    /// range, and the last one may end after it.
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
            // The first sample of the range may belong to a later candle, which then returns it.
            let of_range = self.history.summary(range).await?.value.extremes;
            let end = Timestamp::from_second(candle.end).score();
            first = of_range.map(|all| all.first).filter(|(at, _)| at.score() < end);
        }
        Ok(first.filter(|first| !is_late(first)))
    }

    /// Returns the candles of a range, oldest first; only the newest [`MOST`] if there are more.
    async fn candles(
        &self,
        range: &TimeRange,
        interval: Interval,
    ) -> Result<Answered<Vec<Candle>>, ApiError> {
        let wanted = Candles {
            interval,
            zone: Zone::UTC,
            filled: false,
            order: Order::Descending,
            limit: MOST,
        };
        let Answered { value: (mut candles, _), until } =
            self.history.candles(range, &wanted, self.history.now()).await?;
        candles.reverse();
        Ok(Answered { value: candles, until })
    }

    /// Returns the range of the last `days`, which has no end.
    fn last(&self, days: Days) -> TimeRange {
        let since = self.history.now().saturating_sub(days.seconds());
        let since = (days != Days::Max).then_some(since.max(UnixTime::MIN.second()));
        TimeRange::new(since.map(UnixTime::from_seconds), None).unwrap_or_default()
    }
}

/// Returns the interval of a chart that spans the given number of seconds; `requested` takes precedence.
fn granularity(seconds: i64, requested: Option<&str>) -> Interval {
    match requested {
        Some("5m") => Interval::Seconds(300),
        Some("hourly") => Interval::Seconds(3600),
        Some("daily") => Interval::Days(1),
        _ if seconds <= DAY => Interval::Seconds(300),
        _ if seconds <= 90 * DAY => Interval::Seconds(3600),
        _ => Interval::Days(1),
    }
}

/// Returns the reason to reject a request for a coin, if there is one.
fn refusal(id: &str, currency: Option<&str>) -> Option<Rejection> {
    if id != COIN {
        return Some(Rejection::unknown("coin not found"));
    }
    match currency {
        None => Some(Rejection::missing("vs_currency")),
        Some(currency) if currency.eq_ignore_ascii_case(CURRENCY) => None,
        Some(_) => Some(Rejection::invalid("invalid vs_currency")),
    }
}

#[OpenApi(tag = "Tag::Compatible")]
impl CoinGecko {
    /// CoinGecko: ping
    ///
    /// Returns CoinGecko's greeting, which shows that the API is available.
    #[oai(path = "/api/v3/ping", method = "get", operation_id = "coingecko_ping")]
    async fn ping(&self) -> Answer<PingResponse> {
        let gecko_says = "(V3) To the Moon!".to_owned();
        Answer::Value(Json(PingResponse { gecko_says }), None)
    }

    /// CoinGecko: simple price
    ///
    /// Returns the last price of `bitcoin` in `ars`. Other coins and currencies are left out.
    #[oai(path = "/api/v3/simple/price", method = "get", operation_id = "coingecko_simple_price")]
    async fn simple_price(
        &self,
        /// The ids of coins, separated by commas. Required.
        ids: Query<Option<String>>,
        /// The currencies, separated by commas. Required.
        vs_currencies: Query<Option<String>>,
        /// Whether to include `ars_24h_change`, the change over the last 24 hours in percent, or null if
        /// unknown. Only `true` has an effect.
        include_24hr_change: Query<Option<String>>,
        /// Whether to include `last_updated_at`, the time of the price in Unix seconds (UTC). Only `true` has
        /// an effect.
        include_last_updated_at: Query<Option<String>>,
        /// Whether to include `ars_market_cap`, the market capitalisation, which is unknown and always null.
        /// Only `true` has an effect.
        include_market_cap: Query<Option<String>>,
        /// Whether to include `ars_24h_vol`, the volume of the last 24 hours, which is unknown and always
        /// null. Only `true` has an effect.
        include_24hr_vol: Query<Option<String>>,
    ) -> Result<GeckoAnswer<Prices>, ApiError> {
        let (Some(ids), Some(currencies)) = (&ids.0, &vs_currencies.0) else {
            let name = if ids.0.is_none() { "ids" } else { "vs_currencies" };
            return Ok(Rejection::missing(name).into());
        };
        let is_named = |list: &str, name: &str| {
            list.split(',').any(|one| one.trim().eq_ignore_ascii_case(name))
        };
        if !is_named(ids, COIN) {
            return Ok(GeckoAnswer::Value(Json(BTreeMap::new()), None));
        }
        let mut fields = BTreeMap::new();
        let Answered { value: latest, until } = self.history.latest().await?;
        if let Some(latest) = latest.filter(|_| is_named(currencies, CURRENCY)) {
            let is_requested = |flag: &Option<String>| flag.as_deref() == Some("true");
            let mut add = |name: &str, figure| fields.insert(name.to_owned(), figure);
            let price = latest.sample.price;
            add(CURRENCY, Figure::of(pesos(price)));
            if is_requested(&include_market_cap.0) {
                add("ars_market_cap", Figure::unknown());
            }
            if is_requested(&include_24hr_vol.0) {
                add("ars_24h_vol", Figure::unknown());
            }
            if is_requested(&include_24hr_change.0) {
                let change = price_24h_ago(&self.history, self.history.now()).await?;
                let change = change.map(|before| change_percent(price, before));
                add("ars_24h_change", change.map_or_else(Figure::unknown, Figure::of));
            }
            if is_requested(&include_last_updated_at.0) {
                add("last_updated_at", Figure::whole(latest.sample.timestamp.second()));
            }
        }
        Ok(GeckoAnswer::Value(Json(BTreeMap::from([(COIN.to_owned(), fields)])), until))
    }

    /// CoinGecko: chart
    ///
    /// Returns the prices of the last days, up to and including the last price: one every 5 minutes for one
    /// day, one every hour for up to 90 days, and one a day (UTC) beyond that. At most 10,000 prices are
    /// returned, the newest ones.
    #[oai(
        path = "/api/v3/coins/:id/market_chart",
        method = "get",
        operation_id = "coingecko_market_chart"
    )]
    async fn market_chart(
        &self,
        /// The coin: `bitcoin`.
        id: Path<String>,
        /// The currency: `ars`. Required.
        vs_currency: Query<Option<String>>,
        /// The number of days, a whole number from 1 to 999999, or `max` for all. Required.
        days: Query<Option<String>>,
        /// The interval between prices: `5m`, `hourly` or `daily`. By default, it depends on `days`.
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
    /// Returns the first price of each interval between two times: one every 5 minutes for one day, one
    /// every hour for up to 90 days, and one a day (UTC) beyond that. At most 10,000 prices are returned,
    /// the newest ones.
    #[oai(
        path = "/api/v3/coins/:id/market_chart/range",
        method = "get",
        operation_id = "coingecko_market_chart_range"
    )]
    async fn market_chart_range(
        &self,
        /// The coin: `bitcoin`.
        id: Path<String>,
        /// The currency: `ars`. Required.
        vs_currency: Query<Option<String>>,
        /// The start of the range, which is included: Unix seconds or RFC 3339. Required.
        from: Query<Option<String>>,
        /// The end of the range, which is included: Unix seconds or RFC 3339. Required.
        to: Query<Option<String>>,
        /// The interval between prices: `5m`, `hourly` or `daily`. By default, it depends on the range.
        interval: Query<Option<String>>,
    ) -> Result<GeckoAnswer<ChartResponse>, ApiError> {
        if let Some(refusal) = refusal(&id, vs_currency.0.as_deref()) {
            return Ok(refusal.into());
        }
        let second = |text: Option<&str>| text.and_then(|text| text.parse::<UnixTime>().ok());
        let missing = |name: &str, value: &Option<String>| match value {
            None => Rejection::missing(name),
            Some(_) => Rejection::invalid(format!("invalid {name}")),
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
    /// Returns the candles of the last days as `[time, open, high, low, close]`: the end of the candle in
    /// milliseconds since the Unix epoch, and prices in pesos. A candle covers 30 minutes for up to 2 days,
    /// 4 hours for up to 30 days, and 4 days beyond that.
    #[oai(path = "/api/v3/coins/:id/ohlc", method = "get", operation_id = "coingecko_ohlc")]
    async fn ohlc(
        &self,
        /// The coin: `bitcoin`.
        id: Path<String>,
        /// The currency: `ars`. Required.
        vs_currency: Query<Option<String>>,
        /// The number of days, a whole number from 1 to 999999, or `max` for all. Required.
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
        let Answered { value: candles, until } = self.candles(&self.last(days), interval).await?;
        let row = |candle: &Candle| {
            let prices = candle.prices()?.map(ten_thousandths_to_pesos);
            Some(Row::new(candle.end * 1000, &prices))
        };
        Ok(GeckoAnswer::Value(Json(candles.iter().filter_map(row).collect()), until))
    }
}
