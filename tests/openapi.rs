//! What is published about Cotiza: the OpenAPI document and `--help`. A change shows up here.

use std::fmt::Write as _;

use serde_json::Value;

use crate::harness::{Api, Database, run};

#[tokio::test]
async fn the_document_is_the_same_from_the_api_and_from_the_command_line() {
    let api = Api::start(&Database::new().await).await;
    let printed = run(&["openapi"], &[]).await;
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""));
    let served = api.get("/openapi.json").await;
    assert_eq!(served.text.trim(), printed.stdout.trim());
    insta::assert_snapshot!("openapi", printed.stdout);

    let yaml = run(&["openapi", "--yaml"], &[]).await.stdout;
    assert_eq!(api.get("/openapi.yaml").await.text.trim(), yaml.trim());
    assert!(yaml.starts_with("openapi: 3."), "{yaml}");
}

#[tokio::test]
async fn every_parameter_and_every_answer_is_described() {
    let document: Value = serde_json::from_str(&run(&["openapi"], &[]).await.stdout).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 6, "{paths:?}");
    for (path, methods) in paths {
        let operation = &methods["get"];
        assert!(operation["description"].is_string(), "{path}");
        for parameter in operation["parameters"].as_array().unwrap_or(&Vec::new()) {
            assert!(parameter["description"].is_string(), "{path} {parameter}");
            assert!(!parameter["schema"]["example"].is_null(), "{path} {parameter}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let content = response["content"].as_object().unwrap();
            let expected =
                if status == "200" { "application/json" } else { "application/problem+json" };
            assert!(content.keys().all(|kind| kind.starts_with(expected)), "{path} {status}");
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name}");
        for (field, property) in schema["properties"].as_object().unwrap_or(&serde_json::Map::new())
        {
            let described = property["description"].is_string() || property["allOf"].is_array();
            assert!(described, "{name}.{field}: {property}");
        }
    }
}

#[tokio::test]
async fn the_documentation_needs_no_internet() {
    let api = Api::start(&Database::new().await).await;
    for path in ["/docs", "/docs/", "/"] {
        let page = api.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.text.contains("SwaggerUIBundle"), "{path}");
        let loads = ["<script src", "<link href", "@import"];
        assert!(loads.iter().all(|load| !page.text.contains(load)), "{path} loads from elsewhere");
    }
}

#[tokio::test]
async fn help_is_as_documented() {
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
    ] {
        let help = run(arguments, &[]).await;
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{arguments:?}");
        writeln!(all, "$ cotiza {}\n{}", arguments.join(" "), help.stdout).unwrap();
    }
    assert_eq!(run(&["help"], &[]).await.code, 0);
    insta::assert_snapshot!("help", all);
}
