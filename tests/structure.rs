//! Which room of the source may use which: imports point one way.

use std::{fs, path::Path};

/// Each room with the rooms it may use; the ground may be used by all.
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
const GROUND: [&str; 9] = [
    "clock",
    "config",
    "connection",
    "http_client",
    "http_server",
    "metrics",
    "place",
    "shutdown",
    "telemetry",
];

/// All Rust files below `folder`, as pairs of a path within it and the text.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() {
            let below = files(&path).into_iter();
            found.extend(below.map(|(file, text)| (format!("{name}/{file}"), text)));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    found
}

fn source() -> Vec<(String, String)> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn room(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

/// The rooms named after `crate::` in a text, also within braces.
fn used(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let mut rooms = Vec::new();
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
                    ',' if depth == 0 => rooms.push(std::mem::take(&mut word)),
                    _ if depth == 0 => word.push(character),
                    _ => {}
                }
            }
            rooms.push(word);
        } else {
            rooms.push(rest.to_owned());
        }
    }
    let first = |path: String| {
        let path = path.trim().to_owned();
        path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    rooms.into_iter().map(first).filter(|room| !room.is_empty()).collect()
}

#[test]
fn imports_point_one_way() {
    let mut edges = 0;
    for (file, text) in source() {
        let room = room(&file);
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == room) else {
            continue;
        };
        for other in used(&text) {
            edges += 1;
            let other = other.as_str();
            let fine = other == room
                || allowed.contains(&other)
                || (room != "domain" && GROUND.contains(&other));
            assert!(fine, "src/{file} uses {other}, which {room} must not");
        }
    }
    assert!(edges > 40, "only {edges} imports found: does this test still read them?");
}

#[test]
fn the_ground_uses_no_room() {
    for (file, text) in source() {
        if GROUND.contains(&room(&file)) {
            for other in used(&text) {
                // The configuration checks slot lengths with the domain's own rule.
                let fine = GROUND.contains(&other.as_str())
                    || (room(&file), other.as_str()) == ("config", "domain");
                assert!(fine, "src/{file} uses {other}");
            }
        }
    }
}

#[test]
fn apalis_is_named_in_the_queue_alone() {
    for (file, text) in source() {
        let code: Vec<&str> =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let named = code.iter().any(|line| line.contains("apalis") && !line.contains("=off"));
        assert!(!named || room(&file) == "queue", "src/{file} names apalis");
    }
}

#[test]
fn every_file_says_what_lives_in_it() {
    let tests = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    for (file, text) in source().into_iter().chain(tests) {
        assert!(text.starts_with("//! "), "{file}");
    }
}
