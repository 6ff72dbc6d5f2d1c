//! Reports about sources and the provenance of samples: served, printed and exported.

use std::time::Duration;

use cotiza::{
    domain::{MissedReason, Side},
    jobs::Context,
    store::{Activity, ProcessInfo, Role, keys},
};

use crate::harness::{
    Api, Database, FakeExchange, Fault, FaultyServer, Market, SOON, eventually, run,
};

const AT_ONCE: Duration = Duration::ZERO;

#[tokio::test]
async fn ask_bid_or_mid_can_be_recorded_and_all_are_served() {
    for (side, price) in
        [(Side::Ask, 84_436_700.0), (Side::Bid, 82_781_100.0), (Side::Mid, 83_608_900.0)]
    {
        let mut market = Market::of(1).await;
        market.config.sources.price = side;
        let fixture = include_str!("fixtures/buenbit-tickers.json");
        market.exchanges[0].set_response(AT_ONCE, 200, fixture);
        market.fetch().await.unwrap();
        let latest = Api::start(&market.database).await.get("/api/latest").await.ok();
        assert_eq!(latest["price"], price);
        let rest = ["ask", "bid", "mid", "spread"].map(|name| &latest[name]);
        assert_eq!(rest, [84_436_700.0, 82_781_100.0, 83_608_900.0, 1_655_600.0]);
        assert_eq!(latest["source"], "a");
    }
}

#[tokio::test]
async fn before_the_first_sample_the_latest_price_is_a_404_with_the_reason() {
    let nothing = Api::start(&Database::new().await).await.get("/api/latest/").await;
    assert_eq!(nothing.status, 404);
    assert!(nothing.text.contains("No price has been recorded yet."), "{}", nothing.text);
}

/// Fetches in the current slot, whose sample is deleted before.
async fn fetch_again(market: &Market, context: &Context) {
    market.database.command::<()>(&["DEL", keys::PRICES]).await;
    market.fetch_with(context, market.now()).await.unwrap();
}

/// Returns two sources after eight jobs, in which requests to the first one fail.
async fn with_failing_source() -> (Market, Context) {
    let market = Market::of(2).await;
    market.exchanges[0].set_response(AT_ONCE, 500, "");
    let context = market.context();
    for _ in 0..8 {
        fetch_again(&market, &context).await;
    }
    (market, context)
}

#[tokio::test]
async fn the_circuit_of_a_failing_source_opens_and_is_reported() {
    let (market, context) = with_failing_source().await;
    assert_eq!(market.exchanges[0].request_count(), 5);
    assert_eq!(market.exchanges[1].request_count(), 8);
    market.store().record_circuits("worker-1", &context.sources.circuits()).await.unwrap();
    let worker = ProcessInfo {
        role: Role::Worker,
        name: "worker-1".to_owned(),
        host: "worker".to_owned(),
        pid: 1,
        version: "1",
        started_at: 0,
    };
    market.store().heartbeat(&worker, Activity::default()).await.unwrap();
    let report = market.sources_report().await;
    assert_eq!(
        (&report["sources"][0]["state"], &report["sources"][1]["state"]),
        (&"open".into(), &"closed".into())
    );
    assert!(report["sources"][0]["open_until"].is_i64(), "{report}");
}

#[tokio::test]
async fn the_circuit_of_a_source_closes_when_it_works_again() {
    let (market, context) = with_failing_source().await;
    market.exchanges[0].set_response(AT_ONCE, 200, FakeExchange::ticker("84436700.0"));
    eventually(SOON, "a request is sent to it again", || async {
        fetch_again(&market, &context).await;
        market.exchanges[0].request_count() > 5
    })
    .await;
    fetch_again(&market, &context).await;
    assert!(market.exchanges[0].request_count() >= 7);
    assert_eq!(market.recorded().await.1, "a");
}

#[tokio::test]
async fn a_source_that_requests_a_pause_receives_no_requests_for_that_time() {
    let mut market = Market::of(2).await;
    let busy = FaultyServer::start(Fault::response("429 Too Many\r\nretry-after: 60", "")).await;
    market.config.sources.named.get_mut("a").unwrap().url = busy.url("http").parse().unwrap();
    let context = market.context();
    for _ in 0..3 {
        fetch_again(&market, &context).await;
    }
    assert_eq!(busy.connection_count(), 1);
}

#[tokio::test]
async fn metrics_report_slots_and_sources() {
    let market = Market::of(2).await;
    market.exchanges[0].set_response(AT_ONCE, 500, "");
    market.fetch().await.unwrap();
    market
        .store()
        .record_missed(&[market.now().start() - 3600], MissedReason::TooLate)
        .await
        .unwrap();
    let api = Api::with_config(&market.database, &market.config).await;
    eventually(SOON, "the attempts are reported", || async {
        api.get("/metrics").await.text.contains("cotiza_source_answers_total{source=\"b\"} 1\n")
    })
    .await;
    let answer = api.get("/metrics").await;
    let kind = answer.headers["content-type"].to_str().unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "cotiza_recorded_slots 1",
        "cotiza_source_failures_total{source=\"a\",reason=\"exchange_error\"} 1",
        "cotiza_source_samples_total{source=\"b\"} 1",
        "cotiza_source_workers{source=\"a\",state=\"open\"} 0",
    ] {
        assert!(answer.text.contains(line), "no {line:?} in {}", answer.text);
    }
    assert!(answer.text.contains("cotiza_last_price_timestamp_seconds 1"), "{}", answer.text);
}

