//! Constructors of HTTP clients. Depends on no other module.

use std::{error::Error, time::Duration};

use reqwest::{
    Client, ClientBuilder,
    redirect::{Attempt, Policy},
};
use url::{Host, Url};

/// The maximum number of consecutive redirects.
const MAX_REDIRECTS: usize = 3;

/// Returns a pooled client for servers on this machine. It uses no proxies and loads no certificates, since a
/// machine without internet access may have none. `timeout` limits a whole request, from the connection to
/// the last byte of the response.
///
/// # Errors
/// Returns an error if the client cannot be created.
pub fn local(timeout: Duration) -> reqwest::Result<Client> {
    builder().timeout(timeout).tls_certs_only([]).no_proxy().build()
}

/// Returns a pooled client for these addresses. It verifies certificates of https servers, accepts gzip, and
/// uses the proxies of the environment unless all addresses are on this machine.
///
/// # Errors
/// Returns an error if an address uses https and the certificates of the machine cannot be loaded.
pub fn external(addresses: &[&Url]) -> reqwest::Result<Client> {
    let client = builder().redirect(Policy::custom(|attempt| match redirect_error(&attempt) {
        None => attempt.follow(),
        Some(reason) => attempt.error(reason),
    }));
    let client =
        if addresses.iter().all(|address| is_local(address)) { client.no_proxy() } else { client };
    let uses_tls = addresses.iter().any(|address| address.scheme() == "https");
    if uses_tls { client.build() } else { client.tls_certs_only([]).build() }
}

fn builder() -> ClientBuilder {
    // An error means that a provider is already installed, which is sufficient.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    Client::builder().user_agent(concat!("cotiza/", env!("CARGO_PKG_VERSION")))
}

fn is_local(address: &Url) -> bool {
    match address.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Returns whether a redirect keeps the scheme or changes it from http to https.
fn keeps_scheme(from: &Url, to: &Url) -> bool {
    from.scheme() == to.scheme() || to.scheme() == "https"
}

/// Returns the reason why a redirect must not be followed. Another host or port would receive headers
/// intended for the original one, and a redirect from https to http would send them without encryption.
fn redirect_error(attempt: &Attempt<'_>) -> Option<Box<dyn Error + Send + Sync>> {
    let (from, to) = (attempt.previous().last()?, attempt.url());
    if attempt.previous().len() > MAX_REDIRECTS {
        Some(format!("more than {MAX_REDIRECTS} redirects").into())
    } else if from.host() != to.host() || !(from.port() == to.port() && keeps_scheme(from, to)) {
        // Without the query, which may contain a secret.
        let to = format!("{}://{}{}", to.scheme(), to.host_str().unwrap_or_default(), to.path());
        Some(format!("it redirects to {to}: if that is right, set it as the source's url").into())
    } else {
        None
    }
}
