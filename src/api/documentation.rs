//! The documentation of the API. It is written when it is first asked for, once for all threads:
//! few ask, and Swagger UI alone is a megabyte and a half.

use std::sync::{Arc, OnceLock};

use poem::{Endpoint, IntoResponse as _, Route, endpoint::make_sync, get, web::Redirect};
use poem_openapi::OpenApiService;

use super::Resources;

type Service = OpenApiService<Resources, ()>;

static JSON: OnceLock<String> = OnceLock::new();
static YAML: OnceLock<String> = OnceLock::new();
/// Swagger UI, with the document in it.
static PAGE: OnceLock<String> = OnceLock::new();

/// `/docs`, to which `/` leads, `/openapi.json` and `/openapi.yaml`.
pub(super) fn routes(service: Service) -> Route {
    let service = &Arc::new(service);
    Route::new()
        .at("/", get(make_sync(|_| Redirect::see_other("/docs"))))
        .at(
            "/docs",
            get(text(service, &PAGE, "text/html; charset=utf-8", Service::swagger_ui_html)),
        )
        .at("/openapi.json", get(text(service, &JSON, "application/json", Service::spec)))
        .at("/openapi.yaml", get(text(service, &YAML, "application/x-yaml", Service::spec_yaml)))
}

fn text(
    service: &Arc<Service>,
    text: &'static OnceLock<String>,
    kind: &'static str,
    write: fn(&Service) -> String,
) -> impl Endpoint + use<> {
    let service = Arc::clone(service);
    make_sync(move |_| {
        text.get_or_init(|| write(&service)).as_str().with_content_type(kind).into_response()
    })
}
