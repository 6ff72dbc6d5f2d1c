//! What many samples come to: their count, sum and mean, in exact arithmetic.

use rust_decimal::Decimal;

use super::Price;

/// The sum over some samples. Sums are whole 1/10000 pesos, so no rounding piles up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    count: u64,
    sum: i128,
}

impl Summary {
    /// Takes one more price in.
    pub fn add(&mut self, price: Price) {
        self.count += 1;
        self.sum += i128::from(price.ten_thousandths());
    }

    /// How many samples it is made of.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean price in pesos, rounded to 2 decimals, half to even; 0 of no samples.
    pub fn average(&self) -> Decimal {
        // One centavo is 100 of the sum's units.
        let unit = i128::from(self.count.max(1)) * 100;
        let (whole, rest) = (self.sum.div_euclid(unit), self.sum.rem_euclid(unit));
        let up = match (rest * 2).cmp(&unit) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => whole % 2 != 0,
            std::cmp::Ordering::Greater => true,
        };
        Decimal::from_i128_with_scale(whole + i128::from(up), 2)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::RoundingStrategy;

    use super::*;

    fn summary(prices: &[&str]) -> Summary {
        let mut summary = Summary::default();
        for price in prices {
            summary.add(price.parse().unwrap());
        }
        summary
    }

    #[test]
    fn the_mean_is_rounded_half_to_even() {
        let check = |prices: &[&str], expected: &str| {
            assert_eq!(summary(prices).average().to_string(), expected, "{prices:?}");
        };
        check(&[], "0.00");
        check(&["84873600.0"], "84873600.00");
        check(&["1.00", "1.01"], "1.00"); // 1.005
        check(&["1.01", "1.02"], "1.02"); // 1.015
        check(&["1.0050"], "1.00");
        check(&["1.0051"], "1.01");
        check(&["1", "1", "2"], "1.33");
        check(&["0.1", "0.2"], "0.15"); // as doubles this is more
    }

    proptest! {
        #[test]
        fn the_mean_equals_decimal_arithmetic(
            units in prop::collection::vec(1i64..9_000_000_000_000_000, 1..200)
        ) {
            let mut summary = Summary::default();
            let mut sum = Decimal::ZERO;
            for &unit in &units {
                let price = Decimal::new(unit, 4);
                summary.add(price.to_string().parse().unwrap());
                sum += price;
            }
            let mean = (sum / Decimal::from(units.len()))
                .round_dp_with_strategy(2, RoundingStrategy::MidpointNearestEven);
            prop_assert_eq!(summary.average(), mean);
            prop_assert_eq!(summary.count(), units.len() as u64);
        }
    }
}
