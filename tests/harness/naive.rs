//! The stored samples, read in the simplest way: the naive model that histories are compared with.

use cotiza::{
    domain::{Extremes, Slots, Summary, Timestamp},
    store::{decode, keys},
};

use super::Database;

/// All samples, oldest first: timestamp and price in 1/10000 peso.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NaiveModel(pub Vec<(Timestamp, i64)>);

impl NaiveModel {
    /// Reads all samples in text form, and the blocks of hours without text form.
    pub async fn read(database: &Database) -> Self {
        let text: Vec<(String, f64)> =
            database.command(&["ZRANGE", keys::PRICES, "0", "-1", "WITHSCORES"]).await;
        let sample = |(member, score): &(String, f64)| {
            let price: cotiza::domain::Price = member.split(':').next()?.parse().ok()?;
            Some((Timestamp::from_score(*score)?, price.ten_thousandths()))
        };
        let mut samples: Vec<(Timestamp, i64)> = text.iter().filter_map(sample).collect();
        let boundary: Option<i64> = database.command(&["HGET", keys::META, "boundary"]).await;
        let blocks: Vec<(i64, Vec<u8>)> = database.command(&["HGETALL", keys::HOURS]).await;
        for (start, block) in blocks {
            if boundary.is_some_and(|boundary| start < boundary) {
                let hour = decode(start, &block).unwrap();
                samples.extend(hour.points(0..hour.len()));
            }
        }
        samples.sort_by_key(|(timestamp, _)| *timestamp);
        Self(samples)
    }

    /// Returns the samples between two unix times, both inclusive.
    pub fn within(&self, since: f64, until: f64) -> Self {
        let inside = |(at, _): &&(Timestamp, i64)| (since..=until).contains(&at.score());
        Self(self.0.iter().filter(inside).copied().collect())
    }

    /// Returns the summary of all samples.
    pub fn summary(&self, slots: Slots) -> Summary {
        let slot = |at: &Timestamp| slots.containing(at.second());
        let mut taken: Vec<_> = self.0.iter().map(|(at, _)| slot(at)).collect();
        taken.dedup();
        let prices = || self.0.iter().map(|(_, price)| *price);
        let extremes = self.0.first().zip(self.0.last()).map(|(first, last)| Extremes {
            min: prices().min().unwrap(),
            max: prices().max().unwrap(),
            first: *first,
            last: *last,
        });
        Summary {
            count: self.0.len() as u64,
            slots: taken.len() as u64,
            gaps: taken.windows(2).filter(|pair| pair[0].end() < pair[1].start()).count() as u64,
            sum: prices().map(i128::from).sum(),
            extremes,
        }
    }

    /// Returns the sum of the prices between two unix times, each multiplied by the microseconds for which
    /// it was valid, and the sum of these microseconds. A price is valid until the next sample, but at most
    /// `hold` seconds.
    pub fn held(&self, since: f64, until: f64, hold: i64) -> (i128, i64) {
        let micros = |at: f64| Timestamp::from_score(at).unwrap().micros();
        let (since, until) = (micros(since), micros(until));
        let next = self.0.iter().skip(1).map(|(at, _)| at.micros()).chain([i64::MAX]);
        let (mut sum, mut covered) = (0, 0);
        for ((at, price), next) in self.0.iter().zip(next) {
            let end = next.min(at.micros() + hold * 1_000_000).min(until);
            let valid = (end - at.micros().max(since)).max(0);
            sum += i128::from(*price) * i128::from(valid);
            covered += valid;
        }
        (sum, covered)
    }
}
