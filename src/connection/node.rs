//! How one server is connected to. Depends on nothing of the crate.

use std::time::Duration;

use redis::{
    Client, ConnectionInfo, RedisResult, TlsCertificates,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

/// A client of a server.
pub(super) fn client(
    node: ConnectionInfo,
    certificates: Option<&TlsCertificates>,
) -> RedisResult<Client> {
    let node = node.set_tcp_settings(tcp_settings());
    match certificates {
        Some(certificates) => Client::build_with_tls(node, certificates.clone()),
        None => Client::open(node),
    }
}

/// Ends connections whose packets are lost: idle ones by keepalive, others by the user timeout.
fn tcp_settings() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(2))
        .with_interval(Duration::from_secs(1))
        .with_retries(2);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(Duration::from_secs(3));
    settings
}
