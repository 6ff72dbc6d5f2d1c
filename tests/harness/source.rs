//! The source code of Cotiza, for tests that check its structure or its texts.

use std::{fs, path::Path, sync::LazyLock};

static SOURCE: LazyLock<Vec<(String, String)>> = LazyLock::new(|| rust_files("src"));

/// Returns all Rust files below a folder of the repository as pairs of path within the folder and text.
pub fn rust_files(folder: &str) -> Vec<(String, String)> {
    below(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
}

fn below(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() {
            let files = below(&path).into_iter();
            found.extend(files.map(|(file, text)| (format!("{name}/{file}"), text)));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    found
}

/// Returns whether a text occurs in the source code.
pub fn is_in_source(text: &str) -> bool {
    SOURCE.iter().any(|(_, code)| code.contains(text))
}
