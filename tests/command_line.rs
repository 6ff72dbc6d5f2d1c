//! Arguments, exit codes and configuration of the command line.

use cotiza::config::Config;

use crate::harness::{Cotiza, Output, free_port, run};

fn assert_usage_error(output: &Output, expected: &str) {
    assert_eq!(output.code, 64, "{}", output.stderr);
    assert!(output.stderr.contains(expected), "{}", output.stderr);
    assert_eq!(output.stdout, "");
}

#[tokio::test]
async fn invalid_arguments_exit_with_64_and_an_explanation() {
    for (arguments, expected) in [
        (&["workr"][..], "a similar subcommand exists: 'worker'"),
        (&["worker", "--concurency", "3"], "--concurrency"),
        (&["api", "--listen", "nowhere"], "nowhere"),
        (&["healthcheck"], "<ROLE>"),
        (&["healthcheck", "redis"], "scheduler, worker, api"),
        (&["--log-format", "xml"], "text, json"),
    ] {
        assert_usage_error(&run(arguments, &[]).await, expected);
    }
}

#[tokio::test]
async fn an_invalid_configuration_exits_with_64_and_one_line_before_anything_starts() {
    for (arguments, environment, expected) in [
        (&["worker", "--concurrency", "0"][..], vec![], "worker.concurrency = 0"),
        (&["worker", "--concurrency", "x"], vec![], "worker.concurrency"),
        (&["scheduler", "--redis-url", "http://x"], vec![], "redis.url"),
        (&["exchange", "--error-rate", "2"], vec![], "exchange.error_rate = 2"),
        (&["up"], vec![("COTIZA__SCHEDULE__EVERY", "0s")], "schedule.every"),
        (&["up"], vec![("COTIZA__METRICS__LISTEN", "127.0.0.1:1")], "cannot share an address"),
        (&["worker"], vec![("COTIZA__METRICS__LISTEN", "9100")], "not an address with a port"),
        (&["api"], vec![("COTIZA__API__PORT", "1")], "unknown key api.port"),
        (&["api"], vec![("COTIZA__API__LISTEN", "127.0.0.1:70000")], "api.listen"),
        (&["api"], vec![("COTIZA_API_LISTEN", "127.0.0.1:1")], "mean COTIZA__API__LISTEN"),
        (&["worker"], vec![("COTIZA_REDIS_URL", "redis://x")], "mean COTIZA__REDIS__URL"),
        (
            &["api"],
            vec![("COTIZA__API__TRUSTED_PROXIES", "10.0.0")],
            "\"10.0.0\" is neither a network",
        ),
        (&["api"], vec![("COTIZA__API__PUBLIC_URL", "prices.example")], "api.public_url"),
        (&["api"], vec![("COTIZA__API__MAX_HEADERS", "1KB")], "api.max_headers"),
        (&["config", "--config", "no/such.toml"], vec![], "no/such.toml"),
    ] {
        let output = run(arguments, &environment).await;
        assert_usage_error(&output, expected);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        assert!(output.stderr.starts_with("cotiza: "), "{}", output.stderr);
    }
}

#[tokio::test]
async fn config_prints_effective_values_that_can_be_parsed_again() {
    let environment = [("REDIS_URL", "redis://me:secret@host/3"), ("COTIZA__UP__WORKERS", "5")];
    let printed = run(&["config"], &environment).await;
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""));
    let config: Config = toml::from_str(&printed.stdout).unwrap();
    assert_eq!(config.up.workers, 5);
    assert_eq!(config.redis.url, "redis://me:***@host/3");
}

#[tokio::test]
async fn the_configuration_file_and_a_flag_are_applied() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[worker]\nconcurrency = 3\ndrain = \"9s\"\n").unwrap();
    let path = file.path().to_str().unwrap();
    let printed = run(&["--config", path, "config", "--log-format", "json"], &[]).await.stdout;
    let config: Config = toml::from_str(&printed).unwrap();
    assert_eq!((config.worker.concurrency, config.worker.drain.as_secs()), (3, 9));
    assert!(printed.contains("format = \"json\""), "{printed}");
}

#[tokio::test]
async fn the_first_log_line_of_a_role_describes_it_and_hides_the_password() {
    let environment = [("REDIS_URL", "redis://me:secret@127.0.0.1:1/3")];
    for (role, sources) in
        [("scheduler", None), ("worker", Some("sources=\"buenbit\"")), ("api", None)]
    {
        let process =
            Cotiza::start(&[role], &[environment[0], ("COTIZA__API__LISTEN", "127.0.0.1:0")]);
        let line = process.wait_for_line(&format!("the {role} has started")).await;
        assert!(line.contains("redis=\"redis://me:***@127.0.0.1:1/3\""), "{line}");
        assert!(line.contains(concat!("version=\"", env!("CARGO_PKG_VERSION"))), "{line}");
        assert_eq!(line.contains("sources="), sources.is_some(), "{line}");
        assert!(sources.is_none_or(|sources| line.contains(sources)), "{line}");
        // A Redis that was never reachable is reported as an outage, too, after a while.
        let outage = process.wait_for_line("Redis is unavailable").await;
        assert!(outage.contains("redis=\"redis://me:***@127.0.0.1:1/3\""), "{outage}");
        assert!(process.lines().iter().all(|line| !line.contains("secret")));
    }
}

#[tokio::test]
async fn a_port_in_use_exits_with_1_and_is_named() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let output = run(&["api", "--listen", &listen], &[]).await;
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains(&listen), "{}", output.stderr);

    let output = run(&["up"], &[("COTIZA__API__LISTEN", &listen)]).await;
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains("COTIZA__API__LISTEN"), "{}", output.stderr);
    assert_ne!(free_port(), 0);
}

#[tokio::test]
async fn the_docker_configuration_is_valid() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations-free-config/docker.toml");
    let printed = run(&["config", "--config", file], &[]).await;
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    assert!(printed.stdout.contains("0.0.0.0:8000"), "{}", printed.stdout);
}

#[tokio::test]
async fn the_version_contains_the_commit_of_a_checkout() {
    let printed = run(&["--version"], &[]).await.stdout;
    let expected = concat!("cotiza ", env!("CARGO_PKG_VERSION"));
    let root = env!("CARGO_MANIFEST_DIR");
    let git = std::process::Command::new("git")
        .args(["-C", root, "log", "-1", "--format=%H"])
        .output()
        .ok()
        .filter(|output| output.status.success());
    let Some(commit) = printed.trim().strip_prefix(expected) else { panic!("{printed}") };
    if let Some(output) = git.filter(|_| std::path::Path::new(root).join(".git").exists()) {
        let head = String::from_utf8(output.stdout).unwrap();
        let shown = commit.trim_start_matches(" (").trim_end_matches(')');
        assert!(!shown.is_empty() && head.starts_with(shown), "{printed} at {head}");
    } else {
        assert!(commit.is_empty(), "{printed}");
    }
}

#[test]
fn make_refuses_an_unknown_value_of_simulate() {
    let make = |simulate: &str| {
        let mut make = std::process::Command::new("make");
        make.current_dir(env!("CARGO_MANIFEST_DIR")).args(["--dry-run", "up", simulate]);
        make.output()
    };
    let Ok(refused) = make("SIMULATE=true") else {
        println!("skipped: make is not installed");
        return;
    };
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && stderr.contains("give SIMULATE=1"), "{stderr}");
    let planned = make("SIMULATE=1").unwrap().stdout;
    assert!(String::from_utf8_lossy(&planned).contains("--simulate"));
}
