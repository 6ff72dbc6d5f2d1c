//! Several exchanges and the job that fetches prices from them.

use std::time::Duration;

use cotiza::{
    clock::Clock,
    config::{self, Config},
    domain::{Price, PriceFilter, Slot, Slots},
    exchange::Sources,
    jobs::{Context, FetchBtcArs},
    queue::Job,
    store::Store,
};

use super::{Api, Database, FakeExchange};

/// Exchanges named a, b and c, with a job that sends requests to them in this order.
pub struct Market {
    pub database: Database,
    pub exchanges: Vec<FakeExchange>,
    pub config: Config,
    pub slots: Slots,
}

impl Market {
    pub async fn of(exchanges: usize) -> Self {
        let mut market = Self {
            database: Database::new().await,
            exchanges: Vec::new(),
            config: Config::default(),
            slots: Slots::new(Duration::from_hours(1)).unwrap(),
        };
        let template = market.config.sources.named.remove("buenbit").unwrap();
        market.config.sources.named.clear();
        for (name, order) in ["a", "b", "c"].into_iter().zip(1..).take(exchanges) {
            let exchange = FakeExchange::start().await;
            let mut source = config::Source { order, ..template.clone() };
            source.url = exchange.url.clone();
            source.timeout = Duration::from_secs(1);
            market.config.sources.named.insert(name.to_owned(), source);
            market.exchanges.push(exchange);
        }
        market
    }

    pub fn store(&self) -> Store {
        self.database.store_of(self.slots.length())
    }

    pub fn context(&self) -> Context {
        let (lowest, highest) = (Price::from_pesos(1_000_000), Price::from_pesos(u64::MAX));
        let sources =
            Sources::new(&self.config.sources, self.slots.length(), &Clock::machine()).unwrap();
        let price_filter = PriceFilter::new(lowest, highest, self.config.sources.max_jump);
        self.database.context(self.slots, sources, price_filter)
    }

    pub fn now(&self) -> Slot {
        self.slots.containing(Clock::machine().unix_seconds())
    }

    pub async fn fetch_with(&self, context: &Context, slot: Slot) -> Result<(), String> {
        let job = FetchBtcArs { slot: slot.start() };
        job.run(context.clone(), 1).await.map_err(|error| error.to_string())
    }

    /// Runs the job for the current slot.
    pub async fn fetch(&self) -> Result<(), String> {
        self.fetch_with(&self.context(), self.now()).await
    }

    /// Returns the price and the source of the only sample.
    pub async fn recorded(&self) -> (f64, String) {
        let list = Api::start(&self.database).await.get("/api/ticker-list/").await.ok();
        assert_eq!(list["count"], 1, "{list}");
        let sample = &list["results"][0];
        (sample["price"].as_f64().unwrap(), sample["source"].as_str().unwrap().to_owned())
    }

    /// Returns the body of `/api/sources/`.
    pub async fn sources_report(&self) -> serde_json::Value {
        Api::with_config(&self.database, &self.config).await.get("/api/sources/").await.ok()
    }
}
