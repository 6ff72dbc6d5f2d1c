//! What is wrong with a Redis that cannot be used, and what would help. Depends on nothing of the crate.

use std::{error::Error, io};

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Whether an error, or one that caused it, says that Redis cannot be used at all: it is not reached, does
/// not answer, does not accept the user, is loading its data, or is a replica. The follower of the clock
/// reports that once for the whole process, so other log lines about it are for debugging.
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
                        )
                ) || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "UNBLOCKED"))
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

/// What probably helps against an error of a connection, with or without TLS; `None` if that is not known.
pub(super) fn advice(error: &(dyn Error + 'static), is_tls: bool) -> Option<&'static str> {
    let mut texts = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    let text = texts.join(": ");
    let of_kind = if is_tls { &WITH_TLS } else { &WITHOUT_TLS };
    let known = ADVICE.iter().chain(of_kind).find(|(sign, _)| text.contains(sign));
    known.map(|(_, advice)| *advice)
}

/// What a port without TLS does to a client with TLS.
const WITH_TLS: [(&str, &str); 3] =
    [("InvalidContentType", NO_TLS), ("timed out", NO_TLS), ("broken pipe", NO_TLS)];
const NO_TLS: &str = "perhaps this port does not use TLS: give redis://, or the port that uses it";

/// What a port with TLS, or a network, does to a client without TLS.
const WITHOUT_TLS: [(&str, &str); 3] = [
    ("broken pipe", "it closes connections at once; perhaps it wants TLS: give rediss://"),
    ("reset by peer", "it closes connections at once; perhaps it wants TLS: give rediss://"),
    ("timed out", "it does not answer; does Redis hang, or does a firewall drop packets?"),
];

/// Parts of messages of rustls, redis-rs, Redis and the system, each with what helps.
const ADVICE: [(&str, &str); 16] = [
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
