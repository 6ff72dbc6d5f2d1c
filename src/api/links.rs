//! Absolute links to other pages of a list, as Django REST Framework writes them.

use poem::Request;
use url::form_urlencoded;

use super::proxies::Proxies;

/// The address that was asked for, from which the links to other pages are made.
#[derive(Debug)]
pub(super) struct Links {
    origin: String,
    path: String,
    /// The query's parameters without `page`, sorted by name.
    parameters: Vec<(String, String)>,
}

impl Links {
    /// Reads the address as the client wrote it.
    pub(super) fn of(request: &Request, proxies: &Proxies) -> Self {
        let uri = request.original_uri();
        let query = uri.query().unwrap_or_default().as_bytes();
        let mut parameters: Vec<(String, String)> =
            form_urlencoded::parse(query).into_owned().filter(|(name, _)| name != "page").collect();
        parameters.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self { origin: proxies.origin(request), path: uri.path().to_owned(), parameters }
    }

    /// The link to the page; the first one is the address without `page`.
    pub(super) fn to_page(&self, number: u64) -> String {
        let mut parameters = self.parameters.clone();
        if number > 1 {
            let at = parameters.partition_point(|(name, _)| name.as_str() < "page");
            parameters.insert(at, ("page".to_owned(), number.to_string()));
        }
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{}{mark}{query}", self.origin, self.path)
    }
}
