//! The filter that rejects implausible prices: those out of bounds, and jumps that nothing confirms.

use std::collections::BTreeSet;

use super::Price;

/// Accepts or rejects prices, by fixed bounds and by comparison with recent prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceFilter {
    lowest: Price,
    highest: Price,
    /// The largest difference between two prices that are near each other, in 1/10000 of the lower one.
    max_jump: u64,
    recent: RecentPrices,
}

/// The prices that a new one is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecentPrices {
    /// Prices that were recorded recently, newest first. If there is none, no price is a jump.
    pub recorded: Vec<Price>,
    /// Prices that were rejected recently, each with the first unix second of its slot.
    pub rejected: Vec<(i64, Price)>,
}

/// Why a price is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PriceRejection {
    /// It is outside of the configured bounds.
    #[error("{price} is not between {lowest} and {highest} pesos")]
    OutOfBounds {
        /// The price.
        price: Price,
        /// The lowest price that is accepted.
        lowest: Price,
        /// The highest price that is accepted.
        highest: Price,
    },
    /// It is too far from the prices that were recorded recently.
    #[error("{price} is a jump from {recent}, and no other source or slot confirms it")]
    Jump {
        /// The price.
        price: Price,
        /// The last recorded price.
        recent: Price,
    },
    /// The source reports that it is from another time.
    #[error("it is from the unix second {second}, {age} s ago")]
    NotCurrent {
        /// The unix second of the price.
        second: i64,
        /// Its age in seconds; negative if it lies in the future.
        age: i64,
    },
}

/// The number of earlier slots in which a jump must have been seen for it to be accepted.
const CONFIRMING_SLOTS: usize = 2;

