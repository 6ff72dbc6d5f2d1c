//! The formats of lists: JSON in pages, CSV and NDJSON as a stream of all rows.

use futures_util::{Stream, StreamExt as _};
use hyper::body::Bytes;
use poem::{
    Body, IntoResponse, Request, Response,
    http::{HeaderValue, header},
};
use poem_openapi::{
    ResponseContent,
    registry::{MetaMediaType, MetaSchema, MetaSchemaRef, Registry},
    types::Type,
};
use serde::Serialize;
use url::form_urlencoded;

use super::params::Format;
use crate::http_server::media_ranges;

const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";

/// Operations that return a list in a format of the client's choice.
const LISTS: [&str; 3] = ["/api/candles", "/api/gaps", "/api/ticker-list"];

/// Returns whether the format of the response depends on the header `Accept`.
pub(super) fn is_negotiated(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let mut names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    LISTS.contains(&request.uri().path()) && names.all(|name| name != "format")
}

impl Format {
    /// Returns the requested format: that of the parameter if given, else that of the header `Accept`.
    pub(super) fn of(parameter: Option<Self>, request: &Request) -> Self {
        parameter.unwrap_or_else(|| {
            let lines = request.headers().get_all(header::ACCEPT);
            let lines: Vec<&str> = lines.iter().filter_map(|line| line.to_str().ok()).collect();
            Self::preferred(&lines.join(","))
        })
    }

    /// Returns the format with the highest weight in a header `Accept`; JSON if it names no known format.
    fn preferred(accept: &str) -> Self {
        let weighted = media_ranges(accept).into_iter().filter_map(|(kind, weight)| {
            let format = match kind.as_str() {
                CSV | "text/*" => Self::Csv,
                NDJSON | "application/ndjson" | "application/jsonl" => Self::Ndjson,
                JSON | "application/*" | "*/*" => Self::Json,
                _ => return None,
            };
            (weight > 0.0).then_some((format, weight))
        });
        // If weights are equal, the first format wins.
        let highest = weighted.reduce(|one, other| if other.1 > one.1 { other } else { one });
        highest.map_or(Self::Json, |(format, _)| format)
    }
}

/// The body of a response with a list: `T` is the object of the JSON format, `R` is one row.
pub(super) struct ListBody<T, R> {
    response: Response,
    types: std::marker::PhantomData<fn() -> (T, R)>,
}

impl<T: Serialize, R: Serialize + Send + 'static> ListBody<T, R> {
    /// Creates a JSON body from an object.
    pub(super) fn json(object: &T) -> Self {
        // These objects have only texts and numbers, so serialization cannot fail.
        let text = serde_json::to_vec(object).unwrap_or_default();
        Self::new(JSON, Body::from_vec(text))
    }

    /// Creates a streamed body of all rows. `columns` are the names of the columns, used for CSV. An error
    /// aborts the response, which the client sees as an incomplete HTTP body.
    pub(super) fn rows<E: std::error::Error + Send + Sync + 'static>(
        format: Format,
        columns: Vec<&'static str>,
        batches: impl Stream<Item = Result<Vec<R>, E>> + Send + 'static,
    ) -> Self {
        if format == Format::Ndjson {
            let rows = batches.map(|rows| Ok::<_, std::io::Error>(ndjson(&rows.map_err(aborted)?)));
            return Self::new(NDJSON, Body::from_bytes_stream(rows));
        }
        let header = futures_util::stream::iter([Ok(csv_rows(&[columns]))]);
        let rows = batches.map(|rows| Ok::<_, std::io::Error>(csv_rows(&rows.map_err(aborted)?)));
        Self::new("text/csv; charset=utf-8", Body::from_bytes_stream(header.chain(rows)))
    }

    fn new(kind: &'static str, body: Body) -> Self {
        let response = Response::builder().content_type(kind).body(body);
        Self { response, types: std::marker::PhantomData }
    }

    /// Adds a header to the response.
    pub(super) fn with_header(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.response.headers_mut().insert(name, value);
        }
        self
    }
}

fn aborted(error: impl std::error::Error + Send + Sync + 'static) -> std::io::Error {
    tracing::warn!(%error, "a streamed response was aborted");
    std::io::Error::other(error)
}

fn ndjson(rows: &[impl Serialize]) -> Bytes {
    let mut text = Vec::new();
    for row in rows {
        if serde_json::to_writer(&mut text, row).is_ok() {
            text.push(b'\n');
        }
    }
    text.into()
}

fn csv_rows(rows: &[impl Serialize]) -> Bytes {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    for row in rows {
        // Writing to memory cannot fail.
        let _written = writer.serialize(row);
    }
    writer.into_inner().unwrap_or_default().into()
}

impl<T: Type, R: Type> ResponseContent for ListBody<T, R> {
    fn media_types() -> Vec<MetaMediaType> {
        let text = || MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")));
        vec![
            MetaMediaType { content_type: JSON, schema: T::schema_ref() },
            MetaMediaType { content_type: CSV, schema: text() },
            MetaMediaType { content_type: NDJSON, schema: text() },
        ]
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
        R::register(registry);
    }
}

impl<T: Send, R: Send> IntoResponse for ListBody<T, R> {
    fn into_response(self) -> Response {
        self.response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_selects_the_format() {
        for (accept, format) in [
            ("*/*", Format::Json),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Json),
            ("text/csv", Format::Csv),
            ("text/csv;q=0.5, application/json;q=0.9", Format::Json),
            ("application/json;q=0.5, application/x-ndjson", Format::Ndjson),
            ("text/csv;q=0", Format::Json),
            ("Text/CSV", Format::Csv),
            ("application/json;Q=0.5, text/csv; q=0.9", Format::Csv),
            ("text/*", Format::Csv),
            ("", Format::Json),
            ("image/png", Format::Json),
        ] {
            assert_eq!(Format::preferred(accept), format, "{accept}");
        }
    }
}
