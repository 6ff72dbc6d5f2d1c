//! `cotiza prices`: samples in and out by the shell, killed imports.

use std::{collections::BTreeMap, path::PathBuf};

use cotiza::domain::TimeRange;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::harness::{Cotiza, Database, Output, SOON, eventually, run};

struct Shell {
    database: Database,
    folder: TempDir,
}

impl Shell {
    async fn new() -> Self {
        Self { database: Database::new().await, folder: TempDir::new().unwrap() }
    }

    async fn prices(&self, arguments: &[&str]) -> Output {
        run(&[&["prices"], arguments].concat(), &[("REDIS_URL", &self.database.url)]).await
    }

    fn file(&self, text: &str) -> String {
        let path: PathBuf = self.folder.path().join("samples");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn import(&self, text: &str, flags: &[&str]) -> Output {
        let file = self.file(text);
        self.prices(&[&["import", &file], flags].concat()).await
    }
}

const CSV: &str = "timestamp,price\n1717184864,84873600.0\n2024-05-31T19:47:54Z,84870100.50\n";

#[tokio::test]
async fn csv_goes_in_once_and_comes_out_again() {
    let shell = Shell::new().await;
    let first = shell.import(CSV, &[]).await;
    assert_eq!((first.code, first.stderr.as_str()), (0, ""));
    assert!(first.stdout.starts_with("imported 2 samples; 0 were left out"), "{}", first.stdout);
    let again = shell.import(CSV, &[]).await;
    assert!(again.stdout.starts_with("imported 0 samples; 2 were left out"), "{}", again.stdout);

    let csv = "timestamp,price,source\n1717184864,84873600.0,\n1717184874,84870100.50,\n";
    assert_eq!(shell.prices(&["export"]).await.stdout, csv);
    let ndjson = shell.prices(&["export", "--format", "ndjson", "--since", "1717184870"]).await;
    assert_eq!(ndjson.stdout, "{\"timestamp\":1717184874,\"price\":84870100.50,\"source\":null}\n");
    let file = shell.folder.path().join("out.csv");
    let written = shell.prices(&["export", "--output", file.to_str().unwrap()]).await;
    assert_eq!((written.code, written.stdout.as_str()), (0, ""));
    assert_eq!(std::fs::read_to_string(file).unwrap(), csv);
}

#[tokio::test]
async fn ndjson_goes_in_with_every_digit() {
    let shell = Shell::new().await;
    let lines = "{\"timestamp\":1717184864,\"price\":84873600.1234567890123}\n\n\
                 {\"price\":\"5.50\",\"timestamp\":\"2024-05-31T19:47:54Z\",\"source\":\"x\"}\n";
    let imported = shell.import(lines, &[]).await;
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    assert_eq!(
        shell.database.prices().await,
        ["84873600.1234567890123:1717184864", "5.50:1717184874"]
    );
}

#[tokio::test]
async fn bad_lines_are_told_with_their_numbers_and_nothing_is_stored() {
    let shell = Shell::new().await;
    let bad = "timestamp,price\n5,1.0\nyesterday,2.0\n30,-3\n40\n50,5.0\n";
    let refused = shell.import(bad, &[]).await;
    assert_eq!(refused.code, 1);
    for line in ["line 3: timestamp: \"yesterday\"", "line 4: price: \"-3\"", "line 5: price: \"\""]
    {
        assert!(refused.stderr.contains(line), "{}", refused.stderr);
    }
    assert!(refused.stderr.contains("nothing was imported: 3 bad lines"), "{}", refused.stderr);
    assert!(shell.database.prices().await.is_empty());

    let skipped = shell.import(bad, &["--skip-bad"]).await;
    assert_eq!(skipped.code, 0);
    assert!(
        skipped.stdout.contains("imported 2 samples")
            && skipped.stdout.contains("3 lines were bad")
    );
    assert_eq!(shell.database.prices().await.len(), 2);

    let broken = shell.import("{\"timestamp\":5}\n{\"timestamp\":5,\"price\":1}\nx\n", &[]).await;
    assert!(
        broken.stderr.contains("line 1: ") && broken.stderr.contains("line 3: "),
        "{}",
        broken.stderr
    );
}

#[tokio::test]
async fn files_of_other_programs_are_read_too() {
    let shell = Shell::new().await;
    let check = |text: &'static str| {
        let shell = &shell;
        async move {
            shell.database.command::<()>(&["FLUSHDB"]).await;
            let output = shell.import(text, &["--skip-bad"]).await;
            assert_eq!(output.code, 0, "{}", output.stderr);
            (shell.database.prices().await.len(), output.stderr)
        }
    };
    // Windows: a byte order mark, CRLF; quotes; a blank line; another order of columns.
    let windows = "\u{feff}price,\"timestamp\",note\r\n\"1.0\",5,x\r\n\r\nbad,15,y\r\n2.0,25,z\r\n";
    let (count, told) = check(windows).await;
    assert_eq!((count, told.contains("line 4: price")), (2, true), "{told}");
    // A quote that is not closed spoils its own line alone.
    let (count, told) = check("timestamp,price\n5,1.0\n15,\"2.0\n25,3.0\n").await;
    assert_eq!((count, told.contains("line 3: price")), (2, true), "{told}");
    let escaped = "{\"timestamp\":\"2024-05-31T19:47:44\\u002B00:00\",\"price\":1}\n";
    assert_eq!(check(escaped).await.0, 1);
}

