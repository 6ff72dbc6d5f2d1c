//! The formats of lists: JSON page by page, CSV and NDJSON as a whole, streamed.

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

/// Operations with a list, whose format clients may choose.
const LISTS: [&str; 3] = ["/api/candles", "/api/gaps", "/api/ticker-list"];

/// Whether the format of the answer depends on the header `Accept`.
pub(super) fn is_negotiated(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let mut names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    LISTS.contains(&request.uri().path()) && names.all(|name| name != "format")
}

impl Format {
    /// The format that was asked for, by the parameter or else by the header `Accept`.
    pub(super) fn of(parameter: Option<Self>, request: &Request) -> Self {
        parameter.unwrap_or_else(|| {
            let lines = request.headers().get_all(header::ACCEPT);
            let lines: Vec<&str> = lines.iter().filter_map(|line| line.to_str().ok()).collect();
            Self::preferred(&lines.join(","))
        })
    }

    /// Of the formats that a header `Accept` names, the one with the highest weight; JSON if it is none.
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
        // The first one of the highest weight.
        let highest = weighted.reduce(|one, other| if other.1 > one.1 { other } else { one });
        highest.map_or(Self::Json, |(format, _)| format)
    }
}

/// The body of an answer with a list: `T` is the object that is answered as JSON, `R` a row of it.
pub(super) struct ListBody<T, R> {
    response: Response,
    types: std::marker::PhantomData<fn() -> (T, R)>,
}

impl<T: Serialize, R: Serialize + Send + 'static> ListBody<T, R> {
    /// The whole object as JSON.
    pub(super) fn json(object: &T) -> Self {
        // These objects have text and numbers alone, which can always be written.
        let text = serde_json::to_vec(object).unwrap_or_default();
        Self::new(JSON, Body::from_vec(text))
    }

    /// All rows. `header` has the names of the columns, for CSV. An error ends the answer in the middle,
    /// which HTTP tells the client.
    pub(super) fn rows<E: std::error::Error + Send + Sync + 'static>(
        format: Format,
        columns: Vec<&'static str>,
        batches: impl Stream<Item = Result<Vec<R>, E>> + Send + 'static,
    ) -> Self {
        if format == Format::Ndjson {
            let lines = batches.map(|rows| Ok::<_, std::io::Error>(lines(&rows.map_err(ended)?)));
            return Self::new(NDJSON, Body::from_bytes_stream(lines));
        }
        let header = futures_util::stream::iter([Ok(table(&[columns]))]);
        let rows = batches.map(|rows| Ok::<_, std::io::Error>(table(&rows.map_err(ended)?)));
        Self::new("text/csv; charset=utf-8", Body::from_bytes_stream(header.chain(rows)))
    }

    fn new(kind: &'static str, body: Body) -> Self {
        let response = Response::builder().content_type(kind).body(body);
        Self { response, types: std::marker::PhantomData }
    }

    /// The same with a header.
    pub(super) fn with_header(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.response.headers_mut().insert(name, value);
        }
        self
    }
}

fn ended(error: impl std::error::Error + Send + Sync + 'static) -> std::io::Error {
    tracing::warn!(%error, "an answer ended in the middle");
    std::io::Error::other(error)
}

fn lines(rows: &[impl Serialize]) -> Bytes {
    let mut text = Vec::new();
    for row in rows {
        if serde_json::to_writer(&mut text, row).is_ok() {
            text.push(b'\n');
        }
    }
    text.into()
}

fn table(rows: &[impl Serialize]) -> Bytes {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    for row in rows {
        // Writing into memory cannot fail.
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
    fn the_header_accept_names_the_format_that_is_preferred() {
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
