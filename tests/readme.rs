//! What the documentation claims: its requests are made, its tables compared, its commands known.

use std::{collections::BTreeSet, fs};

use cotiza::{
    config::{Config, DEFAULT_TOML},
    domain::Reason,
};
use toml::{Table, Value};

use crate::harness::{Api, Database, run};

const ORIGIN: &str = "http://localhost:8000";

fn read(file: &str) -> String {
    fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// An API over the samples that the examples speak of.
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
        ["HSET", "{prices}:provenance:1717182000", "1717184884", "buenbit:84881000.0:83216666.5"];
    database.command::<()>(&from).await;
    let slow = [1_717_184_890, 1_717_184_900];
    store.miss(&slow, Reason::ExchangeTimeout).await.unwrap();
    Api::start(&database).await
}

/// The lines of all fenced blocks of the language.
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

/// The text without the current time, which no example can know.
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
async fn every_request_gets_the_answer_that_is_printed_below_it() {
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

/// The table of keys that default.toml implies: its comments are the descriptions.
fn table_of_keys() -> String {
    let defaults: Table = DEFAULT_TOML.parse().unwrap();
    let (mut rows, mut section, mut comment) = (String::new(), String::new(), Vec::new());
    for line in DEFAULT_TOML.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            comment.push(text);
        } else if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
            comment.clear();
        } else if let Some((name, _)) = line.split_once(" = ") {
            if comment.is_empty() {
                continue; // explained at the first source
            }
            let mut value = &Value::Table(defaults.clone());
            for part in section.split('.').chain([name]) {
                value = &value[part];
            }
            rows += "| `";
            rows += &[&section, ".", name, "` | `", &value.to_string(), "` | "].concat();
            rows += &[&comment.join(" "), " |\n"].concat();
            comment.clear();
        } else {
            comment.clear();
        }
    }
    rows
}

#[test]
fn the_table_of_keys_is_that_of_default_toml() {
    let table = table_of_keys();
    assert!(table.lines().count() >= 20, "{table}");
    assert!(read("README.md").contains(&table), "README.md should have this table:\n{table}");
}

#[test]
fn the_example_of_a_configuration_is_one() {
    let example = blocks(&read("README.md"), "toml").join("\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &example).unwrap();
    let environment = std::collections::HashMap::new();
    let config = Config::from_layers(Some(file.path()), &environment, &Vec::new()).unwrap();
    assert_eq!(config.sources.enabled().len(), 3, "{example}");
}

#[test]
fn the_example_of_a_job_is_the_one_in_the_tree() {
    let example = blocks(&read("README.md"), "rust").join("\n");
    assert!(example.contains("impl Job for Housekeeping"), "{example}");
    assert!(read("src/jobs/housekeeping.rs").contains(&example), "{example}");
}

#[tokio::test]
async fn every_cotiza_command_that_is_named_exists() {
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
fn every_make_target_that_is_named_exists() {
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

/// The settings of a compose file with their defaults: its `${NAME:-default}`.
fn settings(compose: &str) -> BTreeSet<(&str, &str)> {
    let inside = compose.split("${").skip(1).filter_map(|rest| rest.split('}').next());
    inside.filter_map(|setting| setting.split_once(":-")).collect()
}

#[test]
fn the_example_of_env_holds_the_settings_of_the_compose_file_and_their_defaults() {
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
