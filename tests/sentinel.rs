//! A primary that Sentinels watch: all roles follow it to another server, without a restart.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::sleep;

use crate::harness::{SOON, Stack, Watched, eventually, run};

/// From the failure to the first sample on the new primary: the Sentinels need about 2 s of it.
const FAILOVER: Duration = Duration::from_secs(12);

/// Waits until the Sentinels name another primary than the one at the position.
async fn is_replaced(watched: &Watched, old: usize) {
    eventually(FAILOVER, "another primary", || async { watched.primary().await != old }).await;
}

#[tokio::test]
async fn a_primary_that_dies_hangs_or_is_demoted_is_left_for_the_next_one() {
    let mut watched = Watched::start("", "").await;
    watched.is_ready().await;
    let stack = Stack::start(&[("REDIS_URL", &watched.url())]).await;
    stack.records("at first", SOON).await;

    let killed = watched.primary().await;
    watched.servers[killed].kill();
    is_replaced(&watched, killed).await;
    stack.records("after a crash", FAILOVER).await;
    watched.servers[killed].restart();
    watched.is_ready().await;

    let hung = watched.primary().await;
    watched.servers[hung].signal(Signal::SIGSTOP);
    is_replaced(&watched, hung).await;
    stack.records("while the old primary hangs", FAILOVER).await;
    watched.servers[hung].signal(Signal::SIGCONT);
    sleep(Duration::from_secs(2)).await;
    watched.is_ready().await;

    let demoted = watched.primary().await;
    eventually(SOON, "a failover is begun", || async {
        let words = ["SENTINEL", "FAILOVER", "main"];
        watched.sentinels[0].ask::<()>(&words).await.is_ok()
    })
    .await;
    is_replaced(&watched, demoted).await;
    stack.records("after an orderly failover", FAILOVER).await;
    stack.settles().await;
}

#[tokio::test]
async fn sentinels_may_want_a_user_of_their_own() {
    let server = "requirepass data\nmasterauth data";
    let sentinel = "sentinel auth-pass main data\nuser watcher on >sentry +@all ~* &*\n\
                    sentinel sentinel-user watcher\nsentinel sentinel-pass sentry\nrequirepass other";
    let watched = Watched::start(server, sentinel).await;
    let folder = tempfile::TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let (data, sentry) = (file("data", "data\n"), file("sentry", "sentry\n"));
    let url = watched.url();
    let environment = [
        ("REDIS_URL", url.as_str()),
        ("COTIZA__REDIS__PASSWORD_FILE", &data),
        ("COTIZA__REDIS__SENTINEL_USERNAME", "watcher"),
        ("COTIZA__REDIS__SENTINEL_PASSWORD_FILE", &sentry),
    ];
    let stack = Stack::start(&environment).await;
    stack.records("at first", SOON).await;

    let output = run(&["queue", "ls", "--redis-url", &url], &environment[1..2]).await;
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("no Sentinel names a primary of \"main\""), "{}", output.stderr);
}

#[tokio::test]
async fn a_sentinel_is_not_taken_for_a_redis() {
    let watched = Watched::start("", "").await;
    watched.sentinels[0].answers().await;
    let output = run(&["queue", "ls", "--redis-url", &watched.sentinels[0].url()], &[]).await;
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("is a Sentinel: give redis+sentinel://"), "{}", output.stderr);
    let replica = watched.servers[1].url();
    watched.servers[1].answers().await;
    let output = run(&["queue", "ls", "--redis-url", &replica], &[]).await;
    assert!(output.stderr.contains("is a replica"), "{}", output.stderr);
}
