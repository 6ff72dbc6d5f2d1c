//! A server that answers in every wrong way: raw bytes on a real socket.

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

/// What it does with a request.
#[derive(Debug, Clone)]
pub enum Wrong {
    /// Says nothing.
    Silent,
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Sends the head of an answer, then a byte now and then.
    Drip,
    /// Never stops sending.
    Endless,
    /// Resets the connection.
    Reset,
    /// Answers one request a connection with these bytes, and closes it when another one comes.
    Once(Vec<u8>),
    /// Has a certificate that nobody has signed.
    SelfSigned,
}

/// The server; it stops with the test.
pub struct Rogue {
    port: u16,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Wrong {
    /// An answer with this head and body.
    pub fn answer(head: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut bytes = format!(
            "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        Self::Bytes(bytes)
    }

    /// A success of JSON.
    pub fn json(body: impl AsRef<[u8]>) -> Self {
        Self::answer("200 OK\r\ncontent-type: application/json", body)
    }

    /// A success whose body grows from kilobytes to 64 MiB when it is unpacked.
    pub fn gzip_bomb() -> Self {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        for _ in 0..64 {
            packer.write_all(&vec![b' '; 1024 * 1024]).expect("memory");
        }
        let packed = packer.finish().expect("memory");
        Self::answer("200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip", packed)
    }
}

impl Rogue {
    pub async fn start(wrong: Wrong) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(misbehave(stream, wrong.clone()));
            }
        });
        Self { port, asked, task }
    }

    /// Where it listens.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/ticker", self.port)
    }

    /// How often it has been connected to.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Errors are the other side's goodbye.
async fn misbehave(mut stream: TcpStream, wrong: Wrong) -> Option<()> {
    if matches!(wrong, Wrong::SelfSigned) {
        let _refused = self_signed().accept(stream).await;
        return None;
    }
    let _request = stream.read(&mut [0; 4096]).await.ok()?;
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"a\": \"";
    match wrong {
        Wrong::Bytes(bytes) => stream.write_all(&bytes).await.ok()?,
        Wrong::Once(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            let _second_request = stream.read(&mut [0; 4096]).await.ok()?;
        }
        Wrong::Reset => {
            #[allow(deprecated, reason = "a lingering socket is what is wanted: it resets")]
            stream.set_linger(Some(Duration::ZERO)).ok()?;
        }
        Wrong::Drip => {
            stream.write_all(head).await.ok()?;
            loop {
                stream.write_all(b"x").await.ok()?;
                sleep(Duration::from_millis(100)).await;
            }
        }
        Wrong::Endless => {
            stream.write_all(head).await.ok()?;
            loop {
                stream.write_all(&[b'x'; 4096]).await.ok()?;
            }
        }
        Wrong::Silent | Wrong::SelfSigned => sleep(Duration::from_mins(1)).await,
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
