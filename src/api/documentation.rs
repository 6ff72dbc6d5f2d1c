//! The documentation of the API, written when it is first asked for: few ask, and Swagger UI with
//! what is left over from writing it takes 7 MB.

mod accurate;

use std::sync::{Arc, OnceLock};

use hyper::body::Bytes;
use poem::{Endpoint, Response, Route, endpoint::make_sync, get};
use poem_openapi::{LicenseObject, OpenApiService, ServerObject};

use super::Resources;

type Service = OpenApiService<Resources, ()>;

/// `/docs`, `/openapi.json` and `/openapi.yaml`.
pub(super) fn routes(service: Service) -> Route {
    let service = &Arc::new(service);
    Route::new()
        .at("/docs", get(text(service, "text/html; charset=utf-8", page)))
        .at("/openapi.json", get(text(service, "application/json", json)))
        .at("/openapi.yaml", get(text(service, "application/x-yaml", yaml)))
}

/// What the document says about the API as a whole.
pub(super) fn described(service: Service, public_url: &str) -> Service {
    let here = if public_url.is_empty() { "/" } else { public_url };
    let license = LicenseObject::new("MIT OR Apache-2.0").url("https://spdx.org/licenses/");
    service
        .description(include_str!("documentation/description.md"))
        .server(ServerObject::new(here).description("This API"))
        .license(license)
        .contact(poem_openapi::ContactObject::new().name("The operator of this API"))
}

/// The document as JSON.
pub(super) fn json(service: &Service) -> String {
    serde_json::to_string_pretty(&accurate::document(&service.spec())).unwrap_or_default()
}

/// The document as YAML.
pub(super) fn yaml(service: &Service) -> String {
    serde_yaml::to_string(&accurate::document(&service.spec())).unwrap_or_default()
}

/// The head of a page that browsers show as it is meant, also on phones.
const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n    <meta charset=\"utf-8\">\n    \
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n    \
    <title>Cotiza API</title>";

/// Swagger UI, which has the document in itself. What poem-openapi writes before the style is replaced.
fn page(service: &Service) -> String {
    let html = service.swagger_ui_html().replacen(&service.spec(), &json(service), 1);
    match html.split_once("<title>Swagger UI</title>") {
        Some((_, rest)) => HEAD.to_owned() + rest,
        None => html,
    }
}

fn text(
    service: &Arc<Service>,
    kind: &'static str,
    write: fn(&Service) -> String,
) -> impl Endpoint + use<> {
    let (service, text) = (Arc::clone(service), OnceLock::new());
    make_sync(move |_| {
        // All answers share it.
        let text: &Bytes = text.get_or_init(|| write(&service).into());
        Response::builder().content_type(kind).body(text.clone())
    })
}
