//! Several sources: which one counts, what is believed, what is known of each.

use std::time::Duration;

use cotiza::{
    clock,
    config::{self, Config, Policy},
    domain::{Doubt, Price, Reason, Side, Slot, Slots},
    exchange::Sources,
    jobs::{Context, FetchBtcArs},
    queue::Job,
    store::Store,
};

use crate::harness::{Api, Database, FakeExchange, Rogue, SOON, Wrong, eventually, run};

const AT_ONCE: Duration = Duration::ZERO;
const GOOD: &str = "84436700.0";

/// Exchanges named a, b, c ... and a job that asks them in this order.
struct Market {
    database: Database,
    exchanges: Vec<FakeExchange>,
    config: Config,
    slots: Slots,
}

impl Market {
    async fn of(exchanges: usize) -> Self {
        let mut market = Self {
            database: Database::new().await,
            exchanges: Vec::new(),
            config: Config::default(),
            slots: Slots::new(Duration::from_hours(1)).unwrap(),
        };
        let template = market.config.sources.named.remove("buenbit").unwrap();
        market.config.sources.named.clear();
        for (name, order) in ["a", "b", "c"].into_iter().zip(1..).take(exchanges) {
            let exchange = FakeExchange::start().await;
            let mut source = config::Source { order, ..template.clone() };
            source.url = exchange.url.clone();
            source.timeout = Duration::from_secs(1);
            market.config.sources.named.insert(name.to_owned(), source);
            market.exchanges.push(exchange);
        }
        market
    }

    fn store(&self) -> Store {
        Store::new(&self.database.client, self.slots).unwrap()
    }

    fn context(&self) -> Context {
        let (lowest, highest) = (Price::from_pesos(1_000_000), Price::from_pesos(u64::MAX));
        Context {
            slots: self.slots,
            sources: Sources::new(&self.config.sources, self.slots.length()).unwrap(),
            doubt: Doubt::new(lowest, highest, self.config.sources.max_jump),
            store: self.store(),
            keep_prices: None,
            caretaker: self.database.caretaker(),
        }
    }

    fn now(&self) -> Slot {
        self.slots.containing(clock::unix_seconds())
    }

    async fn fetch_with(&self, context: &Context, slot: Slot) -> Result<(), String> {
        let job = FetchBtcArs { slot: slot.start() };
        job.run(context.clone(), 1).await.map_err(|error| error.to_string())
    }

    /// Runs the job of the current slot.
    async fn fetch(&self) -> Result<(), String> {
        self.fetch_with(&self.context(), self.now()).await
    }

    /// The price and the source of the only sample.
    async fn recorded(&self) -> (f64, String) {
        let list = Api::start(&self.database).await.get("/api/ticker-list/").await.ok();
        assert_eq!(list["count"], 1, "{list}");
        let sample = &list["results"][0];
        (sample["price"].as_f64().unwrap(), sample["source"].as_str().unwrap().to_owned())
    }

    /// What `/api/sources/` says.
    async fn told(&self) -> serde_json::Value {
        Api::with_config(&self.database, &self.config).await.get("/api/sources/").await.ok()
    }
}

fn ticker(ask: &str) -> String {
    FakeExchange::ticker(ask)
}

#[tokio::test]
async fn the_next_source_answers_when_one_fails_and_is_told() {
    let market = Market::of(3).await;
    market.exchanges[0].answers(AT_ONCE, 500, "");
    market.exchanges[1].answers(AT_ONCE, 200, "<html>");
    market.exchanges[2].answers(AT_ONCE, 200, ticker("84000000.5"));
    market.fetch().await.unwrap();
    assert_eq!(market.recorded().await, (84_000_000.5, "c".to_owned()));
    let asked: Vec<usize> = market.exchanges.iter().map(FakeExchange::asked).collect();
    assert_eq!(asked, [1, 1, 1], "one round was enough");
    eventually(SOON, "the attempts are told", || async {
        market.told().await["sources"][2]["answered"] == 1
    })
    .await;
    let told = market.told().await;
    assert_eq!(told["sources"][0]["failed"]["exchange_error"], 1);
    assert_eq!(told["sources"][0]["last_failure"]["reason"], "answered with HTTP status 500");
    assert_eq!(told["sources"][1]["failed"]["bad_answer"], 1);
    assert_eq!(told["sources"][2]["last_answer"]["ask"], 84_000_000.5);
    assert_eq!(
        (&told["sources"][2]["share"], &told["sources"][0]["share"]),
        (&1.0.into(), &0.0.into())
    );
    assert_eq!(told["sources"][2]["success_share"], 1.0);
}

