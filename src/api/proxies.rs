//! The address of the client of a request, and the address that the client used. Headers of proxies
//! count only if the proxy is trusted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use poem::{
    Request,
    http::{HeaderMap, uri::Authority},
};
use url::Host;

use crate::{
    config::{self, Networks},
    http_server::client_of,
};

/// The proxies between the clients and the API.
#[derive(Debug, Clone)]
pub(super) struct Proxies {
    trusted: Networks,
    /// The origin under which clients know the API; empty: that of each request.
    public_url: String,
}

impl From<&config::Api> for Proxies {
    fn from(api: &config::Api) -> Self {
        let public_url = api.public_url.trim_end_matches('/').to_owned();
        Self { trusted: api.trusted_proxies.clone(), public_url }
    }
}

impl Proxies {
    /// What links begin with: scheme, host and perhaps a path, the public ones or those that the client
    /// used.
    pub(super) fn origin(&self, request: &Request) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.clone();
        }
        let headers = request.headers();
        let is_proxied = self.trusted.contain(peer(request));
        let forwarded = is_proxied.then(|| Forwarded::of(headers, &self.trusted));
        let Forwarded { scheme, host, prefix } = forwarded.unwrap_or_default();
        // The address wins where it has a host (RFC 9112, 3.2.2).
        let asked = request.original_uri().authority().map(Authority::as_str);
        let asked = || asked.or_else(|| header(headers, "host")).filter(|host| is_host(host));
        let host = host.or_else(|| asked().map(str::to_owned)).unwrap_or_else(|| own(request));
        format!("{}://{host}{prefix}", scheme.unwrap_or("http"))
    }

    /// The address that stands for the client: of those that proxies have appended, the last one that
    /// is not a proxy.
    pub(super) fn client(&self, request: &Request) -> IpAddr {
        let mut client = peer(request);
        for address in chain(request.headers()) {
            if !self.trusted.contain(client) {
                break;
            }
            client = address;
        }
        client_of(client)
    }
}

/// What proxies tell about the address that the client used. Each appends; what the client sent itself
/// comes first and does not count.
#[derive(Debug, Default)]
struct Forwarded<'a> {
    scheme: Option<&'a str>,
    /// With a port where it is not the usual one.
    host: Option<String>,
    /// A path that proxies have removed.
    prefix: &'a str,
}

impl<'a> Forwarded<'a> {
    fn of(headers: &'a HeaderMap, trusted: &Networks) -> Self {
        if is_standard(headers) {
            let element = used(headers, trusted).unwrap_or_default();
            return Self::new(parameter(element, "proto"), parameter(element, "host"), None, None);
        }
        let last = |name| elements(headers, name).next();
        Self::new(
            last("x-forwarded-proto"),
            last("x-forwarded-host"),
            last("x-forwarded-port"),
            last("x-forwarded-prefix"),
        )
    }

    /// Keeps only valid values, so that links cannot lead to another site.
    fn new(
        scheme: Option<&'a str>,
        host: Option<&str>,
        port: Option<&str>,
        prefix: Option<&'a str>,
    ) -> Self {
        let scheme = scheme.filter(|scheme| matches!(*scheme, "http" | "https"));
        let host = host.filter(|host| is_host(host)).map(|host| {
            let port = port.and_then(|port| port.parse::<u16>().ok());
            let usual = if scheme == Some("https") { 443 } else { 80 };
            match port.filter(|port| *port != usual) {
                Some(port) if !has_port(host) => format!("{host}:{port}"),
                _ => host.to_owned(),
            }
        });
        let prefix = prefix.map(|prefix| prefix.strip_suffix('/').unwrap_or(prefix));
        Self { scheme, host, prefix: prefix.filter(|prefix| is_path(prefix)).unwrap_or_default() }
    }
}

/// Whether proxies tell by `Forwarded` (RFC 7239). Most set `X-Forwarded-*` and pass on a `Forwarded` that
/// the client made up, so it counts only alone.
fn is_standard(headers: &HeaderMap) -> bool {
    let others = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
    headers.contains_key("forwarded") && !others.iter().any(|name| headers.contains_key(*name))
}

/// The elements of a header that proxies append to, the last one first. Each appends to the line, or
/// appends a line.
fn elements<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let lines: Vec<&str> =
        headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    lines.into_iter().rev().flat_map(|line| line.split(',').rev()).map(str::trim)
}

/// The element of `Forwarded` by the first trusted proxy: that which the client has asked.
fn used<'a>(headers: &'a HeaderMap, trusted: &Networks) -> Option<&'a str> {
    let mut elements = elements(headers, "forwarded");
    let mut used = elements.next()?;
    let is_of_proxy = |element| {
        let address = parameter(element, "for").and_then(forwarded_address);
        address.is_some_and(|address| trusted.contain(address))
    };
    while is_of_proxy(used)
        && let Some(earlier) = elements.next()
    {
        used = earlier;
    }
    Some(used)
}

/// The value of a parameter of one element of `Forwarded`: `for=1.2.3.4;host="a.example:8080"`.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"'))
}

/// The addresses that proxies have appended, the last one first.
fn chain(headers: &HeaderMap) -> impl Iterator<Item = IpAddr> {
    let is_standard = is_standard(headers);
    let name = if is_standard { "forwarded" } else { "x-forwarded-for" };
    elements(headers, name).map_while(move |element| {
        forwarded_address(if is_standard { parameter(element, "for")? } else { element })
    })
}

/// The other end of the connection: the client, or the last proxy before this server.
fn peer(request: &Request) -> IpAddr {
    let peer = request.remote_addr().as_socket_addr();
    peer.map_or(Ipv4Addr::UNSPECIFIED.into(), SocketAddr::ip)
}

/// The address of this end, for clients that do not tell which host they mean (HTTP/1.0).
fn own(request: &Request) -> String {
    let own = request.local_addr().as_socket_addr();
    own.map_or_else(|| "localhost".to_owned(), ToString::to_string)
}

/// An address as proxies write it: some add a port, or brackets.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(bracketed)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a `Host` header names a host and perhaps a port, and nothing that would make the link
/// lead elsewhere.
fn is_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let whole = |it: &Authority| it.port_u16().is_some() || it.host().len() == host.len();
    let is_host = |it: Authority| whole(&it) && Host::parse(it.host()).is_ok();
    host.bytes().all(plain) && host.parse().is_ok_and(is_host)
}

fn has_port(host: &str) -> bool {
    host.parse().is_ok_and(|it: Authority| it.port().is_some())
}

/// Whether it is a plain path that stays on the host, and leads nowhere else.
fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
    let is_part = |part: &str| !["", ".", ".."].contains(&part) && part.bytes().all(plain);
    path.strip_prefix('/').is_some_and(|parts| parts.split('/').all(is_part))
}
