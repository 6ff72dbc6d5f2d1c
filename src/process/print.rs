//! What can be printed without starting anything.

use crate::{api, config::Config, store::Store};

/// The OpenAPI document, as JSON or YAML.
///
/// # Errors
/// If the configuration cannot be used.
pub fn openapi(config: &Config, yaml: bool) -> anyhow::Result<String> {
    let store = Store::new(&redis::Client::open(config.redis.url.as_str())?)?;
    let print = if yaml { api::openapi_yaml } else { api::openapi_json };
    Ok(print(store, &config.api))
}
