//! Paged lists in the format of Django REST Framework.

use poem::{Request, http::header};
use poem_openapi::{
    ApiResponse, Object,
    payload::Json,
    types::{ParseFromJSON, ToJSON, Type},
};
use serde::Serialize;

use super::{
    error::{ApiError, Problem},
    formats::ListBody,
    links::Links,
    params::Format,
    proxies::Proxies,
};
use crate::{
    domain::{Page, PageNumber, PageSize},
    history::Answered,
};

/// One page of a list.
#[derive(Debug, Object, Serialize)]
pub(super) struct Listing<T: Type + ParseFromJSON + ToJSON> {
    /// Number of items in the whole range.
    count: u64,
    /// URL of the next page; null on the last page.
    next: Option<String>,
    /// URL of the previous page; null on the first page.
    previous: Option<String>,
    /// Items of this page in the requested order.
    results: Vec<T>,
}

/// Response to a request for a list.
#[derive(ApiResponse)]
pub(super) enum ListingAnswer<T: Type + ParseFromJSON + ToJSON + Serialize> {
    /// One page as JSON, or the whole range as CSV or NDJSON.
    #[oai(status = 200)]
    List(
        ListBody<Listing<T>, T>,
        /// Present only if the store is unreachable and the response may be outdated: Unix time in
        /// seconds (UTC) of the last contact with the store.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
    /// The requested page does not exist.
    #[oai(status = 404, content_type = "application/problem+json")]
    NoSuchPage(Json<Problem>),
}

impl<T: Type + ParseFromJSON + ToJSON + Serialize + 'static> ListingAnswer<T> {
    /// Creates the response with a page; a 404 if the page does not exist.
    pub(super) fn of<U: Into<T>>(
        page: Answered<Option<Page<U>>>,
        request: &Request,
        proxies: &Proxies,
    ) -> Self {
        let Answered { value: Some(page), until } = page else {
            return Self::NoSuchPage(Json(Problem::invalid_page()));
        };
        let links = Links::of(request, proxies);
        let to = |number: Option<u64>| number.map(|number| links.to_page(number));
        let (next, previous) = (to(page.next()), to(page.previous()));
        let ends = [("first", Some(links.to_page(1))), ("last", to(Some(page.pages)))];
        let near = [("next", next.clone()), ("prev", previous.clone())];
        let header = links_header(near.into_iter().chain(ends));
        let results = page.items.into_iter().map(Into::into).collect();
        let listing = Listing { count: page.count, next, previous, results };
        Self::List(ListBody::json(&listing).with_header(header::LINK, &header), until)
    }
}

/// Returns the value of a header `Link` (RFC 8288).
pub(super) fn links_header<'a>(
    links: impl IntoIterator<Item = (&'a str, Option<String>)>,
) -> String {
    let links = links.into_iter().filter_map(|(relation, link)| Some((relation, link?)));
    let links = links.map(|(relation, link)| format!("<{link}>; rel=\"{relation}\""));
    links.collect::<Vec<_>>().join(", ")
}

/// Rejects the parameters `page` and `page_size` for CSV and NDJSON, which are not paged.
pub(super) fn reject_page_parameters(
    format: Format,
    page: Option<PageNumber>,
    page_size: Option<PageSize>,
) -> Result<(), ApiError> {
    let given = [("page", page.is_some()), ("page_size", page_size.is_some())];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) if format != Format::Json => {
            let detail = format!(
                "{name}: not allowed with CSV and NDJSON, which have the whole range; omit it"
            );
            Err(ApiError::parameter(name, detail))
        }
        _ => Ok(()),
    }
}
