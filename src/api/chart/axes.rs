//! The marks of the axes of a chart and their labels. May use the domain.

use chrono::NaiveDateTime;

use crate::domain::{Interval, Zone};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The possible distances between marks on the time axis.
const STEPS: [Interval; 22] = [
    Interval::Seconds(5),
    Interval::Seconds(10),
    Interval::Seconds(30),
    Interval::Seconds(MINUTE),
    Interval::Seconds(2 * MINUTE),
    Interval::Seconds(5 * MINUTE),
    Interval::Seconds(10 * MINUTE),
    Interval::Seconds(15 * MINUTE),
    Interval::Seconds(30 * MINUTE),
    Interval::Seconds(HOUR),
    Interval::Seconds(2 * HOUR),
    Interval::Seconds(3 * HOUR),
    Interval::Seconds(6 * HOUR),
    Interval::Seconds(12 * HOUR),
    Interval::Days(1),
    Interval::Days(2),
    Interval::Weeks(1),
    Interval::Weeks(2),
    Interval::Months(1),
    Interval::Months(3),
    Interval::Months(6),
    Interval::Months(12),
];

/// The marks on the time axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimeAxis {
    /// The positions of the marks in Unix seconds.
    pub(super) marks: Vec<i64>,
    format: &'static str,
    zone: Zone,
}

impl TimeAxis {
    /// Creates about `most` marks between two Unix seconds, at round times of the time zone.
    pub(super) fn new(since: i64, until: i64, most: i64, zone: Zone) -> Self {
        let apart = (until - since) / most.max(1);
        let step = STEPS.into_iter().find(|step| length(*step) >= apart);
        let step = step.unwrap_or_else(|| Interval::Months(12 * (apart / (365 * DAY) + 1)));
        let format = match length(step) {
            ..MINUTE => "%H:%M:%S",
            MINUTE..DAY if until - since < 2 * DAY => "%H:%M",
            MINUTE..DAY => "%d/%m %H:%M",
            length if length < 28 * DAY => "%d/%m",
            length if length < 360 * DAY => "%m/%Y",
            _ => "%Y",
        };
        Self { marks: marks(since, until, step, zone), format, zone }
    }

    /// Returns the label of a mark.
    pub(super) fn label(&self, second: i64) -> String {
        let local: Option<NaiveDateTime> = self.zone.local(second);
        local.map(|local| local.format(self.format).to_string()).unwrap_or_default()
    }
}

/// Returns the approximate length of a step in seconds.
fn length(step: Interval) -> i64 {
    match step {
        Interval::Seconds(seconds) => seconds,
        Interval::Days(days) => days * DAY,
        Interval::Weeks(weeks) => weeks * 7 * DAY,
        Interval::Months(months) => months * 30 * DAY,
    }
}

fn marks(since: i64, until: i64, step: Interval, zone: Zone) -> Vec<i64> {
    let mut marks = Vec::new();
    let calendar = match step {
        Interval::Seconds(_) => Interval::Days(1),
        longer => longer,
    };
    let mut start = calendar.start_of(since, zone);
    while start <= until {
        let end = calendar.end_of(start, zone);
        match step {
            // Counted from the start of the day, so that marks are at round times of the clock.
            Interval::Seconds(seconds) => {
                let first = start + (since - start).max(0) / seconds * seconds;
                let of_day = std::iter::successors(Some(first), |mark| Some(mark + seconds));
                marks.extend(of_day.take_while(|mark| *mark < end && *mark <= until));
            }
            _ => marks.push(start),
        }
        if end <= start {
            break;
        }
        start = end;
    }
    marks.retain(|mark| (since..=until).contains(mark));
    marks
}

/// Formats a price in millions of pesos, with enough decimals to distinguish prices that are `apart` pesos
/// apart.
pub(super) fn price_label(pesos: f64, apart: f64) -> String {
    let decimals = (1..6).find(|decimals| apart / 1e6 >= 10_f64.powi(-decimals)).unwrap_or(6);
    format!("{:.*} M", usize::try_from(decimals).unwrap_or_default(), pesos / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(since: i64, until: i64, zone: &str) -> Vec<String> {
        let axis = TimeAxis::new(since, until, 6, zone.parse().unwrap());
        axis.marks.iter().map(|mark| axis.label(*mark)).collect()
    }

    #[test]
    fn marks_are_at_round_times_of_the_time_zone() {
        let zone = "America/Argentina/Buenos_Aires";
        let midnight = 1_717_124_400; // 2024-05-31 in Buenos Aires
        let day = labels(midnight, midnight + DAY, zone);
        assert_eq!(day, ["00:00", "06:00", "12:00", "18:00", "00:00"]);
        let hour = labels(midnight + 61, midnight + HOUR, zone);
        assert_eq!(hour, ["00:10", "00:20", "00:30", "00:40", "00:50", "01:00"]);
        let week = labels(midnight, midnight + 7 * DAY, zone);
        assert_eq!(week, ["31/05", "02/06", "04/06", "06/06"]);
        let year = labels(midnight, midnight + 365 * DAY, "UTC");
        assert_eq!(year, ["07/2024", "10/2024", "01/2025", "04/2025"]);
        let century = labels(0, 100 * 365 * DAY, "UTC");
        assert!((2..=7).contains(&century.len()), "{century:?}");
    }

    #[test]
    fn price_labels_have_enough_decimals_to_differ() {
        assert_eq!(price_label(84_873_600.0, 1e6), "84.9 M");
        assert_eq!(price_label(84_873_600.0, 2000.0), "84.874 M");
        assert_eq!(price_label(84_873_600.0, 0.1), "84.873600 M");
    }
}
