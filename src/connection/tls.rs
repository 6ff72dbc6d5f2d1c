//! The certificates with which Redis and this process prove who they are. Depends on nothing of the crate.

use std::{fs, path::Path};

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{AddressError, Options};

/// Reads the certificates that the options name; `None` if they name none.
pub(super) fn certificates(options: &Options) -> Result<Option<TlsCertificates>, AddressError> {
    let given = |path: &Path| !path.as_os_str().is_empty();
    let root_cert = if given(&options.ca_file) {
        Some(with_certificate("redis.ca_file", &options.ca_file)?)
    } else {
        None
    };
    let client_tls = match (given(&options.cert_file), given(&options.key_file)) {
        (false, false) => None,
        (true, true) => {
            let client_key = read("redis.key_file", &options.key_file)?;
            PrivateKeyDer::from_pem_slice(&client_key).map_err(|_| {
                let reason = "it has no private key in the format PEM";
                wrong("redis.key_file", &options.key_file, reason.to_owned())
            })?;
            let client_cert = with_certificate("redis.cert_file", &options.cert_file)?;
            Some(ClientTlsConfig { client_cert, client_key })
        }
        (true, false) => {
            let reason = "redis.key_file must name its private key";
            return Err(wrong("redis.cert_file", &options.cert_file, reason.to_owned()));
        }
        (false, true) => {
            let reason = "redis.cert_file must name its certificate";
            return Err(wrong("redis.key_file", &options.key_file, reason.to_owned()));
        }
    };
    let is_none = root_cert.is_none() && client_tls.is_none();
    Ok((!is_none).then_some(TlsCertificates { client_tls, root_cert }))
}

/// The text of a file that has one certificate at least. redis-rs would accept one without, and then
/// every connection fails.
fn with_certificate(key: &'static str, path: &Path) -> Result<Vec<u8>, AddressError> {
    let text = read(key, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(found) if !found.is_empty() => Ok(text),
        _ => Err(wrong(key, path, "it has no certificate in the format PEM".to_owned())),
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, AddressError> {
    fs::read(path).map_err(|error| wrong(key, path, format!("cannot read it: {error}")))
}

pub(super) fn wrong(key: &'static str, path: &Path, reason: String) -> AddressError {
    AddressError { key, value: path.display().to_string(), reason }
}
