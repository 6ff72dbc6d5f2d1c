//! HTTP clients: one way of making them. Depends on nothing of the crate.

use std::time::Duration;

use reqwest::{Client, redirect::Policy};

/// Whether a client can speak to https addresses. That needs the certificates of the machine,
/// which a machine without internet may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It can, and verifies who answers.
    Verified,
    /// It cannot, and knows no proxies: for this machine and this network.
    None,
}

/// A pooled client. `timeout` bounds a whole request, from the connection to the last byte of the
/// answer; at most three redirects are followed.
///
/// # Errors
/// If the machine's certificates are needed and cannot be loaded.
pub fn new(tls: Tls, timeout: Duration) -> reqwest::Result<Client> {
    // An error means that the provider is there already, which is all that is wanted.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .timeout(timeout)
        .redirect(Policy::limited(3))
        .user_agent(concat!("cotiza/", env!("CARGO_PKG_VERSION")));
    match tls {
        Tls::Verified => client.build(),
        Tls::None => client.tls_certs_only([]).no_proxy().build(),
    }
}
