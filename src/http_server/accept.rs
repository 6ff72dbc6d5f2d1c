//! A parser of the header `Accept` (RFC 9110, 12.5.1). Depends on nothing.

/// Returns the media ranges of a header `Accept` in lower case, each with its weight. A media range whose
/// weight is not a number is ignored.
pub fn media_ranges(accept: &str) -> Vec<(String, f32)> {
    let accept = accept.to_ascii_lowercase();
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let media_range = parts.next()?.to_owned();
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        Some((media_range, weight.map_or(Some(1.0), |weight| weight.parse().ok())?))
    });
    ranges.collect()
}
