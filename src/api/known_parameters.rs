//! Rejects query parameters that an operation does not have. If a misspelt parameter were ignored, the
//! response would be wrong without notice.

use std::collections::HashMap;

use poem::{Request, Response, http::StatusCode};
use poem_openapi::{OpenApi, registry::MetaParamIn};
use url::form_urlencoded;

use super::error::Problem;

/// Maximum edit distance at which a similar name is suggested.
const MAX_DISTANCE: usize = 3;

/// Query parameters by path.
pub(super) struct KnownParameters(HashMap<String, Vec<String>>);

impl KnownParameters {
    /// Collects the query parameters of all paths of an API.
    pub(super) fn of<Api: OpenApi>() -> Self {
        let paths = Api::meta().into_iter().flat_map(|api| api.paths);
        let paths = paths.filter(|path| is_strict(&path.path));
        let names = paths.map(|path| {
            let parameters = path.operations.into_iter().flat_map(|operation| operation.params);
            let in_query = parameters.filter(|parameter| parameter.in_type == MetaParamIn::Query);
            (path.path, in_query.map(|parameter| parameter.name).collect())
        });
        Self(names.collect())
    }

    /// Rejects a request with a parameter that is unknown or given more than once.
    pub(super) fn check(&self, request: &Request) -> poem::Result<()> {
        let query = request.uri().query().unwrap_or_default();
        let path = request.uri().path();
        let Some(known) = self.0.get(path).filter(|_| !query.is_empty()) else { return Ok(()) };
        let mut given = vec![false; known.len()];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match known.iter().zip(&mut given).find(|(known, _)| **known == name) {
                Some((name, is_given)) => {
                    if std::mem::replace(is_given, true) {
                        return Err(rejection(name, format!("{name}: given more than once")));
                    }
                }
                // Clients of the old stack requested JSON in this way.
                None if name == "format" && value == "json" => {}
                None => return Err(rejection(&name, unknown(&name, known))),
            }
        }
        Ok(())
    }
}

/// Returns whether the parameters of a path are checked. Health probes and clients of the compatible
/// endpoints may send unknown parameters.
fn is_strict(path: &str) -> bool {
    path.starts_with("/api/") && !path.starts_with("/api/v3/")
}

fn unknown(name: &str, known: &[String]) -> String {
    let shown: String = name.chars().take(40).collect();
    let distance = |known: &&String| strsim::levenshtein(name, known);
    let nearest = known.iter().min_by_key(distance).filter(|name| distance(name) <= MAX_DISTANCE);
    match (nearest, known) {
        (Some(nearest), _) => format!("{shown}: unknown parameter; did you mean {nearest}?"),
        (None, []) => format!("{shown}: unknown parameter; this operation has none"),
        (None, _) => format!("{shown}: unknown parameter; the parameters are {}", known.join(", ")),
    }
}

fn rejection(name: &str, detail: String) -> poem::Error {
    let problem = Problem::of_parameter(StatusCode::BAD_REQUEST, name, detail);
    let response: Response = problem.into_response();
    poem::Error::from_response(response)
}
