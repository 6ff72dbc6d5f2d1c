//! The documentation of the API. It is generated at the first request because it is rarely needed and
//! generating it takes 7 MB of memory.

mod accurate;

use std::sync::{Arc, OnceLock};

use hyper::body::Bytes;
use poem::{Endpoint, Response, Route, endpoint::make_sync, get};
use poem_openapi::{LicenseObject, OpenApiService, ServerObject};

use super::Resources;

type Service = OpenApiService<Resources, ()>;

/// Returns the routes `/docs`, `/openapi.json` and `/openapi.yaml`.
pub(super) fn routes(service: Service) -> Route {
    let service = &Arc::new(service);
    Route::new()
        .at("/docs", get(text(service, "text/html; charset=utf-8", page)))
        .at("/openapi.json", get(text(service, "application/json", json)))
        .at("/openapi.yaml", get(text(service, "application/x-yaml", yaml)))
}

/// Adds description, server, license and contact to the document.
pub(super) fn described(service: Service, public_url: &str) -> Service {
    let url = if public_url.is_empty() { "/" } else { public_url };
    let license = LicenseObject::new("MIT OR Apache-2.0").url("https://spdx.org/licenses/");
    service
        .description(include_str!("documentation/description.md"))
        .server(ServerObject::new(url).description("This API"))
        .license(license)
        .contact(poem_openapi::ContactObject::new().name("The operator of this API"))
}

/// Returns the document as JSON.
pub(super) fn json(service: &Service) -> String {
    serde_json::to_string_pretty(&accurate::document(&service.spec())).unwrap_or_default()
}

/// Returns the document as YAML.
pub(super) fn yaml(service: &Service) -> String {
    serde_yaml::to_string(&accurate::document(&service.spec())).unwrap_or_default()
}

/// Beginning of the Swagger UI page: standards mode, and a viewport that fits phones.
const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n    <meta charset=\"utf-8\">\n    \
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n    \
    <title>Cotiza API</title>";

/// Returns the Swagger UI page with the corrected document, and [`HEAD`] instead of the start of the page.
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
        // All responses share the same bytes.
        let text: &Bytes = text.get_or_init(|| write(&service).into());
        Response::builder().content_type(kind).body(text.clone())
    })
}
