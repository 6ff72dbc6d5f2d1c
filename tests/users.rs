//! Users of Redis: the ACL rule in the README is sufficient, and a missing permission is reported.

use std::collections::HashMap;

use cotiza::connection::redacted;

use crate::harness::{Cluster, Node, SOON, Stack, redis_command, run};

/// Returns the words of the ACL rule in the README, `ACL SETUSER cotiza ...`.
fn rule(password: &str) -> Vec<String> {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let text = readme.split("ACL SETUSER cotiza").nth(1).expect("the README contains the rule");
    let text = text.split("```").next().unwrap().replace('\\', " ");
    let words =
        text.split_whitespace().map(|word| word.replace(">PASSWORD", &format!(">{password}")));
    ["ACL", "SETUSER", "cotiza"].into_iter().map(str::to_owned).chain(words).collect()
}

async fn add_user(node: &Node, password: &str) {
    let rule = rule(password);
    node.command::<()>(&rule.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
}

/// Returns the permissions that the README adds to the rule for a cluster.
fn cluster_permissions() -> Vec<String> {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let added = readme
        .split("for a cluster add `")
        .nth(1)
        .expect("the README contains the permissions for a cluster");
    added.split('`').next().unwrap().split_whitespace().map(str::to_owned).collect()
}

/// Returns the commands that Redis has refused, except `CONFIG GET`, which is optional.
async fn refused(node: &Node) -> Vec<String> {
    let entries: Vec<HashMap<String, redis::Value>> = node.command(&["ACL", "LOG"]).await.unwrap();
    let refused = entries.into_iter().map(|entry| format!("{:?}", entry["object"]));
    refused.filter(|object| !object.contains("config|get")).collect()
}

#[tokio::test]
async fn the_rule_in_the_readme_permits_all_operations() {
    let node = Node::start("");
    node.wait_until_ready().await;
    // The password contains the characters with a meaning in URLs, which must be percent-encoded.
    add_user(&node, "p@ss:w/rd?#%&ñ").await;
    let url = format!("redis://cotiza:p%40ss%3Aw%2Frd%3F%23%25%26%C3%B1@{}/0", node.address());
    let environment = [
        ("REDIS_URL", url.as_str()),
        ("COTIZA__QUEUE__HOUSEKEEPING_EVERY", "2s"),
        ("COTIZA__QUEUE__KEEP_DONE", "1s"),
        ("COTIZA__PRICES__KEEP", "1day"),
    ];
    let stack = Stack::start(&environment).await;
    stack.wait_for_samples("as the user cotiza", SOON).await;
    let commands: [&[&str]; 12] = [
        &["doctor"],
        &["prices", "list"],
        &["prices", "average"],
        &["prices", "check"],
        &["prices", "rebuild"],
        &["prices", "unseal"],
        &["queue", "pause", "housekeeping"],
        &["queue", "resume", "housekeeping"],
        &["job", "run", "housekeeping"],
        &["queue", "purge", "housekeeping", "--state", "done"],
        &["process", "ls"],
        &["audit"],
    ];
    for arguments in commands {
        let output = run(arguments, &environment).await;
        assert!(output.code == 0, "{arguments:?}: {}{}", output.stdout, output.stderr);
    }
    for path in ["/api/status/", "/api/queues/", "/api/jobs/", "/api/processes/", "/api/sources/"] {
        assert!(stack.get(path).await.is_some(), "{path}");
    }
    stack.wait_for_samples("after all commands", SOON).await;
    assert_eq!(stack.warnings(), Vec::<String>::new());
    for line in stack.processes.iter().flat_map(crate::harness::Cotiza::lines) {
        assert!(!line.contains("p@ss") && !line.contains("p%40ss"), "{line}");
    }
    assert_eq!(refused(&node).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_rule_in_the_readme_is_sufficient_for_a_cluster() {
    let Some(cluster) = Cluster::start().await else { return };
    for node in &cluster.nodes {
        add_user(node, "secret").await;
        let mut words = vec!["ACL".to_owned(), "SETUSER".to_owned(), "cotiza".to_owned()];
        words.extend(cluster_permissions());
        node.command::<()>(&words.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    }
    let url = cluster.url(4).replace("redis://", "redis://cotiza:secret@");
    let stack = Stack::start(&[("REDIS_URL", &url)]).await;
    stack.wait_for_samples("as the user cotiza", SOON).await;
    let doctor = run(&["doctor"], &[("REDIS_URL", &url)]).await;
    assert_eq!(doctor.code, 0, "{}", doctor.stdout);
    for node in &cluster.nodes {
        assert_eq!(refused(node).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_missing_permission_is_reported() {
    let node = Node::start("");
    node.wait_until_ready().await;
    add_user(&node, "secret").await;
    let url = format!("redis://cotiza:secret@{}/0", node.address());
    node.command::<()>(&["ACL", "SETUSER", "cotiza", "-xadd", "-subscribe"]).await.unwrap();
    let output = run(&["doctor"], &[("REDIS_URL", &url)]).await;
    assert_eq!(output.code, 1);
    assert!(output.stdout.contains("unfit    permissions"), "{}", output.stdout);
    assert!(output.stdout.contains("XADD {prices}:probe"), "{}", output.stdout);
    assert!(output.stdout.contains("SUBSCRIBE tasks:probe"), "{}", output.stdout);
    let keys: Vec<String> = redis_command(&node.url(), &["KEYS", "*"]).await.unwrap();
    assert_eq!(keys, Vec::<String>::new(), "the checks left keys");

    for (wrong, expected) in [
        (format!("redis://cotiza:wrong@{}/0", node.address()), "password is wrong"),
        (format!("redis://nobody:secret@{}/0", node.address()), "password is wrong"),
    ] {
        let output = run(&["queue", "ls"], &[("REDIS_URL", &wrong)]).await;
        assert!(output.stderr.contains(expected), "{}", output.stderr);
        assert!(output.stderr.contains(&redacted(&wrong)), "{}", output.stderr);
        assert!(!output.stderr.contains(":secret@"), "{}", output.stderr);
    }
}
