//! Queries Sentinels for the address of the primary. Depends on no other module.
//!
//! All Sentinels are queried until more than half of them have responded. Their responses may differ while
//! one of them is isolated. The response with the highest configuration epoch is the latest, because
//! Sentinels increase the epoch at each failover.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, RedisError, RedisResult, TlsCertificates,
    aio::MultiplexedConnection,
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{
    AddressError, AddressProblem, ConnectError, Options,
    address::redacted,
    node,
    options::{SentinelTls, password},
};

/// The time limit of a query to one Sentinel, including the connection.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long a response is cached.
const CACHE_TTL: Duration = Duration::from_millis(500);

/// The host and port of a primary.
pub(super) type Primary = (String, u16);

/// The Sentinels of a service.
pub(super) struct Sentinels {
    service: String,
    state: Mutex<State>,
}

struct State {
    sentinels: Vec<Sentinel>,
    response: Option<(Instant, Result<Primary, RedisError>)>,
}

struct Sentinel {
    client: Client,
    connection: Option<MultiplexedConnection>,
}

impl Sentinels {
    /// Creates clients of the Sentinels at these hosts and ports. They use TLS if Redis does, unless the
    /// options say otherwise.
    pub(super) fn from_options(
        service: String,
        sentinels: &[(String, u16)],
        is_redis_tls: bool,
        options: &Options,
        certificates: Option<&TlsCertificates>,
    ) -> Result<Self, AddressError> {
        let is_tls = match options.sentinel_tls {
            SentinelTls::Same => is_redis_tls,
            SentinelTls::On => true,
            SentinelTls::Off => false,
        };
        let scheme = if is_tls { "rediss" } else { "redis" };
        let password = password(&options.sentinel_password_file, "redis.sentinel_password_file")?;
        let mut clients = Vec::new();
        for (host, port) in sentinels {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            let url = format!("{scheme}://{host}:{port}");
            let failed = |error: RedisError| {
                let (key, value) = ("redis.url", redacted(&options.url));
                AddressError { key, value, problem: AddressProblem::InvalidUrl(error) }
            };
            let node = url.into_connection_info().map_err(failed)?;
            let mut settings = node.redis_settings().clone();
            if !options.sentinel_username.is_empty() {
                settings = settings.set_username(&options.sentinel_username);
            }
            if let Some(password) = &password {
                settings = settings.set_password(password);
            }
            let certificates = certificates.filter(|_| is_tls);
            clients.push(
                node::client(node.set_redis_settings(settings), certificates).map_err(failed)?,
            );
        }
        Ok(Self::new(service, clients))
    }

    fn new(service: String, clients: Vec<Client>) -> Self {
        let sentinel = |client| Sentinel { client, connection: None };
        let sentinels = clients.into_iter().map(sentinel).collect();
        Self { service, state: Mutex::new(State { sentinels, response: None }) }
    }

    /// Returns the primary of the service. The result may be up to half a second old.
    ///
    /// # Errors
    /// Returns an error if no Sentinel knows a primary.
    pub(super) async fn primary(&self) -> RedisResult<Primary> {
        let mut state = self.state.lock().await;
        if let Some((at, response)) = &state.response
            && at.elapsed() < CACHE_TTL
        {
            return response.clone();
        }
        let majority = state.sentinels.len() / 2 + 1;
        let queries = state.sentinels.iter_mut().map(|sentinel| sentinel.query(&self.service));
        let mut queries: FuturesUnordered<_> = queries.collect();
        let (mut responses, mut known) = (Vec::new(), 0);
        // A Sentinel that hangs must not delay the result.
        while known < majority
            && let Some(response) = queries.next().await
        {
            known += usize::from(response.is_ok());
            responses.push(response);
        }
        drop(queries);
        let response = latest(&self.service, responses);
        state.response = Some((Instant::now(), response.clone()));
        response
    }
}

/// Returns the primary of the response with the highest epoch.
fn latest(service: &str, responses: Vec<RedisResult<(u64, Primary)>>) -> RedisResult<Primary> {
    let (known, failed): (Vec<_>, Vec<_>) = responses.into_iter().partition(Result::is_ok);
    let newest = known.into_iter().flatten().max_by_key(|(epoch, _)| *epoch);
    newest.map(|(_, primary)| primary).ok_or_else(|| {
        let errors = failed.into_iter().filter_map(Result::err).collect();
        ConnectError::NoPrimary { service: service.to_owned(), errors }.into()
    })
}

impl Sentinel {
    /// Queries the primary and its configuration epoch.
    async fn query(&mut self, service: &str) -> RedisResult<(u64, Primary)> {
        let result = timeout(TIMEOUT, self.query_without_timeout(service)).await;
        let response = result.unwrap_or_else(|_| {
            let address = self.client.get_connection_info().addr().to_string();
            Err(ConnectError::SilentSentinel(address).into())
        });
        if response.is_err() {
            self.connection = None;
        }
        response
    }

    async fn query_without_timeout(&mut self, service: &str) -> RedisResult<(u64, Primary)> {
        let mut connection = if let Some(connection) = &self.connection {
            connection.clone()
        } else {
            let config = AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT));
            let config = config.set_response_timeout(Some(TIMEOUT));
            let opened = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            self.connection.insert(opened).clone()
        };
        let mut command = redis::cmd("SENTINEL");
        command.arg("MASTER").arg(service);
        let response: HashMap<String, String> = command.query_async(&mut connection).await?;
        let number = |name: &str| response.get(name).and_then(|text| text.parse::<u64>().ok());
        let port = number("port").and_then(|port| u16::try_from(port).ok());
        match (response.get("ip"), port) {
            (Some(host), Some(port)) => {
                Ok((number("config-epoch").unwrap_or(0), (host.clone(), port)))
            }
            _ => Err(ConnectError::NoAddress.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(epoch: u64, host: &str) -> (u64, Primary) {
        (epoch, (host.to_owned(), 1))
    }

    fn failure() -> RedisResult<(u64, Primary)> {
        Err(std::io::Error::other("is down").into())
    }

    #[test]
    fn the_response_with_the_highest_epoch_is_used() {
        let responses = vec![
            Ok(response(1, "old")),
            failure(),
            Ok(response(3, "new")),
            Ok(response(2, "older")),
        ];
        assert_eq!(latest("main", responses).unwrap().0, "new");
    }

    #[test]
    fn if_no_sentinel_responds_the_error_lists_the_reasons() {
        let error = latest("main", vec![failure(), failure()]).unwrap_err().to_string();
        assert!(error.contains("\"main\"") && error.contains("is down; "), "{error}");
    }
}
