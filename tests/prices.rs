//! `cotiza prices`: samples are imported, exported, averaged, listed and checked.

use std::path::PathBuf;

use cotiza::store::keys;
use tempfile::TempDir;

use crate::harness::{Database, Output, run};

pub struct Shell {
    pub database: Database,
    folder: TempDir,
}

impl Shell {
    pub async fn new() -> Self {
        Self { database: Database::new().await, folder: TempDir::new().unwrap() }
    }

    pub async fn prices(&self, arguments: &[&str]) -> Output {
        run(&[&["prices"], arguments].concat(), &[("REDIS_URL", &self.database.url)]).await
    }

    pub fn file(&self, text: &str) -> String {
        let path: PathBuf = self.folder.path().join("samples");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Returns the number of samples, as text or in blocks.
    pub async fn count(&self) -> u64 {
        self.database.count().await
    }

    pub async fn import(&self, text: &str, flags: &[&str]) -> Output {
        let file = self.file(text);
        self.prices(&[&["import", &file], flags].concat()).await
    }
}

const CSV: &str = "timestamp,price\n1717184864,84873600.0\n2024-05-31T19:47:54Z,84870100.50\n";

const EXPORTED: &str = "timestamp,price,source\n1717184864,84873600,\n1717184874,84870100.5,\n";

#[tokio::test]
async fn csv_is_imported_once() {
    let shell = Shell::new().await;
    let first = shell.import(CSV, &[]).await;
    assert_eq!((first.code, first.stderr.as_str()), (0, ""));
    assert!(first.stdout.starts_with("imported 2 samples; 0 were skipped"), "{}", first.stdout);
    let again = shell.import(CSV, &[]).await;
    assert!(again.stdout.starts_with("imported 0 samples; 2 were skipped"), "{}", again.stdout);
    assert_eq!(shell.prices(&["export"]).await.stdout, EXPORTED);
}

#[tokio::test]
async fn a_range_can_be_exported_as_ndjson() {
    let shell = Shell::new().await;
    shell.import(CSV, &[]).await;
    let ndjson = shell.prices(&["export", "--format", "ndjson", "--since", "1717184870"]).await;
    assert_eq!(ndjson.stdout, "{\"timestamp\":1717184874,\"price\":84870100.5,\"source\":null}\n");
}

#[tokio::test]
async fn samples_can_be_exported_to_a_file() {
    let shell = Shell::new().await;
    shell.import(CSV, &[]).await;
    let file = shell.folder.path().join("out.csv");
    let written = shell.prices(&["export", "--output", file.to_str().unwrap()]).await;
    assert_eq!((written.code, written.stdout.as_str()), (0, ""));
    assert_eq!(std::fs::read_to_string(file).unwrap(), EXPORTED);
}

#[tokio::test]
async fn malformed_members_are_ignored_by_the_commands() {
    let shell = Shell::new().await;
    shell.import(CSV, &[]).await;
    let url = shell.database.client.clone();
    let mut connection = url.get_multiplexed_async_connection().await.unwrap();
    for (score, member) in
        [("1717184880", &b"\xff\xfe"[..]), ("+inf", b"5.0"), ("1717184890", b"x")]
    {
        let mut add = redis::cmd("ZADD");
        add.arg(keys::PRICES).arg(score).arg(member);
        add.query_async::<()>(&mut connection).await.unwrap();
    }
    let until = ["--until", "1717184900"];
    assert_eq!(shell.prices(&[&["average"], &until[..]].concat()).await.stdout, "84871850.25\t2\n");
    let exported = shell.prices(&["export"]).await;
    assert_eq!((exported.code, exported.stdout.lines().count()), (0, 3), "{}", exported.stderr);
    assert_eq!(shell.prices(&["list"]).await.code, 0);
}

#[tokio::test]
async fn invalid_files_and_arguments_are_refused() {
    let shell = Shell::new().await;
    let headless = shell.import("1717184864,84873600.0\n", &[]).await;
    let missing = shell.prices(&["import", "no/such/file"]).await;
    let unreachable = run(&["prices", "average"], &[("REDIS_URL", "redis://127.0.0.1:1")]).await;
    let reversed = shell.prices(&["average", "--since", "6", "--until", "5"]).await;
    for (output, message) in [
        (headless, "header timestamp,price"),
        (missing, "no/such/file"),
        (unreachable, "refused"),
        (reversed, "since (6) is after"),
    ] {
        assert_eq!(output.code, 1, "{message}");
        assert!(output.stderr.contains(message), "{}", output.stderr);
    }
    assert_eq!(shell.prices(&["average", "--since", "x"]).await.code, 64);
}

#[tokio::test]
async fn samples_can_be_averaged() {
    let shell = Shell::new().await;
    shell.import(CSV, &[]).await;
    let all = shell.prices(&["average"]).await;
    assert_eq!(all.stdout, "84871850.25\t2\n");
    let one = shell.prices(&["average", "--until", "2024-05-31T19:47:50Z"]).await;
    assert_eq!(one.stdout, "84873600.00\t1\n");
}

#[tokio::test]
async fn samples_can_be_listed_in_pages() {
    let shell = Shell::new().await;
    shell.import(CSV, &[]).await;
    let page = shell.prices(&["list", "--page-size", "1", "--page", "last"]).await;
    assert_eq!(page.stdout, "timestamp,price,source\n1717184874,84870100.5,\n");
    assert_eq!(shell.prices(&["list", "--page", "9"]).await.code, 1);
}

#[tokio::test]
async fn the_blocks_of_imported_samples_are_intact() {
    let shell = Shell::new().await;
    shell.import(CSV, &[]).await;
    let checked = shell.prices(&["check"]).await;
    assert_eq!((checked.code, checked.stdout.as_str()), (0, "checked 1 hours\n"));
    assert_eq!(shell.prices(&["rebuild"]).await.stdout, "rebuilt 0 blocks\n");
}

#[tokio::test]
async fn fractions_of_seconds_are_exported_and_imported_unchanged() {
    let shell = Shell::new().await;
    shell.database.put_prices(&[("1717184864.125", "5.5"), ("1717184874", "6.25")]).await;
    let exported = shell.prices(&["export"]).await.stdout;
    assert_eq!(exported, "timestamp,price,source\n1717184864.125,5.5,\n1717184874,6.25,\n");
    shell.database.command::<()>(&["FLUSHDB"]).await;
    assert_eq!(shell.import(&exported, &[]).await.code, 0);
    assert_eq!(shell.prices(&["export"]).await.stdout, exported);
}
