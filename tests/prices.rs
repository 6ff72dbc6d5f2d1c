//! `cotiza prices`: samples are imported, exported and listed; killed imports.

use std::path::PathBuf;

use cotiza::{domain::TimeRange, store::keys};
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

    /// Returns the number of samples, as text or in blocks.
    async fn count(&self) -> u64 {
        let history = self.database.history().await;
        history.total(&TimeRange::default()).await.unwrap().value.count
    }

    async fn import(&self, text: &str, flags: &[&str]) -> Output {
        let file = self.file(text);
        self.prices(&[&["import", &file], flags].concat()).await
    }
}

const CSV: &str = "timestamp,price\n1717184864,84873600.0\n2024-05-31T19:47:54Z,84870100.50\n";

#[tokio::test]
async fn csv_is_imported_once_and_exported_unchanged() {
    let shell = Shell::new().await;
    let first = shell.import(CSV, &[]).await;
    assert_eq!((first.code, first.stderr.as_str()), (0, ""));
    assert!(first.stdout.starts_with("imported 2 samples; 0 were skipped"), "{}", first.stdout);
    let again = shell.import(CSV, &[]).await;
    assert!(again.stdout.starts_with("imported 0 samples; 2 were skipped"), "{}", again.stdout);

    let csv = "timestamp,price,source\n1717184864,84873600,\n1717184874,84870100.5,\n";
    assert_eq!(shell.prices(&["export"]).await.stdout, csv);
    let ndjson = shell.prices(&["export", "--format", "ndjson", "--since", "1717184870"]).await;
    assert_eq!(ndjson.stdout, "{\"timestamp\":1717184874,\"price\":84870100.5,\"source\":null}\n");
    let file = shell.folder.path().join("out.csv");
    let written = shell.prices(&["export", "--output", file.to_str().unwrap()]).await;
    assert_eq!((written.code, written.stdout.as_str()), (0, ""));
    assert_eq!(std::fs::read_to_string(file).unwrap(), csv);
}

#[tokio::test]
async fn the_text_form_keeps_every_digit_of_ndjson() {
    let shell = Shell::new().await;
    let lines = "{\"timestamp\":1717184864,\"price\":84873600.1234567890123}\n\n\
                 {\"price\":\"5.50\",\"timestamp\":\"2024-05-31T19:47:54Z\",\"source\":\"x\"}\n";
    let file = shell.file(lines);
    let environment =
        [("REDIS_URL", shell.database.url.as_str()), ("COTIZA__PRICES__TEXT", "forever")];
    let imported = run(&["prices", "import", &file], &environment).await;
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    assert_eq!(
        shell.database.prices().await,
        ["84873600.1234567890123:1717184864", "5.50:1717184874"]
    );
}

#[tokio::test]
async fn bad_lines_are_reported_with_their_numbers_and_nothing_is_stored() {
    let shell = Shell::new().await;
    let bad = "timestamp,price\n5,1.0\nyesterday,2.0\n30,-3\n40\n50,5.0\n";
    let refused = shell.import(bad, &[]).await;
    assert_eq!(refused.code, 1);
    for line in [
        "line 3: timestamp: \"yesterday\"",
        "line 4: price: \"-3\"",
        "line 5: the line has 1 fields, but the header has 2",
    ] {
        assert!(refused.stderr.contains(line), "{}", refused.stderr);
    }
    assert!(
        refused.stderr.contains("nothing was imported: 3 lines are invalid"),
        "{}",
        refused.stderr
    );
    assert_eq!(shell.count().await, 0);

    let skipped = shell.import(bad, &["--skip-bad"]).await;
    assert_eq!(skipped.code, 0);
    assert!(
        skipped.stdout.contains("imported 2 samples")
            && skipped.stdout.contains("3 lines were invalid")
    );
    assert_eq!(shell.count().await, 2);

    let broken = shell.import("{\"timestamp\":5}\n{\"timestamp\":5,\"price\":1}\nx\n", &[]).await;
    assert!(
        broken.stderr.contains("line 1: ") && broken.stderr.contains("line 3: "),
        "{}",
        broken.stderr
    );
}