#[tokio::test]
async fn a_source_that_is_slower_than_usual_is_overtaken() {
    let market = Market::of(2).await;
    market.exchanges[0].answers(Duration::from_millis(900), 200, ticker(GOOD));
    market.exchanges[1].answers(AT_ONCE, 200, ticker("84000000.5"));
    market.fetch().await.unwrap();
    assert_eq!(market.recorded().await, (84_000_000.5, "b".to_owned()));
    // One that is as fast as always is not.
    let market = Market::of(2).await;
    market.fetch().await.unwrap();
    assert_eq!(market.recorded().await.1, "a");
    assert_eq!(market.exchanges[1].asked(), 0);
}

#[tokio::test]
async fn one_that_hangs_costs_no_slot_and_is_told() {
    let mut market = Market::of(2).await;
    market.slots = Slots::new(Duration::from_secs(1)).unwrap();
    market.config.sources.named.get_mut("a").unwrap().timeout = Duration::from_mins(1);
    market.exchanges[0].answers(Duration::from_mins(1), 200, ticker(GOOD));
    let context = market.context();
    let mut slot = market.now();
    for _ in 0..8 {
        slot = slot.next();
        market.fetch_with(&context, slot).await.unwrap();
    }
    assert_eq!(market.database.prices().await.len(), 8);
    // Once it has failed often enough, nobody waits for it any more.
    let slot = market.now().next();
    market.fetch_with(&context, slot).await.unwrap();
    let left = clock::until(slot.end());
    assert!(left > Duration::from_millis(600), "only {left:?} of the second were left");
    eventually(SOON, "it is told that it hangs", || async {
        market.told().await["sources"][0]["failed"]["exchange_timeout"].as_u64() >= Some(3)
    })
    .await;
}

#[tokio::test]
async fn a_jump_that_another_source_does_not_see_never_gets_in() {
    let mut market = Market::of(2).await;
    market.slots = Slots::new(Duration::from_secs(1)).unwrap();
    let context = market.context();
    let mut slot = market.now().next();
    market.fetch_with(&context, slot).await.unwrap();
    market.exchanges[0].answers(AT_ONCE, 200, ticker("184436700.0"));
    for _ in 0..5 {
        slot = slot.next();
        market.fetch_with(&context, slot).await.unwrap();
    }
    let prices = market.database.prices().await;
    assert_eq!(prices.len(), 6);
    assert!(prices.iter().all(|member| member.starts_with("84436700.0:")), "{prices:?}");
    eventually(SOON, "it is told who is wrong", || async {
        let told = market.told().await;
        told["sources"][0]["failed"]["price_rejected"] == 5
            && told["sources"][0]["rejected"].as_array().is_some_and(|list| list.len() == 5)
    })
    .await;
}

