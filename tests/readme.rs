//! The documentation: its requests are sent, its tables are compared, its commands exist.

use std::{collections::BTreeSet, fs};

use cotiza::{
    config::{Config, DEFAULT_TOML},
    domain::MissedReason,
    store::keys,
};
use toml::Table;

use crate::harness::{Api, Database, run};

const ORIGIN: &str = "http://localhost:8000";

fn read(file: &str) -> String {
    fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Starts an API with the samples of the examples.
async fn api() -> Api {
    let database = Database::new().await;
    database
        .put_prices(&[
            ("1717184864", "84873600.0:1717184864"),
            ("1717184874", "84870100.5:1717184874"),
            ("1717184884", "84881000.0:1717184884"),
        ])
        .await;
    let store = database.store();
    let from =
        ["HSET", &keys::provenance(1_717_182_000), "1717184884", "buenbit:84881000.0:83216666.5"];
    database.command::<()>(&from).await;
    let slow = [1_717_184_890, 1_717_184_900];
    store.record_missed(&slow, MissedReason::ExchangeTimeout).await.unwrap();
    Api::start(&database).await
}

/// Returns the lines of all fenced code blocks of the language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let (mut inside, mut lines) = (false, Vec::new());
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(named) => inside = named == language,
            None if inside => lines.push(line.to_owned()),
            None => {}
        }
    }
    lines
}

/// Returns the text without the fields that depend on the current time.
fn without_now(text: &str) -> String {
    let mut text = text.to_owned();
    for field in ["\"known_until\":", "\"stale\":", "\"age\":"] {
        if let Some((before, after)) = text.split_once(field) {
            let is_of_value = |c: char| c.is_ascii_alphanumeric();
            text = format!("{before}{}", after.trim_start_matches(is_of_value));
        }
    }
    text
}

#[tokio::test]
async fn each_example_request_returns_the_printed_response() {
    let api = api().await;
    for (file, at_least) in [("README.md", 9), ("README.es.md", 4)] {
        let lines = blocks(&read(file), "console");
        let examples: Vec<_> = lines.chunks(2).collect();
        assert!(examples.len() >= at_least, "{file}: only {} examples", examples.len());
        for example in examples {
            let path = example[0].strip_prefix(&format!("$ curl '{ORIGIN}")).expect(&example[0]);
            let answer = api.get(path.trim_end_matches('\'')).await;
            assert_eq!(
                without_now(&answer.text.replace(&api.origin, ORIGIN)),
                without_now(&example[1]),
                "{file}: {}",
                example[0]
            );
        }
    }
}

#[tokio::test]
async fn the_configuration_reference_describes_every_key_of_default_toml() {
    let printed = run(&["config", "--markdown"], &[]).await;
    let described = |key: &str| printed.stdout.contains(&format!("\n| `{key}` | `"));
    let defaults: Table = DEFAULT_TOML.parse().unwrap();
    let mut keys = 0;
    for (section, values) in &defaults {
        // The keys of all sources are the same; those of the first one are described.
        let values = values.as_table().unwrap().iter().filter(|(_, value)| !value.is_table());
        for (name, value) in values {
            keys += 1;
            assert!(described(&format!("{section}.{name}")), "{section}.{name}: {value}");
        }
    }
    assert!(keys >= 50, "{keys} keys");
    for name in defaults["sources"]["buenbit"].as_table().unwrap().keys() {
        assert!(described(&format!("sources.buenbit.{name}")), "{name}");
    }
}

#[test]
fn the_example_configuration_is_valid() {
    let example = blocks(&read("README.md"), "toml").join("\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &example).unwrap();
    let environment = std::collections::HashMap::new();
    let config = Config::from_layers(Some(file.path()), &environment, &Vec::new()).unwrap();
    assert_eq!(config.sources.enabled().len(), 3, "{example}");
}

#[tokio::test]
async fn every_named_cotiza_command_exists() {
    let text = read("README.md") + &read("README.es.md");
    let named = text.match_indices("cotiza ").filter_map(|(at, word)| {
        let rest = &text[at + word.len()..];
        let word =
            |text: &str| -> String { text.chars().take_while(char::is_ascii_lowercase).collect() };
        let command = word(rest);
        let has_commands = ["queue", "job", "process", "prices", "sources"].contains(&&*command);
        let below = rest.strip_prefix(&format!("{command} ")).filter(|_| has_commands).map(word);
        (!command.is_empty() && text[..at].ends_with(['`', '\n'])).then_some((command, below))
    });
    let named: BTreeSet<(String, Option<String>)> = named.collect();
    assert!(named.len() >= 15, "{named:?}");
    for (command, below) in named {
        let arguments: Vec<&str> = ["help", &command].into_iter().chain(below.as_deref()).collect();
        assert_eq!(run(&arguments, &[]).await.code, 0, "{arguments:?}");
    }
}

#[test]
fn every_named_make_target_exists() {
    let makefile = read("Makefile");
    for file in ["README.md", "README.es.md"] {
        let text = read(file);
        let mut targets = 0;
        for (at, word) in text.match_indices("make ") {
            let rest = &text[at + word.len()..];
            let of_name = |c: &char| c.is_ascii_lowercase() || *c == '-';
            let target: String = rest.chars().take_while(of_name).collect();
            if !target.is_empty() && text[..at].ends_with(['`', '\n']) {
                targets += 1;
                assert!(makefile.contains(&format!("\n{target}:")), "{file}: make {target}");
            }
        }
        assert!(targets >= 2, "{file}");
    }
}

/// Returns the settings of a compose file with their defaults, written as `${NAME:-default}`.
fn settings(compose: &str) -> BTreeSet<(&str, &str)> {
    let inside = compose.split("${").skip(1).filter_map(|rest| rest.split('}').next());
    inside.filter_map(|setting| setting.split_once(":-")).collect()
}

#[test]
fn the_env_example_matches_the_settings_of_the_compose_file() {
    let (example, compose) = (read(".env.example"), read("docker-compose.yml"));
    let stack = read("docker/stack.yml");
    let explained = example.lines().filter(|line| !line.starts_with('#'));
    let explained: BTreeSet<_> = explained.filter_map(|line| line.split_once('=')).collect();
    assert_eq!(explained, settings(&compose));
    assert!(settings(&stack).is_subset(&explained), "{:?}", settings(&stack));
}

#[test]
fn the_base_images_are_the_same_in_every_file() {
    for file in ["docker/Dockerfile", "docker/test.Dockerfile"] {
        let text = read(file);
        let images =
            text.lines().filter_map(|line| line.strip_prefix("ARG ")?.split_once("_IMAGE="));
        for (name, image) in images {
            let setting = format!("\n{name}_IMAGE={image}\n");
            assert!(read(".env.example").contains(&setting), "{file}: {name}_IMAGE={image}");
        }
    }
}
