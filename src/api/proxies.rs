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
        let forwarded = self.trusted.contain(peer(request)).then(|| Forwarded::of(headers));
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

/// What proxies tell about the address that the client used. Each appends; the first one is the client's.
#[derive(Debug, Default)]
struct Forwarded<'a> {
    scheme: Option<&'a str>,
    /// With a port where it is not the usual one.
    host: Option<String>,
    /// A path that proxies have removed.
    prefix: &'a str,
}

impl<'a> Forwarded<'a> {
    /// Of the headers `Forwarded` (RFC 7239) and `X-Forwarded-*`.
    fn of(headers: &'a HeaderMap) -> Self {
        let first = |name| Some(header(headers, name)?.split(',').next()?.trim());
        let standard = |name| parameter(first("forwarded")?, name);
        let scheme = standard("proto").or_else(|| first("x-forwarded-proto"));
        let scheme = scheme.filter(|scheme| matches!(*scheme, "http" | "https"));
        let host = standard("host").or_else(|| first("x-forwarded-host"));
        let host = host.filter(|host| is_host(host)).map(|host| {
            let port = first("x-forwarded-port").and_then(|port| port.parse::<u16>().ok());
            let usual = if scheme == Some("https") { 443 } else { 80 };
            match port.filter(|port| *port != usual) {
                Some(port) if !has_port(host) => format!("{host}:{port}"),
                _ => host.to_owned(),
            }
        });
        let prefix = first("x-forwarded-prefix").map(|prefix| prefix.trim_end_matches('/'));
        Self { scheme, host, prefix: prefix.filter(|prefix| is_path(prefix)).unwrap_or_default() }
    }
}

/// The value of a parameter of one element of `Forwarded`: `for=1.2.3.4;host="a.example:8080"`.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"'))
}

/// The addresses that proxies have appended, the last one first. Each appends to the line, or appends a
/// line.
fn chain(headers: &HeaderMap) -> impl Iterator<Item = IpAddr> {
    let is_standard = headers.contains_key("forwarded");
    let name = if is_standard { "forwarded" } else { "x-forwarded-for" };
    let lines: Vec<&str> =
        headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    let elements = lines.into_iter().rev().flat_map(|line| line.split(',').rev());
    elements.map_while(move |element| {
        let element = element.trim();
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

/// Whether it is a plain path that stays on the host.
fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.-_~".contains(&byte);
    path.starts_with('/') && !path.starts_with("//") && path.bytes().all(plain)
}