impl PriceFilter {
    /// A filter with bounds in pesos, both inclusive. `max_jump` is the largest difference from a recent
    /// price that is accepted without confirmation, as a share of the lower price.
    pub fn new(lowest: Price, highest: Price, max_jump: f64) -> Self {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast saturates, and a share below 0 is 0"
        )]
        let max_jump = (max_jump * 10_000.0).round() as u64;
        Self { lowest, highest, max_jump, recent: RecentPrices::default() }
    }

    /// The same filter, which compares with these recent prices.
    #[must_use]
    pub fn with_recent(&self, recent: RecentPrices) -> Self {
        Self { recent, ..self.clone() }
    }

    /// Checks that a price is within the bounds.
    ///
    /// # Errors
    /// Returns [`PriceRejection::OutOfBounds`] if it is not.
    pub fn check_bounds(&self, price: Price) -> Result<(), PriceRejection> {
        let Self { lowest, highest, .. } = *self;
        let bounds = lowest.ten_thousandths()..=highest.ten_thousandths();
        if bounds.contains(&price.ten_thousandths()) {
            return Ok(());
        }
        Err(PriceRejection::OutOfBounds { price, lowest, highest })
    }

    /// Checks that a price is near a recent one, or that the jump is confirmed: by another of the
    /// `current` prices of all sources (this price among them), or by rejected prices of two earlier
    /// slots.
    ///
    /// # Errors
    /// Returns [`PriceRejection::Jump`] if nothing confirms the jump.
    pub fn check_jump(&self, price: Price, current: &[Price]) -> Result<(), PriceRejection> {
        let near = |prices: &[Price]| prices.iter().filter(|it| self.is_near(price, **it)).count();
        let rejected = self.recent.rejected.iter();
        let confirming_slots: BTreeSet<i64> =
            rejected.filter(|(_, it)| self.is_near(price, *it)).map(|(slot, _)| *slot).collect();
        let is_confirmed = near(current) >= 2 || confirming_slots.len() >= CONFIRMING_SLOTS;
        match self.recent.recorded.first() {
            Some(&recent) if near(&self.recent.recorded) == 0 && !is_confirmed => {
                Err(PriceRejection::Jump { price, recent })
            }
            _ => Ok(()),
        }
    }

    fn is_near(&self, one: Price, other: Price) -> bool {
        let (one, other) = (i128::from(one.ten_thousandths()), i128::from(other.ten_thousandths()));
        (one - other).abs() * 10_000 <= one.min(other) * i128::from(self.max_jump)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(pesos: u64) -> Price {
        pesos.to_string().parse().unwrap()
    }

    /// A filter with bounds of 10 and 100,000 pesos and a jump of 10 %, after these recorded prices
    /// (newest first) and rejected prices (one per slot).
    fn filter(recorded: &[u64], rejected: &[u64]) -> PriceFilter {
        let prices = |of: &[u64]| of.iter().map(|pesos| price(*pesos)).collect::<Vec<_>>();
        let rejected = (0..).zip(prices(rejected)).collect();
        PriceFilter::new(price(10), price(100_000), 0.1)
            .with_recent(RecentPrices { recorded: prices(recorded), rejected })
    }

    #[test]
    fn bounds_are_inclusive() {
        let error = filter(&[], &[]).check_bounds(price(9)).unwrap_err();
        assert_eq!(error.to_string(), "9 is not between 10 and 100000 pesos");
        assert!(filter(&[], &[]).check_bounds(price(100_001)).is_err());
        assert!(filter(&[], &[]).check_bounds(price(10)).is_ok());
        assert!(filter(&[], &[]).check_bounds(price(100_000)).is_ok());
    }

    #[test]
    fn a_price_near_a_recent_one_is_accepted() {
        assert!(filter(&[1000], &[]).check_jump(price(1100), &[price(1100)]).is_ok());
        let error = filter(&[1000], &[]).check_jump(price(1101), &[price(1101)]).unwrap_err();
        assert!(error.to_string().contains("1101 is a jump from 1000"), "{error}");
        assert!(filter(&[2000, 1000], &[]).check_jump(price(2010), &[]).is_ok(), "the last one");
        assert!(filter(&[2000, 1000], &[]).check_jump(price(1010), &[]).is_ok(), "an earlier one");
    }

    #[test]
    fn a_jump_is_accepted_if_another_source_confirms_it() {
        let check = |current: &[Price]| filter(&[1000], &[]).check_jump(price(2000), current);
        assert!(check(&[price(2000), price(2100)]).is_ok());
        assert!(check(&[price(2000), price(1000)]).is_err());
    }

    #[test]
    fn a_jump_is_accepted_if_two_earlier_slots_confirm_it() {
        let check =
            |rejected: &[u64]| filter(&[1000], rejected).check_jump(price(2000), &[price(2000)]);
        assert!(check(&[2000]).is_err());
        assert!(check(&[2000, 2050]).is_ok());
        assert!(check(&[2000, 3000]).is_err());
    }

    #[test]
    fn without_recorded_prices_no_price_is_a_jump() {
        assert!(filter(&[], &[]).check_jump(price(2000), &[]).is_ok());
    }

    proptest! {
        #[test]
        fn only_prices_near_others_are_accepted(
            new in 10_u64..100_000,
            recorded in prop::collection::vec(10_u64..100_000, 1..5),
            others in prop::collection::vec(10_u64..100_000, 0..4),
            rejected in prop::collection::vec(10_u64..100_000, 0..4),
        ) {
            let near = |other: &&u64| {
                let (low, high) = (new.min(**other), new.max(**other));
                (high - low) * 10 <= low
            };
            let expected = recorded.iter().any(|other| near(&other))
                || others.iter().any(|other| near(&other))
                || rejected.iter().filter(near).count() >= CONFIRMING_SLOTS;
            let current: Vec<Price> = others.iter().chain([&new]).map(|pesos| price(*pesos)).collect();
            let checked = filter(&recorded, &rejected).check_jump(price(new), &current);
            prop_assert_eq!(checked.is_ok(), expected);
        }
    }
}
