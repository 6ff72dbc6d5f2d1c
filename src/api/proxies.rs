//! The IP address of the client of a request, and the URL that the client used. The headers of proxies
//! are used only if the proxy is trusted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use poem::{
    Request,
    http::{HeaderMap, uri::Authority},
};
use url::Host;

use crate::{
    config::{self, Networks},
    http_server::client_network,
};

/// The trusted proxies and the public URL of the API.
#[derive(Debug, Clone)]
pub(super) struct Proxies {
    trusted: Networks,
    /// The URL under which clients reach the API; if empty, it is derived from each request.
    public_url: String,
}

impl From<&config::Api> for Proxies {
    fn from(api: &config::Api) -> Self {
        let public_url = api.public_url.trim_end_matches('/').to_owned();
        Self { trusted: api.trusted_proxies.clone(), public_url }
    }
}

impl Proxies {
    /// Returns the start of links: scheme, host and an optional path. They come from the public URL or, if
    /// it is not configured, from the request.
    pub(super) fn origin(&self, request: &Request) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.clone();
        }
        let headers = request.headers();
        let is_proxied = self.trusted.contains(peer(request));
        let forwarded = is_proxied.then(|| Forwarded::of(headers, &self.trusted));
        let Forwarded { scheme, host, prefix } = forwarded.unwrap_or_default();
        // A host in the request target takes precedence over `Host` (RFC 9112, 3.2.2).
        let target = request.original_uri().authority().map(Authority::as_str);
        let named = || target.or_else(|| header(headers, "host")).filter(|host| is_host(host));
        let host = host.or_else(|| named().map(str::to_owned)).unwrap_or_else(|| own(request));
        format!("{}://{host}{prefix}", scheme.unwrap_or("http"))
    }

    /// Returns the IP address that identifies the client: the last address in the proxy headers that is not
    /// a trusted proxy.
    pub(super) fn client(&self, request: &Request) -> IpAddr {
        let mut client = peer(request);
        for address in chain(request.headers()) {
            if !self.trusted.contains(client) {
                break;
            }
            client = address;
        }
        client_network(client)
    }
}

/// The URL that the client used, according to the headers of proxies. Each proxy appends its values; values
/// that the client sent itself come first and are not used.
#[derive(Debug, Default)]
struct Forwarded<'a> {
    scheme: Option<&'a str>,
    /// The host, with the port if it is not the default port of the scheme.
    host: Option<String>,
    /// The path prefix that proxies have removed.
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

    /// Discards invalid values, so that links cannot point to another site.
    fn new(
        scheme: Option<&'a str>,
        host: Option<&str>,
        port: Option<&str>,
        prefix: Option<&'a str>,
    ) -> Self {
        let scheme = scheme.filter(|scheme| matches!(*scheme, "http" | "https"));
        let host = host.filter(|host| is_host(host)).map(|host| {
            let port = port.and_then(|port| port.parse::<u16>().ok());
            let default = if scheme == Some("https") { 443 } else { 80 };
            match port.filter(|port| *port != default) {
                Some(port) if !has_port(host) => format!("{host}:{port}"),
                _ => host.to_owned(),
            }
        });
        let prefix = prefix.map(|prefix| prefix.strip_suffix('/').unwrap_or(prefix));
        Self { scheme, host, prefix: prefix.filter(|prefix| is_path(prefix)).unwrap_or_default() }
    }
}

/// Whether the proxies use `Forwarded` (RFC 7239). Most proxies set `X-Forwarded-*` and pass on a `Forwarded`
/// header that the client may have forged, so `Forwarded` is used only if no `X-Forwarded-*` header exists.
fn is_standard(headers: &HeaderMap) -> bool {
    let others = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
    headers.contains_key("forwarded") && !others.iter().any(|name| headers.contains_key(*name))
}

/// Returns the elements of a header that proxies append to, last one first. A proxy appends to the line or
/// adds another line.
fn elements<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let lines: Vec<&str> =
        headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    lines.into_iter().rev().flat_map(|line| line.split(',').rev()).map(str::trim)
}

/// Returns the element of `Forwarded` that the first trusted proxy added, the one that the client connected
/// to.
fn used<'a>(headers: &'a HeaderMap, trusted: &Networks) -> Option<&'a str> {
    let mut elements = elements(headers, "forwarded");
    let mut used = elements.next()?;
    let is_of_proxy = |element| {
        let address = parameter(element, "for").and_then(forwarded_address);
        address.is_some_and(|address| trusted.contains(address))
    };
    while is_of_proxy(used)
        && let Some(earlier) = elements.next()
    {
        used = earlier;
    }
    Some(used)
}

/// Returns the value of a parameter in one element of `Forwarded`, such as
/// `for=1.2.3.4;host="a.example:8080"`.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"'))
}

/// Returns the addresses that proxies have appended, last one first.
fn chain(headers: &HeaderMap) -> impl Iterator<Item = IpAddr> {
    let is_standard = is_standard(headers);
    let name = if is_standard { "forwarded" } else { "x-forwarded-for" };
    elements(headers, name).map_while(move |element| {
        forwarded_address(if is_standard { parameter(element, "for")? } else { element })
    })
}

/// Returns the remote address of the connection: that of the client or of the last proxy.
fn peer(request: &Request) -> IpAddr {
    let peer = request.remote_addr().as_socket_addr();
    peer.map_or(Ipv4Addr::UNSPECIFIED.into(), SocketAddr::ip)
}

/// Returns the local address of the connection, for clients that do not send `Host` (HTTP/1.0).
fn own(request: &Request) -> String {
    let own = request.local_addr().as_socket_addr();
    own.map_or_else(|| "localhost".to_owned(), ToString::to_string)
}

/// Parses an address as proxies write it: some add a port or brackets.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(bracketed)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a `Host` header is a host with an optional port, and nothing that would make a link point
/// elsewhere.
fn is_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let whole = |it: &Authority| it.port_u16().is_some() || it.host().len() == host.len();
    let is_host = |it: Authority| whole(&it) && Host::parse(it.host()).is_ok();
    host.bytes().all(plain) && host.parse().is_ok_and(is_host)
}

fn has_port(host: &str) -> bool {
    host.parse().is_ok_and(|it: Authority| it.port().is_some())
}

/// Whether the text is a plain path: it has no empty, `.` or `..` segment and cannot point to another host.
fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
    let is_part = |part: &str| !["", ".", ".."].contains(&part) && part.bytes().all(plain);
    path.strip_prefix('/').is_some_and(|parts| parts.split('/').all(is_part))
}