#[tokio::test]
async fn sources_check_prints_the_price_or_the_error_of_each_source() {
    let exchange = FakeExchange::start().await;
    let url = exchange.url.as_str();
    let environment = [
        ("COTIZA__SOURCES__BUENBIT__URL", url),
        ("COTIZA__SOURCES__MINE__URL", url),
        ("COTIZA__SOURCES__MINE__ASK", "$.object['btcars'].selling_price"),
        ("COTIZA__SOURCES__BITSO__URL", url),
        ("COTIZA__SOURCES__CRIPTOYA__URL", url),
        ("COTIZA__SOURCES__SATOSHITANGO__URL", url),
        ("COTIZA__SOURCES__BELO__URL", url),
    ];
    let all = run(&["sources", "check"], &environment).await;
    assert_eq!((all.code, all.stderr.as_str()), (0, ""), "{}", all.stdout);
    let lines: Vec<&str> = all.stdout.lines().collect();
    assert_eq!(lines.len(), 7, "{}", all.stdout);
    assert!(lines[1].starts_with("buenbit") && lines[1].ends_with("ok"), "{}", all.stdout);
    assert!(lines[1].contains("84436700.0") && lines[2].starts_with("mine"), "{}", all.stdout);
    let bitso = lines.iter().find(|line| line.starts_with("bitso")).unwrap();
    assert!(bitso.contains(" no ") && bitso.contains("nothing at /success"), "{bitso}");
}

#[tokio::test]
async fn sources_check_can_check_one_source_and_print_json() {
    let exchange = FakeExchange::start().await;
    let environment = [
        ("COTIZA__SOURCES__BITSO__URL", exchange.url.as_str()),
        ("COTIZA__SOURCES__MINE__URL", exchange.url.as_str()),
        ("COTIZA__SOURCES__MINE__ASK", "$.object['btcars'].selling_price"),
    ];
    let one = run(&["sources", "check", "bitso", "--json"], &environment).await;
    assert_eq!(one.code, 1);
    let rows: serde_json::Value = serde_json::from_str(&one.stdout).unwrap();
    assert_eq!((&rows[0]["ok"], &rows[0]["reason"]), (&false.into(), &"bad_answer".into()));
    assert_eq!(one.stderr, "cotiza: one source did not return an accepted price\n");
    let none = run(&["sources", "check", "kraken"], &environment).await;
    assert!(
        none.stderr.contains("there is no source \"kraken\"; the sources are buenbit, mine"),
        "{}",
        none.stderr
    );
}

#[tokio::test]
async fn the_proxy_of_the_environment_is_used_for_other_hosts() {
    let proxy = FakeExchange::start().await;
    let origin = format!("http://{}", proxy.url.authority());
    let environment = [
        ("COTIZA__SOURCES__BUENBIT__URL", "http://exchange.invalid/ticker"),
        ("HTTP_PROXY", origin.as_str()),
        ("http_proxy", origin.as_str()),
    ];
    let checked = run(&["sources", "check", "buenbit"], &environment).await;
    assert_eq!(
        (checked.code, proxy.request_count()),
        (0, 1),
        "{} {}",
        checked.stdout,
        checked.stderr
    );
}

const CSV: &str = "timestamp,price,source\n1717184864,84873600,buenbit\n1717184874,84870100.5,a+b\n\
                   1717186874,84870100.5,\n";

/// Runs a command of `cotiza prices` that succeeds and returns its output.
async fn prices(database: &Database, arguments: &[&str]) -> String {
    let done =
        run(&[&["prices"], arguments].concat(), &[("REDIS_URL", database.url.as_str())]).await;
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    done.stdout
}

#[tokio::test]
async fn the_sources_of_samples_are_exported_and_imported() {
    let (from, to) = (Database::new().await, Database::new().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("samples").display().to_string();
    std::fs::write(&file, CSV).unwrap();
    prices(&from, &["import", &file]).await;
    assert_eq!(prices(&from, &["export"]).await, CSV);
    std::fs::write(&file, prices(&from, &["export", "--format", "ndjson"]).await).unwrap();
    prices(&to, &["import", &file]).await;
    assert_eq!(prices(&to, &["export"]).await, CSV);
    let listed = Api::start(&to).await.get("/api/ticker-list/").await.ok();
    assert_eq!(listed["results"][1]["source"], "a+b");
}

#[tokio::test]
async fn invalid_names_of_sources_are_not_imported() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("samples.csv").display().to_string();
    for source in ["A B", "a+a", "a+", &"a".repeat(33)] {
        let csv = format!("timestamp,price,source\n1717184884,1.0,{source}\n");
        std::fs::write(&file, csv).unwrap();
        let bad = run(&["prices", "import", &file], &[("REDIS_URL", &database.url)]).await;
        assert!(bad.code == 1 && bad.stderr.contains("line 2: source: \""), "{}", bad.stderr);
    }
}
