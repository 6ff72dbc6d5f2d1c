//! The OpenAPI document and the help texts: they are complete and correct; all outputs are the same.

use std::fmt::Write as _;

use cotiza::domain::{Interval, Moment, Span};
use serde_json::{Map, Value, json};

use crate::harness::{Api, Database, run};

/// Returns the document printed by the command line.
async fn document() -> Value {
    serde_json::from_str(&run(&["openapi"], &[]).await.stdout).unwrap()
}

/// Returns the operations with their paths.
fn operations(document: &Value) -> impl Iterator<Item = (&String, &Value)> {
    document["paths"].as_object().unwrap().iter().map(|(path, methods)| (path, &methods["get"]))
}

/// Converts a schema of OpenAPI 3.0 to JSON Schema: null becomes a type, and additional fields are errors.
fn json_schema(schema: &Value) -> Value {
    let schema = match schema {
        Value::Array(all) => return Value::Array(all.iter().map(json_schema).collect()),
        Value::Object(fields) => fields,
        other => return other.clone(),
    };
    let mut written: Map<String, Value> =
        schema.iter().map(|(name, value)| (name.clone(), json_schema(value))).collect();
    written.remove("format");
    if written.contains_key("properties") {
        written.entry("additionalProperties").or_insert(json!(false));
    }
    if written.remove("nullable") == Some(json!(true)) {
        return json!({"anyOf": [written, {"type": "null"}]});
    }
    Value::Object(written)
}

/// Checks that a response matches its schema.
fn check(document: &Value, schema: &Value, answer: &Value, what: &str) {
    let mut schema = json_schema(schema);
    schema["components"] = json!({"schemas": json_schema(&document["components"]["schemas"])});
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(answer)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what}: {errors:?} in {answer}");
}

#[tokio::test]
async fn the_api_and_the_command_line_publish_the_same_document() {
    let api = Api::start(&Database::new().await).await;
    let printed = run(&["openapi"], &[]).await;
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""));
    let served = api.get("/openapi.json").await;
    assert_eq!(served.text.trim(), printed.stdout.trim());
    insta::assert_snapshot!("openapi", printed.stdout);

    let yaml = run(&["openapi", "--yaml"], &[]).await.stdout;
    assert_eq!(api.get("/openapi.yaml").await.text.trim(), yaml.trim());
    assert!(yaml.starts_with("openapi: 3."), "{yaml}");
    let page = api.get("/docs").await.text;
    assert!(page.contains(printed.stdout.trim()), "Swagger UI shows another document");
}

#[tokio::test]
async fn the_document_contains_servers_license_contact_tags_and_deprecations() {
    let document = document().await;
    assert_eq!(document["servers"][0]["url"], "/");
    assert_eq!(document["info"]["license"]["name"], "MIT OR Apache-2.0");
    assert!(document["info"]["contact"]["name"].is_string());
    let tags: Vec<&Value> =
        document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    assert_eq!(tags, ["Prices", "Coverage", "Sources", "Operation", "Health", "Compatible"]);
    let deprecated: Vec<&String> = operations(&document)
        .filter(|(_, it)| it["deprecated"] == true)
        .map(|(path, _)| path)
        .collect();
    assert_eq!(deprecated, ["/api/ticker-average-price"]);
}

#[tokio::test]
async fn every_parameter_response_and_field_is_described() {
    let document = document().await;
    for (path, operation) in operations(&document) {
        assert!(operation["description"].is_string(), "{path}");
        for parameter in operation["parameters"].as_array().unwrap_or(&Vec::new()) {
            assert!(parameter["description"].is_string(), "{path} {parameter}");
            let is_required = parameter["required"] == true;
            let is_any = parameter["schema"] == json!({"type": "string"}) && !is_required;
            assert!(is_any || !parameter["schema"]["example"].is_null(), "{path} {parameter}");
        }
        let is_compatible = operation["tags"][0] == "Compatible";
        for (status, response) in operation["responses"].as_object().unwrap() {
            let kinds: Vec<&String> = response["content"].as_object().unwrap().keys().collect();
            assert!(kinds.iter().all(|kind| !kind.contains(';')), "{path} {status}: {kinds:?}");
            let is_error = status != "200" && !is_compatible;
            assert!(
                !is_error || kinds == ["application/problem+json"],
                "{path} {status}: {kinds:?}"
            );
        }
        let has_400 = operation["responses"].get("400").is_some();
        assert_eq!(has_400, !path.starts_with("/health") && !path.ends_with("/ping"), "{path}");
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name}");
        for (field, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}.{field}: {property}");
        }
    }
}

#[tokio::test]
async fn the_queue_parameter_lists_the_queues_of_the_jobs() {
    let document = document().await;
    let parameters = document["paths"]["/api/jobs"]["get"]["parameters"].as_array().unwrap();
    let queue = parameters.iter().find(|parameter| parameter["name"] == "queue").unwrap();
    assert_eq!(queue["schema"]["enum"], json!(cotiza::jobs::QUEUES));
    assert_ne!(queue["required"], true);
}

