//! A primary monitored by Sentinels: all roles switch to the new primary after a failover without a restart.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::sleep;

use crate::harness::{SOON, SentinelGroup, Stack, eventually, run};

/// The time limit from a failure to the first sample on the new primary; the Sentinels take about 2 s.
const FAILOVER: Duration = Duration::from_secs(12);

/// Waits until the Sentinels return a primary other than the server at the position `old`.
async fn wait_for_failover(group: &SentinelGroup, old: usize) {
    eventually(FAILOVER, "a failover", || async { group.primary().await != old }).await;
}

#[tokio::test]
async fn recording_continues_on_a_new_primary_after_a_crash_a_hang_and_a_failover() {
    let mut group = SentinelGroup::start("", "").await;
    group.wait_until_ready().await;
    let stack = Stack::start(&[("REDIS_URL", &group.url())]).await;
    stack.wait_for_samples("at first", SOON).await;

    let killed = group.primary().await;
    group.servers[killed].kill();
    wait_for_failover(&group, killed).await;
    stack.wait_for_samples("after a crash", FAILOVER).await;
    group.servers[killed].restart();
    group.wait_until_ready().await;

    let hung = group.primary().await;
    group.servers[hung].signal(Signal::SIGSTOP);
    wait_for_failover(&group, hung).await;
    stack.wait_for_samples("while the old primary hangs", FAILOVER).await;
    group.servers[hung].signal(Signal::SIGCONT);
    sleep(Duration::from_secs(2)).await;
    group.wait_until_ready().await;

    let demoted = group.primary().await;
    eventually(SOON, "a Sentinel starts a failover", || async {
        let words = ["SENTINEL", "FAILOVER", "main"];
        group.sentinels[0].command::<()>(&words).await.is_ok()
    })
    .await;
    wait_for_failover(&group, demoted).await;
    stack.wait_for_samples("after a manual failover", FAILOVER).await;
    stack.check_slots().await;
}

#[tokio::test]
async fn sentinels_can_have_their_own_user_and_password() {
    let server = "requirepass data\nmasterauth data";
    let sentinel = "sentinel auth-pass main data\nuser watcher on >sentry +@all ~* &*\n\
                    sentinel sentinel-user watcher\nsentinel sentinel-pass sentry\nrequirepass other";
    let group = SentinelGroup::start(server, sentinel).await;
    let folder = tempfile::TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let (data, sentry) = (file("data", "data\n"), file("sentry", "sentry\n"));
    let url = group.url();
    let environment = [
        ("REDIS_URL", url.as_str()),
        ("COTIZA__REDIS__PASSWORD_FILE", &data),
        ("COTIZA__REDIS__SENTINEL_USERNAME", "watcher"),
        ("COTIZA__REDIS__SENTINEL_PASSWORD_FILE", &sentry),
    ];
    let stack = Stack::start(&environment).await;
    stack.wait_for_samples("at first", SOON).await;

    let output = run(&["queue", "ls", "--redis-url", &url], &environment[1..2]).await;
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("no Sentinel names a primary of \"main\""), "{}", output.stderr);
}

#[tokio::test]
async fn a_sentinel_and_a_replica_are_refused_with_advice() {
    let group = SentinelGroup::start("", "").await;
    group.sentinels[0].wait_until_ready().await;
    let output = run(&["queue", "ls", "--redis-url", &group.sentinels[0].url()], &[]).await;
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("is a Sentinel: use redis+sentinel://"), "{}", output.stderr);
    let replica = group.servers[1].url();
    group.servers[1].wait_until_ready().await;
    let output = run(&["queue", "ls", "--redis-url", &replica], &[]).await;
    assert!(output.stderr.contains("is a replica"), "{}", output.stderr);
}
