//! A server that sends faulty responses, as raw bytes on a real socket.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// How the server handles a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Sends nothing and keeps the connection open.
    Silent,
    /// Sends these bytes and closes the connection.
    Bytes(Vec<u8>),
    /// Sends the head of a response, then one byte every 100 ms.
    Drip,
    /// Sends an endless body.
    Endless,
    /// Resets the connection.
    Reset,
    /// Sends these bytes to the first request of each connection and closes it at the second one.
    Once(Vec<u8>),
    /// Uses a self-signed certificate.
    SelfSigned,
}

/// The server, which stops when it is dropped.
pub struct FaultyServer {
    port: u16,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Fault {
    /// Returns a response with the given status line and headers, and body.
    pub fn response(head: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut bytes = format!(
            "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        Self::Bytes(bytes)
    }

    /// Returns a JSON response with status 200.
    pub fn json(body: impl AsRef<[u8]>) -> Self {
        Self::response("200 OK\r\ncontent-type: application/json", body)
    }

    /// Returns a response whose compressed body of some kilobytes unpacks to 64 MiB.
    pub fn gzip_bomb() -> Self {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        for _ in 0..64 {
            packer.write_all(&vec![b' '; 1024 * 1024]).expect("memory");
        }
        let packed = packer.finish().expect("memory");
        Self::response("200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip", packed)
    }
}

impl FaultyServer {
    pub async fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(respond(stream, fault.clone()));
            }
        });
        Self { port, connections, task }
    }

    /// Returns the URL of the server.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/ticker", self.port)
    }

    /// Returns the number of connections accepted.
    pub fn connection_count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for FaultyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Handles a connection. Errors mean that the client has closed it, and are ignored.
async fn respond(mut stream: TcpStream, fault: Fault) -> Option<()> {
    if matches!(fault, Fault::SelfSigned) {
        let _refused = self_signed().accept(stream).await;
        return None;
    }
    let _request = stream.read(&mut [0; 4096]).await.ok()?;
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"a\": \"";
    match fault {
        Fault::Bytes(bytes) => stream.write_all(&bytes).await.ok()?,
        Fault::Once(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            let _second_request = stream.read(&mut [0; 4096]).await.ok()?;
        }
        Fault::Reset => {
            #[allow(
                deprecated,
                reason = "closing a socket with a linger time of 0 resets the connection"
            )]
            stream.set_linger(Some(Duration::ZERO)).ok()?;
        }
        Fault::Drip => {
            stream.write_all(head).await.ok()?;
            loop {
                stream.write_all(b"x").await.ok()?;
                sleep(Duration::from_millis(100)).await;
            }
        }
        Fault::Endless => {
            stream.write_all(head).await.ok()?;
            loop {
                stream.write_all(&[b'x'; 4096]).await.ok()?;
            }
        }
        Fault::Silent | Fault::SelfSigned => sleep(Duration::from_mins(1)).await,
    }
    Some(())
}

fn self_signed() -> TlsAcceptor {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a pair");
    TlsAcceptor::from(Arc::new(config))
}
