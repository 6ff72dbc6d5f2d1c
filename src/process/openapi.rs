//! `cotiza openapi`: creates the OpenAPI document without serving the API. Depends on `api` and the modules
//! that it requires.

use std::sync::Arc;

use crate::{
    api, clock::Clock, config::Config, connection::Server, domain::Slots, jobs, queue::Inspector,
    store::Store,
};

/// Returns the OpenAPI document as JSON or YAML. Must be called within a tokio runtime.
///
/// # Errors
/// Returns an error if the configuration cannot be used.
pub fn document(config: &Config, yaml: bool) -> anyhow::Result<String> {
    let server = Server::new(config.redis.clone())?;
    let store = Store::new(&server, Slots::new(config.schedule.every)?, Clock::default());
    let history = Arc::new(super::history(config, store)?);
    let inspector = Inspector::new(&server, jobs::QUEUES.to_vec(), &config.queue);
    let print = if yaml { api::openapi_yaml } else { api::openapi_json };
    Ok(print(history, inspector, config))
}
