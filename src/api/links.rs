//! Absolute links to other pages of a list, as Django REST Framework writes them.

use ipnet::IpNet;
use poem::{Request, http::uri::Authority};
use url::{Host, form_urlencoded};

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
        let trusted = request.remote_addr().as_socket_addr().is_some_and(|peer| {
            // An IPv4 proxy comes in as ::ffff:a.b.c.d where we listen on IPv6.
            let address = peer.ip().to_canonical();
            trusted_proxies.iter().any(|net| net.contains(&address))
        });
        let header = |name: &str| request.headers().get(name)?.to_str().ok();
        // A chain of proxies appends; the first value is the client's.
        let forwarded = |name| Some(header(name).filter(|_| trusted)?.split(',').next()?.trim());
        let scheme = forwarded("x-forwarded-proto")
            .filter(|scheme| matches!(*scheme, "http" | "https"))
            .unwrap_or("http");
        let host = forwarded("x-forwarded-host")
            .filter(|host| is_host(host))
            .or_else(|| header("host").filter(|host| is_host(host)))
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
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let whole = |it: &Authority| it.port_u16().is_some() || it.host().len() == host.len();
    let is_host = |it: Authority| whole(&it) && Host::parse(it.host()).is_ok();
    host.bytes().all(plain) && host.parse().is_ok_and(is_host)
}
