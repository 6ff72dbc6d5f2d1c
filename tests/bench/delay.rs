//! Measures the time from recording a sample until an api that follows Redis serves it, for
//! `make bench-store`.
//!
//! Its arguments are the URL of Redis and the URL of the api. It records samples in an hour of yesterday,
//! which must be empty, and requests each of them until it is served. It prints p50 and p99 in
//! milliseconds, from before the recording until the response has been read.

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
#[allow(unreachable_pub, reason = "the tests use this module, too")]
mod recorder;

const SAMPLES: i64 = 200;
const SLOT: i64 = 10;
/// The longest time that a request, and the delay of a sample, may take.
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [url, api] = [1, 2].map(|n| env::args().nth(n).unwrap_or_default());
    let slots = Slots::new(Duration::from_secs(SLOT.unsigned_abs()))?;
    let client = redis::Client::open(url)?;
    let http = http_client::local(TIMEOUT)?;
    let price: Price = "84436700.0".parse()?;
    let first = hour_of(Clock::machine().unix_seconds()) - 24 * HOUR;
    let mut delays = Vec::new();
    for number in 0..=SAMPLES {
        let second = first + number * SLOT;
        let url_of_sample = format!("{api}/api/ticker-price/?timestamp={second}");
        ensure!(!is_served(&http, &url_of_sample).await?, "a sample at {second} exists already");
        sleep(Duration::from_micros(fastrand::u64(5000..20_000))).await;
        let sample = Sample { timestamp: Timestamp::from_second(second), price };
        let started = Instant::now();
        let recorded = recorder::record(&client, slots, &sample.into()).await?;
        ensure!(recorded == Recorded::Stored, "the sample at {second} was not stored");
        while !is_served(&http, &url_of_sample).await? {
            ensure!(started.elapsed() < TIMEOUT, "the api does not serve the sample at {second}");
        }
        // The first sample is not counted, since it opens the connections.
        if number > 0 {
            delays.push(started.elapsed().as_secs_f64() * 1000.0);
        }
    }
    delays.sort_by(f64::total_cmp);
    let part = |percent| delays.get(delays.len() * percent / 100).copied().unwrap_or_default();
    Ok(writeln!(io::stdout(), "{:.2} {:.2}", part(50), part(99))?)
}

/// Returns whether the api has a price at the second in the URL.
async fn is_served(http: &reqwest::Client, url_of_sample: &str) -> anyhow::Result<bool> {
    let answer = http.get(url_of_sample).send().await?.error_for_status()?.text().await?;
    Ok(!answer.contains("null"))
}
