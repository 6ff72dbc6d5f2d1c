//! Reads the certificates for TLS connections to Redis. Depends on no other module.

use std::{fs, path::Path};

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{AddressError, AddressProblem, Options};

/// Reads the certificates of the options. Returns `None` if the options set none.
pub(super) fn certificates(options: &Options) -> Result<Option<TlsCertificates>, AddressError> {
    let is_set = |path: &Path| !path.as_os_str().is_empty();
    let root_cert = if is_set(&options.ca_file) {
        Some(read_certificates("redis.ca_file", &options.ca_file)?)
    } else {
        None
    };
    let client_tls = match (is_set(&options.cert_file), is_set(&options.key_file)) {
        (false, false) => None,
        (true, true) => {
            let client_key = read("redis.key_file", &options.key_file)?;
            PrivateKeyDer::from_pem_slice(&client_key).map_err(|_| {
                invalid_file("redis.key_file", &options.key_file, AddressProblem::NoPrivateKey)
            })?;
            let client_cert = read_certificates("redis.cert_file", &options.cert_file)?;
            Some(ClientTlsConfig { client_cert, client_key })
        }
        (true, false) => {
            return Err(invalid_file(
                "redis.cert_file",
                &options.cert_file,
                AddressProblem::KeyFileMissing,
            ));
        }
        (false, true) => {
            return Err(invalid_file(
                "redis.key_file",
                &options.key_file,
                AddressProblem::CertFileMissing,
            ));
        }
    };
    let is_none = root_cert.is_none() && client_tls.is_none();
    Ok((!is_none).then_some(TlsCertificates { client_tls, root_cert }))
}

/// Reads a file that must contain at least one certificate. redis-rs would accept a file without any, and
/// then every connection would fail.
fn read_certificates(key: &'static str, path: &Path) -> Result<Vec<u8>, AddressError> {
    let pem = read(key, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(found) if !found.is_empty() => Ok(pem),
        _ => Err(invalid_file(key, path, AddressProblem::NoCertificate)),
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, AddressError> {
    fs::read(path).map_err(|error| invalid_file(key, path, AddressProblem::Unreadable(error)))
}

pub(super) fn invalid_file(
    key: &'static str,
    path: &Path,
    problem: AddressProblem,
) -> AddressError {
    AddressError { key, value: path.display().to_string(), problem }
}
