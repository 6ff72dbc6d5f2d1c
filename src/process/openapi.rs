//! `cotiza openapi`: the document that describes the API, without serving it.

use std::sync::Arc;

use crate::{
    api, clock::Clock, config::Config, domain::Slots, jobs, queue::Inspector, store::Store,
};

/// The OpenAPI document, as JSON or YAML. Must be called within a tokio runtime.
///
/// # Errors
/// If the configuration cannot be used.
pub fn document(config: &Config, yaml: bool) -> anyhow::Result<String> {
    let client = redis::Client::open(config.redis.url.as_str())?;
    let store = Store::new(&client, Slots::new(config.schedule.every)?, Clock::default())?;
    let history = Arc::new(super::history(config, store)?);
    let inspector = Inspector::new(&client, jobs::QUEUES.to_vec(), &config.queue)?;
    let print = if yaml { api::openapi_yaml } else { api::openapi_json };
    Ok(print(history, inspector, config))
}
