//! Parses the URL of Redis: the addresses of nodes, or of Sentinels that know the primary.
//! Depends on no other module.

use std::io;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError};

/// The default port of a Sentinel.
const SENTINEL_PORT: u16 = 26379;

/// What a URL refers to.
#[derive(Clone)]
pub(super) enum Address {
    /// One server, nodes of one Redis Cluster, or candidates of which one is the primary.
    Nodes(Vec<ConnectionInfo>),
    /// The primary of a service that Sentinels monitor.
    Service {
        /// The host and port of each Sentinel.
        sentinels: Vec<(String, u16)>,
        /// The name of the service in the Sentinels.
        service: String,
        /// The settings of connections to the primary. The host and port in them are replaced.
        primary: Box<ConnectionInfo>,
    },
}

/// The error of an option that cannot be used. Its text contains no password.
#[derive(Debug, thiserror::Error)]
#[error("{key} = {value}: {problem}")]
pub struct AddressError {
    /// The configuration key of the option.
    pub key: &'static str,
    /// The value of the option, without a password.
    pub value: String,
    /// What is wrong, and what would be valid.
    #[source]
    pub problem: AddressProblem,
}

/// What is wrong with an option.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressProblem {
    /// The URL has no scheme or no host.
    #[error("it is not a URL of Redis; {URL_FORMS}")]
    NotAUrl,
    /// redis-rs cannot parse the URL.
    #[error("it cannot be parsed; {URL_FORMS}")]
    Unparsable,
    /// The URL has a fragment. redis-rs would accept `#insecure`, which disables the verification of
    /// certificates.
    #[error("a # is not allowed; {URL_FORMS}")]
    Fragment,
    /// redis-rs rejects a part of the URL.
    #[error("{0}; {URL_FORMS}")]
    InvalidUrl(#[source] RedisError),
    /// The URL has Sentinels, but no service.
    #[error("the name of the service is missing after the hosts; {URL_FORMS}")]
    NoService,
    /// The address of a Sentinel is not a host and a port.
    #[error("a Sentinel must have a host and a port; {URL_FORMS}")]
    NoSentinel,
    /// Certificates are configured for a URL without TLS.
    #[error("it does not use TLS, but redis.ca_file or redis.cert_file is set; use rediss://")]
    NoTls,
    /// A file cannot be read.
    #[error("cannot read it: {0}")]
    Unreadable(#[source] io::Error),
    /// A password file is empty.
    #[error("it is empty; it must contain a password")]
    NoPassword,
    /// A file has no certificate.
    #[error("it contains no certificate in PEM format")]
    NoCertificate,
    /// A file has no private key.
    #[error("it contains no private key in PEM format")]
    NoPrivateKey,
    /// A certificate is configured without its private key.
    #[error("redis.key_file must be set to its private key")]
    KeyFileMissing,
    /// A private key is configured without its certificate.
    #[error("redis.cert_file must be set to its certificate")]
    CertFileMissing,
}

/// The accepted forms of a URL, for error messages.
const URL_FORMS: &str = "use redis://[user:password@]host[:port][,host:port...][/database], rediss://... \
    for TLS, redis+sentinel://[user:password@]host[:port],.../service[/database], or \
    unix:///path[?db=database]; in a password, characters other than letters and digits must be \
    percent-encoded; alternatively, use redis.password_file";

/// The parts of a URL with one or more hosts.
struct Parts<'a> {
    scheme: &'a str,
    /// The user and password including the `@` that follows; empty if there are none.
    login: &'a str,
    hosts: Vec<&'a str>,
    /// The part after the hosts; it starts with `/`, `?` or `#`.
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end)?;
        let at = authority.rfind('@').map_or(0, |at| at + 1);
        let (login, hosts) = authority.split_at_checked(at)?;
        Some(Self { scheme, login, hosts: hosts.split(',').collect(), rest })
    }

    /// Builds a URL with one host.
    fn url(&self, scheme: &str, host: &str, rest: &str) -> String {
        format!("{scheme}://{}{host}{rest}", self.login)
    }
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, AddressError> {
        let invalid =
            |problem| AddressError { key: "redis.url", value: without_secrets(None, url), problem };
        Self::of_url(url).map_err(invalid)
    }

    fn of_url(url: &str) -> Result<Self, AddressProblem> {
        let parts = Parts::of(url).ok_or(AddressProblem::NotAUrl)?;
        match parts.scheme.strip_suffix("+sentinel") {
            Some(scheme) => Self::service(&parts, scheme),
            None if parts.scheme.ends_with("unix") => Ok(Self::Nodes(vec![node(url)?])),
            None => {
                let one = |host: &&str| node(&parts.url(parts.scheme, host, parts.rest));
                Ok(Self::Nodes(parts.hosts.iter().map(one).collect::<Result<_, _>>()?))
            }
        }
    }

    fn service(parts: &Parts<'_>, scheme: &str) -> Result<Self, AddressProblem> {
        let (path, query) = match parts.rest.find(['?', '#']) {
            Some(at) => parts.rest.split_at(at),
            None => (parts.rest, ""),
        };
        let mut segments = path.split('/').skip(1);
        let service = segments.next().filter(|name| !name.is_empty());
        let service = service.ok_or(AddressProblem::NoService)?;
        let database = segments.next().map(|number| format!("/{number}")).unwrap_or_default();
        let mut primary = None;
        let mut sentinels = Vec::new();
        for host in &parts.hosts {
            let host = with_port(host, SENTINEL_PORT);
            let info = node(&parts.url(scheme, &host, &format!("{database}{query}")))?;
            match info.addr() {
                ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                    sentinels.push((host.clone(), *port));
                }
                _ => return Err(AddressProblem::NoSentinel),
            }
            primary.get_or_insert(info);
        }
        let primary = primary.ok_or(AddressProblem::NoSentinel)?;
        Ok(Self::Service { sentinels, service: service.to_owned(), primary: Box::new(primary) })
    }

    /// Returns whether connections to Redis use TLS.
    pub(super) fn is_tls(&self) -> bool {
        let is_tls = |node: &ConnectionInfo| matches!(node.addr(), ConnectionAddr::TcpTls { .. });
        match self {
            Self::Nodes(nodes) => nodes.iter().any(is_tls),
            Self::Service { primary, .. } => is_tls(primary),
        }
    }
}

