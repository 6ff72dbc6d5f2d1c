//! Errors of connections: what they mean, and what the user can do. Depends on no other module.

use std::{error::Error, io, iter, sync::Arc};

use redis::{ErrorKind, RedisError, ServerErrorKind};
use rustls::{AlertDescription, CertificateError, InvalidMessage};

use super::{AddressError, health};

/// Why a Redis that responds cannot be used, or could not be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server is a Sentinel.
    #[error("{0} is a Sentinel: use redis+sentinel://...")]
    IsSentinel(String),
    /// The server is a replica.
    #[error("{0} is a replica, which rejects writes")]
    IsReplica(String),
    /// No Sentinel knows the primary of the service.
    #[error("no Sentinel names a primary of {service:?}: {}", joined(.errors))]
    NoPrimary {
        /// The name of the service.
        service: String,
        /// The errors of the Sentinels.
        errors: Vec<RedisError>,
    },
    /// A Sentinel did not respond in time.
    #[error("{0} does not respond")]
    SilentSentinel(String),
    /// The response of a Sentinel has no host or no port.
    #[error("the response of a Sentinel contains no address")]
    NoAddress,
    /// The host name cannot be resolved.
    #[error("cannot resolve the host name {host}: {error}")]
    UnknownHost {
        /// The host name.
        host: String,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// The URL has no host.
    #[error("the URL of Redis contains no host")]
    NoHost,
    /// The file with the password cannot be used.
    #[error(transparent)]
    Password(#[from] AddressError),
}

impl From<ConnectError> for RedisError {
    fn from(error: ConnectError) -> Self {
        io::Error::other(error).into()
    }
}

fn joined(errors: &[RedisError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The error and its causes.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error| cause(*error))
}

/// The cause of an error. Unlike [`Error::source`], it does not skip the errors that an [`io::Error`] or an
/// [`Arc`] contains.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        return Some(&**shared);
    }
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// Returns whether an error or one of its causes means that Redis cannot be used at all: it is unreachable,
/// does not respond, rejects the user or all writes, is loading its data, or is a replica. The clock
/// synchronization or the probe of connections logs an outage once per process, so other log lines about it
/// have the level debug.
pub fn is_outage(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| match cause.downcast_ref::<RedisError>() {
        Some(error) => {
            matches!(
                error.kind(),
                ErrorKind::Io
                    | ErrorKind::AuthenticationFailed
                    | ErrorKind::ClusterConnectionNotFound
                    | ErrorKind::Server(
                        ServerErrorKind::BusyLoading
                            | ServerErrorKind::ReadOnly
                            | ServerErrorKind::MasterDown
                            | ServerErrorKind::ClusterDown
                            | ServerErrorKind::Moved
                            | ServerErrorKind::TryAgain
                    )
            ) || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "UNBLOCKED"))
                || health::refuses_writes(error)
        }
        None => cause.is::<io::Error>(),
    })
}

/// Whether this process has connected before; the same error has a different cause before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No connection has been opened yet, and this process uses TLS.
    FirstByTls,
    /// No connection has been opened yet, and this process does not use TLS.
    First,
    /// A connection has been opened before.
    Later,
}

/// Returns advice on an error of a connection; `None` if the cause is not known or the message says enough.
pub(super) fn advice(error: &(dyn Error + 'static), stage: Stage) -> Option<&'static str> {
    if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<ConnectError>()) {
        return on_connect_error(error);
    }
    // The innermost cause that is known is the most specific one.
    causes(error).filter_map(|cause| on_cause(cause, stage)).last()
}

fn on_cause(cause: &(dyn Error + 'static), stage: Stage) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        on_tls_error(error)
    } else if let Some(error) = cause.downcast_ref::<io::Error>() {
        on_io_error(error.kind(), stage)
    } else {
        cause.downcast_ref::<RedisError>().and_then(on_redis_error)
    }
}

fn on_connect_error(error: &ConnectError) -> Option<&'static str> {
    match error {
        ConnectError::NoPrimary { .. } | ConnectError::SilentSentinel(_) => Some(
            "check the addresses of the Sentinels and the name of the service; if the Sentinels \
             require a password, also check redis.sentinel_username and redis.sentinel_password_file",
        ),
        ConnectError::IsReplica(_) => {
            Some("use the address of the primary, or of the Sentinels that know it")
        }
        ConnectError::UnknownHost { .. } => Some("check the host name in the URL"),
        // The messages say enough.
        ConnectError::IsSentinel(_)
        | ConnectError::NoAddress
        | ConnectError::NoHost
        | ConnectError::Password(_) => None,
    }
}

