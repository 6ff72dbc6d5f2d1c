//! Absolute links to other parts of a list. Links to pages have the form of Django REST Framework.

use poem::{Request, http::Uri};
use url::form_urlencoded;

use super::proxies::Proxies;

/// The requested URL, from which links are built.
#[derive(Debug)]
pub(super) struct Links {
    origin: String,
    path: String,
    /// Query parameters as name and value.
    parameters: Vec<(String, String)>,
}

impl Links {
    /// Reads the URL as the client sent it.
    pub(super) fn of(request: &Request, proxies: &Proxies) -> Self {
        Self::new(proxies.origin(request), request.original_uri())
    }

    fn new(origin: String, uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default().as_bytes();
        let parameters = form_urlencoded::parse(query).into_owned().collect();
        Self { origin, path: uri.path().to_owned(), parameters }
    }

    /// Returns the link to a page; the link to the first page has no parameter `page`.
    pub(super) fn to_page(&self, number: u64) -> String {
        let page = (number > 1).then(|| number.to_string());
        self.with(&[("page", page.as_deref())])
    }

    /// Returns the URL with some parameters changed, or removed where the value is `None`.
    pub(super) fn with(&self, changes: &[(&str, Option<&str>)]) -> String {
        let is_kept = |name: &str| changes.iter().all(|(changed, _)| *changed != name);
        let kept = self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let changed = changes.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        let mut parameters: Vec<(&str, &str)> =
            kept.filter(|(name, _)| is_kept(name)).chain(changed).collect();
        parameters.sort_by_key(|(name, _)| *name);
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{}{mark}{query}", self.origin, self.path)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the parameters of a link without `page`, sorted by name, and the values of `page`.
    fn parameters(link: &str) -> (Vec<(String, String)>, Vec<String>) {
        let link = url::Url::parse(link).unwrap();
        let (pages, mut others): (Vec<_>, Vec<_>) =
            link.query_pairs().into_owned().partition(|(name, _)| name == "page");
        others.sort_by(|(one, _), (other, _)| one.cmp(other));
        (others, pages.into_iter().map(|(_, page)| page).collect())
    }

    proptest! {
        #[test]
        fn a_link_keeps_all_parameters_and_sets_the_page(
            given in prop::collection::vec(("[a-z_]{0,9}|page|.{0,4}", ".{0,12}"), 0..6),
            raw in "[a-z0-9=&%+;:/?@!$'()*,.~_-]{0,20}",
            number in 1u64..1000,
        ) {
            let query =
                form_urlencoded::Serializer::new(String::new()).extend_pairs(&given).finish();
            let uri = format!("/api/ticker-list/?{query}&{raw}");
            let origin = "http://a.example:1".to_owned();
            let (expected, _) = parameters(&format!("{origin}{uri}"));
            let link = Links::new(origin, &uri.parse().unwrap()).to_page(number);
            let (linked, pages) = parameters(&link);
            prop_assert!(link.starts_with("http://a.example:1/api/ticker-list/"), "{link}");
            prop_assert_eq!(linked, expected);
            prop_assert_eq!(pages, if number == 1 { vec![] } else { vec![number.to_string()] });
        }
    }
}