/// Parses the URL of one node.
fn node(url: &str) -> Result<ConnectionInfo, AddressProblem> {
    let parsed = redis::parse_redis_url(url).ok_or(AddressProblem::Unparsable)?;
    if parsed.fragment().is_some() {
        return Err(AddressProblem::Fragment);
    }
    parsed.into_connection_info().map_err(AddressProblem::InvalidUrl)
}

/// Appends the port to a host without one. Colons within `[...]` belong to the host.
fn with_port(host: &str, port: u16) -> String {
    let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
    if has_port { host.to_owned() } else { format!("{host}:{port}") }
}

/// Returns the settings of a node with another host and port.
pub(super) fn with_address(node: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let addr = match node.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host: host.to_owned(),
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host.to_owned(), port),
    };
    node.clone().set_addr(addr)
}

/// Returns a URL of Redis without its password: its scheme, user, hosts and database. If the URL cannot be
/// parsed, only its scheme is returned, because any other part may be the password.
pub fn redacted(url: &str) -> String {
    without_secrets(Parts::of(url).filter(|_| Address::of_url(url).is_ok()), url)
}

/// Formats the parts of a URL without secrets; without parts, only the scheme of the URL.
fn without_secrets(parts: Option<Parts<'_>>, url: &str) -> String {
    let Some(parts) = parts else {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let is_scheme = scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+');
        return if is_scheme && !scheme.is_empty() {
            format!("{scheme}://***")
        } else {
            "***".to_owned()
        };
    };
    let login = match parts.login.trim_end_matches('@').split_once(':') {
        Some((user, _)) => format!("{user}:***@"),
        None if parts.login.is_empty() => String::new(),
        // A login without a colon is a user, but may be a password by mistake.
        None => "***@".to_owned(),
    };
    let path = parts.rest.split(['?', '#']).next().unwrap_or_default();
    format!("{}://{login}{}{path}", parts.scheme, parts.hosts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(url: &str) -> Vec<String> {
        match Address::parse(url).unwrap() {
            Address::Nodes(nodes) => nodes.iter().map(|node| node.addr().to_string()).collect(),
            Address::Service { sentinels, service, primary } => {
                let mut found = vec![format!("{service} {}", primary.redis_settings().db())];
                found.extend(sentinels.iter().map(|(host, port)| format!("{host}:{port}")));
                found
            }
        }
    }

    #[test]
    fn a_url_has_one_node_several_nodes_or_sentinels() {
        assert_eq!(nodes("redis://one"), ["one:6379"]);
        assert_eq!(nodes("valkey://one:7/3"), ["one:7"]);
        assert_eq!(nodes("rediss://u:p@one:7,two:8/3"), ["one:7", "two:8"]);
        assert_eq!(nodes("redis://[::1]:7,[::2]"), ["::1:7", "::2:6379"]);
        assert_eq!(nodes("unix:///run/redis.sock?db=2"), ["/run/redis.sock"]);
        assert_eq!(
            nodes("redis+sentinel://u:p@one,two:7,[::1]/main/4?protocol=resp3"),
            ["main 4", "one:26379", "two:7", "::1:26379"]
        );
    }

    #[test]
    fn a_password_may_have_any_character_percent_encoded() {
        let Address::Nodes(nodes) = Address::parse("redis://me:a%40b%2Fc%3F%23%25%20@h").unwrap()
        else {
            panic!("nodes")
        };
        let settings = nodes[0].redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("me"), Some("a@b/c?#% ")));
    }

    #[test]
    fn an_invalid_url_is_explained_without_its_secrets() {
        for (url, expected) in [
            ("one:6379", "not a URL"),
            ("http://me:secret@one", "cannot be parsed"),
            ("redis://:sec/ret@one", "cannot be parsed"),
            ("redis://:sec?ret@one", "cannot be parsed"),
            ("redis://me:secret@one/x", "Invalid database number"),
            ("redis+sentinel://me:secret@one", "name of the service is missing"),
            ("redis+sentinel://me:secret@one/", "name of the service is missing"),
            ("rediss://me:secret@one#insecure", "#"),
        ] {
            let error = Address::parse(url).map(drop).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("redis://"), "{url}: {error}");
            assert!(!error.contains("secret") && !error.contains("ret@"), "{error}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, expected) in [
            ("redis://one:7/3", "redis://one:7/3"),
            ("redis://:secret@one", "redis://:***@one"),
            ("redis://secret@one", "redis://***@one"),
            ("redis://me:secret@one:7,two/3?protocol=resp3", "redis://me:***@one:7,two/3"),
            (
                "rediss+sentinel://me:secret@one,two/main/1",
                "rediss+sentinel://me:***@one,two/main/1",
            ),
            ("unix:///run/redis.sock?pass=secret", "unix:///run/redis.sock"),
            ("redis://:hunt?er2@host", "redis://***"),
            ("redis://:hunt/er2@host", "redis://***"),
            ("redis://:hunt#er2@host", "redis://***"),
            ("redis://secret/word@host", "redis://***"),
            ("secret", "***"),
            ("", "***"),
        ] {
            assert_eq!(redacted(url), expected, "{url}");
        }
    }
}
