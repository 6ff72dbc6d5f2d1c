//! Paths with a slash at the end, or with slashes that were doubled, mean those without.

use poem::{
    Request,
    http::uri::{PathAndQuery, Uri},
};

/// Takes superfluous slashes out of the path that is routed. poem's own middleware does it with
/// a regular expression and takes each request apart.
pub(super) fn normalize(request: &mut Request) {
    let path = request.uri().path();
    if path.len() <= 1 || !(path.ends_with('/') || path.contains("//")) {
        return;
    }
    let query = request.uri().query();
    let mut plain = String::with_capacity(path.len() + query.map_or(0, str::len) + 1);
    for part in path.split('/').filter(|part| !part.is_empty()) {
        plain.push('/');
        plain.push_str(part);
    }
    if plain.is_empty() {
        plain.push('/');
    }
    if let Some(query) = query {
        plain.push('?');
        plain.push_str(query);
    }
    // It was part of an address already, so it can be one.
    if let Ok(plain) = PathAndQuery::try_from(plain) {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(plain);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
}
