//! A Redis with TLS, and each problem that its certificates can have.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tempfile::TempDir;

use crate::harness::{Node, Output, SOON, Stack, eventually, free_port, run};

static AUTHORITIES: AtomicU32 = AtomicU32::new(0);

/// A certificate authority with a folder for the certificates it issues.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The files of a certificate and its private key.
struct Issued {
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn issue(&self, name: &str, is_expired: bool) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if is_expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |kind: &str| self.folder.path().join(format!("{name}-{is_expired}.{kind}"));
        std::fs::write(path("pem"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        Issued { certificate: path("pem"), key: path("key") }
    }

    /// Starts a server with a certificate of this authority; returns it with its TLS URL.
    fn server(&self, issued: &Issued, requires_certificate: bool) -> (Node, String) {
        let port = free_port();
        let settings = format!(
            "tls-port {port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n\
             tls-auth-clients {}",
            issued.certificate.display(),
            issued.key.display(),
            self.file().display(),
            if requires_certificate { "yes" } else { "no" },
        );
        (Node::start(&settings), format!("rediss://127.0.0.1:{port}/0"))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a command with the URL and the file of trusted authorities.
async fn list_queues(url: &str, ca_file: &Path) -> Output {
    let environment = [("REDIS_URL", url), ("COTIZA__REDIS__CA_FILE", text(ca_file))];
    run(&["queue", "ls"], &environment).await
}

#[tokio::test]
async fn all_roles_use_tls_with_certificates_on_both_sides() {
    let authority = Authority::new();
    let (server, client) = (authority.issue("127.0.0.1", false), authority.issue("cotiza", false));
    let (node, url) = authority.server(&server, true);
    node.wait_until_ready().await;
    let ca_file = authority.file();
    let environment = [
        ("REDIS_URL", url.as_str()),
        ("COTIZA__REDIS__CA_FILE", text(&ca_file)),
        ("COTIZA__REDIS__CERT_FILE", text(&client.certificate)),
        ("COTIZA__REDIS__KEY_FILE", text(&client.key)),
    ];
    let stack = Stack::start(&environment).await;
    stack.wait_for_samples("with TLS", SOON).await;
    assert_eq!(stack.warnings(), Vec::<String>::new());
    let doctor = run(&["doctor"], &environment).await;
    assert!(doctor.stdout.contains("tls               yes"), "{}", doctor.stdout);

    let without = list_queues(&url, &ca_file).await;
    assert_eq!(without.code, 1);
    assert!(without.stderr.contains("redis.cert_file and redis.key_file"), "{}", without.stderr);
}

#[tokio::test]
async fn sentinels_use_tls_like_redis_or_as_configured() {
    let authority = Authority::new();
    let issued = authority.issue("127.0.0.1", false);
    let (node, url) = authority.server(&issued, false);
    node.wait_until_ready().await;
    let port = url.rsplit(':').next().unwrap().trim_end_matches("/0");
    let (with_tls, without_tls) = (free_port(), free_port());
    let _sentinel = Node::bare_sentinel(&format!(
        "port {without_tls}\ntls-port {with_tls}\nbind 127.0.0.1\ntls-replication yes\n\
         tls-auth-clients no\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n\
         sentinel monitor main 127.0.0.1 {port} 1\n",
        issued.certificate.display(),
        issued.key.display(),
        authority.file().display(),
    ));
    let ca_file = authority.file();
    for (port, setting) in [(with_tls, "same"), (without_tls, "off")] {
        let url = format!("rediss+sentinel://127.0.0.1:{port}/main");
        let environment = [
            ("REDIS_URL", url.as_str()),
            ("COTIZA__REDIS__CA_FILE", text(&ca_file)),
            ("COTIZA__REDIS__SENTINEL_TLS", setting),
        ];
        eventually(SOON, setting, || async { run(&["queue", "ls"], &environment).await.code == 0 })
            .await;
    }
}

#[tokio::test]
async fn each_problem_of_a_certificate_is_reported_with_advice() {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = authority.issue("127.0.0.1", false);
    let (good_node, good_url) = authority.server(&good, false);
    let expired = authority.issue("127.0.0.1", true);
    let (_expired_node, expired_url) = authority.server(&expired, false);
    let named = authority.issue("redis.example", false);
    let (_named_node, named_url) = authority.server(&named, false);
    good_node.wait_until_ready().await;
    let plain = good_node.url().replace("redis://", "rediss://");
    assert_eq!(list_queues(&good_url, &authority.file()).await.code, 0);
    for (url, ca_file, expected) in [
        (&good_url, other.file(), "set redis.ca_file to the certificate of the CA"),
        (&expired_url, authority.file(), "has expired"),
        (&named_url, authority.file(), "is for another host name"),
        (&plain, authority.file(), "does not use TLS"),
    ] {
        let output = list_queues(url, &ca_file).await;
        assert_eq!(output.code, 1, "{expected}");
        assert!(output.stderr.contains(expected), "{expected}: {}", output.stderr);
    }
    let without_tls = good_url.replace("rediss://", "redis://");
    let output = run(&["queue", "ls"], &[("REDIS_URL", &without_tls)]).await;
    assert!(output.stderr.contains("perhaps it requires TLS"), "{}", output.stderr);
}

#[tokio::test]
async fn certificate_files_are_checked_at_startup() {
    let authority = Authority::new();
    let issued = authority.issue("127.0.0.1", false);
    let empty = authority.folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    let (ca, cert, key) =
        ("COTIZA__REDIS__CA_FILE", "COTIZA__REDIS__CERT_FILE", "COTIZA__REDIS__KEY_FILE");
    let tls = "rediss://127.0.0.1:1";
    let cases = [
        (tls, vec![(ca, text(&empty))], "redis.ca_file"),
        (tls, vec![(ca, "/no/such/file")], "cannot read it"),
        (tls, vec![(cert, text(&issued.certificate))], "redis.key_file must be set to"),
        (tls, vec![(key, text(&issued.key))], "redis.cert_file must be set to its certificate"),
        (
            tls,
            vec![(cert, text(&issued.certificate)), (key, text(&issued.certificate))],
            "it contains no private key",
        ),
        ("redis://127.0.0.1:1", vec![(ca, text(&issued.certificate))], "use rediss://"),
    ];
    for (url, files, expected) in cases {
        let mut environment = vec![("REDIS_URL", url)];
        environment.extend(files);
        let output = run(&["worker"], &environment).await;
        assert_eq!(output.code, 64, "{expected}: {}", output.stderr);
        assert!(output.stderr.contains(expected), "{expected}: {}", output.stderr);
    }
}