#[tokio::test]
async fn the_median_is_weighted_and_needs_its_quorum() {
    let mut market = Market::of(3).await;
    market.config.sources.policy = Policy::Median;
    for (exchange, ask) in market.exchanges.iter().zip(["84000000", "85000000", "184000000"]) {
        exchange.answers(AT_ONCE, 200, ticker(ask));
    }
    market.fetch().await.unwrap();
    let (price, source) = market.recorded().await;
    assert!((price - 85_000_000.0).abs() < f64::EPSILON, "{price}");
    assert_eq!(source, "a+b+c");

    // The weight of a is as much as that of the two others: the middle of it and the next one.
    market.config.sources.named.get_mut("a").unwrap().weight = 2;
    market.database.command::<()>(&["FLUSHDB"]).await;
    market.fetch().await.unwrap();
    assert!((market.recorded().await.0 - 84_500_000.0).abs() < f64::EPSILON);

    // One that is wild, seen beside what was recorded lately, is left out and told.
    market.database.command::<()>(&["FLUSHDB"]).await;
    let second = market.now().start() - 5;
    let member = format!("84000000.0:{second}");
    market.database.put_prices(&[(&second.to_string(), &member)]).await;
    market.fetch().await.unwrap();
    let latest = market.store().latest().await.unwrap().unwrap();
    assert_eq!(latest.sample.price.to_string(), "84000000");
    eventually(SOON, "the wild price is told", || async {
        market.store().rejected().await.unwrap().iter().any(|rejected| rejected.source == "c")
    })
    .await;

    // Two of three fail: one is no quorum, and the slot says why.
    market.slots = Slots::new(Duration::from_secs(1)).unwrap();
    market.database.command::<()>(&["FLUSHDB"]).await;
    for exchange in &market.exchanges[1..] {
        exchange.answers(AT_ONCE, 503, "");
    }
    let error = market.fetch_with(&market.context(), market.now().next()).await.unwrap_err();
    assert!(error.contains("1 of the 2 sources that a median needs"), "{error}");
    assert!(error.contains("HTTP status 503"), "{error}");
    assert!(market.database.prices().await.is_empty());
}

#[tokio::test]
async fn ask_bid_and_mid_can_be_recorded_and_all_are_served() {
    for (side, price) in
        [(Side::Ask, 84_436_700.0), (Side::Bid, 82_781_100.0), (Side::Mid, 83_608_900.0)]
    {
        let mut market = Market::of(1).await;
        market.config.sources.price = side;
        let fixture = include_str!("fixtures/buenbit-tickers.json");
        market.exchanges[0].answers(AT_ONCE, 200, fixture);
        market.fetch().await.unwrap();
        let latest = Api::start(&market.database).await.get("/api/latest").await.ok();
        assert_eq!(latest["price"], price);
        let rest = ["ask", "bid", "mid", "spread"].map(|name| &latest[name]);
        assert_eq!(rest, [84_436_700.0, 82_781_100.0, 83_608_900.0, 1_655_600.0]);
        assert_eq!(latest["source"], "a");
    }
    let nothing = Api::start(&Database::new().await).await.get("/api/latest/").await;
    assert_eq!(nothing.status, 404);
    assert!(nothing.text.contains("Nothing is recorded yet."), "{}", nothing.text);
}

#[tokio::test]
async fn a_jump_is_believed_by_a_second_source_or_the_third_slot() {
    let mut market = Market::of(2).await;
    market.slots = Slots::new(Duration::from_secs(1)).unwrap();
    market.config.sources.named.get_mut("b").unwrap().enabled = false;
    let context = market.context();
    let mut slot = market.now().next();
    market.fetch_with(&context, slot).await.unwrap();
    market.exchanges[0].answers(AT_ONCE, 200, ticker("184436700.0"));
    for _ in 0..2 {
        slot = slot.next();
        let error = market.fetch_with(&context, slot).await.unwrap_err();
        assert!(
            error.contains("a: price not believed: 184436700.0 is a jump from 84436700.0"),
            "{error}"
        );
        eventually(SOON, "the price is kept with its reason", || async {
            market.store().rejected().await.unwrap().first().is_some_and(|r| r.slot == slot.start())
        })
        .await;
    }
    let key = "{prices}:missed:price_rejected";
    assert_eq!(market.database.command::<u64>(&["ZCARD", key]).await, 2);
    let told = market.told().await;
    let rejected = told["sources"][0]["rejected"].as_array().unwrap();
    assert!(rejected.len() >= 2 && rejected[0]["price"] == 184_436_700.0, "{told}");
    assert_eq!(told["sources"][0]["failed"]["price_rejected"].as_u64().map(|n| n >= 2), Some(true));
    // The third slot sees it too.
    slot = market.now().next();
    market.fetch_with(&context, slot).await.unwrap();
    assert_eq!(market.database.prices().await.len(), 2);

    // A second source that agrees is enough at once; the first one counts.
    market.config.sources.named.get_mut("b").unwrap().enabled = true;
    market.exchanges[0].answers(AT_ONCE, 200, ticker("54436700.0"));
    market.exchanges[1].answers(AT_ONCE, 200, ticker("54000000.0"));
    market.fetch_with(&market.context(), market.now().next()).await.unwrap();
    let prices = market.database.prices().await;
    assert!(prices.iter().any(|member| member.starts_with("54436700.0:")), "{prices:?}");
}

