//! How long it takes until a sample that is recorded is answered by an api that follows Redis, for
//! `make bench-store`.
//!
//! Called with the URL of a Redis and that of the api. Records samples in an hour of yesterday,
//! which must be empty, and asks for each of them until it is answered. Prints p50 and p99 in
//! milliseconds, counted from before the sample is recorded to after its answer has been read.

use std::{
    env,
    io::{self, Write as _},
    time::{Duration, Instant},
};

use anyhow::ensure;
use cotiza::{
    clock::Clock,
    domain::{Price, Sample, Slots, Timestamp},
    http_client,
    store::{HOUR, Recorded, hour_of},
};
use tokio::time::sleep;

#[path = "../harness/recorder.rs"]
#[allow(unreachable_pub, reason = "it is a module of the tests, too")]
mod recorder;

const SAMPLES: i64 = 200;
const SLOT: i64 = 10;
/// The longest that one request, and one sample, may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [url, api] = [1, 2].map(|n| env::args().nth(n).unwrap_or_default());
    let slots = Slots::new(Duration::from_secs(SLOT.unsigned_abs()))?;
    let client = redis::Client::open(url)?;
    let http = http_client::local(PATIENCE)?;
    let price: Price = "84436700.0".parse()?;
    let first = hour_of(Clock::machine().unix_seconds()) - 24 * HOUR;
    let mut delays = Vec::new();
    for number in 0..=SAMPLES {
        let second = first + number * SLOT;
        let question = format!("{api}/api/ticker-price/?timestamp={second}");
        ensure!(!is_answered(&http, &question).await?, "there is a sample at {second} already");
        sleep(Duration::from_micros(fastrand::u64(5000..20_000))).await;
        let sample = Sample { timestamp: Timestamp::from_second(second), price };
        let begun = Instant::now();
        let recorded = recorder::record(&client, slots, &sample.into()).await?;
        ensure!(recorded == Recorded::Stored, "the sample at {second} was not stored");
        while !is_answered(&http, &question).await? {
            ensure!(begun.elapsed() < PATIENCE, "no answer has the sample at {second}");
        }
        // The first one opens the connections.
        if number > 0 {
            delays.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
    }
    delays.sort_by(f64::total_cmp);
    let part = |percent| delays.get(delays.len() * percent / 100).copied().unwrap_or_default();
    Ok(writeln!(io::stdout(), "{:.2} {:.2}", part(50), part(99))?)
}

/// Whether the api has a price at that second.
async fn is_answered(http: &reqwest::Client, question: &str) -> anyhow::Result<bool> {
    let answer = http.get(question).send().await?.error_for_status()?.text().await?;
    Ok(!answer.contains("null"))
}
