//! Checks that the configured Redis is suitable for Cotiza. `cotiza doctor` prints all findings; each process
//! logs warnings and unfit findings when it starts. Depends on `connection`, `jobs`, `queue` and `store`.

use std::time::Duration;

use serde::Serialize;

use crate::{
    connection::Server,
    jobs, queue,
    store::{ServerReport, Store},
};

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// No problem.
    Ok,
    /// Cotiza works, but data may be lost or operations may fail later.
    Warning,
    /// Cotiza cannot work.
    Unfit,
}

/// The result of one check.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    /// What was checked.
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// What was found, and how to correct it.
    pub(super) text: String,
}

impl Finding {
    pub(super) fn new(check: &'static str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { check, verdict, text: text.into() }
    }
}

/// The oldest tested version of Redis.
const OLDEST: (u32, u32) = (6, 2);
/// The latency above which Redis slows every job down.
const SLOW: Duration = Duration::from_millis(50);
/// The difference in seconds between the clocks of this machine and of Redis above which there is a warning.
const SKEW: f64 = 1.0;

/// Checks the Redis of a store and returns all findings.
pub(super) async fn check(store: &Store, server: &Server) -> Vec<Finding> {
    let address = server.redacted_url();
    let reached = store.sync_clock().await;
    let report = match reached {
        Ok(()) => store.server().await,
        Err(error) => Err(error),
    };
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            let advice = server.advice(&error).map(|advice| format!("; {advice}"));
            let text = format!("{error}{}", advice.unwrap_or_default());
            return vec![
                Finding::new("address", Verdict::Ok, address),
                Finding::new("reachable", Verdict::Unfit, text),
            ];
        }
    };
    let mut findings = vec![
        Finding::new("address", Verdict::Ok, address),
        Finding::new("reachable", Verdict::Ok, "yes"),
        version(&report),
        replication(&report, store.server_setting("min-replicas-to-write").await),
        encryption(server),
        permissions(store, report.is_cluster).await,
        eviction(&report),
        persistence(&report, store.server_setting("save").await),
        memory(&report),
        latency(shortest_latency(store, &report).await),
    ];
    findings.push(clock(store.clock().skew()));
    findings
}

/// Logs the problems of the Redis of a store as soon as it can be reached.
pub(super) async fn log(store: Store, server: Server) {
    store.clock().synchronized().await;
    for Finding { check, verdict, text } in check(&store, &server).await {
        match verdict {
            Verdict::Ok => {}
            Verdict::Warning => tracing::warn!(check, "Redis: {text}"),
            Verdict::Unfit => tracing::error!(check, "Redis: {text}"),
        }
    }
}

fn version(report: &ServerReport) -> Finding {
    let Some(version) = &report.version else {
        return Finding::new("version", Verdict::Ok, "this user has no permission to read it");
    };
    let name = if report.is_valkey { "Valkey" } else { "Redis" };
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if report.is_valkey || number >= OLDEST {
        return Finding::new("version", Verdict::Ok, format!("{name} {version}"));
    }
    let text = format!("{name} {version} is older than 6.2, the oldest tested version");
    Finding::new("version", Verdict::Warning, text)
}

fn replication(report: &ServerReport, required: Option<String>) -> Finding {
    let kind = if report.is_cluster { "primary in a Redis Cluster" } else { "primary" };
    let text = match report.replicas {
        None | Some(0) => kind.to_owned(),
        Some(count) => {
            let required = required.and_then(|text| text.parse::<u64>().ok());
            let advice = if required == Some(0) {
                "; with min-replicas-to-write 1 a failover loses fewer samples (README: Sentinel)"
            } else {
                ""
            };
            format!("{kind} with {count} replica{}{advice}", if count == 1 { "" } else { "s" })
        }
    };
    Finding::new("role", Verdict::Ok, text)
}

fn encryption(server: &Server) -> Finding {
    Finding::new("tls", Verdict::Ok, if server.is_tls() { "yes" } else { "no" })
}

async fn permissions(store: &Store, is_cluster: bool) -> Finding {
    let advice = "the section Users of Redis of the README has the rule for ACL SETUSER";
    match store.denied_commands(queue::probe_keys(jobs::QUEUES, is_cluster)).await {
        Ok(denied) if denied.is_empty() => {
            Finding::new("permissions", Verdict::Ok, "this user has all required permissions")
        }
        Ok(denied) => {
            let text = format!("this user has no permission to: {}; {advice}", denied.join(", "));
            Finding::new("permissions", Verdict::Unfit, text)
        }
        Err(error) => Finding::new("permissions", Verdict::Unfit, format!("{error}; {advice}")),
    }
}

fn eviction(report: &ServerReport) -> Finding {
    let check = "maxmemory-policy";
    match &report.eviction {
        None => Finding::new(check, Verdict::Ok, "this user has no permission to read it"),
        Some(policy) if policy.starts_with("allkeys") => {
            let text =
                format!("{policy} silently deletes prices when the memory is full; set noeviction");
            Finding::new(check, Verdict::Warning, text)
        }
        Some(policy) => Finding::new(check, Verdict::Ok, policy),
    }
}

