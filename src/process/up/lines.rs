//! The log lines of children, under their names; those of redis-server in the form of all others.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

use crate::{clock::machine_time, config::LogFormat};

/// How redis-server begins lines that it has at the highest level though they are no warnings: at each
/// start and end, and advice about the machine.
const NO_WARNINGS: [&str; 9] = [
    "oO0OoO0OoO0Oo ",
    "Redis version=",
    "Configuration loaded",
    "Server initialized",
    "WARNING Memory overcommit",
    "WARNING overcommit_memory",
    "WARNING you have Transparent Huge Pages",
    "User requested shutdown",
    "Redis is now ready to exit",
];

/// A line that redis-server has logged.
struct OfRedis<'a> {
    time: DateTime<Utc>,
    level: &'static str,
    message: &'a str,
}

impl<'a> OfRedis<'a> {
    /// Reads `<pid>:<role> <day> <month> <year> <time> <level> <message>`; the time is in UTC, since it
    /// is started so.
    fn read(line: &'a str) -> Option<Self> {
        let (process, rest) = line.split_once(' ')?;
        let (pid, _role) = process.split_once(':')?;
        pid.parse::<u32>().ok()?;
        let (time, rest) =
            NaiveDateTime::parse_and_remainder(rest, "%d %b %Y %H:%M:%S%.3f").ok()?;
        let (level, message) = rest.strip_prefix(' ')?.split_once(' ')?;
        let is_no_warning = NO_WARNINGS.iter().any(|beginning| message.starts_with(beginning));
        let level = match level {
            "." => "DEBUG",
            "-" | "*" => "INFO",
            "#" if is_no_warning => "INFO",
            "#" => "WARN",
            _ => return None,
        };
        let message = if is_no_warning {
            message.strip_prefix("WARNING ").unwrap_or(message)
        } else {
            message
        };
        Some(Self { time: time.and_utc(), level, message })
    }
}

/// The line of a child under its name. A JSON line has `timestamp`, `level` and `message`, whatever the
/// child has printed.
pub(super) fn named(name: &str, format: LogFormat, line: &str) -> String {
    let of_redis = OfRedis::read(line);
    match (format, of_redis) {
        (LogFormat::Text, None) => format!("{name:<9} | {line}"),
        (LogFormat::Text, Some(OfRedis { time, level, message })) => {
            format!("{name:<9} | {} {level:>5} {message}", rfc3339(time))
        }
        (LogFormat::Json, of_redis) => {
            let mut fields = match (serde_json::from_str(line), of_redis) {
                (Ok(Value::Object(fields)), _) => fields,
                (_, Some(OfRedis { time, level, message })) => object(time, level, message),
                _ => object(now(), "INFO", line),
            };
            fields.insert("process".to_owned(), name.into());
            Value::Object(fields).to_string()
        }
    }
}

fn object(time: DateTime<Utc>, level: &str, message: &str) -> Map<String, Value> {
    let fields = [("timestamp", rfc3339(time).as_str()), ("level", level), ("message", message)]
        .map(|(name, value)| (name.to_owned(), Value::from(value)));
    fields.into_iter().collect()
}

fn now() -> DateTime<Utc> {
    let time = machine_time();
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, time.subsec_nanos()).unwrap_or_default()
}

/// In the form in which `tracing` writes times.
fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of a line of redis, printed as JSON.
    fn json(line: &str) -> Value {
        serde_json::from_str(&named("redis", LogFormat::Json, line)).unwrap()
    }

    #[test]
    fn a_line_carries_the_name_of_its_process() {
        assert_eq!(named("api", LogFormat::Text, "hello"), "api       | hello");
        let json = named("api", LogFormat::Json, r#"{"level":"INFO"}"#);
        assert_eq!(json, r#"{"level":"INFO","process":"api"}"#);
    }

    #[test]
    fn a_plain_line_gets_time_and_level() {
        let line = json("14831:signal-handler (1795641937) Received SIGTERM");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "14831:signal-handler (1795641937) Received SIGTERM");
        let time = line["timestamp"].as_str().unwrap();
        let age = now() - DateTime::parse_from_rfc3339(time).unwrap().to_utc();
        assert!(age.num_seconds().abs() < 60, "{time}");
        assert_eq!(json("17")["message"], "17");
    }

    #[test]
    fn a_line_of_redis_has_its_time_and_level_in_our_form() {
        let line = "14831:M 05 Nov 2026 21:25:35.519 # Bad file format";
        let expected = serde_json::json!({
            "timestamp": "2026-11-05T21:25:35.519000Z",
            "level": "WARN",
            "message": "Bad file format",
            "process": "redis",
        });
        assert_eq!(json(line), expected);
        let text = named("redis", LogFormat::Text, line);
        assert_eq!(text, "redis     | 2026-11-05T21:25:35.519000Z  WARN Bad file format");
        for (level, expected) in [(".", "DEBUG"), ("-", "INFO"), ("*", "INFO"), ("#", "WARN")] {
            let line = json(&format!("1:C 31 Dec 2026 00:00:00.000 {level} a - b"));
            assert_eq!((&line["level"], &line["message"]), (&expected.into(), &"a - b".into()));
        }
    }

    #[test]
    fn what_redis_says_at_each_start_is_no_warning() {
        let line =
            json("1:M 25 Nov 2026 21:25:35.519 # WARNING Memory overcommit must be enabled!");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "Memory overcommit must be enabled!");
        assert_eq!(json("1:C 25 Nov 2026 21:25:35.518 # Configuration loaded")["level"], "INFO");
    }
}
