//! Which module of the source may use which other modules: imports have one direction.

use crate::harness::rust_files;

/// Each top-level module with the modules it may use. All of them except `domain` may use [`BASE`], too.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("domain", &[]),
    ("exchange", &["domain"]),
    ("store", &["domain"]),
    ("queue", &["domain"]),
    ("history", &["domain", "store"]),
    ("jobs", &["domain", "exchange", "store", "queue", "history"]),
    ("api", &["domain", "store", "queue", "history"]),
    ("process", &["domain", "exchange", "store", "queue", "history", "jobs", "api"]),
];
/// The base modules, which use no module of [`ALLOWED`].
const BASE: [&str; 10] = [
    "backoff",
    "clock",
    "config",
    "connection",
    "http_client",
    "http_server",
    "json_locator",
    "metrics",
    "shutdown",
    "telemetry",
];

fn source() -> Vec<(String, String)> {
    rust_files("src")
}

fn module(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

/// Returns the modules named after `crate::` in a text, also within braces.
fn used(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for character in list.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => paths.push(std::mem::take(&mut word)),
                    _ if depth == 0 => word.push(character),
                    _ => {}
                }
            }
            paths.push(word);
        } else {
            paths.push(rest.to_owned());
        }
    }
    let first = |path: String| {
        let path = path.trim().to_owned();
        path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    paths.into_iter().map(first).filter(|module| !module.is_empty()).collect()
}

#[test]
fn modules_use_only_the_allowed_modules() {
    let mut edges = 0;
    for (file, text) in source() {
        let module = module(&file);
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == module) else {
            continue;
        };
        for other in used(&text) {
            edges += 1;
            let other = other.as_str();
            let is_allowed = other == module
                || allowed.contains(&other)
                || (module != "domain" && BASE.contains(&other));
            assert!(is_allowed, "src/{file} uses {other}, which {module} must not use");
        }
    }
    assert!(edges > 40, "only {edges} imports found: does this test still detect them?");
}

#[test]
fn base_modules_use_only_base_modules() {
    for (file, text) in source() {
        if BASE.contains(&module(&file)) {
            for other in used(&text) {
                // The configuration validates slot lengths with the rule of the domain.
                let is_allowed = BASE.contains(&other.as_str())
                    || (module(&file), other.as_str()) == ("config", "domain");
                assert!(is_allowed, "src/{file} uses {other}");
            }
        }
    }
}

#[test]
fn only_the_queue_module_uses_apalis() {
    for (file, text) in source() {
        let code: Vec<&str> =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let named = code.iter().any(|line| line.contains("apalis") && !line.contains("=off"));
        assert!(!named || module(&file) == "queue", "src/{file} uses apalis");
    }
}

#[test]
fn every_file_starts_with_a_module_comment() {
    for (file, text) in source().into_iter().chain(rust_files("tests")) {
        assert!(text.starts_with("//! "), "{file}");
    }
}
