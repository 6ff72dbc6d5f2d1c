//! Checks of every request before it is handled: URL length, Host header, rate limit.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::HashMapStateStore,
};
use poem::{
    Request,
    http::{StatusCode, Version, header},
};

use super::{error::Problem, proxies::Proxies};
use crate::config;

/// Number of requests after which inactive clients are removed from the rate limiter.
const CLEAN_EVERY: u32 = 4096;

/// Decides which requests are accepted.
pub(super) struct Admission {
    proxies: Proxies,
    max_url: usize,
    rates: Option<Rates>,
}

/// Rate limit of each client.
struct Rates {
    clock: DefaultClock,
    limiter: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>,
    checked: AtomicU32,
}

impl From<&config::Api> for Admission {
    fn from(api: &config::Api) -> Self {
        let max_url = usize::try_from(api.max_url.as_u64()).unwrap_or(usize::MAX);
        let rates = NonZeroU32::new(api.requests_per_second).map(|rate| {
            let (clock, quota) = (DefaultClock::default(), Quota::per_second(rate));
            let limiter = RateLimiter::new(quota, HashMapStateStore::default(), clock.clone());
            Rates { clock, limiter, checked: AtomicU32::new(0) }
        });
        Self { proxies: api.into(), max_url, rates }
    }
}

impl Admission {
    /// Rejects a request whose URL is too long, that does not name one host, or that exceeds the rate limit.
    pub(super) fn check(&self, request: &Request) -> poem::Result<()> {
        let uri = request.original_uri();
        let length = uri.path_and_query().map_or(0, |url| url.as_str().len());
        if length > self.max_url {
            let max = self.max_url;
            let detail = format!("The URL has {length} bytes; the maximum is {max}.");
            return Err(rejection(StatusCode::URI_TOO_LONG, detail));
        }
        host(request)?;
        let path = request.uri().path();
        let is_exempt = ["/health/live", "/health/ready", "/metrics"].contains(&path);
        match &self.rates {
            Some(rates) if !is_exempt => rates.check(self.proxies.client(request)),
            _ => Ok(()),
        }
    }
}

impl Rates {
    fn check(&self, client: IpAddr) -> poem::Result<()> {
        if self.checked.fetch_add(1, Ordering::Relaxed).is_multiple_of(CLEAN_EVERY) {
            self.limiter.retain_recent();
        }
        let Err(too_early) = self.limiter.check_key(&client) else { return Ok(()) };
        let wait = too_early.wait_time_from(self.clock.now()).as_secs_f64().ceil().max(1.0);
        let detail = "Too many requests from this address; retry after the seconds in Retry-After.";
        let mut response = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).into_response();
        if let Ok(seconds) = wait.to_string().parse() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        Err(poem::Error::from_response(response))
    }
}

/// Checks that a request names exactly one host (RFC 9112, 3.2). With two, a proxy may have used the other.
fn host(request: &Request) -> poem::Result<()> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let needs_none = match request.version() {
        Version::HTTP_11 => false,
        // HTTP/2 sends the host in the request target.
        Version::HTTP_2 => request.original_uri().authority().is_some(),
        _ => true,
    };
    if hosts == 1 || (hosts == 0 && needs_none) {
        return Ok(());
    }
    let detail = format!("The request has {hosts} Host headers; send exactly one.");
    Err(rejection(StatusCode::BAD_REQUEST, detail))
}

fn rejection(status: StatusCode, detail: String) -> poem::Error {
    poem::Error::from_response(Problem::new(status, detail).into_response())
}
