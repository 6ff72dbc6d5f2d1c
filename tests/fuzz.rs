//! Randomly mutated requests over real sockets: no response is a 5xx, and no memory leaks.
//!
//! It sends 10,000 requests by default; `make fuzz REQUESTS=1000000 SEED=42` sends more, or repeats a run.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::harness::{Cotiza, Database, SOON, env_number, eventually, get_text, resident_kb};

/// The number of concurrent connections.
const TASKS: u64 = 16;
/// The longest time to wait for a response: a mutated request may be incomplete.
const TIMEOUT: Duration = Duration::from_millis(150);
/// How much memory may grow, in kB, because of buffers of the allocator.
const MAX_GROWTH_KB: u64 = 12_000;

const REQUESTS: [&str; 10] = [
    "GET /api/average-price/?since=1700000000&until=2024-05-31T19:48:20Z HTTP/1.1\r\nHost: a",
    "GET /api/ticker-list/?page=last&page_size=7&since=-5 HTTP/1.1\r\nHost: [::1]:80",
    "GET /api/ticker-list/?page=2&since=2023-11-14T22:13:20-03:00 HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: b",
    "GET /api/ticker-price/?timestamp=1700000010.5 HTTP/1.1\r\nHost: a\r\nAccept: */*",
    "GET /api/latest HTTP/1.0",
    "HEAD /api/coverage/?until=1700000100 HTTP/1.1\r\nHost: a\r\nConnection: close",
    "GET /api/gaps/?page_size=1000 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked",
    "GET /api/sources/ HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"x\"\r\nRange: bytes=0-1",
    "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip",
    "POST /health/ready HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
];

const PIECES: [&[u8]; 16] = [
    b"%00",
    b"%ff",
    b"&",
    b"=",
    b"?page=0",
    b"since=nan",
    b"-1e400",
    b"\r\n",
    b" ",
    b"\x00",
    b"9999999999999999999999",
    b"../",
    b"//",
    b"\xc3\x28",
    b"Host: b\r\n",
    b"%2B%2B",
];

/// Returns a request with up to five random changes; it always ends with an empty line.
fn mutated(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = REQUESTS[rng.usize(0..REQUESTS.len())].as_bytes().to_vec();
    for _ in 0..rng.u32(0..6) {
        let at = rng.usize(0..bytes.len());
        let until = (at + rng.usize(0..12)).min(bytes.len());
        match rng.u32(0..6) {
            0 => bytes[at] = rng.u8(..),
            1 => drop(bytes.drain(at..until)),
            2 => drop(bytes.splice(at..at, PIECES[rng.usize(0..PIECES.len())].iter().copied())),
            3 => drop(bytes.splice(at..until, PIECES[rng.usize(0..PIECES.len())].iter().copied())),
            4 => {
                let piece = bytes[at..until].repeat(rng.usize(1..40));
                drop(bytes.splice(at..at, piece));
            }
            _ => bytes[at] ^= 1 << rng.u32(0..8),
        }
        if bytes.is_empty() {
            bytes.push(b'G');
        }
    }
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes
}

/// Sends a request and returns the status of the response; 0 if there is none.
async fn send(address: &str, request: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.set_zero_linger().expect("the port is released at once");
    if stream.write_all(request).await.is_err() {
        return 0;
    }
    let mut head = vec![0; 1024];
    let read = timeout(TIMEOUT, stream.read(&mut head)).await;
    let Ok(Ok(length)) = read else { return 0 };
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mutated_request_gets_a_5xx_and_no_memory_leaks() {
    let seed = env_number("FUZZ_SEED").unwrap_or_else(|| fastrand::u64(0..1_000_000));
    let requests = env_number("FUZZ_REQUESTS").unwrap_or(10_000);
    println!("fuzz: seed {seed}, {requests} requests");
    let database = Database::new().await;
    let samples: Vec<(i64, &str)> =
        (0..200).map(|n| (1_700_000_000 + n * 10, "84436700.5")).collect();
    database.record(&samples).await;
    let api = Cotiza::start(
        &["api", "--listen", "127.0.0.1:0"],
        &[("REDIS_URL", &database.url), ("COTIZA__API__MAX_CONNECTIONS_PER_ADDRESS", "2000")],
    );
    let line = api.wait_for_line("the API listens on ").await;
    let address = Arc::new(line.rsplit(' ').next().unwrap().to_owned());
    let ready = format!("http://{address}/health/ready");
    eventually(SOON, "the API is ready", || async {
        get_text(&ready).await.is_some_and(|text| text.contains("ok"))
    })
    .await;
    let (mut statuses, mut before) = (BTreeMap::new(), 0);
    // The first part is a warm-up of buffers, the documentation and connections to Redis.
    for (part, share) in [(0, 5), (1, 5), (2, 5), (3, 5), (4, 5)] {
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (address, mut rng) =
                (Arc::clone(&address), Rng::with_seed(seed + part * TASKS + task));
            tasks.spawn(async move {
                let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
                for _ in 0..requests / share / TASKS {
                    let request = mutated(&mut rng);
                    let status = send(&address, &request).await;
                    let shown = String::from_utf8_lossy(&request);
                    assert!(status < 500, "{status} for {shown:?}");
                    *statuses.entry(status).or_default() += 1;
                }
                statuses
            });
        }
        while let Some(done) = tasks.join_next().await {
            for (status, count) in done.expect("no 5xx") {
                *statuses.entry(status).or_insert(0) += count;
            }
        }
        if part == 0 {
            before = resident_kb(api.id());
        }
    }
    let after = resident_kb(api.id());
    println!("fuzz: {statuses:?}, {before} kB before, {after} kB after");
    assert!(after < before + MAX_GROWTH_KB, "memory grew from {before} kB to {after} kB");
    assert!(!api.lines().iter().any(|line| line.contains("panicked")), "{:?}", api.lines());
    assert!(statuses[&200] * 20 > requests && statuses[&400] * 20 > requests, "{statuses:?}");
}
