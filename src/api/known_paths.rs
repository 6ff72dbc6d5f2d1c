//! The routes of requests, for metrics: few, whatever clients ask for.

use poem_openapi::OpenApi;

/// Paths that are not in the OpenAPI document.
const OTHERS: [&str; 6] = ["/", "/docs", "/help", "/metrics", "/openapi.json", "/openapi.yaml"];

/// The paths that the API has, with their parameters in braces.
pub(super) struct KnownPaths(Vec<String>);

impl KnownPaths {
    /// Those of an API, and of its documentation.
    pub(super) fn of<Api: OpenApi>() -> Self {
        let paths = Api::meta().into_iter().flat_map(|api| api.paths).map(|path| path.path);
        Self(paths.chain(OTHERS.map(str::to_owned)).collect())
    }

    /// The route of a path: the known one that it matches, or `other`.
    pub(super) fn route(&self, path: &str) -> &str {
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        let exact = self.0.iter().find(|known| *known == path);
        let matching = || self.0.iter().find(|known| known.contains('{') && matches(known, path));
        exact.or_else(matching).map_or("other", String::as_str)
    }
}

/// Whether a path is that of a template: each part is the same, or a parameter.
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
    fn a_path_has_the_route_that_it_matches() {
        let known = ["/api/latest", "/api/btc/ars/{volume}", "/"].map(str::to_owned);
        let paths = KnownPaths(known.to_vec());
        for (path, route) in [
            ("/", "/"),
            ("/api/latest", "/api/latest"),
            ("/api/latest/", "/api/latest"),
            ("/api/btc/ars/0.1", "/api/btc/ars/{volume}"),
            ("/api/btc/ars/", "other"),
            ("/api/btc/ars/1/2", "other"),
            ("/admin.php", "other"),
        ] {
            assert_eq!(paths.route(path), route, "{path}");
        }
    }
}