fn persistence(report: &ServerReport, snapshots: Option<String>) -> Finding {
    let check = "persistence";
    let saves = snapshots.as_ref().is_some_and(|setting| !setting.is_empty());
    match (report.has_append_only_file, saves, snapshots) {
        (Some(true), ..) => Finding::new(check, Verdict::Ok, "append-only file"),
        (_, true, _) => Finding::new(
            check,
            Verdict::Ok,
            "snapshots; with appendonly yes a crash loses fewer prices",
        ),
        (Some(false), _, Some(_)) => {
            let text = "none: a restart of Redis loses all prices; set appendonly yes";
            Finding::new(check, Verdict::Warning, text)
        }
        _ => Finding::new(
            check,
            Verdict::Ok,
            "no append-only file; this user has no permission to read the other settings",
        ),
    }
}

fn memory(report: &ServerReport) -> Finding {
    let shown = |bytes: u64| bytesize::ByteSize(bytes).display().si().to_string();
    let used = report.memory.map_or_else(|| "unknown".to_owned(), shown);
    let Some(most) = report.max_memory else {
        return Finding::new("memory", Verdict::Ok, format!("{used} used; no limit is set"));
    };
    let is_short =
        report.memory.is_some_and(|used| used.saturating_mul(10) > most.saturating_mul(9));
    let text = format!("{used} of {} used", shown(most));
    if is_short {
        let text = format!(
            "{text}; when the memory is full, nothing is recorded: raise maxmemory or lower prices.text"
        );
        return Finding::new("memory", Verdict::Warning, text);
    }
    Finding::new("memory", Verdict::Ok, text)
}

/// Returns the shortest of several latencies: a single one may be long because this machine is busy.
async fn shortest_latency(store: &Store, report: &ServerReport) -> Duration {
    let mut shortest = report.latency;
    for _ in 0..2 {
        shortest = store.latency().await.map_or(shortest, |latency| shortest.min(latency));
    }
    shortest
}

fn latency(latency: Duration) -> Finding {
    let text = format!("{:.1} ms", latency.as_secs_f64() * 1000.0);
    if latency > SLOW {
        let text = format!("{text} per command, which slows every job down; use a nearer Redis");
        return Finding::new("latency", Verdict::Warning, text);
    }
    Finding::new("latency", Verdict::Ok, text)
}

fn clock(skew: f64) -> Finding {
    let text = format!("the clock of this machine differs by {skew:+.3} s from Redis");
    if skew.abs() > SKEW {
        let text = format!(
            "{text}; Cotiza uses the time of Redis, but logs and TLS do not: synchronize the clock"
        );
        return Finding::new("clock", Verdict::Warning, text);
    }
    Finding::new("clock", Verdict::Ok, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> ServerReport {
        ServerReport {
            is_valkey: false,
            version: Some("7.0.15".to_owned()),
            memory: Some(80),
            max_memory: None,
            eviction: Some("noeviction".to_owned()),
            has_append_only_file: Some(true),
            replicas: Some(0),
            is_cluster: false,
            latency: Duration::from_millis(1),
        }
    }

    #[test]
    fn settings_that_may_lose_prices_are_a_warning() {
        let verdict = |finding: Finding| finding.verdict;
        assert_eq!(verdict(eviction(&report())), Verdict::Ok);
        let evicting = ServerReport { eviction: Some("allkeys-lru".to_owned()), ..report() };
        assert_eq!(verdict(eviction(&evicting)), Verdict::Warning);
        let volatile = ServerReport { eviction: Some("volatile-lru".to_owned()), ..report() };
        assert_eq!(verdict(eviction(&volatile)), Verdict::Ok);

        assert_eq!(verdict(persistence(&report(), Some(String::new()))), Verdict::Ok);
        let plain = ServerReport { has_append_only_file: Some(false), ..report() };
        assert_eq!(verdict(persistence(&plain, Some(String::new()))), Verdict::Warning);
        assert_eq!(verdict(persistence(&plain, Some("60 1".to_owned()))), Verdict::Ok);
        assert_eq!(verdict(persistence(&plain, None)), Verdict::Ok);
    }

    #[test]
    fn high_memory_latency_and_clock_skew_are_a_warning() {
        let full = ServerReport { max_memory: Some(88), ..report() };
        assert_eq!(memory(&full).verdict, Verdict::Warning);
        let half = ServerReport { max_memory: Some(160), ..report() };
        assert_eq!(memory(&half).verdict, Verdict::Ok);
        assert_eq!(latency(Duration::from_millis(51)).verdict, Verdict::Warning);
        assert_eq!((clock(1.5).verdict, clock(-0.2).verdict), (Verdict::Warning, Verdict::Ok));
    }

    #[test]
    fn versions_older_than_the_oldest_tested_one_are_a_warning() {
        for (version, is_valkey, expected) in [
            ("7.0.15", false, Verdict::Ok),
            ("6.2.14", false, Verdict::Ok),
            ("6.0.16", false, Verdict::Warning),
            ("5.0", false, Verdict::Warning),
            ("10.1", false, Verdict::Ok),
            ("8.1.1", true, Verdict::Ok),
        ] {
            let report = ServerReport { version: Some(version.to_owned()), is_valkey, ..report() };
            assert_eq!(super::version(&report).verdict, expected, "{version}");
        }
    }
}
