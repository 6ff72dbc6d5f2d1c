//! The badge: an SVG image with a name and a price side by side. May use the domain.

use crate::domain::Price;

const NAME: &str = "BTC/ARS";
/// The mean width of a character at a font size of 11 pixels, and the total padding of a text, in pixels.
const CHARACTER: usize = 7;
const PADDING: usize = 12;

const CURRENT: &str = "#0b61b8";
const STALE: &str = "#6b7280";

/// Returns the badge of a price with whether it is stale; `None` if there is no price.
pub(super) fn badge(price: Option<(Price, bool)>) -> String {
    let (text, colour) = match price {
        None => ("-".to_owned(), STALE),
        Some((price, true)) => (format!("{} (stale)", grouped(price)), STALE),
        Some((price, false)) => (grouped(price), CURRENT),
    };
    let [left, right] = [NAME, &text].map(|text| text.chars().count() * CHARACTER + PADDING);
    let width = left + right;
    let [name_at, text_at] = [left / 2, left + right / 2];
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{NAME}: {text}">
<title>{NAME}: {text}</title>
<clipPath id="edge"><rect width="{width}" height="20" rx="3"/></clipPath>
<g clip-path="url(#edge)"><rect width="{left}" height="20" fill="#444c56"/><rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>
<g fill="#fff" text-anchor="middle" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11"><text x="{name_at}" y="14">{NAME}</text><text x="{text_at}" y="14">{text}</text></g>
</svg>
"##
    )
}

/// Formats a price in whole pesos with digits in groups of three, as in Argentina: 84.873.600.
fn grouped(price: Price) -> String {
    let whole = ((price.ten_thousandths() + 5000) / 10_000).to_string();
    let mut text = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push('.');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_rounded_to_pesos_and_grouped() {
        for (price, text) in
            [("84873600.5", "84.873.601"), ("999.4", "999"), ("1000000", "1.000.000")]
        {
            assert_eq!(grouped(price.parse().unwrap()), text);
        }
    }

    #[test]
    fn a_stale_price_is_marked() {
        let price = "84873600".parse().unwrap();
        assert!(badge(Some((price, true))).contains("84.873.600 (stale)"));
        assert!(!badge(Some((price, false))).contains("stale"));
    }
}
