//! The log lines of children: adds their names, and converts the lines of redis-server to the format of the
//! others. Depends on `clock` and `config`.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

use crate::{clock::machine_time, config::LogFormat};

/// How lines of redis-server begin that have its highest level but are not warnings: those of a normal start
/// and end, and advice about the machine.
const NOT_WARNINGS: [&str; 9] = [
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

/// A log line of redis-server.
struct RedisLine<'a> {
    time: DateTime<Utc>,
    level: &'static str,
    message: &'a str,
}

impl<'a> RedisLine<'a> {
    /// Parses `<pid>:<role> <day> <month> <year> <time> <level> <message>`. The time is in UTC, since
    /// redis-server is started with this time zone.
    fn parse(line: &'a str) -> Option<Self> {
        let (process, rest) = line.split_once(' ')?;
        let (pid, _role) = process.split_once(':')?;
        pid.parse::<u32>().ok()?;
        let (time, rest) =
            NaiveDateTime::parse_and_remainder(rest, "%d %b %Y %H:%M:%S%.3f").ok()?;
        let (level, message) = rest.strip_prefix(' ')?.split_once(' ')?;
        let is_notice = NOT_WARNINGS.iter().any(|beginning| message.starts_with(beginning));
        let level = match level {
            "." => "DEBUG",
            "-" | "*" => "INFO",
            "#" if is_notice => "INFO",
            "#" => "WARN",
            _ => return None,
        };
        let message =
            if is_notice { message.strip_prefix("WARNING ").unwrap_or(message) } else { message };
        Some(Self { time: time.and_utc(), level, message })
    }
}

/// Returns the line of a child with its name. A JSON line always has `timestamp`, `level` and `message`, even
/// if the child has printed plain text.
pub(super) fn with_name(name: &str, format: LogFormat, line: &str) -> String {
    let redis_line = RedisLine::parse(line);
    match (format, redis_line) {
        (LogFormat::Text, None) => format!("{name:<9} | {line}"),
        (LogFormat::Text, Some(RedisLine { time, level, message })) => {
            format!("{name:<9} | {} {level:>5} {message}", rfc3339(time))
        }
        (LogFormat::Json, redis_line) => {
            let mut fields = match (serde_json::from_str(line), redis_line) {
                (Ok(Value::Object(fields)), _) => fields,
                (_, Some(RedisLine { time, level, message })) => object(time, level, message),
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

/// Formats a time like `tracing` does.
fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the fields of a line of redis-server that was converted to JSON.
    fn json(line: &str) -> Value {
        serde_json::from_str(&with_name("redis", LogFormat::Json, line)).unwrap()
    }

    #[test]
    fn a_line_contains_the_name_of_its_process() {
        assert_eq!(with_name("api", LogFormat::Text, "hello"), "api       | hello");
        let json = with_name("api", LogFormat::Json, r#"{"level":"INFO"}"#);
        assert_eq!(json, r#"{"level":"INFO","process":"api"}"#);
    }

    #[test]
    fn a_plain_text_line_gets_a_time_and_a_level() {
        let line = json("14831:signal-handler (1795641937) Received SIGTERM");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "14831:signal-handler (1795641937) Received SIGTERM");
        let time = line["timestamp"].as_str().unwrap();
        let age = now() - DateTime::parse_from_rfc3339(time).unwrap().to_utc();
        assert!(age.num_seconds().abs() < 60, "{time}");
        assert_eq!(json("17")["message"], "17");
    }

    #[test]
    fn a_line_of_redis_is_converted_with_its_time_and_level() {
        let line = "14831:M 05 Nov 2026 21:25:35.519 # Bad file format";
        let expected = serde_json::json!({
            "timestamp": "2026-11-05T21:25:35.519000Z",
            "level": "WARN",
            "message": "Bad file format",
            "process": "redis",
        });
        assert_eq!(json(line), expected);
        let text = with_name("redis", LogFormat::Text, line);
        assert_eq!(text, "redis     | 2026-11-05T21:25:35.519000Z  WARN Bad file format");
        for (level, expected) in [(".", "DEBUG"), ("-", "INFO"), ("*", "INFO"), ("#", "WARN")] {
            let line = json(&format!("1:C 31 Dec 2026 00:00:00.000 {level} a - b"));
            assert_eq!((&line["level"], &line["message"]), (&expected.into(), &"a - b".into()));
        }
    }

    #[test]
    fn lines_of_a_normal_start_of_redis_are_not_warnings() {
        let line =
            json("1:M 25 Nov 2026 21:25:35.519 # WARNING Memory overcommit must be enabled!");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "Memory overcommit must be enabled!");
        assert_eq!(json("1:C 25 Nov 2026 21:25:35.518 # Configuration loaded")["level"], "INFO");
    }
}
