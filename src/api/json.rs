//! Answers as JSON, written straight from their types: poem-openapi's own payload builds a tree
//! of values first, which costs more than all the rest of an answer.

use poem::{IntoResponse, Response};
use poem_openapi::{
    payload::{self, Payload},
    registry::{MetaSchemaRef, Registry},
    types::Type,
};
use serde::Serialize;

/// A JSON payload. In the documentation it is [`payload::Json`].
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: Type> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = <payload::Json<T> as Payload>::CONTENT_TYPE;

    fn check_content_type(content_type: &str) -> bool {
        payload::Json::<T>::check_content_type(content_type)
    }

    fn schema_ref() -> MetaSchemaRef {
        payload::Json::<T>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        payload::Json::<T>::register(registry);
    }
}

impl<T: Serialize + Send> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        poem::web::Json(self.0).into_response()
    }
}
