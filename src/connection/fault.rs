//! Interprets errors of Redis: whether they mean an outage, and what the user can do. Depends on no other
//! module.

use std::{error::Error, io};

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::health;

/// Returns whether an error or one of its sources means that Redis cannot be used at all: it is unreachable,
/// does not respond, rejects the user or all writes, is loading its data, or is a replica. The clock
/// synchronization or the probe of connections logs an outage once per process, so other log lines about it
/// have the level debug.
pub fn is_outage(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let is_outage = match error.downcast_ref::<RedisError>() {
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
            None => error.is::<io::Error>(),
        };
        if is_outage {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns advice on an error of a connection; `None` if the cause is not known.
pub(super) fn advice(error: &(dyn Error + 'static), stage: Stage) -> Option<&'static str> {
    let mut texts = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    let text = texts.join(": ");
    let of_stage = match stage {
        Stage::FirstByTls => FIRST_WITH_TLS_ADVICE,
        Stage::First => FIRST_ADVICE,
        Stage::Later => LATER_ADVICE,
    };
    let known = ADVICE.iter().chain(of_stage).find(|(sign, _)| text.contains(sign));
    known.map(|(_, advice)| *advice).filter(|advice| !advice.is_empty())
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

const FIRST_WITH_TLS_ADVICE: &[(&str, &str)] = &[("timed out", NO_TLS), ("broken pipe", NO_TLS)];
const NO_TLS: &str = "perhaps this port does not use TLS: use redis://, or the port that uses TLS";

const FIRST_ADVICE: &[(&str, &str)] =
    &[("broken pipe", REQUIRES_TLS), ("reset by peer", REQUIRES_TLS), ("timed out", SILENT)];
const REQUIRES_TLS: &str =
    "it closes connections immediately; perhaps it requires TLS: use rediss://";

const LATER_ADVICE: &[(&str, &str)] = &[("timed out", SILENT)];
const SILENT: &str = "it does not respond: check whether Redis hangs or a firewall drops packets";

/// Parts of error messages of rustls, redis-rs, Redis and the system, each with advice.
const ADVICE: &[(&str, &str)] = &[
    // The message needs no advice.
    ("cannot read it", ""),
    (
        "no Sentinel names",
        "check the addresses of the Sentinels and the name of the service; if the Sentinels \
         require a password, also check redis.sentinel_username and redis.sentinel_password_file",
    ),
    ("InvalidContentType", NO_TLS),
    (
        "BadSignature",
        "the certificate of Redis is signed by a CA that this machine does not trust; set \
         redis.ca_file to the certificate of the CA",
    ),
    (
        "UnknownIssuer",
        "the certificate of Redis is signed by a CA that this machine does not trust; set \
         redis.ca_file to the certificate of the CA",
    ),
    (
        "CaUsedAsEndEntity",
        "Redis uses a CA certificate as its own; give it a certificate that the CA has signed",
    ),
    (
        "not valid for name",
        "the certificate of Redis is for another host name; use a host name of the certificate in \
         the URL, or issue a certificate for this host name",
    ),
    (
        "NotValidForName",
        "the certificate of Redis is for another host name; use a host name of the certificate in \
         the URL",
    ),
    (
        "certificate expired",
        "the certificate of Redis has expired; renew it, and check the clock of this machine",
    ),
    (
        "Expired",
        "the certificate of Redis has expired; renew it, and check the clock of this machine",
    ),
    ("NotValidYet", "the certificate of Redis is not valid yet; check the clock of this machine"),
    (
        "CertificateRequired",
        "Redis requires a client certificate; set redis.cert_file and redis.key_file",
    ),
    ("WRONGPASS", "the user or the password is wrong"),
    ("NOAUTH", "Redis requires a password; set it in redis.password_file or in the URL"),
    ("authentication failed", "the user or the password is wrong"),
    ("failed to lookup address", "the host name cannot be resolved; check the URL"),
    (
        "Connection refused",
        "nothing listens at this address; check the host and the port, and that Redis is running",
    ),
    ("No such file", "there is no socket with this name; check that Redis is running"),
    ("is a replica", "use the address of the primary, or of the Sentinels that know it"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(text: &str, stage: Stage) -> Option<&'static str> {
        super::advice(&RedisError::from(io::Error::other(text.to_owned())), stage)
    }

    #[test]
    fn advice_depends_on_whether_a_connection_was_opened_before() {
        assert_eq!(advice("timed out", Stage::FirstByTls), Some(NO_TLS));
        assert_eq!(advice("timed out", Stage::First), Some(SILENT));
        assert_eq!(advice("timed out", Stage::Later), Some(SILENT));
        assert_eq!(advice("Connection reset by peer", Stage::First), Some(REQUIRES_TLS));
        assert_eq!(advice("Connection reset by peer", Stage::Later), None);
    }

    #[test]
    fn errors_of_sentinels_and_password_files_get_their_own_advice() {
        let text = "no Sentinel names a primary of \"main\": NOAUTH Authentication required";
        assert!(advice(text, Stage::First).unwrap().contains("redis.sentinel_password_file"));
        assert_eq!(advice("cannot read it: No such file or directory", Stage::Later), None);
        assert!(advice("No such file or directory", Stage::First).unwrap().contains("socket"));
    }
}
