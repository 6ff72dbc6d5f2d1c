//! Paged lists, as Django REST Framework answers them.

use poem::Request;
use poem_openapi::{
    ApiResponse, Object,
    payload::Json,
    types::{ParseFromJSON, ToJSON, Type},
};

use super::{error::Problem, links::Links, proxies::Proxies};
use crate::{domain::Page, history::Known};

/// One page of a list.
#[derive(Debug, Object)]
pub(super) struct Listing<T: Type + ParseFromJSON + ToJSON> {
    /// How many there are in the whole range.
    count: u64,
    /// The address of the next page; null on the last one.
    next: Option<String>,
    /// The address of the page before; null on the first one.
    previous: Option<String>,
    /// Those of this page, oldest first.
    results: Vec<T>,
}

/// The answer to a question for a page.
#[derive(ApiResponse)]
pub(super) enum ListingAnswer<T: Type + ParseFromJSON + ToJSON> {
    /// The page.
    #[oai(status = 200)]
    Page(
        Json<Listing<T>>,
        /// Set while the store is away: the answer may have changed since this unix second.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
    /// There is no such page.
    #[oai(status = 404, content_type = "application/problem+json")]
    NoSuchPage(Json<Problem>),
}

impl<T: Type + ParseFromJSON + ToJSON> ListingAnswer<T> {
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
        let listing = Listing {
            count: page.count,
            next: page.next().map(|number| links.to_page(number)),
            previous: page.previous().map(|number| links.to_page(number)),
            results: page.items.into_iter().map(Into::into).collect(),
        };
        Self::Page(Json(listing), until)
    }
}
