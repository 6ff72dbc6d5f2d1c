//! The text formats of metrics: OpenMetrics 1.0 and the text format 0.0.4 of Prometheus. Depends on the HTTP
//! server.

use std::{collections::BTreeMap, fmt};

use poem::{Request, Response, http::header};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, text::encode},
    metrics::MetricType,
    registry::Registry,
};

use super::{BUCKETS, MICROS, Metric, SEPARATOR, Sums};
use crate::http_server::media_ranges;

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exposition {
    /// The text format 0.0.4 of Prometheus, which all scrapers support.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Exposition {
    /// Returns the format that a header `Accept` prefers; the Prometheus format by default.
    fn preferred(accept: Option<&str>) -> Self {
        let ranges = media_ranges(accept.unwrap_or_default());
        let weight = |kind: &str| {
            let of_kind = ranges.iter().filter(|(range, _)| range == kind);
            of_kind.fold(0.0, |most, (_, weight)| weight.max(most))
        };
        let open_metrics = weight("application/openmetrics-text");
        let is_preferred = open_metrics > 0.0 && open_metrics >= weight("text/plain");
        if is_preferred { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Returns the value of the header `Content-Type`.
    fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Formats all metrics of a registry.
    fn text(self, registry: &Registry) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _written = encode(&mut text, registry);
        match self {
            Self::OpenMetrics => text,
            Self::Prometheus => as_prometheus(&text),
        }
    }
}

/// Returns the response to a scrape: all metrics of a registry, in the format that the request prefers.
pub fn response(request: &Request, registry: &Registry) -> Response {
    let accept = request.headers().get(header::ACCEPT).and_then(|it| it.to_str().ok());
    let format = Exposition::preferred(accept);
    Response::builder().content_type(format.content_type()).body(format.text(registry))
}

/// Converts OpenMetrics to the Prometheus format. OpenMetrics describes a counter without the suffix `_total`
/// of its name, and has units and an end marker.
fn as_prometheus(text: &str) -> String {
    let counters: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut lines = String::with_capacity(text.len());
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let description = ["# HELP ", "# TYPE "].into_iter().find_map(|kind| {
            let (name, rest) = line.strip_prefix(kind)?.split_once(' ')?;
            counters.contains(&name).then(|| format!("{kind}{name}_total {rest}"))
        });
        lines.push_str(description.as_deref().unwrap_or(line));
        lines.push('\n');
    }
    lines
}

/// Returns a collector of sums. `is_shared` selects metrics by whether their sums are shared with other
/// processes.
pub fn collector(sums: Sums, is_shared: impl Fn(bool) -> bool) -> impl Collector {
    let metrics = Metric::ALL.into_iter();
    Exposed {
        sums,
        metrics: metrics.filter(|metric| is_shared(metric.description().is_shared)).collect(),
    }
}

#[derive(Debug)]
struct Exposed {
    sums: Sums,
    metrics: Vec<Metric>,
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for Exposed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in &self.metrics {
            let description = metric.description();
            let kind =
                if description.is_histogram { MetricType::Histogram } else { MetricType::Counter };
            let mut families: BTreeMap<Labels<'_>, Vec<(&str, u64)>> = BTreeMap::new();
            for (name, value) in self.sums_of(description.name) {
                let mut parts = name.split(SEPARATOR).skip(1);
                let labels = description.labels.iter().copied().zip(parts.by_ref());
                let labels: Labels<'_> = labels.collect();
                families.entry(labels).or_default().push((parts.next().unwrap_or(""), value));
            }
            if families.is_empty() {
                continue;
            }
            let mut encoder =
                encoder.encode_descriptor(description.name, description.help, None, kind)?;
            for (labels, parts) in families {
                let mut family = encoder.encode_family(&labels)?;
                if description.is_histogram {
                    let Histogram { sum, count, buckets } = histogram(&parts);
                    family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
                } else {
                    let value: u64 = parts.iter().map(|(_, value)| value).sum();
                    family.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
                }
            }
        }
        Ok(())
    }
}

impl Exposed {
    fn sums_of(&self, metric: &str) -> impl Iterator<Item = (&str, u64)> {
        let is_of = move |name: &str| {
            name.strip_prefix(metric).is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
        };
        let sums = self.sums.iter().map(|(name, value)| (name.as_str(), *value));
        sums.filter(move |(name, _)| is_of(name))
    }
}

struct Histogram {
    sum: f64,
    count: u64,
    buckets: Vec<(f64, u64)>,
}

fn histogram(parts: &[(&str, u64)]) -> Histogram {
    let of = |name: &str| parts.iter().find(|(part, _)| *part == name).map_or(0, |it| it.1);
    let bounds = BUCKETS.into_iter().chain([f64::INFINITY]).enumerate();
    let buckets: Vec<(f64, u64)> =
        bounds.map(|(number, bound)| (bound, of(&number.to_string()))).collect();
    #[allow(clippy::cast_precision_loss, reason = "15 digits are enough for a sum of times")]
    let sum = of(MICROS) as f64 / 1e6;
    Histogram { sum, count: buckets.iter().map(|(_, count)| count).sum(), buckets }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::Metrics;

    fn text(format: Exposition) -> String {
        let metrics = Metrics::default();
        metrics.count(Metric::JobsDead, &["probe", "panicked"]);
        metrics.measure(Metric::TickLag, &[], Duration::from_millis(4));
        let mut registry = Registry::with_prefix("cotiza");
        registry.register_collector(Box::new(collector(metrics.total(), |_| true)));
        format.text(&registry)
    }

    #[test]
    fn the_prometheus_format_describes_a_counter_by_its_full_name() {
        let text = text(Exposition::Prometheus);
        assert!(text.contains("# TYPE cotiza_jobs_dead_total counter\n"), "{text}");
        let line = "\ncotiza_jobs_dead_total{queue=\"probe\",reason=\"panicked\"} 1\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("\ncotiza_tick_lag_seconds_bucket{le=\"0.005\"} 1\n"), "{text}");
        assert!(text.contains("\ncotiza_tick_lag_seconds_sum{} 0.004\n"), "{text}");
        assert!(!text.contains("EOF"), "{text}");
    }

    #[test]
    fn open_metrics_omits_the_suffix_and_has_an_end_marker() {
        let text = text(Exposition::OpenMetrics);
        assert!(text.contains("# TYPE cotiza_jobs_dead counter\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn the_format_is_negotiated() {
        let scraper = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        assert_eq!(Exposition::preferred(Some(scraper)), Exposition::OpenMetrics);
        let other = "Application/OpenMetrics-Text;q=0.2,text/plain;q=0.7";
        assert_eq!(Exposition::preferred(Some(other)), Exposition::Prometheus);
        let never = "application/openmetrics-text;q=0";
        assert_eq!(Exposition::preferred(Some(never)), Exposition::Prometheus);
        assert_eq!(Exposition::preferred(Some("*/*")), Exposition::Prometheus);
        assert_eq!(Exposition::preferred(None), Exposition::Prometheus);
    }
}
