//! Logging: the level and format of log lines. Depends on the configuration.

use std::{fmt, io::IsTerminal, time::Duration};

use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    filter::ParseError,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{JsonFields, Writer},
        time::{FormatTime, SystemTime},
    },
    registry::{LookupSpan, Scope},
};

use crate::config::{Log, LogFormat};

/// Configures logging to standard error.
///
/// apalis and redis-rs are silenced: they also return what they log as errors, which are logged where they
/// are handled.
///
/// # Errors
/// Returns an error if the level cannot be parsed.
pub fn init(log: &Log) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(format!(
        "apalis_core=off,apalis_redis=off,redis=off,poem=warn,{}",
        log.level
    ))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // If standard error is closed, reporting that error to standard error would panic.
        .log_internal_errors(false)
        .with_target(false);
    match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => {
            lines.with_ansi(false).fmt_fields(JsonFields::new()).event_format(JsonLines).init();
        }
    }
    Ok(())
}

/// Returns a duration in seconds, rounded to the millisecond, for a log field whose name ends in `_s`.
pub fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// A formatter of events as JSON objects with `timestamp`, `level`, `message`, the fields of the enclosing
/// spans and the fields of the event. Unlike in the JSON format of `tracing_subscriber`, all fields are at
/// the top level, so fields such as `job` and `slot` have the same place whether the event or its span sets
/// them.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (mut timestamp, mut fields) = (String::new(), String::new());
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        context.field_format().format_fields(Writer::new(&mut fields), event)?;
        let mut own = object(&fields);
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), timestamp.into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.extend(own.remove_entry("message"));
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.extend(object(&fields.fields));
            }
        }
        line.extend(own);
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Parses fields from a JSON object. Returns none if the text is not a JSON object.
fn object(fields: &str) -> Map<String, Value> {
    serde_json::from_str(fields).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::Arc,
    };

    use parking_lot::Mutex;

    use super::*;

    /// A writer that keeps its output in memory.
    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_has_a_timestamp_a_level_and_the_fields_of_its_spans() {
        let output = Output::default();
        let to = output.clone();
        let lines = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .with_ansi(false)
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines)
            .finish();
        tracing::subscriber::with_default(lines, || {
            let span = tracing::error_span!("run", job = "01J", slot = Some(1_717_184_860_i64));
            let _inside = span.enter();
            let lasted_s = seconds(Duration::from_micros(1_234_567));
            tracing::warn!(lasted_s, text = "a\n\u{1b}[31m", "hello");
        });
        let text = String::from_utf8(output.0.lock().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{text}");
        assert_eq!((&line["level"], &line["message"]), (&"WARN".into(), &"hello".into()));
        assert_eq!((&line["job"], &line["slot"]), (&"01J".into(), &1_717_184_860.into()));
        assert_eq!(line["lasted_s"], 1.235);
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
