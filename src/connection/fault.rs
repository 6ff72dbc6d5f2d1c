//! What is wrong with a Redis that cannot be used, and what would help. Depends on nothing of the crate.

use std::{error::Error, io};

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::health;

/// Whether an error, or one that caused it, says that Redis cannot be used at all: it is not reached, does
/// not answer, does not accept the user or any writes, is loading its data, or is a replica. The follower of
/// the clock or the probe of connections reports that once for the whole process, so other log lines about it
/// are for debugging.
pub fn is_away(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let is_away = match error.downcast_ref::<RedisError>() {
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
        if is_away {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What probably helps against an error of a connection; `None` if that is not known.
pub(super) fn advice(error: &(dyn Error + 'static), stage: Stage) -> Option<&'static str> {
    let mut texts = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    let text = texts.join(": ");
    let of_stage = match stage {
        Stage::FirstByTls => FIRST_BY_TLS,
        Stage::First => FIRST,
        Stage::Later => LATER,
    };
    let known = ADVICE.iter().chain(of_stage).find(|(sign, _)| text.contains(sign));
    known.map(|(_, advice)| *advice).filter(|advice| !advice.is_empty())
}

/// How far connections have come; the same failure means something else at another stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// None has been opened yet, and this side uses TLS.
    FirstByTls,
    /// None has been opened yet.
    First,
    /// Some have been opened before.
    Later,
}

const FIRST_BY_TLS: &[(&str, &str)] = &[("timed out", NO_TLS), ("broken pipe", NO_TLS)];
const NO_TLS: &str = "perhaps this port does not use TLS: give redis://, or the port that uses it";

const FIRST: &[(&str, &str)] =
    &[("broken pipe", WANTS_TLS), ("reset by peer", WANTS_TLS), ("timed out", SILENT)];
const WANTS_TLS: &str = "it closes connections at once; perhaps it wants TLS: give rediss://";

const LATER: &[(&str, &str)] = &[("timed out", SILENT)];
const SILENT: &str = "it does not answer; does Redis hang, or does a firewall drop packets?";

/// Parts of messages of rustls, redis-rs, Redis and the system, each with what helps.
const ADVICE: &[(&str, &str)] = &[
    // It says enough.
    ("cannot read it", ""),
    (
        "no Sentinel names",
        "are the addresses of the Sentinels and the name of the service right, and \
         redis.sentinel_username and redis.sentinel_password_file if they want a password?",
    ),
    ("InvalidContentType", NO_TLS),
    (
        "BadSignature",
        "the certificate of Redis is signed by a CA that is not known here; name its certificate in \
         redis.ca_file",
    ),
    (
        "UnknownIssuer",
        "the certificate of Redis is signed by a CA that is not known here; name its certificate in \
         redis.ca_file",
    ),
    (
        "CaUsedAsEndEntity",
        "Redis uses the certificate of a CA as its own; give it one that the CA has signed",
    ),
    (
        "not valid for name",
        "the certificate of Redis is for another name; use a name in the URL that it lists, or have one issued \
         for this name",
    ),
    (
        "NotValidForName",
        "the certificate of Redis is for another name; use a name in the URL that it lists",
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
        "Redis wants a certificate of this client; give redis.cert_file and redis.key_file",
    ),
    ("WRONGPASS", "the user or the password is wrong"),
    ("NOAUTH", "Redis wants a password; give it in redis.password_file or in the URL"),
    ("authentication failed", "the user or the password is wrong"),
    ("failed to lookup address", "the name of the host is not known; check the URL"),
    ("Connection refused", "nothing listens there; is Redis running, and are host and port right?"),
    ("No such file", "there is no socket of that name; is Redis running?"),
    ("is a replica", "give the address of the primary, or of the Sentinels that know it"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(text: &str, stage: Stage) -> Option<&'static str> {
        super::advice(&RedisError::from(io::Error::other(text.to_owned())), stage)
    }

    #[test]
    fn the_same_failure_means_something_else_before_the_first_connection() {
        assert_eq!(advice("timed out", Stage::FirstByTls), Some(NO_TLS));
        assert_eq!(advice("timed out", Stage::First), Some(SILENT));
        assert_eq!(advice("timed out", Stage::Later), Some(SILENT));
        assert_eq!(advice("Connection reset by peer", Stage::First), Some(WANTS_TLS));
        assert_eq!(advice("Connection reset by peer", Stage::Later), None);
    }

    #[test]
    fn the_sentinels_and_files_of_passwords_are_not_taken_for_redis() {
        let text = "no Sentinel names a primary of \"main\": NOAUTH Authentication required";
        assert!(advice(text, Stage::First).unwrap().contains("redis.sentinel_password_file"));
        assert_eq!(advice("cannot read it: No such file or directory", Stage::Later), None);
        assert!(advice("No such file or directory", Stage::First).unwrap().contains("socket"));
    }
}