#[tokio::test]
async fn csv_and_json_of_other_programs_can_be_imported() {
    let shell = Shell::new().await;
    let check = |text: &'static str| {
        let shell = &shell;
        async move {
            shell.database.command::<()>(&["FLUSHDB"]).await;
            let output = shell.import(text, &["--skip-bad"]).await;
            assert_eq!(output.code, 0, "{}", output.stderr);
            (shell.count().await, output.stderr)
        }
    };
    // A byte order mark and CRLF, as on Windows; quotes; a blank line; another order of columns.
    let windows = "\u{feff}price,\"timestamp\",note\r\n\"1.0\",5,x\r\n\r\nbad,15,y\r\n2.0,25,z\r\n";
    let (count, errors) = check(windows).await;
    assert_eq!((count, errors.contains("line 4: price")), (2, true), "{errors}");
    // A field with a line break, as spreadsheets write it.
    let quoted = "note,timestamp,price\n\"a\nb, \"\"c\"\"\",5,1.0\nd,15,\"2.0\"\n";
    assert_eq!(check(quoted).await, (2, String::new()));
    let escaped = "{\"timestamp\":\"2024-05-31T19:47:44\\u002B00:00\",\"price\":1}\n";
    assert_eq!(check(escaped).await.0, 1);
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
async fn invalid_files_and_arguments_are_refused() {
    let shell = Shell::new().await;
    let headless = shell.import("1717184864,84873600.0\n", &[]).await;
    assert_eq!(headless.code, 1);
    assert!(headless.stderr.contains("header timestamp,price"), "{}", headless.stderr);
    let missing = shell.prices(&["import", "no/such/file"]).await;
    assert!(missing.code == 1 && missing.stderr.contains("no/such/file"), "{}", missing.stderr);
    let unreachable = run(&["prices", "average"], &[("REDIS_URL", "redis://127.0.0.1:1")]).await;
    assert!(
        unreachable.code == 1 && unreachable.stderr.contains("refused"),
        "{}",
        unreachable.stderr
    );
    let reversed = shell.prices(&["average", "--since", "6", "--until", "5"]).await;
    assert!(
        reversed.code == 1 && reversed.stderr.contains("since (6) is after"),
        "{}",
        reversed.stderr
    );
    assert_eq!(shell.prices(&["average", "--since", "x"]).await.code, 64);
}

#[tokio::test]
async fn samples_can_be_averaged_listed_checked_and_rebuilt() {
    let shell = Shell::new().await;
    shell.import(CSV, &[]).await;
    let all = shell.prices(&["average"]).await;
    assert_eq!(all.stdout, "84871850.25\t2\n");
    let one = shell.prices(&["average", "--until", "2024-05-31T19:47:50Z"]).await;
    assert_eq!(one.stdout, "84873600.00\t1\n");
    let page = shell.prices(&["list", "--page-size", "1", "--page", "last"]).await;
    assert_eq!(page.stdout, "timestamp,price,source\n1717184874,84870100.5,\n");
    assert_eq!(shell.prices(&["list", "--page", "9"]).await.code, 1);

    // The blocks are intact.
    let checked = shell.prices(&["check"]).await;
    assert_eq!((checked.code, checked.stdout.as_str()), (0, "checked 1 hours\n"));
    assert_eq!(shell.prices(&["rebuild"]).await.stdout, "rebuilt 0 blocks\n");
}

#[tokio::test]
async fn numbers_with_separators_are_refused_and_not_misread() {
    let shell = Shell::new().await;
    for (text, wrong) in [
        (
            "timestamp,price\n1717184864,84,873,600.00\n",
            "line 2: the line has 4 fields, but the header has 2",
        ),
        ("timestamp,price\n1717184864,\"84.873.600,00\"\n", "line 2: price: \"84.873.600,00\""),
        (
            "timestamp,price,source\n1717184864,84873600,50\n",
            "line 2: source: \"50\" is not a valid name",
        ),
        ("timestamp;price\n1717184864;84873600\n", "the first line is \"timestamp;price\""),
        ("{\"timestamp\":5,\"price\":8.4e7}\n", "line 1: price: \"8.4e7\""),
        ("timestamp,price\n5,1.0\n15,\"2.0\n25,3.0\n", "line 3: a quoted field is not closed"),
    ] {
        for flags in [&[][..], &["--skip-bad"]] {
            let refused = shell.import(text, flags).await;
            assert!(refused.stderr.contains(wrong), "{text:?}: {}", refused.stderr);
            assert_eq!(shell.count().await, 0, "{text:?}");
        }
    }
}

