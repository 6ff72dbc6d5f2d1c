//! The weighted median of prices.

use super::Price;

/// Returns the weighted median: the price such that half of the weight lies at or below it, and half at or
/// above it; the midpoint if two prices fulfil this. `None` if there are no prices. A weight of 0 is ignored.
pub fn weighted_median(prices: impl IntoIterator<Item = (Price, u32)>) -> Option<Price> {
    let mut prices: Vec<(Price, u64)> = prices
        .into_iter()
        .filter(|(_, weight)| *weight > 0)
        .map(|(price, weight)| (price, u64::from(weight)))
        .collect();
    prices.sort_by_key(|(price, _)| price.ten_thousandths());
    let total: u64 = prices.iter().map(|(_, weight)| weight).sum();
    let mut below = 0;
    for (at, (price, weight)) in prices.iter().enumerate() {
        below += weight;
        if below * 2 > total {
            return Some(*price);
        }
        if below * 2 == total {
            let next = prices.get(at + 1).map_or(*price, |(next, _)| *next);
            return Some(Price::midpoint(*price, next));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(pesos: u32) -> Price {
        pesos.to_string().parse().unwrap()
    }

    #[test]
    fn one_outlier_of_three_does_not_change_the_median() {
        let median = weighted_median([(price(100), 1), (price(101), 1), (price(900), 1)]);
        assert_eq!(median, Some(price(101)));
        assert_eq!(weighted_median([(price(100), 3), (price(900), 2)]), Some(price(100)));
        assert_eq!(weighted_median([(price(100), 1), (price(200), 1)]), Some(price(150)));
        assert_eq!(weighted_median([]), None);
    }

    #[test]
    fn a_price_without_weight_does_not_count() {
        assert_eq!(weighted_median([(price(100), 0)]), None);
        let median = weighted_median([(price(100), 1), (price(110), 0), (price(200), 1)]);
        assert_eq!(median, Some(price(150)));
    }

    proptest! {
        /// A weight of n equals the same price n times; the plain median is the model.
        #[test]
        fn it_equals_the_plain_median_of_repeated_prices(
            prices in prop::collection::vec((1_u32..1000, 1_u32..5), 1..12)
        ) {
            let mut plain: Vec<u32> = prices
                .iter()
                .flat_map(|(pesos, weight)| vec![*pesos; *weight as usize])
                .collect();
            plain.sort_unstable();
            let (low, high) = (plain[(plain.len() - 1) / 2], plain[plain.len() / 2]);
            let expected = (i64::from(low) + i64::from(high)) * 5_000;
            let median = weighted_median(prices.iter().map(|(pesos, weight)| (price(*pesos), *weight)));
            prop_assert_eq!(median.unwrap().ten_thousandths(), expected);
        }
    }
}