#[tokio::test]
async fn a_source_that_fails_again_and_again_is_left_alone() {
    let mut market = Market::of(2).await;
    market.exchanges[0].answers(AT_ONCE, 500, "");
    let context = market.context();
    for _ in 0..8 {
        market.database.command::<()>(&["DEL", "prices"]).await;
        market.fetch_with(&context, market.now()).await.unwrap();
    }
    assert_eq!(market.exchanges[0].asked(), 5);
    assert_eq!(market.exchanges[1].asked(), 8);
    market.store().tell_circuits("worker-1", &context.sources.circuits()).await.unwrap();
    market
        .store()
        .seen(cotiza::store::Role::Worker, "worker-1", clock::unix_seconds())
        .await
        .unwrap();
    let told = market.told().await;
    assert_eq!(
        (&told["sources"][0]["state"], &told["sources"][1]["state"]),
        (&"open".into(), &"closed".into())
    );
    assert!(told["sources"][0]["open_until"].is_i64(), "{told}");

    // It is well again, and asked first again.
    market.exchanges[0].answers(AT_ONCE, 200, ticker(GOOD));
    eventually(SOON, "it is asked again", || async {
        market.database.command::<()>(&["DEL", "prices"]).await;
        market.fetch_with(&context, market.now()).await.unwrap();
        market.exchanges[0].asked() > 5
    })
    .await;
    market.fetch_with(&context, market.now()).await.unwrap();
    assert!(market.exchanges[0].asked() >= 7);

    // One that asks for a pause gets it.
    let busy = Rogue::start(Wrong::answer("429 Too Many\r\nretry-after: 60", "")).await;
    market.config.sources.named.get_mut("a").unwrap().url = busy.url("http").parse().unwrap();
    let context = market.context();
    for _ in 0..3 {
        market.database.command::<()>(&["DEL", "prices"]).await;
        market.fetch_with(&context, market.now()).await.unwrap();
    }
    assert_eq!(busy.asked(), 1);
}

#[tokio::test]
async fn a_refusal_by_one_source_is_not_the_end_while_another_may_recover() {
    let market = Market::of(2).await;
    market.exchanges[0].answers(AT_ONCE, 500, "");
    market.exchanges[1].answers(AT_ONCE, 403, "");
    let recovers = async {
        eventually(SOON, "asked again", || async { market.exchanges[0].asked() >= 2 }).await;
        market.exchanges[0].answers(AT_ONCE, 200, ticker(GOOD));
    };
    let (fetched, ()) = tokio::join!(market.fetch(), recovers);
    fetched.unwrap();
    assert_eq!(market.recorded().await.1, "a");
}

