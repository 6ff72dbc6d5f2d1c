//! Measures many clients of the stream: memory per client, and the time from the first to the last client
//! that gets an event. Used by stream.sh: `streams ADDRESS PID CLIENTS`.

#![allow(
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a benchmark with small counts, which may panic"
)]

use std::{
    io::{Write as _, stdout},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

/// The longest time that a client may wait for an event.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The number of connections that are opened concurrently.
const BATCH: usize = 200;

/// A client of the stream.
struct Client {
    stream: TcpStream,
    text: String,
}

impl Client {
    async fn connect(address: &str) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /api/stream/ HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut client = Self { stream, text: String::new() };
        client.event().await?;
        Ok(client)
    }

    /// Waits for the next price event and returns the time at which it came.
    async fn event(&mut self) -> std::io::Result<Instant> {
        loop {
            if let Some(at) = self.text.find("event: price")
                && let Some(end) = self.text[at..].find("\n\n")
            {
                self.text.drain(..at + end + 2);
                return Ok(Instant::now());
            }
            let mut bytes = [0; 1024];
            let length = timeout(TIMEOUT, self.stream.read(&mut bytes)).await??;
            if length == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.text += &String::from_utf8_lossy(&bytes[..length]);
        }
    }
}

/// Returns the resident memory of a process in bytes.
fn resident(pid: &str) -> std::io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kilobytes.unwrap_or_default() * 1024)
}

async fn measure(address: &str, pid: &str, count: usize) -> std::io::Result<()> {
    let before = resident(pid)?;
    let mut clients = Vec::new();
    while clients.len() < count {
        let mut opening = JoinSet::new();
        for _ in 0..BATCH.min(count - clients.len()) {
            let address = address.to_owned();
            opening.spawn(async move { Client::connect(&address).await });
        }
        for client in opening.join_all().await {
            clients.push(client?);
        }
    }
    let after = resident(pid)?;
    let mut waiting = JoinSet::new();
    for mut client in clients {
        waiting.spawn(async move {
            let at = client.event().await?;
            Ok::<_, std::io::Error>((at, client))
        });
    }
    let (mut moments, mut clients) = (Vec::new(), Vec::new());
    for result in waiting.join_all().await {
        let (at, client) = result?;
        moments.push(at);
        clients.push(client);
    }
    moments.sort_unstable();
    let spread = moments[moments.len() - 1] - moments[0];
    let busy = resident(pid)?;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let each = busy.saturating_sub(before) as f64 / 1e3 / count as f64;
    writeln!(
        stdout(),
        "| {count} | {:.1} | {:.1} | {:.1} | {each:.1} | {:.1} |",
        mb(before),
        mb(after),
        mb(busy),
        spread.as_secs_f64() * 1e3
    )
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [address, pid, count] = [1, 2, 3].map(|n| std::env::args().nth(n).unwrap_or_default());
    Ok(measure(&address, &pid, count.parse()?).await?)
}
