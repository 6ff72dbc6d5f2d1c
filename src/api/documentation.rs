//! The documentation of the API, written when it is first asked for: few ask, and Swagger UI with
//! what is left over from writing it takes 7 MB.

use std::sync::{Arc, OnceLock};

use hyper::body::Bytes;
use poem::{Endpoint, Response, Route, endpoint::make_sync, get, web::Redirect};
use poem_openapi::OpenApiService;

use super::Resources;

type Service = OpenApiService<Resources, ()>;

/// `/docs`, to which `/` leads, `/openapi.json` and `/openapi.yaml`.
pub(super) fn routes(service: Service) -> Route {
    let service = &Arc::new(service);
    Route::new()
        .at("/", get(make_sync(|_| Redirect::see_other("/docs"))))
        .at("/docs", get(text(service, "text/html; charset=utf-8", Service::swagger_ui_html)))
        .at("/openapi.json", get(text(service, "application/json", Service::spec)))
        .at("/openapi.yaml", get(text(service, "application/x-yaml", Service::spec_yaml)))
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