#[tokio::test]
async fn metrics_tell_of_slots_and_sources() {
    let market = Market::of(2).await;
    market.exchanges[0].answers(AT_ONCE, 500, "");
    market.fetch().await.unwrap();
    market.store().miss(&[market.now().start() - 3600], Reason::TooLate).await.unwrap();
    let api = Api::with_config(&market.database, &market.config).await;
    eventually(SOON, "the attempts are told", || async {
        api.get("/metrics").await.text.contains("cotiza_source_answers_total{source=\"b\"} 1\n")
    })
    .await;
    let answer = api.get("/metrics").await;
    assert!(
        answer.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics")
    );
    for line in [
        "cotiza_recorded_slots 1",
        "cotiza_source_failures_total{source=\"a\",reason=\"exchange_error\"} 1",
        "cotiza_source_samples_total{source=\"b\"} 1",
        "cotiza_source_workers{source=\"a\",state=\"open\"} 0",
        "# EOF",
    ] {
        assert!(answer.text.contains(line), "no {line:?} in {}", answer.text);
    }
    assert!(answer.text.contains("cotiza_last_price_timestamp_seconds 1"), "{}", answer.text);
}

#[tokio::test]
async fn an_operator_can_check_the_sources_by_hand() {
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

    let one = run(&["sources", "check", "bitso", "--json"], &environment).await;
    assert_eq!(one.code, 1);
    let rows: serde_json::Value = serde_json::from_str(&one.stdout).unwrap();
    assert_eq!((&rows[0]["ok"], &rows[0]["reason"]), (&false.into(), &"bad_answer".into()));
    assert_eq!(one.stderr, "cotiza: a source gave no price\n");
    let none = run(&["sources", "check", "kraken"], &environment).await;
    assert!(
        none.stderr.contains("there is no source \"kraken\"; there are buenbit, mine"),
        "{}",
        none.stderr
    );
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_asked_for_other_hosts() {
    let proxy = FakeExchange::start().await;
    let origin = format!("http://{}", proxy.url.authority());
    let environment = [
        ("COTIZA__SOURCES__BUENBIT__URL", "http://exchange.invalid/ticker"),
        ("HTTP_PROXY", origin.as_str()),
        ("http_proxy", origin.as_str()),
    ];
    let checked = run(&["sources", "check", "buenbit"], &environment).await;
    assert_eq!((checked.code, proxy.asked()), (0, 1), "{} {}", checked.stdout, checked.stderr);
}

#[tokio::test]
async fn where_prices_came_from_goes_out_and_in_again() {
    let (from, to) = (Database::new().await, Database::new().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("samples.csv").display().to_string();
    let csv = "timestamp,price,source\n1717184864,84873600.0,buenbit\n1717184874,84870100.50,a+b\n\
               1717186874,84870100.50,\n";
    std::fs::write(&file, csv).unwrap();
    let on = |database: &Database, arguments: Vec<String>| {
        let url = database.url.clone();
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let done = run(&arguments, &[("REDIS_URL", &url)]).await;
            assert_eq!((done.code, done.stderr.as_str()), (0, ""));
            done.stdout
        }
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    on(&from, words(&format!("prices import {file}"))).await;
    assert_eq!(on(&from, words("prices export")).await, csv);
    let ndjson = on(&from, words("prices export --format ndjson")).await;
    std::fs::write(&file, &ndjson).unwrap();
    on(&to, words(&format!("prices import {file}"))).await;
    assert_eq!(on(&to, words("prices export")).await, csv);
    let listed = Api::start(&to).await.get("/api/ticker-list/").await.ok();
    assert_eq!(listed["results"][1]["source"], "a+b");

    for source in ["A B", "a+a", "a+", &"a".repeat(33)] {
        std::fs::write(&file, format!("timestamp,price,source\n1717184884,1.0,{source}\n"))
            .unwrap();
        let bad = run(&["prices", "import", &file], &[("REDIS_URL", &to.url)]).await;
        assert!(bad.code == 1 && bad.stderr.contains("line 2: source: \""), "{}", bad.stderr);
    }

    // Who takes a sample away by hand and puts another in has not its source.
    to.command::<()>(&["ZREM", "prices", "84873600.0:1717184864"]).await;
    std::fs::write(&file, "timestamp,price\n1717184864,1.0\n").unwrap();
    on(&to, words(&format!("prices import {file}"))).await;
    assert!(on(&to, words("prices export")).await.contains("\n1717184864,1.0,\n"));
}
