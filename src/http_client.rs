//! HTTP clients: one way of making them. Depends on nothing of the crate.

use std::{error::Error, time::Duration};

use reqwest::{
    Client, ClientBuilder,
    redirect::{Attempt, Policy},
};
use url::{Host, Url};

/// Redirects that are followed, one after the other.
const MOST_REDIRECTS: usize = 3;

/// A pooled client for this machine: no proxies, no certificates, which a machine without internet
/// may not have. `timeout` bounds a whole request, from the connection to the last byte of the
/// answer.
///
/// # Errors
/// If it cannot be made.
pub fn local(timeout: Duration) -> reqwest::Result<Client> {
    builder().timeout(timeout).tls_certs_only([]).no_proxy().build()
}

/// A pooled client for these addresses. Who answers https is verified; proxies are taken from the
/// environment, unless all addresses are on this machine. Answers may be packed with gzip.
///
/// # Errors
/// If one is an https address and the machine's certificates cannot be loaded.
pub fn outward(addresses: &[&Url]) -> reqwest::Result<Client> {
    let client = builder().redirect(Policy::custom(|attempt| match objection(&attempt) {
        None => attempt.follow(),
        Some(why) => attempt.error(why),
    }));
    let client =
        if addresses.iter().all(|address| is_here(address)) { client.no_proxy() } else { client };
    let verifies = addresses.iter().any(|address| address.scheme() == "https");
    if verifies { client.build() } else { client.tls_certs_only([]).build() }
}

fn builder() -> ClientBuilder {
    // An error means that the provider is there already, which is all that is wanted.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    Client::builder().user_agent(concat!("cotiza/", env!("CARGO_PKG_VERSION")))
}

fn is_here(address: &Url) -> bool {
    match address.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Whether a redirect keeps the scheme, or goes from http to https.
fn keeps_scheme(from: &Url, to: &Url) -> bool {
    from.scheme() == to.scheme() || to.scheme() == "https"
}

/// Why a redirect is not followed. Another host or port would get the headers that are meant for
/// this one, and http what https was to keep.
fn objection(attempt: &Attempt<'_>) -> Option<Box<dyn Error + Send + Sync>> {
    let (from, to) = (attempt.previous().last()?, attempt.url());
    if attempt.previous().len() > MOST_REDIRECTS {
        Some(format!("more than {MOST_REDIRECTS} redirects").into())
    } else if from.host() != to.host() || !(from.port() == to.port() && keeps_scheme(from, to)) {
        // Without its query, which may hold a secret.
        let to = format!("{}://{}{}", to.scheme(), to.host_str().unwrap_or_default(), to.path());
        Some(format!("it has moved to {to}: if that is right, make it the source's url").into())
    } else {
        None
    }
}
