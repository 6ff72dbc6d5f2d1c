//! `cotiza prices import`: formats, invalid lines, blocks, and an import that is killed.

use cotiza::{clock::Clock, store::keys};
use nix::sys::signal::Signal;

use crate::{
    harness::{Cotiza, SOON, eventually, run},
    prices::Shell,
};

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

/// A CSV with three invalid lines and two valid ones.
const BAD: &str = "timestamp,price\n5,1.0\nyesterday,2.0\n30,-3\n40\n50,5.0\n";

#[tokio::test]
async fn invalid_lines_are_reported_with_their_numbers_and_nothing_is_stored() {
    let shell = Shell::new().await;
    let refused = shell.import(BAD, &[]).await;
    assert_eq!(refused.code, 1);
    for message in [
        "line 3: timestamp: \"yesterday\"",
        "line 4: price: \"-3\"",
        "line 5: the line has 1 fields, but the header has 2",
        "nothing was imported: 3 lines are invalid",
    ] {
        assert!(refused.stderr.contains(message), "{}", refused.stderr);
    }
    assert_eq!(shell.count().await, 0);
}

#[tokio::test]
async fn invalid_lines_can_be_skipped() {
    let shell = Shell::new().await;
    let skipped = shell.import(BAD, &["--skip-bad"]).await;
    assert_eq!(skipped.code, 0);
    for message in ["imported 2 samples", "3 lines were invalid"] {
        assert!(skipped.stdout.contains(message), "{}", skipped.stdout);
    }
    assert_eq!(shell.count().await, 2);
}

#[tokio::test]
async fn invalid_lines_of_ndjson_are_reported_with_their_numbers() {
    let shell = Shell::new().await;
    let broken = shell.import("{\"timestamp\":5}\n{\"timestamp\":5,\"price\":1}\nx\n", &[]).await;
    for message in ["line 1: ", "line 3: "] {
        assert!(broken.stderr.contains(message), "{}", broken.stderr);
    }
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
    let now = Clock::machine().unix_seconds();
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
    let now = Clock::machine().unix_seconds();
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
