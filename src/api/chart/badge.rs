//! The badge: a name and a price, side by side.

use crate::domain::Price;

const NAME: &str = "BTC/ARS";
/// The mean width of a character of 11 pixels' height, and the room at each side of a text, in pixels.
const CHARACTER: usize = 7;
const ROOM: usize = 12;

const CURRENT: &str = "#0b61b8";
const STALE: &str = "#6b7280";

/// The badge of a price, which may be stale; `None` if there is none.
pub(super) fn badge(price: Option<(Price, bool)>) -> String {
    let (text, colour) = match price {
        None => ("-".to_owned(), STALE),
        Some((price, true)) => (format!("{} (stale)", in_groups(price)), STALE),
        Some((price, false)) => (in_groups(price), CURRENT),
    };
    let [left, right] = [NAME, &text].map(|text| text.chars().count() * CHARACTER + ROOM);
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

/// Whole pesos in groups of three digits, as they are written in Argentina: 84.873.600.
fn in_groups(price: Price) -> String {
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
    fn pesos_are_whole_and_in_groups() {
        for (price, text) in
            [("84873600.5", "84.873.601"), ("999.4", "999"), ("1000000", "1.000.000")]
        {
            assert_eq!(in_groups(price.parse().unwrap()), text);
        }
    }

    #[test]
    fn a_stale_price_says_so() {
        let price = "84873600".parse().unwrap();
        assert!(badge(Some((price, true))).contains("84.873.600 (stale)"));
        assert!(!badge(Some((price, false))).contains("stale"));
    }
}
