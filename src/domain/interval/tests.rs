//! Tests of intervals.

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp()
}

fn of(interval: &str, zone: &str, second: i64) -> (i64, i64) {
    let (interval, zone): (Interval, Zone) = (interval.parse().unwrap(), zone.parse().unwrap());
    let start = interval.start_of(second, zone);
    (start, interval.end_of(start, zone))
}

#[test]
fn days_weeks_and_months_follow_the_time_zone() {
    let argentina = "America/Argentina/Buenos_Aires";
    let friday = at("2024-05-31T23:30:00-03:00");
    let ends = |start, end| (at(start), at(end));
    assert_eq!(
        of("1d", argentina, friday),
        ends("2024-05-31T00:00:00-03:00", "2024-06-01T00:00:00-03:00")
    );
    assert_eq!(of("1d", "UTC", friday).0, at("2024-06-01T00:00:00Z"));
    assert_eq!(
        of("1w", argentina, friday),
        ends("2024-05-27T00:00:00-03:00", "2024-06-03T00:00:00-03:00")
    );
    assert_eq!(
        of("1M", argentina, friday),
        ends("2024-05-01T00:00:00-03:00", "2024-06-01T00:00:00-03:00")
    );
    assert_eq!(of("3M", "UTC", friday), ends("2024-04-01T00:00:00Z", "2024-07-01T00:00:00Z"));
    assert_eq!(of("4h", argentina, friday).0, at("2024-06-01T00:00:00Z"));
}

#[test]
fn a_day_is_shorter_or_longer_when_clocks_change() {
    // In Berlin, clocks were set forward on 2024-03-31 and back on 2024-10-27.
    let day = |date: &str, zone: &str| {
        let (start, end) = of("1d", zone, at(date));
        (end - start) / 3600
    };
    assert_eq!(day("2024-03-31T12:00:00+02:00", "Europe/Berlin"), 23);
    assert_eq!(day("2024-10-27T12:00:00+01:00", "Europe/Berlin"), 25);
    // In Argentina, clocks were set forward at midnight: the day began at one o'clock.
    let (start, end) = of("1d", "America/Argentina/Buenos_Aires", at("2008-10-19T12:00:00-02:00"));
    assert_eq!((start, end - start), (at("2008-10-19T01:00:00-02:00"), 23 * 3600));
    // Samoa skipped 30 December 2011.
    let (start, end) = of("1d", "Pacific/Apia", at("2011-12-29T12:00:00-10:00"));
    assert_eq!((end, end - start), (at("2011-12-31T00:00:00+14:00"), 24 * 3600));
}

#[test]
fn clocks_that_are_set_back_across_midnight_do_not_reopen_the_day() {
    // In St. John's, clocks were set back from 00:01 on 2010-11-07 to 23:01 on 2010-11-06.
    let midnight = at("2010-11-07T00:00:00-02:30");
    let next_midnight = at("2010-11-08T00:00:00-03:30");
    let again_saturday = at("2010-11-06T23:30:00-03:30");
    assert_eq!(of("1d", "America/St_Johns", midnight - 1).1, midnight);
    assert_eq!(of("1d", "America/St_Johns", again_saturday), (midnight, next_midnight));
}

#[test]
fn anything_else_is_an_error_with_examples() {
    for text in ["", "1", "m", "0s", "-1m", "1.5h", "1y", "1 m", "+1m", "99999999999d", "101M0"] {
        let error = text.parse::<Interval>().expect_err(text).to_string();
        assert!(error.contains("1d"), "{error}");
    }
    let error = "Buenos_Aires".parse::<Zone>().unwrap_err().to_string();
    assert!(error.contains("America/Argentina/Buenos_Aires"), "{error}");
}

#[test]
fn an_interval_is_a_number_with_a_unit() {
    for (text, expected) in [
        ("10s", Interval::Seconds(10)),
        ("5m", Interval::Seconds(300)),
        ("4h", Interval::Seconds(14_400)),
        ("3d", Interval::Days(3)),
        ("2w", Interval::Weeks(2)),
        ("6M", Interval::Months(6)),
    ] {
        assert_eq!(text.parse(), Ok(expected), "{text}");
    }
}

#[test]
fn a_zone_is_written_with_its_name() {
    for name in ["UTC", "America/Argentina/Buenos_Aires"] {
        assert_eq!(name.parse::<Zone>().unwrap().to_string(), name);
    }
}

#[test]
fn the_local_time_depends_on_the_zone() {
    let zone: Zone = "America/Argentina/Buenos_Aires".parse().unwrap();
    let local = zone.local(at("2024-05-31T02:30:00Z")).unwrap();
    assert_eq!(local.to_string(), "2024-05-30 23:30:00");
    assert_eq!(zone.local(i64::MAX), None);
}

#[test]
fn an_interval_that_begins_before_the_calendar_is_one_second() {
    let century: Interval = "1200M".parse().unwrap();
    let first = NaiveDate::MIN.and_time(NaiveTime::MIN).and_utc().timestamp() + 86_400;
    assert_eq!(century.start_of(first, Zone::UTC), first);
    assert_eq!(century.end_of(first, Zone::UTC), first + 1);
}

proptest! {
    /// Intervals follow each other without gap or overlap, even when clocks change.
    #[test]
    fn intervals_cover_all_time(
        second in -2_000_000_000i64..4_000_000_000,
        interval in prop::sample::select(
            vec!["10s", "7m", "4h", "1d", "3d", "1w", "2w", "1M", "3M", "12M"]),
        zone in prop::sample::select(vec![
            "UTC", "America/Argentina/Buenos_Aires", "Europe/Berlin", "Asia/Kathmandu",
            "Pacific/Apia", "America/Sao_Paulo", "America/St_Johns", "Australia/Lord_Howe", "Asia/Tehran"]),
    ) {
        let (interval, zone): (Interval, Zone) =
            (interval.parse().unwrap(), zone.parse().unwrap());
        let start = interval.start_of(second, zone);
        let end = interval.end_of(start, zone);
        prop_assert!(start <= second && second < end, "{start} {second} {end}");
        for inside in [start, i64::midpoint(start, end), end - 1] {
            prop_assert_eq!(interval.start_of(inside, zone), start);
        }
        prop_assert_eq!(interval.start_of(end, zone), end);
    }
}
