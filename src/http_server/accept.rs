//! Reads the header `Accept` (RFC 9110, 12.5.1).

/// The media ranges that a header `Accept` names, in lower case, each with its weight. One whose weight is
/// no number is left out.
pub fn media_ranges(accept: &str) -> Vec<(String, f32)> {
    let accept = accept.to_ascii_lowercase();
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next()?.to_owned();
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        Some((kind, weight.map_or(Some(1.0), |weight| weight.parse().ok())?))
    });
    ranges.collect()
}
