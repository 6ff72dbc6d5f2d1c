//! Asking Sentinels which server is the primary. Depends on nothing of the crate.
//!
//! All Sentinels are asked, until more than half of them have answered. They may differ while one of them is
//! cut off; then the answer with the highest configuration epoch is the latest one: Sentinels raise it with
//! each failover.

use std::{collections::HashMap, io, time::Duration};

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
    AddressError, Options,
    address::shown,
    node,
    options::{SentinelTls, password},
};

/// The longest that one Sentinel may take, connecting included.
const TIMEOUT: Duration = Duration::from_secs(1);
/// For how long an answer is used again.
const FRESH: Duration = Duration::from_millis(500);

/// Host and port of a primary.
pub(super) type Primary = (String, u16);

/// The Sentinels of a service.
pub(super) struct Sentinels {
    service: String,
    state: Mutex<State>,
}

struct State {
    sentinels: Vec<Sentinel>,
    answer: Option<(Instant, Result<Primary, RedisError>)>,
}

struct Sentinel {
    client: Client,
    connection: Option<MultiplexedConnection>,
}

impl Sentinels {
    /// The Sentinels at these hosts and ports. They use TLS as Redis does, unless the options say otherwise.
    pub(super) fn of(
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
                let (key, value) = ("redis.url", shown(&options.url));
                AddressError { key, value, reason: error.to_string() }
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
        Self { service, state: Mutex::new(State { sentinels, answer: None }) }
    }

    /// The primary of the service, as of half a second ago at most.
    ///
    /// # Errors
    /// If no Sentinel knows one.
    pub(super) async fn primary(&self) -> RedisResult<Primary> {
        let mut state = self.state.lock().await;
        if let Some((at, answer)) = &state.answer
            && at.elapsed() < FRESH
        {
            return answer.clone();
        }
        let enough = state.sentinels.len() / 2 + 1;
        let asked = state.sentinels.iter_mut().map(|sentinel| sentinel.ask(&self.service));
        let mut asked: FuturesUnordered<_> = asked.collect();
        let (mut answers, mut known) = (Vec::new(), 0);
        // One that hangs is not waited for.
        while known < enough
            && let Some(answer) = asked.next().await
        {
            known += usize::from(answer.is_ok());
            answers.push(answer);
        }
        drop(asked);
        let answer = latest(&self.service, answers);
        state.answer = Some((Instant::now(), answer.clone()));
        answer
    }
}

/// The answer with the highest epoch.
fn latest(service: &str, answers: Vec<RedisResult<(u64, Primary)>>) -> RedisResult<Primary> {
    let (known, failed): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    let newest = known.into_iter().flatten().max_by_key(|(epoch, _)| *epoch);
    newest.map(|(_, primary)| primary).ok_or_else(|| {
        let reasons: Vec<String> =
            failed.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
        let reasons = reasons.join("; ");
        io::Error::other(format!("no Sentinel names a primary of {service:?}: {reasons}")).into()
    })
}

impl Sentinel {
    /// Asks for the primary, with its configuration epoch.
    async fn ask(&mut self, service: &str) -> RedisResult<(u64, Primary)> {
        let asked = timeout(TIMEOUT, self.ask_unbounded(service)).await;
        let answer = asked.unwrap_or_else(|_| {
            let address = self.client.get_connection_info().addr();
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer"))
                .into())
        });
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    async fn ask_unbounded(&mut self, service: &str) -> RedisResult<(u64, Primary)> {
        let mut connection = if let Some(connection) = &self.connection {
            connection.clone()
        } else {
            let config = AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT));
            let config = config.set_response_timeout(Some(TIMEOUT));
            let opened = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            self.connection.insert(opened).clone()
        };
        let mut question = redis::cmd("SENTINEL");
        question.arg("MASTER").arg(service);
        let answer: HashMap<String, String> = question.query_async(&mut connection).await?;
        let number = |name: &str| answer.get(name).and_then(|text| text.parse::<u64>().ok());
        let port = number("port").and_then(|port| u16::try_from(port).ok());
        match (answer.get("ip"), port) {
            (Some(host), Some(port)) => {
                Ok((number("config-epoch").unwrap_or(0), (host.clone(), port)))
            }
            _ => Err(io::Error::other("a Sentinel gave an answer without an address").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(epoch: u64, host: &str) -> (u64, Primary) {
        (epoch, (host.to_owned(), 1))
    }

    fn failure() -> RedisResult<(u64, Primary)> {
        Err(io::Error::other("is down").into())
    }

    #[test]
    fn the_latest_configuration_counts() {
        let answers =
            vec![Ok(answer(1, "old")), failure(), Ok(answer(3, "new")), Ok(answer(2, "older"))];
        assert_eq!(latest("main", answers).unwrap().0, "new");
    }

    #[test]
    fn without_an_answer_the_reasons_are_told() {
        let error = latest("main", vec![failure(), failure()]).unwrap_err().to_string();
        assert!(error.contains("\"main\"") && error.contains("is down; "), "{error}");
    }
}