const NO_TLS: &str = "perhaps this port does not use TLS: use redis://, or the port that uses TLS";
const REQUIRES_TLS: &str =
    "it closes connections immediately; perhaps it requires TLS: use rediss://";
const SILENT: &str = "it does not respond: check whether Redis hangs or a firewall drops packets";

fn on_tls_error(error: &rustls::Error) -> Option<&'static str> {
    match error {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(NO_TLS),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            Some("Redis requires a client certificate; set redis.cert_file and redis.key_file")
        }
        rustls::Error::InvalidCertificate(error) => Some(on_certificate_error(error)),
        _ => None,
    }
}

fn on_certificate_error(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate of Redis is signed by a CA that this machine does not trust; set \
             redis.ca_file to the certificate of the CA"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate of Redis is for another host name; use a host name of the certificate in \
             the URL, or issue a certificate for this host name"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate of Redis has expired; renew it, and check the clock of this machine"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate of Redis is not valid yet; check the clock of this machine"
        }
        _ => {
            "the certificate of Redis cannot be used; give it one that a CA has signed for this host \
             name, not the certificate of the CA itself"
        }
    }
}

fn on_io_error(kind: io::ErrorKind, stage: Stage) -> Option<&'static str> {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, TimedOut};
    match (kind, stage) {
        (TimedOut | BrokenPipe, Stage::FirstByTls) => Some(NO_TLS),
        (BrokenPipe | ConnectionReset, Stage::First) => Some(REQUIRES_TLS),
        (TimedOut, Stage::First | Stage::Later) => Some(SILENT),
        (ConnectionRefused, _) => Some(
            "nothing listens at this address; check the host and the port, and that Redis is running",
        ),
        (NotFound, _) => Some("there is no socket with this name; check that Redis is running"),
        _ => None,
    }
}

fn on_redis_error(error: &RedisError) -> Option<&'static str> {
    match error.code() {
        Some("NOAUTH") => {
            Some("Redis requires a password; set it in redis.password_file or in the URL")
        }
        Some("WRONGPASS") => Some("the user or the password is wrong"),
        _ if error.kind() == ErrorKind::AuthenticationFailed => {
            Some("the user or the password is wrong")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::connection::options::password;

    fn io_error(kind: io::ErrorKind) -> RedisError {
        io::Error::from(kind).into()
    }

    #[test]
    fn advice_depends_on_whether_a_connection_was_opened_before() {
        let (silent, reset) = (io::ErrorKind::TimedOut, io::ErrorKind::ConnectionReset);
        let check = |kind, stage| advice(&io_error(kind), stage);
        assert_eq!(check(silent, Stage::FirstByTls), Some(NO_TLS));
        assert_eq!(check(silent, Stage::First), Some(SILENT));
        assert_eq!(check(silent, Stage::Later), Some(SILENT));
        assert_eq!(check(reset, Stage::First), Some(REQUIRES_TLS));
        assert_eq!(check(reset, Stage::Later), None);
    }

    #[test]
    fn errors_of_sentinels_have_their_own_advice() {
        let errors = vec![io_error(io::ErrorKind::ConnectionRefused)];
        let error = ConnectError::NoPrimary { service: "main".to_owned(), errors };
        let found = advice(&RedisError::from(error), Stage::First).unwrap();
        assert!(found.contains("redis.sentinel_password_file"), "{found}");
    }

    #[test]
    fn a_missing_password_file_is_not_mistaken_for_a_missing_socket() {
        let error = password(Path::new("/no/such/file"), "redis.password_file").unwrap_err();
        assert_eq!(advice(&RedisError::from(ConnectError::from(error)), Stage::Later), None);
        let found = advice(&io_error(io::ErrorKind::NotFound), Stage::First).unwrap();
        assert!(found.contains("socket"), "{found}");
    }

    #[test]
    fn problems_of_certificates_are_found_within_errors_of_the_connection() {
        let untrusted = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = RedisError::from(io::Error::new(io::ErrorKind::InvalidData, untrusted));
        let found = advice(&error, Stage::First).unwrap();
        assert!(found.contains("redis.ca_file"), "{found}");
    }

    #[test]
    fn refused_users_are_outages_and_have_advice() {
        let answer = redis::parse_redis_value(b"-WRONGPASS invalid\r\n").unwrap();
        let error = answer.extract_error().unwrap_err();
        assert!(is_outage(&error));
        assert_eq!(advice(&error, Stage::Later), Some("the user or the password is wrong"));
    }
}