#[tokio::test]
async fn a_sample_in_the_future_is_refused_with_its_line_number() {
    let shell = Shell::new().await;
    let now = cotiza::clock::Clock::machine().unix_seconds();
    let text =
        format!("timestamp,price\n{},1.0\n{},2.0\n2100-01-01T00:00:00Z,3.0\n", now - 60, now + 60);
    let refused = shell.import(&text, &[]).await;
    let line = format!("line 3: timestamp: {} is in the future", now + 60);
    assert!(refused.stderr.contains(&line), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("line 4: timestamp: 2100-01-01T00:00:00Z is"),
        "{}",
        refused.stderr
    );
    assert_eq!(shell.import(&text, &["--skip-bad"]).await.code, 0);
    assert_eq!(shell.count().await, 1);
}

#[tokio::test]
async fn an_import_writes_blocks_and_the_text_form_of_recent_hours() {
    let shell = Shell::new().await;
    let now = cotiza::clock::Clock::machine().unix_seconds();
    let lines = |offset: i64| {
        let rows = (0..500)
            .map(|n| format!("{},{}.25,a+b", now - 400 * 86_400 + n * 80_000 + offset, n + 1));
        let rows = rows.filter(|row| row.split(',').next().unwrap().parse::<i64>().unwrap() < now);
        ["timestamp,price,source".to_owned()].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(shell.import(&lines(0), &[]).await.code, 0);
    let (all, text) = (shell.count().await, shell.database.prices().await.len() as u64);
    assert!(all > 400 && (all - 60..all - 20).contains(&text), "{text} of {all} as text");
    let blocks: u64 = shell.database.command(&["HLEN", keys::HOURS]).await;
    assert_eq!(blocks, all, "each sample is in its own hour");
    // More samples of the same hours are added in the form of each hour.
    assert_eq!(shell.import(&lines(20), &[]).await.code, 0);
    assert_eq!(shell.import(&lines(20), &[]).await.code, 0);
    assert_eq!(shell.count().await, 2 * all);
    let exported = shell.prices(&["export"]).await.stdout;
    assert_eq!(exported.lines().filter(|line| line.ends_with(",a+b")).count() as u64, 2 * all);
    assert_eq!(shell.prices(&["check"]).await.code, 0);
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

#[tokio::test]
async fn a_killed_import_leaves_correct_sums_and_can_be_repeated() {
    let shell = Shell::new().await;
    let count = 300_000;
    let line = |n| format!("{},{}.5", 1_000_000_000 + n * 10, n + 1);
    let lines = (0..count).map(line).collect::<Vec<_>>().join("\n");
    let file = shell.file(&format!("timestamp,price\n{lines}"));
    let environment = [("REDIS_URL", shell.database.url.as_str())];
    let import = Cotiza::start(&["prices", "import", &file], &environment);
    let stored = || async { shell.database.command::<u64>(&["HLEN", keys::HOURS]).await };
    eventually(SOON, "the first hours are stored", || async { stored().await > 0 }).await;
    import.end(Signal::SIGKILL, SOON).await;
    let part = shell.count().await;
    assert!(part < count, "the import ended before it was killed");
    assert_eq!(shell.prices(&["check"]).await.code, 0);
    let again = shell.prices(&["import", &file]).await;
    assert_eq!(again.code, 0, "{}", again.stderr);
    let average = shell.prices(&["average"]).await.stdout;
    assert_eq!(average, format!("150001.00\t{count}\n"));
}
