//! Which Redis a URL names: nodes, or Sentinels that know the primary. Depends on nothing of the crate.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// The port of a Sentinel, if none is given.
const SENTINEL_PORT: u16 = 26379;

/// What a URL names.
#[derive(Clone)]
pub(super) enum Address {
    /// One Redis, or nodes of one Redis Cluster, or candidates of which one is the primary.
    Nodes(Vec<ConnectionInfo>),
    /// The primary of a service that Sentinels watch.
    Service {
        /// The host and port of each Sentinel.
        sentinels: Vec<(String, u16)>,
        /// The name that the Sentinels have for the service.
        service: String,
        /// How to connect to its primary. The host and port in it are replaced.
        primary: Box<ConnectionInfo>,
    },
}

/// Why an option cannot be used. Its text has no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: {reason}")]
pub struct AddressError {
    /// The key of the configuration that has the option.
    pub key: &'static str,
    /// What it was, without a password.
    pub value: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// What a URL may look like, for messages.
const FORMS: &str = "give redis://[user:password@]host[:port][,host:port...][/database], rediss://... \
    for TLS, redis+sentinel://[user:password@]host[:port],.../service[/database], or \
    unix:///path[?db=database]; in a password, characters other than letters and digits must be \
    percent-encoded, or give it in redis.password_file";

/// The parts of a URL with one or more hosts.
struct Parts<'a> {
    scheme: &'a str,
    /// The user and password with the `@` after them; empty if there are none.
    login: &'a str,
    hosts: Vec<&'a str>,
    /// What follows the hosts, from the first `/`, `?` or `#` on.
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

    /// A URL of one host.
    fn url(&self, scheme: &str, host: &str, rest: &str) -> String {
        format!("{scheme}://{}{host}{rest}", self.login)
    }
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, AddressError> {
        let wrong = |reason| {
            let reason = format!("{reason}; {FORMS}");
            AddressError { key: "redis.url", value: without_secrets(None, url), reason }
        };
        Self::of_url(url).map_err(wrong)
    }

    fn of_url(url: &str) -> Result<Self, String> {
        let parts = Parts::of(url).ok_or("it is not a URL of a Redis")?;
        match parts.scheme.strip_suffix("+sentinel") {
            Some(scheme) => Self::service(&parts, scheme),
            None if parts.scheme.ends_with("unix") => Ok(Self::Nodes(vec![node(url)?])),
            None => {
                let one = |host: &&str| node(&parts.url(parts.scheme, host, parts.rest));
                Ok(Self::Nodes(parts.hosts.iter().map(one).collect::<Result<_, _>>()?))
            }
        }
    }

    fn service(parts: &Parts<'_>, scheme: &str) -> Result<Self, String> {
        let (path, query) = match parts.rest.find(['?', '#']) {
            Some(at) => parts.rest.split_at(at),
            None => (parts.rest, ""),
        };
        let mut segments = path.split('/').skip(1);
        let service = segments.next().filter(|name| !name.is_empty());
        let service = service.ok_or("the name of the service is missing after the hosts")?;
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
                _ => return Err("a Sentinel has a host".to_owned()),
            }
            primary.get_or_insert(info);
        }
        let primary = primary.ok_or("there is no host")?;
        Ok(Self::Service { sentinels, service: service.to_owned(), primary: Box::new(primary) })
    }

    /// Whether the connections to Redis use TLS.
    pub(super) fn is_tls(&self) -> bool {
        let is_tls = |node: &ConnectionInfo| matches!(node.addr(), ConnectionAddr::TcpTls { .. });
        match self {
            Self::Nodes(nodes) => nodes.iter().any(is_tls),
            Self::Service { primary, .. } => is_tls(primary),
        }
    }
}

/// The settings of one node.
fn node(url: &str) -> Result<ConnectionInfo, String> {
    let parsed = redis::parse_redis_url(url).ok_or("it cannot be parsed")?;
    // It would switch off the check of certificates.
    if parsed.fragment().is_some() {
        return Err("a # has no meaning there".to_owned());
    }
    parsed.into_connection_info().map_err(|error| error.to_string())
}

/// The host with the port, unless it has one. The colons within `[...]` belong to the host.
fn with_port(host: &str, port: u16) -> String {
    let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
    if has_port { host.to_owned() } else { format!("{host}:{port}") }
}

/// The address of a node, at another host and port.
pub(super) fn moved(node: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
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

/// A URL of Redis without its password: its scheme, user, hosts and database. Of one that cannot be parsed
/// only the scheme is shown: any other part of it may be the password.
pub fn shown(url: &str) -> String {
    without_secrets(Parts::of(url).filter(|_| Address::of_url(url).is_ok()), url)
}

/// The parts of a URL, or the scheme of one that has none that are understood.
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
        // It should be a user, but may be a password.
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
    fn a_url_names_one_node_several_or_sentinels() {
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
    fn what_cannot_be_used_is_explained_without_its_text() {
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
            assert_eq!(shown(url), expected, "{url}");
        }
    }
}
