//! Paged lists, as Django REST Framework answers them.

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
    history::Known,
};

/// One page of a list.
#[derive(Debug, Object, Serialize)]
pub(super) struct Listing<T: Type + ParseFromJSON + ToJSON> {
    /// How many there are in the whole range.
    count: u64,
    /// The address of the next page; null on the last one.
    next: Option<String>,
    /// The address of the page before; null on the first one.
    previous: Option<String>,
    /// Those of this page, in the order that was asked for.
    results: Vec<T>,
}

/// The answer to a question for a list.
#[derive(ApiResponse)]
pub(super) enum ListingAnswer<T: Type + ParseFromJSON + ToJSON + Serialize> {
    /// The page as JSON, or all of the range as CSV or NDJSON.
    #[oai(status = 200)]
    List(
        ListBody<Listing<T>, T>,
        /// Set while the store is away: the answer may have changed since this unix second.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
    /// There is no such page.
    #[oai(status = 404, content_type = "application/problem+json")]
    NoSuchPage(Json<Problem>),
}

impl<T: Type + ParseFromJSON + ToJSON + Serialize + 'static> ListingAnswer<T> {
    /// The answer to the request that asked for the page, which may be past the end.
    pub(super) fn of<U: Into<T>>(
        page: Known<Option<Page<U>>>,
        request: &Request,
        proxies: &Proxies,
    ) -> Self {
        let Known { value: Some(page), until } = page else {
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

/// The value of a header `Link` (RFC 8288).
pub(super) fn links_header<'a>(
    links: impl IntoIterator<Item = (&'a str, Option<String>)>,
) -> String {
    let links = links.into_iter().filter_map(|(relation, link)| Some((relation, link?)));
    let links = links.map(|(relation, link)| format!("<{link}>; rel=\"{relation}\""));
    links.collect::<Vec<_>>().join(", ")
}

/// Refuses pages of a format that has none.
pub(super) fn without_pages(
    format: Format,
    page: Option<PageNumber>,
    page_size: Option<PageSize>,
) -> Result<(), ApiError> {
    let given = [("page", page.is_some()), ("page_size", page_size.is_some())];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) if format != Format::Json => {
            let detail = format!("{name}: CSV and NDJSON have no pages: leave it out to get all");
            Err(ApiError::parameter(name, detail))
        }
        _ => Ok(()),
    }
}
