//! All sources together: asked in order or all at once, and one believed price made of them.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use url::Url;

use super::{
    ExchangeError,
    json::JsonSource,
    round::{Asking, Candidate, Chosen, Round},
    watched::Watched,
};
use crate::{
    clock::Clock,
    config::{self, Policy},
    domain::{Circuit, Doubt, Price, Provenance, Side, weighted_median},
    http_client,
};

/// The longest time that a source that fails is left alone, unless it asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The sources of a process. Clones share what is known of each.
#[derive(Debug, Clone)]
pub struct Sources {
    policy: Policy,
    quorum: usize,
    side: Side,
    /// In the order in which they are asked.
    watched: Arc<[Arc<Watched>]>,
}

/// Why there can be no sources.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up HTTPS: are the ca-certificates of this machine installed?")]
pub struct SourcesError(#[from] reqwest::Error);

impl Sources {
    /// The enabled sources of a configuration, asked once a slot of that length or more often.
    ///
    /// # Errors
    /// If one is an https address and the machine's certificates cannot be loaded.
    pub fn new(
        config: &config::Sources,
        slot: Duration,
        clock: &Clock,
    ) -> Result<Self, SourcesError> {
        Self::with(config, config.enabled(), slot, clock)
    }

    /// As [`Sources::new`], but these ones.
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
        let client = http_client::outward(&addresses)?;
        let watched = sources.into_iter().map(|(name, source)| {
            let json = JsonSource::new(client.clone(), source.clone(), clock.clone());
            // Who is well again is to be noticed in the slot in which that is so.
            let (timeout, pause) = (source.timeout.min(slot), LONGEST_PAUSE.min(slot / 2));
            Watched::new(name.clone(), source.weight, timeout, pause, Arc::new(json), clock.clone())
        });
        Ok(Self {
            policy: config.policy,
            quorum: config.quorum,
            side: config.price,
            watched: watched.map(Arc::new).collect(),
        })
    }

    /// Asks for a price that is believed, each source at most once, until that time.
    pub async fn ask(&self, doubt: &Doubt, until: Instant) -> Round {
        let asking = Asking::new(self.side, doubt, until);
        match self.policy {
            Policy::First => self.first(asking, until).await,
            Policy::Median => self.median(asking).await,
        }
    }

    /// Asks each source once, all at the same time, whatever is known of them.
    pub async fn ask_each(&self, doubt: &Doubt, until: Instant) -> Round {
        let mut asking = Asking::new(self.side, doubt, until);
        for source in self.watched.iter() {
            asking.ask(source);
        }
        while asking.next().await.is_some() {}
        let error = asking.failure();
        asking.failed(error)
    }

    /// The circuit breaker of each source.
    pub fn circuits(&self) -> Vec<Circuit> {
        self.watched.iter().map(|source| source.circuit()).collect()
    }

    /// In order: the next one when one fails, is not believed, or is slower than usual. Of several
    /// that agree on a jump it is the first one that counts.
    async fn first(&self, mut asking: Asking<'_>, until: Instant) -> Round {
        let mut waiting = self.watched.iter();
        let mut hedge_at = until;
        loop {
            if asking.is_idle() || Instant::now() >= hedge_at {
                match waiting.by_ref().find(|source| asking.ask(source)) {
                    // All are to have their turn before the end.
                    Some(source) => {
                        let left = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
                        let share = (until - Instant::now()) / left.saturating_add(1);
                        hedge_at = Instant::now() + source.usual_time().min(share);
                    }
                    None if asking.is_idle() => break,
                    None => hedge_at = until,
                }
            }
            tokio::select! {
                answered = asking.next() => if answered.is_none() { break },
                () = sleep_until(hedge_at), if hedge_at < until => continue,
            }
            let believed = asking.candidates.iter().find(|c| asking.judge(c.price).is_ok());
            if let Some(chosen) = believed.map(Candidate::chosen) {
                asking.drop_jumps();
                return asking.chosen(chosen);
            }
            hedge_at = Instant::now();
        }
        asking.drop_jumps();
        let error = asking.failure();
        asking.failed(error)
    }

    /// All at once: the weighted median of the believed answers that came in time.
    async fn median(&self, mut asking: Asking<'_>) -> Round {
        for source in self.watched.iter() {
            asking.ask(source);
        }
        while asking.next().await.is_some() {}
        asking.drop_jumps();
        let answered = asking.candidates.len();
        let median = median_of(&asking.candidates, |candidate| Some(candidate.price));
        let Some(price) = median.filter(|_| answered >= self.quorum) else {
            let (quorum, last) = (self.quorum, Box::new(asking.failure()));
            return asking.failed(ExchangeError::NoQuorum { answered, quorum, last });
        };
        // Of two camps that are both believed, the middle need not be.
        if let Err(error) = asking.judge(price) {
            return asking.disagreed(error);
        }
        let ask = median_of(&asking.candidates, |candidate| Some(candidate.quote.ask));
        let bid = median_of(&asking.candidates, |candidate| candidate.quote.bid);
        // Where not all tell a bid, the medians are not of the same sources.
        let bid = bid.filter(|bid| Some(bid.ten_thousandths()) <= ask.map(Price::ten_thousandths));
        let provenance = Provenance { source: asking.names(), ask, bid };
        asking.chosen(Chosen { price, provenance })
    }
}

impl Candidate {
    fn chosen(&self) -> Chosen {
        let (source, ask, bid) = (self.source.name.clone(), Some(self.quote.ask), self.quote.bid);
        Chosen { price: self.price, provenance: Provenance { source, ask, bid } }
    }
}

fn median_of(
    candidates: &[Candidate],
    price: impl Fn(&Candidate) -> Option<Price>,
) -> Option<Price> {
    weighted_median(candidates.iter().filter_map(|c| Some((price(c)?, c.source.weight))))
}
