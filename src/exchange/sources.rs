//! All sources together: queried in order or all at once, and one price selected from their answers.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use url::Url;

use super::{
    ExchangeError,
    json::JsonSource,
    monitored::MonitoredSource,
    round::{Candidate, Requests, Round, Selected},
};
use crate::{
    clock::Clock,
    config::{self, Policy},
    domain::{Circuit, Price, PriceFilter, Provenance, Side, weighted_median},
    http_client,
};

/// The longest time for which the circuit of a failing source is open, unless it asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The sources of a process. Clones share their state.
#[derive(Debug, Clone)]
pub struct Sources {
    policy: Policy,
    quorum: usize,
    side: Side,
    /// The sources in the order in which they are queried.
    in_order: Arc<[Arc<MonitoredSource>]>,
}

/// Why the sources cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up HTTPS: are the ca-certificates of this machine installed?")]
pub struct SourcesError(#[from] reqwest::Error);

impl Sources {
    /// The enabled sources of a configuration, for slots of the given length.
    ///
    /// # Errors
    /// Returns an error if a source has an https URL and the certificates of the machine cannot be loaded.
    pub fn new(
        config: &config::Sources,
        slot: Duration,
        clock: &Clock,
    ) -> Result<Self, SourcesError> {
        Self::with(config, config.enabled(), slot, clock)
    }

    /// Like [`Sources::new`], with the given sources instead of the enabled ones.
    ///
    /// # Errors
    /// As [`Sources::new`].
    pub fn with(
        config: &config::Sources,
        sources: Vec<(&String, &config::Source)>,
        slot: Duration,
        clock: &Clock,
    ) -> Result<Self, SourcesError> {
        let addresses: Vec<&Url> = sources.iter().map(|(_, source)| &source.url).collect();
        let client = http_client::external(&addresses)?;
        let monitored = sources.into_iter().map(|(name, source)| {
            let json = Arc::new(JsonSource::new(client.clone(), source.clone(), clock.clone()));
            // A source that works again is used again within the same slot.
            let (timeout, pause) = (source.timeout.min(slot), LONGEST_PAUSE.min(slot / 2));
            MonitoredSource::new(name.clone(), source.weight, timeout, pause, json, clock.clone())
        });
        Ok(Self {
            policy: config.policy,
            quorum: config.quorum,
            side: config.price,
            in_order: monitored.map(Arc::new).collect(),
        })
    }

    /// Queries the sources for a plausible price, each at most once, until the given time.
    pub async fn fetch(&self, price_filter: &PriceFilter, until: Instant) -> Round {
        let requests = Requests::new(self.side, price_filter, until);
        match self.policy {
            Policy::First => self.first(requests, until).await,
            Policy::Median => self.median(requests).await,
        }
    }

    /// Queries each source once, all at the same time.
    pub async fn fetch_each(&self, price_filter: &PriceFilter, until: Instant) -> Round {
        let mut requests = Requests::new(self.side, price_filter, until);
        for source in self.in_order.iter() {
            requests.send(source);
        }
        while requests.next().await.is_some() {}
        let error = requests.error();
        requests.fail(error)
    }

    /// The name and the circuit breaker of each source.
    pub fn circuits(&self) -> Vec<(String, Circuit)> {
        self.in_order.iter().map(|source| (source.name.clone(), source.circuit())).collect()
    }

    /// Queries the sources in order. The next one is queried when one fails, its price is rejected, or it
    /// is slower than usual. If several sources confirm a jump, the price of the first one is selected.
    async fn first(&self, mut requests: Requests<'_>, until: Instant) -> Round {
        let mut waiting = self.in_order.iter();
        let mut hedge_at = until;
        loop {
            if requests.is_idle() || Instant::now() >= hedge_at {
                match waiting.by_ref().find(|source| requests.send(source)) {
                    // The rest of the time is shared, so that every source is queried before the end.
                    Some(source) => {
                        let left = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
                        let share = (until - Instant::now()) / left.saturating_add(1);
                        hedge_at = Instant::now() + source.usual_latency().min(share);
                    }
                    None if requests.is_idle() => break,
                    None => hedge_at = until,
                }
            }
            tokio::select! {
                response = requests.next() => if response.is_none() { break },
                () = sleep_until(hedge_at), if hedge_at < until => continue,
            }
            let mut candidates = requests.candidates.iter();
            let accepted = candidates.find(|it| requests.check_jump(it.price).is_ok());
            if let Some(selected) = accepted.map(Candidate::select) {
                requests.reject_jumps();
                return requests.succeed(selected);
            }
            hedge_at = Instant::now();
        }
        requests.reject_jumps();
        let error = requests.error();
        requests.fail(error)
    }

    /// Queries all sources at once and selects the weighted median of the accepted prices.
    async fn median(&self, mut requests: Requests<'_>) -> Round {
        for source in self.in_order.iter() {
            requests.send(source);
        }
        while requests.next().await.is_some() {}
        requests.reject_jumps();
        let answered = requests.candidates.len();
        let median = median_of(&requests.candidates, |candidate| Some(candidate.price));
        let Some(price) = median.filter(|_| answered >= self.quorum) else {
            let (quorum, last) = (self.quorum, Box::new(requests.error()));
            return requests.fail(ExchangeError::NoQuorum { answered, quorum, last });
        };
        // The median of two groups of accepted prices may lie between them, where it is a jump.
        if let Err(error) = requests.check_jump(price) {
            return requests.fail_median(error);
        }
        let ask = median_of(&requests.candidates, |candidate| Some(candidate.quote.ask));
        let bid = median_of(&requests.candidates, |candidate| candidate.quote.bid);
        // If some sources report no bid, the two medians are of different sources.
        let bid = bid.filter(|bid| Some(bid.ten_thousandths()) <= ask.map(Price::ten_thousandths));
        let provenance = Provenance { source: requests.names(), ask, bid };
        requests.succeed(Selected { price, provenance })
    }
}

impl Candidate {
    fn select(&self) -> Selected {
        let (source, ask, bid) = (self.source.name.clone(), Some(self.quote.ask), self.quote.bid);
        Selected { price: self.price, provenance: Provenance { source, ask, bid } }
    }
}

fn median_of(
    candidates: &[Candidate],
    price: impl Fn(&Candidate) -> Option<Price>,
) -> Option<Price> {
    weighted_median(candidates.iter().filter_map(|it| Some((price(it)?, it.source.weight))))
}

#[cfg(test)]
mod tests;