#[tokio::test]
async fn the_examples_match_their_schemas() {
    let document = document().await;
    for (path, operation) in operations(&document) {
        let content = &operation["responses"]["200"]["content"];
        let Some(json) = content.get("application/json") else {
            assert!(
                ["/api/stream", "/api/chart.svg", "/api/badge.svg"].contains(&path.as_str()),
                "{path}"
            );
            continue;
        };
        assert!(!json["example"].is_null(), "{path} has no example");
        check(&document, &json["schema"], &json["example"], path);
    }
}

/// Sends a request to every operation with the examples of all parameters, and with the required ones only.
#[tokio::test]
async fn every_response_matches_its_schema() {
    let document = document().await;
    let database = Database::new().await;
    let now = database.now().await;
    for samples in [vec![], vec![(now - 100, "1.5"), (now, "2.5")]] {
        database.record(&samples).await;
        let api = Api::start(&database).await;
        for (path, operation) in operations(&document) {
            if path == "/api/stream" {
                continue;
            }
            let mut queries = [String::new(), String::new()];
            let mut path = path.clone();
            for parameter in operation["parameters"].as_array().unwrap_or(&Vec::new()) {
                let name = parameter["name"].as_str().unwrap();
                let value = match &parameter["schema"]["example"] {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                path = path.replace(&format!("{{{name}}}"), &value);
                if parameter["in"] == "query" {
                    write!(queries[0], "{name}={value}&").unwrap();
                }
                if parameter["in"] == "query" && parameter["required"] == true {
                    write!(queries[1], "{name}={value}&").unwrap();
                }
            }
            for query in queries {
                let answer = api.get(&format!("{path}?{query}")).await;
                let described = &operation["responses"][answer.status.as_str()];
                let kind =
                    answer.headers["content-type"].to_str().unwrap().split(';').next().unwrap();
                let schema = &described["content"][kind]["schema"];
                assert!(!schema.is_null(), "{path}?{query}: {} {kind}", answer.status);
                if kind.ends_with("json") {
                    let body = serde_json::from_str(&answer.text).unwrap();
                    check(&document, schema, &body, &format!("{path}?{query}"));
                }
            }
        }
    }
}

/// Returns whether a text matches the pattern of a parameter.
fn allows(document: &Value, path: &str, name: &str, text: &str) -> bool {
    let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
    let schema = &parameters.iter().find(|it| it["name"] == name).unwrap()["schema"];
    let ways = schema["anyOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
    let pattern = ways.iter().find_map(|way| way.get("pattern")).unwrap();
    jsonschema::is_valid(&json!({"pattern": pattern}), &json!(text))
}

#[tokio::test]
async fn the_patterns_of_parameters_allow_exactly_what_is_parsed() {
    let document = document().await;
    for (text, is_read) in [
        ("10s", true),
        ("3600s", true),
        ("999999999s", true),
        ("1440m", true),
        ("99999h", true),
        ("999M", true),
        ("0s", false),
        ("h", false),
        ("1.5h", false),
        ("1y", false),
    ] {
        assert_eq!(text.parse::<Interval>().is_ok(), is_read, "{text}");
        assert_eq!(allows(&document, "/api/candles", "interval", text), is_read, "{text}");
    }
    for (text, is_read) in [("5m", true), ("999999999s", true), ("999999h", true), ("m", false)] {
        assert_eq!(text.parse::<Span>().is_ok(), is_read, "{text}");
        assert_eq!(allows(&document, "/api/price", "max_age", text), is_read, "{text}");
        let ago = format!("-{text}");
        assert_eq!(ago.parse::<Moment>().is_ok(), is_read, "{ago}");
        assert_eq!(allows(&document, "/api/price", "at", &ago), is_read, "{ago}");
    }
}

#[tokio::test]
async fn the_documentation_loads_nothing_from_other_hosts() {
    let api = Api::start(&Database::new().await).await;
    for path in ["/docs", "/docs/"] {
        let page = api.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.text.contains("SwaggerUIBundle"), "{path}");
        assert!(page.text.starts_with("<!DOCTYPE html>"), "{path}");
        assert!(page.text.contains("<title>Cotiza API</title>"), "{path}");
        assert!(page.text.contains("name=\"viewport\""), "{path}");
        assert!(page.headers.contains_key("etag"), "{path}");
        let loads = ["<script src", "<link href", "@import"];
        assert!(
            loads.iter().all(|load| !page.text.contains(load)),
            "{path} loads from another host"
        );
    }
}

#[tokio::test]
async fn the_help_texts_match_the_snapshot() {
    let mut all = String::new();
    for arguments in [
        &["--help"][..],
        &["up", "--help"],
        &["scheduler", "--help"],
        &["worker", "--help"],
        &["api", "--help"],
        &["exchange", "--help"],
        &["openapi", "--help"],
        &["config", "--help"],
        &["healthcheck", "--help"],
        &["status", "--help"],
        &["queue", "pause", "--help"],
        &["job", "run", "--help"],
        &["process", "ls", "--help"],
        &["completions", "--help"],
        &["manual", "--help"],
    ] {
        let help = run(arguments, &[]).await;
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{arguments:?}");
        writeln!(all, "$ cotiza {}\n{}", arguments.join(" "), help.stdout).unwrap();
    }
    assert_eq!(run(&["help"], &[]).await.code, 0);
    insta::assert_snapshot!("help", all);
}
