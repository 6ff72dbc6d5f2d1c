//! The address of the client of a request, and the address that the client used. Headers of proxies
//! count only if the proxy is trusted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use poem::{Request, http::uri::Authority};
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
    /// The scheme and host that links begin with: the public ones, or those that the client used.
    pub(super) fn origin(&self, request: &Request) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.clone();
        }
        let trusted = self.trusted.contain(peer(request));
        // A chain of proxies appends; the first value is the client's.
        let forwarded =
            |name| Some(header(request, name).filter(|_| trusted)?.split(',').next()?.trim());
        let scheme = forwarded("x-forwarded-proto")
            .filter(|scheme| matches!(*scheme, "http" | "https"))
            .unwrap_or("http");
        // The address wins where it has a host (RFC 9112, 3.2.2).
        let asked = request.original_uri().authority().map(Authority::as_str);
        let host = forwarded("x-forwarded-host")
            .filter(|host| is_host(host))
            .or_else(|| asked.or_else(|| header(request, "host")).filter(|host| is_host(host)))
            .unwrap_or("localhost");
        format!("{scheme}://{host}")
    }

    /// The address that stands for the client: of those that proxies have appended, the last one that
    /// is not a proxy.
    pub(super) fn client(&self, request: &Request) -> IpAddr {
        let peer = peer(request);
        // Each proxy appends to the line, or appends a line.
        let lines = request.headers().get_all("x-forwarded-for").iter();
        let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
        let chain = lines.iter().rev().flat_map(|line| line.split(',').rev());
        let chain = chain.map_while(|address| forwarded_address(address.trim()));
        let mut client = peer;
        for address in chain {
            if !self.trusted.contain(client) {
                break;
            }
            client = address;
        }
        client_of(client)
    }
}

/// The other end of the connection: the client, or the last proxy before this server.
fn peer(request: &Request) -> IpAddr {
    let peer = request.remote_addr().as_socket_addr();
    peer.map_or(Ipv4Addr::UNSPECIFIED.into(), SocketAddr::ip)
}

/// An address as proxies write it: some add a port.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    text.parse().ok().or_else(with_port)
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// Whether a `Host` header names a host and perhaps a port, and nothing that would make the link
/// lead elsewhere.
fn is_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let whole = |it: &Authority| it.port_u16().is_some() || it.host().len() == host.len();
    let is_host = |it: Authority| whole(&it) && Host::parse(it.host()).is_ok();
    host.bytes().all(plain) && host.parse().is_ok_and(is_host)
}
