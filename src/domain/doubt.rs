//! Which prices are believed: those within bounds, and near what was seen lately or by others.

use std::collections::BTreeSet;

use super::Price;

/// What a price is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The lowest price that is believed.
    lowest: Price,
    /// The highest one.
    highest: Price,
    /// How far apart two prices are that are still near, in 1/10000 of the lower one.
    near: u64,
    /// Prices that were recorded lately; where there is none, there is no jump.
    recent: Vec<Price>,
    /// Prices that were not believed lately, each with its slot, in which nothing was recorded.
    earlier: Vec<(i64, Price)>,
}

/// Why a price is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Disbelief {
    /// Beyond what was configured.
    #[error("{price} is not between {lowest} and {highest} pesos")]
    OutOfBounds {
        /// The price.
        price: Price,
        /// The lowest one that is believed.
        lowest: Price,
        /// The highest one.
        highest: Price,
    },
    /// Too far from what was recorded lately.
    #[error("{price} is a jump from {recent}, and nobody else has seen it")]
    Jump {
        /// The price.
        price: Price,
        /// The last price recorded.
        recent: Price,
    },
}

/// How many earlier slots must have seen a jump for it to be believed.
const WITNESSES: usize = 2;

impl Doubt {
    /// Bounds in pesos, and the share by which a price may jump.
    pub fn new(lowest: Price, highest: Price, max_jump: f64) -> Self {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast saturates, and a share below 0 is none"
        )]
        let near = (max_jump * 10_000.0).round() as u64;
        Self { lowest, highest, near, recent: Vec::new(), earlier: Vec::new() }
    }

    /// The same, knowing what was recorded lately (the last one first) and what was refused in
    /// earlier slots, each price with its slot.
    #[must_use]
    pub fn knowing(&self, recent: Vec<Price>, earlier: Vec<(i64, Price)>) -> Self {
        Self { recent, earlier, ..self.clone() }
    }

    /// Whether the price is one that may be at all.
    ///
    /// # Errors
    /// Why not.
    pub fn bound(&self, price: Price) -> Result<(), Disbelief> {
        let Self { lowest, highest, .. } = *self;
        let bounds = lowest.ten_thousandths()..=highest.ten_thousandths();
        if bounds.contains(&price.ten_thousandths()) {
            return Ok(());
        }
        Err(Disbelief::OutOfBounds { price, lowest, highest })
    }

    /// Whether the price is believed, given what all sources say right now, this one among them.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, price: Price, now: &[Price]) -> Result<(), Disbelief> {
        let near =
            |others: &[Price]| others.iter().filter(|other| self.near(price, **other)).count();
        let witnesses: BTreeSet<i64> = self
            .earlier
            .iter()
            .filter(|(_, other)| self.near(price, *other))
            .map(|(slot, _)| *slot)
            .collect();
        match self.recent.first() {
            Some(&recent)
                if near(&self.recent) == 0 && near(now) < 2 && witnesses.len() < WITNESSES =>
            {
                Err(Disbelief::Jump { price, recent })
            }
            _ => Ok(()),
        }
    }

    fn near(&self, one: Price, other: Price) -> bool {
        let (one, other) = (i128::from(one.ten_thousandths()), i128::from(other.ten_thousandths()));
        (one - other).abs() * 10_000 <= one.min(other) * i128::from(self.near)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(pesos: u64) -> Price {
        pesos.to_string().parse().unwrap()
    }

    fn doubt(recent: &[u64], earlier: &[u64]) -> Doubt {
        let prices = |of: &[u64]| of.iter().map(|pesos| price(*pesos)).collect::<Vec<_>>();
        let earlier = (0..).zip(prices(earlier)).collect();
        Doubt::new(price(10), price(100_000), 0.1).knowing(prices(recent), earlier)
    }

    #[test]
    fn bounds_are_inclusive() {
        let error = doubt(&[], &[]).bound(price(9)).unwrap_err();
        assert_eq!(error.to_string(), "9 is not between 10 and 100000 pesos");
        assert!(doubt(&[], &[]).bound(price(100_001)).is_err());
        assert!(doubt(&[], &[]).bound(price(10)).is_ok());
        assert!(doubt(&[], &[]).bound(price(100_000)).is_ok());
    }

    #[test]
    fn a_jump_is_believed_when_others_or_two_earlier_slots_have_seen_it() {
        assert!(doubt(&[1000], &[]).judge(price(1100), &[price(1100)]).is_ok());
        let error = doubt(&[1000], &[]).judge(price(1101), &[price(1101)]).unwrap_err();
        assert!(error.to_string().contains("1101 is a jump from 1000"), "{error}");
        assert!(doubt(&[1000], &[]).judge(price(2000), &[price(2000), price(2100)]).is_ok());
        assert!(doubt(&[1000], &[2000]).judge(price(2000), &[price(2000)]).is_err());
        assert!(doubt(&[1000], &[2000, 2050]).judge(price(2000), &[price(2000)]).is_ok());
        assert!(doubt(&[2000, 1000], &[]).judge(price(2010), &[]).is_ok(), "it has been believed");
        assert!(doubt(&[], &[]).judge(price(2000), &[]).is_ok(), "nothing to jump from");
    }

    proptest! {
        /// What is believed is near something: a recent price, another source, two earlier slots.
        #[test]
        fn nothing_far_from_all_is_believed(
            seen in 10_u64..100_000,
            recent in prop::collection::vec(10_u64..100_000, 1..5),
            others in prop::collection::vec(10_u64..100_000, 0..4),
            earlier in prop::collection::vec(10_u64..100_000, 0..4),
        ) {
            let near = |other: &&u64| {
                let (low, high) = (seen.min(**other), seen.max(**other));
                (high - low) * 10 <= low
            };
            let expected = recent.iter().any(|other| near(&other))
                || others.iter().any(|other| near(&other))
                || earlier.iter().filter(near).count() >= WITNESSES;
            let now: Vec<Price> = others.iter().chain([&seen]).map(|pesos| price(*pesos)).collect();
            let judged = doubt(&recent, &earlier).judge(price(seen), &now);
            prop_assert_eq!(judged.is_ok(), expected);
        }
    }
}