#[tokio::test]
async fn members_that_are_no_samples_do_not_keep_the_others_from_their_readers() {
    let shell = Shell::new().await;
    shell.import(CSV, &[]).await;
    let url = shell.database.client.clone();
    let mut connection = url.get_multiplexed_async_connection().await.unwrap();
    for (score, member) in
        [("1717184880", &b"\xff\xfe"[..]), ("+inf", b"5.0"), ("1717184890", b"x")]
    {
        let mut add = redis::cmd("ZADD");
        add.arg("prices").arg(score).arg(member);
        add.query_async::<()>(&mut connection).await.unwrap();
    }
    let until = ["--until", "1717184900"];
    assert_eq!(shell.prices(&[&["average"], &until[..]].concat()).await.stdout, "84871850.25\t2\n");
    let exported = shell.prices(&["export"]).await;
    assert_eq!((exported.code, exported.stdout.lines().count()), (0, 3), "{}", exported.stderr);
    assert_eq!(shell.prices(&["list"]).await.code, 0);
}

#[tokio::test]
async fn what_is_no_table_of_samples_is_refused() {
    let shell = Shell::new().await;
    let headless = shell.import("1717184864,84873600.0\n", &[]).await;
    assert_eq!(headless.code, 1);
    assert!(headless.stderr.contains("header timestamp,price"), "{}", headless.stderr);
    let missing = shell.prices(&["import", "no/such/file"]).await;
    assert!(missing.code == 1 && missing.stderr.contains("no/such/file"), "{}", missing.stderr);
    let away = run(&["prices", "average"], &[("REDIS_URL", "redis://127.0.0.1:1")]).await;
    assert!(away.code == 1 && away.stderr.contains("refused"), "{}", away.stderr);
    let reversed = shell.prices(&["average", "--since", "6", "--until", "5"]).await;
    assert!(
        reversed.code == 1 && reversed.stderr.contains("since (6) is after"),
        "{}",
        reversed.stderr
    );
    assert_eq!(shell.prices(&["average", "--since", "x"]).await.code, 64);
}

#[tokio::test]
async fn the_shell_can_ask_and_rebuild() {
    let shell = Shell::new().await;
    shell.import(CSV, &[]).await;
    let all = shell.prices(&["average"]).await;
    assert_eq!(all.stdout, "84871850.25\t2\n");
    let one = shell.prices(&["average", "--until", "2024-05-31T19:47:50Z"]).await;
    assert_eq!(one.stdout, "84873600.00\t1\n");
    let page = shell.prices(&["list", "--page-size", "1", "--page", "last"]).await;
    assert_eq!(page.stdout, "timestamp,price,source\n1717184874,84870100.50,\n");
    assert_eq!(shell.prices(&["list", "--page", "9"]).await.code, 1);

    let rollups = async || {
        let mut fields: BTreeMap<String, Vec<u8>> =
            shell.database.command(&["HGETALL", "{prices}:rollups:2"]).await;
        // All of the frame but the moment of the last change.
        let frame = fields.get_mut("frame").unwrap();
        *frame = frame.splitn(2, |byte| *byte == b':').last().unwrap().to_vec();
        fields
    };
    let recorded = rollups().await;
    assert_eq!(recorded.len(), 9, "two parts of a node of each level, and the frame");
    shell.database.command::<()>(&["DEL", "{prices}:rollups:2"]).await;
    let rebuilt = shell.prices(&["rebuild"]).await;
    assert_eq!(rebuilt.stdout, "rebuilt the rollups of 2 samples\n");
    assert_eq!(rollups().await, recorded);
}

#[tokio::test]
async fn an_import_killed_midway_leaves_right_sums_and_can_be_done_again() {
    let shell = Shell::new().await;
    let count = 150_000;
    let line = |n| format!("{},{}.5", 1_000_000_000 + n * 10, n + 1);
    let lines = (0..count).map(line).collect::<Vec<_>>().join("\n");
    let file = shell.file(&format!("timestamp,price\n{lines}"));
    let environment = [("REDIS_URL", shell.database.url.as_str())];
    let import = Cotiza::start(&["prices", "import", &file], &environment);
    let stored = || async { shell.database.command::<u64>(&["ZCARD", "prices"]).await };
    eventually(SOON, "some are stored", || async { stored().await > 0 }).await;
    import.end(Signal::SIGKILL, SOON).await;
    assert!(stored().await < count, "it was not killed midway");

    let n = stored().await;
    let aggregate = shell.database.store().aggregate(&TimeRange::default()).await.unwrap();
    assert_eq!(aggregate.summary.count, n);
    let again = shell.prices(&["import", &file]).await;
    assert_eq!(again.code, 0, "{}", again.stderr);
    let average = shell.prices(&["average"]).await.stdout;
    assert_eq!(average, format!("75001.00\t{count}\n"));
}

#[tokio::test]
async fn an_import_notes_in_which_slots_it_was_counted() {
    let shell = Shell::new().await;
    let file = shell.file("timestamp,price\n1717184864,84873600.00\n");
    assert_eq!(shell.prices(&["import", &file]).await.code, 0);
    assert_eq!(shell.database.command::<String>(&["GET", "{prices}:slot"]).await, "10");
}
