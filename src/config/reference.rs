//! The reference of all configuration keys, made from the comments in `default.toml`.

use toml::{Table, Value};

use super::DEFAULT_TOML;

/// A table in Markdown with the key, the default and the description of each configuration key. Keys that
/// `default.toml` does not describe are left out: they repeat those of the first source.
pub fn reference() -> String {
    let defaults: Table = DEFAULT_TOML.parse().unwrap_or_default();
    let mut table = "| key | default | description |\n|---|---|---|\n".to_owned();
    let (mut section, mut description) = (String::new(), Vec::new());
    for line in DEFAULT_TOML.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            description.push(text);
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
        } else if let Some((name, _)) = line.split_once(" = ")
            && !description.is_empty()
            && let Some(value) = value(&defaults, &section, name)
        {
            let description = description.join(" ").replace('|', "\\|");
            let key = format!("{section}.{name}");
            table +=
                &["| `", &key, "` | `", &value.to_string(), "` | ", &description, " |\n"].concat();
        }
        description.clear();
    }
    table
}

/// The default of a key in a section, whose name may have several parts.
fn value<'a>(defaults: &'a Table, section: &str, name: &str) -> Option<&'a Value> {
    let mut table = defaults;
    for part in section.split('.') {
        table = table.get(part)?.as_table()?;
    }
    table.get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_that_is_described_is_a_row() {
        let reference = reference();
        let mut lines = reference.lines();
        assert_eq!(lines.next(), Some("| key | default | description |"));
        assert_eq!(lines.next(), Some("|---|---|---|"));
        let first = lines.next().unwrap();
        assert!(first.starts_with("| `schedule.every` | `\"10s\"` | Interval "), "{first}");
        assert!(reference.contains("\n| `sources.buenbit.order` | `1` | "));
        assert!(!reference.contains("criptoya.order"), "it is described at the first source");
    }
}
