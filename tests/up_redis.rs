//! The Redis of `cotiza up`: its password, its permissions and its data folder.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use cotiza::store::keys;
use nix::sys::signal::Signal;

use crate::{
    harness::{redis_command, run},
    up::{Home, STOP, children},
};

/// Sends a command to the Redis of a home; `password` is empty, or ends with `@`.
async fn send(home: &Home, password: &str, words: &[&str]) -> Result<redis::Value, String> {
    let port = home.value("COTIZA__UP__REDIS_PORT");
    let url = format!("redis://{password}127.0.0.1:{port}/0");
    redis_command(&url, words).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn its_redis_requires_the_password_and_permits_only_what_is_needed() {
    let home = Home::new();
    let up = home.up_and_recording().await;
    let count = ["ZCARD", keys::PRICES];
    let refused = send(&home, "", &count).await.unwrap_err();
    assert!(refused.contains("NOAUTH"), "{refused}");
    let password = format!(":{}@", home.password());
    send(&home, &password, &count).await.unwrap();
    for words in
        [&["FLUSHALL"][..], &["CONFIG", "SET", "bind", "0.0.0.0"], &["REPLICAOF", "NO", "ONE"]]
    {
        let refused = send(&home, &password, words).await.unwrap_err();
        assert!(refused.contains("permissions"), "{words:?}: {refused}");
    }
    for (_, line) in children(up.id()) {
        assert!(!line.contains(&home.password()), "a password in {line}");
    }
}

#[tokio::test]
async fn its_data_folder_is_readable_by_its_owner_only() {
    let home = Home::new();
    let up = home.up();
    up.wait_for_line("Cotiza is up.").await;
    let data = home.simulated_data();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("redis-password")), 0o600);
    assert_eq!(mode(&data.join("redis.conf")), 0o600);
}

#[tokio::test]
async fn commands_find_the_password_of_its_redis_in_the_data_folder() {
    let home = Home::new();
    let _up = home.up_and_recording().await;
    // The address may be given, and another data folder, whose Redis does not run, may exist.
    let other = home.folder.path().join("data");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("redis-password"), "of-real-prices").unwrap();
    let url = format!("redis://127.0.0.1:{}/0", home.value("COTIZA__UP__REDIS_PORT"));
    for arguments in [&["prices", "list"][..], &["prices", "list", "--redis-url", &url]] {
        let listed = run(arguments, &home.variables()).await;
        assert_eq!(listed.code, 0, "{}", listed.stderr);
        assert!(listed.stdout.lines().count() > 2, "{}", listed.stdout);
    }
}

#[tokio::test]
async fn a_damaged_append_only_file_is_an_error_with_advice() {
    let home = Home::new();
    let up = home.up_and_recording().await;
    assert_eq!(up.end(Signal::SIGTERM, STOP).await.code(), Some(0));
    let folder = home.simulated_data().join("appendonlydir");
    let file = folder.join("appendonly.aof.1.incr.aof");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20..40].fill(b'!');
    std::fs::write(&file, bytes).unwrap();
    let up = home.up();
    let line = up.wait_for_line("cotiza: ").await;
    for part in ["Bad file format", "redis-check-aof --fix", "appendonly.aof.manifest"] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
    let status = up.wait_for_exit().await;
    assert_eq!(status.code(), Some(1));
}
