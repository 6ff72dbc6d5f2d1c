//! Absolute links to other pages of a list, as Django REST Framework writes them.

use ipnet::IpNet;
use poem::{Request, http::header};
use url::{Host, Url, form_urlencoded};

/// The address that was asked for, from which the links to other pages are made.
#[derive(Debug)]
pub(super) struct Links {
    origin: String,
    path: String,
    /// The query's parameters without `page`, sorted by name.
    parameters: Vec<(String, String)>,
}

impl Links {
    /// Reads the address as the client wrote it. `X-Forwarded-Proto` and `X-Forwarded-Host` are
    /// believed only if they come from one of the trusted networks.
    pub(super) fn of(request: &Request, trusted_proxies: &[IpNet]) -> Self {
        let trusted = request
            .remote_addr()
            .as_socket_addr()
            .is_some_and(|peer| trusted_proxies.iter().any(|net| net.contains(&peer.ip())));
        let header = |name: header::HeaderName| request.headers().get(name)?.to_str().ok();
        let forwarded = |name| {
            // A chain of proxies appends; the first value is the client's.
            let value = trusted.then(|| header(name)).flatten()?.split(',').next()?.trim();
            (!value.is_empty()).then_some(value)
        };
        let scheme = forwarded(header::HeaderName::from_static("x-forwarded-proto"))
            .filter(|scheme| matches!(*scheme, "http" | "https"))
            .unwrap_or("http");
        let host = forwarded(header::HeaderName::from_static("x-forwarded-host"))
            .or_else(|| header(header::HOST))
            .filter(|host| is_host(host))
            .unwrap_or("localhost");
        let uri = request.original_uri();
        let query = uri.query().unwrap_or_default().as_bytes();
        let mut parameters: Vec<(String, String)> =
            form_urlencoded::parse(query).into_owned().filter(|(name, _)| name != "page").collect();
        parameters.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self { origin: format!("{scheme}://{host}"), path: uri.path().to_owned(), parameters }
    }

    /// The link to the page; the first one is the address without `page`.
    pub(super) fn to_page(&self, number: u64) -> String {
        let mut parameters = self.parameters.clone();
        if number > 1 {
            let at = parameters.partition_point(|(name, _)| name.as_str() < "page");
            parameters.insert(at, ("page".to_owned(), number.to_string()));
        }
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{}{mark}{query}", self.origin, self.path)
    }
}

/// Whether a `Host` header names a host and perhaps a port, and nothing that would make the link
/// lead elsewhere.
fn is_host(host: &str) -> bool {
    Url::parse(&format!("http://{host}/")).is_ok_and(|url| {
        url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && matches!(url.host(), Some(Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_)))
    })
}
