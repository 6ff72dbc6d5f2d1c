//! Normalisation of request paths, and their routes as metric labels: a fixed set, regardless of the paths
//! that clients request.

use poem::{Request, http::Uri};
use poem_openapi::OpenApi;

/// Paths that are not in the OpenAPI document.
const OTHERS: [&str; 6] = ["/", "/docs", "/help", "/metrics", "/openapi.json", "/openapi.yaml"];

/// Paths of the API, with their parameters in braces.
pub(super) struct KnownPaths(Vec<String>);

impl KnownPaths {
    /// Collects the paths of an API and the paths that are not in its OpenAPI document.
    pub(super) fn of<Api: OpenApi>() -> Self {
        let paths = Api::meta().into_iter().flat_map(|api| api.paths).map(|path| path.path);
        Self(paths.chain(OTHERS.map(str::to_owned)).collect())
    }

    /// Returns the route that a normalised path matches, or `other`.
    pub(super) fn route(&self, path: &str) -> &str {
        let exact = self.0.iter().find(|known| *known == path);
        let matching = || self.0.iter().find(|known| known.contains('{') && matches(known, path));
        exact.or_else(matching).map_or("other", String::as_str)
    }
}

/// Normalises the path of a request to the form of the routes. Must run before anything that reads the path.
pub(super) fn normalise(request: &mut Request) {
    if let Some(uri) = normalised(request.uri()) {
        *request.uri_mut() = uri;
    }
}

/// Returns the URI with repeated slashes collapsed and the trailing slash removed from its path; `None` if
/// nothing changes.
fn normalised(uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query()?.path();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let normal = format!("/{}", parts.join("/"));
    // The target of an OPTIONS request may be `*`, which is not a path.
    if normal == path || !path.starts_with('/') {
        return None;
    }
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{normal}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// Returns whether a path matches a template: each part is equal, or is a parameter of the template.
fn matches(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(part), Some(given)) if part == given => {}
            (Some(part), Some(given)) if part.starts_with('{') && !given.is_empty() => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_mapped_to_its_route() {
        let known = ["/api/latest", "/api/btc/ars/{volume}", "/"].map(str::to_owned);
        let paths = KnownPaths(known.to_vec());
        for (path, route) in [
            ("/", "/"),
            ("/api/latest", "/api/latest"),
            ("/api/btc/ars/0.1", "/api/btc/ars/{volume}"),
            ("/api/btc/ars", "other"),
            ("/api/btc/ars/1/2", "other"),
            ("/admin.php", "other"),
        ] {
            assert_eq!(paths.route(path), route, "{path}");
        }
    }

    #[test]
    fn repeated_and_trailing_slashes_are_removed() {
        for (given, expected) in [
            ("/api/latest", None),
            ("/", None),
            ("*", None),
            ("/api/latest/", Some("/api/latest")),
            ("///", Some("/")),
            ("//health//live", Some("/health/live")),
            ("/api//gaps///?since=1//2&until=3", Some("/api/gaps?since=1//2&until=3")),
            ("http://a.example//api/", Some("http://a.example/api")),
        ] {
            let normal = normalised(&given.parse().unwrap()).map(|uri| uri.to_string());
            assert_eq!(normal.as_deref(), expected, "{given}");
        }
    }
}
