//! Tests of the configuration: layers, unknown keys, values that are not allowed.

use std::io::Write;

use super::*;

/// Loads a configuration from the text of a file, variables and flags.
fn load(file: &str, variables: &[(&str, &str)], flags: &Flags) -> Result<Config, ConfigError> {
    let mut written = tempfile::NamedTempFile::new().unwrap();
    written.write_all(file.as_bytes()).unwrap();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config::from_layers(Some(written.path()), &variables.iter().map(owned).collect(), flags)
}

fn error(file: &str, variables: &[(&str, &str)]) -> String {
    let message = load(file, variables, &Vec::new()).unwrap_err().to_string();
    assert!(!message.contains('\n'), "more than one line: {message}");
    message
}

#[test]
fn an_empty_configuration_equals_default_toml() {
    assert_eq!(load("", &[], &Vec::new()).unwrap(), Config::default());
    assert_eq!(load(DEFAULT_TOML, &[], &Vec::new()).unwrap().sources, Config::default().sources);
}

#[test]
fn flags_override_environment_overrides_file_overrides_defaults() {
    let file = "[worker]\nconcurrency = 5\ndrain = \"7s\"\n[up]\nworkers = 3";
    let variables = [("COTIZA__WORKER__CONCURRENCY", "6"), ("COTIZA__UP__WORKERS", "4")];
    let flags = vec![("worker.concurrency", "7".to_owned())];
    let config = load(file, &variables, &flags).unwrap();
    assert_eq!(config.worker.concurrency, 7);
    assert_eq!(config.up.workers, 4);
    assert_eq!(config.worker.drain.as_secs(), 7);
    assert_eq!(config.queue, Config::default().queue);
}

#[test]
fn the_environment_sets_every_type_of_value() {
    let variables = [
        ("COTIZA__SCHEDULE__EVERY", "5s"),
        ("COTIZA__SOURCES__BUENBIT__URL", "http://127.0.0.1:1/x"),
        ("COTIZA__API__LISTEN", "[::1]:9000"),
        ("COTIZA__API__TRUSTED_PROXIES", "10.0.0.0/8, ::1, 192.168.1.7,"),
        // Not a key of Cotiza: Compose uses it.
        ("COTIZA_IMAGE", "cotiza:1"),
        ("COTIZA__EXCHANGE__ERROR_RATE", "1"),
        ("COTIZA__SOURCES__BITSO__ENABLED", "true"),
        ("COTIZA__LOG__FORMAT", "json"),
    ];
    let config = load("", &variables, &Vec::new()).unwrap();
    assert_eq!(config.schedule.every.as_secs(), 5);
    assert_eq!(config.sources.named["buenbit"].url.as_str(), "http://127.0.0.1:1/x");
    assert!(config.sources.named["bitso"].enabled);
    assert_eq!(config.api.listen.port(), 9000);
    let proxies = config.api.trusted_proxies.0.iter().map(ToString::to_string);
    assert_eq!(proxies.collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128", "192.168.1.7/32"]);
    assert!((config.exchange.error_rate - 1.0).abs() < f64::EPSILON);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn redis_url_sets_the_url_and_marks_redis_as_chosen() {
    let config = load("", &[("REDIS_URL", "redis://one/1")], &Vec::new()).unwrap();
    assert_eq!((config.redis.url.as_str(), config.is_redis_configured), ("redis://one/1", true));

    let both = [("REDIS_URL", "redis://one"), ("COTIZA__REDIS__URL", "redis://two")];
    assert_eq!(load("", &both, &Vec::new()).unwrap().redis.url, "redis://two");

    assert!(!load("", &[("REDIS_URL", "")], &Vec::new()).unwrap().is_redis_configured);
    assert!(load("[redis]\nurl='redis://three'", &[], &Vec::new()).unwrap().is_redis_configured);
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let message = error("[worker]\nconcurency = 5", &[]);
    assert!(message.contains("unknown key worker.concurency in "), "{message}");
    assert!(message.contains("did you mean worker.concurrency?"), "{message}");

    let message = error("", &[("COTIZA__SHEDULE__EVERY", "1s")]);
    assert!(message.contains("COTIZA__SHEDULE__EVERY"), "{message}");
    assert!(message.contains("did you mean schedule.every?"), "{message}");

    assert!(!error("zzz = 1", &[]).contains("did you mean"));
    assert!(!error("zzzzzzzz = 1", &[]).contains("did you mean"));
}

#[test]
fn an_error_names_the_value_and_what_is_allowed() {
    let check = |file: &str, parts: &[&str]| {
        let message = error(file, &[]);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    check("[schedule]\nevery = '1500ms'", &["schedule.every", "1s 500ms", "whole seconds"]);
    check("[schedule]\nevery = 'soon'", &["schedule.every", "soon"]);
    check("[queue]\nhousekeeping_every = '2h'", &["queue.housekeeping_every", "1s to 1h"]);
    check("[prices]\nkeep = '23h'", &["prices.keep", "at least 1day"]);
    check("[prices]\nkeep = 'always'", &["prices.keep", "forever"]);
    check("[redis]\nurl = 'http://x'", &["redis.url = http://***", "redis://"]);
    check("[sources.buenbit]\nurl = 'ftp://x'", &["sources.buenbit.url", "http://"]);
    check("[sources.buenbit]\nurl = 'x'", &["sources.buenbit.url"]);
    check("[worker]\nconcurrency = 0", &["worker.concurrency = 0", "1 to 256"]);
    check("[worker]\nconcurrency = 'many'", &["worker.concurrency", "many"]);
    check("[sources.buenbit]\ntimeout = '0s'", &["sources.buenbit.timeout", "10ms"]);
    check("[sources.buenbit]\nask = 'btc.ask'", &["sources.buenbit.ask", "JSON Pointer"]);
    check("[sources.buenbit]\nbid = '$['", &["sources.buenbit.bid", "not a valid JSONPath"]);
    check("[sources.buenbit]\ncheck = '/a'", &["sources.buenbit.check", "<locator> == "]);
    check("[sources.buenbit]\nweight = 0", &["sources.buenbit.weight", "1 to 1000"]);
    check("[sources.buenbit]\nheaders = ['x']", &["sources.buenbit.headers", "Name: value"]);
    check("[sources.buenbit]\nenabled = false", &["all sources are disabled"]);
    check("[sources]\npolicy = 'mean'", &["sources.policy", "median"]);
    check("[sources]\npolicy = 'median'", &["sources.quorum = 2", "only 1 sources"]);
    check("[sources]\nprice = 'last'", &["sources.price", "mid"]);
    check("[sources]\nlowest = 200000000000", &["sources.lowest", "sources.highest"]);
    check("[sources]\nmax_jump = 0.0", &["sources.max_jump", "0.001 to 10.0"]);
    check("[sources]\npolcy = 'first'", &["unknown key sources.polcy", "sources.policy?"]);
    check("[sources.bitso]\nweigth = 2", &["unknown key sources.bitso.weigth", "bitso.weight?"]);
    check("[sources.new]\nurl = 'http://x'", &["sources.new.ask is missing", "/data/ask"]);
    check(
        "[sources.buenbti]\nurl = 'http://x'",
        &["sources.buenbti.ask", "the known sources are belo"],
    );
    check("[sources.'A B']\nurl = 'http://x'\nask = '/a'", &["\"A B\"", "a-z, 0-9"]);
    check(
        "[sources]\nprice = 'mid'\n[sources.new]\nurl = 'http://x'\nask = '/a'",
        &["sources.new.bid", "sources.price requires the bid"],
    );
    check("[queue]\nheartbeat = '1500ms'", &["queue.heartbeat", "whole seconds"]);
    check("[queue]\nmissed_heartbeats = 1", &["queue.missed_heartbeats", "2 to 100"]);
    check("[api]\nlisten = '127.0.0.1:99999'", &["api.listen"]);
    check("[api]\ntrusted_proxies = ['x']", &["api.trusted_proxies"]);
    check("[log]\nformat = 'xml'", &["log.format", "xml"]);
    check("[log]\nlevel = 'cotiza=loud'", &["log.level", "trace"]);
    check("[up]\nredis_port = 0", &["up.redis_port", "1 to 65535"]);
    check("[up]\nworkers = 33", &["up.workers", "1 to 32"]);
    check("[exchange]\nerror_rate = 1.5", &["exchange.error_rate", "0.0 to 1.0"]);
    check("[log]\nlevel = 'loud'", &["log.level", "trace"]);
    check("[log]\nlevel = ''", &["log.level", "trace"]);
    check("[up]\nworkers = 2.5", &["up.workers = 2.5", "the default is 2"]);
    check("[up]\ndata_dir = ''", &["up.data_dir", "a folder"]);
    check("[api]\nlisten = 'x'", &["api.listen = \"x\"", "the default is \"127.0.0.1:8000\""]);
    check("[foo]", &["unknown key foo"]);
    check("up = 5", &["unknown key up"]);
    check("not toml", &["not valid TOML", "error at line 1, column "]);
}

#[test]
fn an_error_names_the_missing_file() {
    let missing = Path::new("no/such/file.toml");
    let error = Config::from_layers(Some(missing), &HashMap::new(), &Vec::new()).unwrap_err();
    assert!(error.to_string().contains("no/such/file.toml"), "{error}");
}

#[test]
fn an_error_shows_an_invalid_url_without_its_password() {
    let message = error("", &[("REDIS_URL", "redis://:sec ret@h:bad")]);
    assert!(message.contains("redis.url = redis://***: ") && !message.contains("sec"), "{message}");
    for file in [
        "[sources.buenbit]\nurl = 'https://me:secret@:0/'",
        "[sources.buenbit]\nurl = 'ftp://me:secret@host/'",
        "[sources.buenbit]\nurl = 'redis+sentinel://secret:1,host:2/primary'",
        "[sources.buenbit]\nheaders = 'Key: secret'",
        "[sources.buenbit]\nheaders = ['Key: secret', 5]",
        "[sources.buenbit]\nheaders = ['secret']",
    ] {
        let message = error(file, &[]);
        assert!(message.contains("..") || message.contains("***"), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let shown = [
        ("https://host/a?book=btc_ars&api_key=x", "https://host/a?book=btc_ars&api_key=***"),
        ("https://token@host/a", "https://***@host/a"),
        ("https://me:x@host", "https://me:***@host/"),
        ("https://me:x y", "https://***"),
        ("secret", "***"),
        ("me:secret@host", "***"),
        ("me secret://host", "***"),
        ("https://host?a", "https://host/?a"),
    ];
    for (url, expected) in shown {
        assert_eq!(mask_url(url), expected);
    }
}

#[test]
fn printed_values_can_be_loaded_again_and_hide_the_password() {
    let file = "[redis]\nurl = 'redis://me:secret@host:1/2'";
    let printed = load(file, &[], &Vec::new()).unwrap().to_masked_toml();
    assert!(printed.contains("redis://me:***@host:1/2"), "{printed}");
    assert!(!printed.contains("secret"), "{printed}");
    load(&printed, &[], &Vec::new()).unwrap();
}

/// Creates a file with this text.
fn file_with(text: &str) -> tempfile::NamedTempFile {
    let mut written = tempfile::NamedTempFile::new().unwrap();
    written.write_all(text.as_bytes()).unwrap();
    written
}

#[test]
fn a_password_file_may_contain_any_character() {
    for password in ["plain", "p@ss:w/rd?#[", "100%41", "ñandú"] {
        let file = file_with(&format!("{password}\n"));
        let path = file.path().to_str().unwrap();
        let variables = [("REDIS_URL", "redis://one:7/3"), ("COTIZA__REDIS__PASSWORD_FILE", path)];
        let config = load("", &variables, &Vec::new()).unwrap();
        assert_eq!(config.redis.password_file, file.path());
        assert!(!config.to_masked_toml().contains(password));
    }
}

#[test]
fn a_password_file_marks_redis_as_chosen() {
    let file = file_with("secret");
    let path = file.path().to_str().unwrap();
    let config = load("", &[("COTIZA__REDIS__PASSWORD_FILE", path)], &Vec::new()).unwrap();
    assert!(config.is_redis_configured);
}

#[test]
fn an_error_names_an_unusable_password_file() {
    let message = error("[redis]\npassword_file = 'no/such/file'", &[]);
    assert!(message.contains("redis.password_file = no/such/file: cannot read it"), "{message}");
    let empty = file_with("\n");
    let message = error("", &[("COTIZA__REDIS__PASSWORD_FILE", empty.path().to_str().unwrap())]);
    assert!(message.contains("it is empty"), "{message}");
}

#[test]
fn a_flag_overrides_the_file_that_the_environment_names() {
    let named = file_with("[up]\nworkers = 7");
    let variables = [("COTIZA_CONFIG", named.path().to_str().unwrap())];
    let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let config = Config::from_layers(None, &environment, &Vec::new()).unwrap();
    assert_eq!(config.up.workers, 7);
    assert_eq!(load("", &variables, &Vec::new()).unwrap().up.workers, Config::default().up.workers);
}

#[test]
fn a_new_source_can_be_set_by_a_section_and_the_environment() {
    let file = "[sources.kraken]\nurl = 'https://x/y'\nask = '$.a[0]'\nheaders = ['Key: secret']";
    let variables = [("COTIZA__SOURCES__KRAKEN__WEIGHT", "7")];
    let config = load(file, &variables, &Vec::new()).unwrap();
    let kraken = &config.sources.named["kraken"];
    assert_eq!((kraken.weight, kraken.timeout.as_secs(), kraken.enabled), (7, 3, true));
    assert_eq!(
        (kraken.ask.to_string().as_str(), &kraken.bid, &kraken.check),
        ("$.a[0]", &None, &None)
    );
    let shown = config.to_masked_toml();
    assert!(shown.contains("Key: ***") && !shown.contains("secret"), "{shown}");
    assert_eq!(config.sources.named.len(), 6);
    let order: Vec<_> = config.sources.enabled().into_iter().map(|(name, _)| name).collect();
    assert_eq!(order, ["buenbit", "kraken"]);
}

#[test]
fn a_variable_with_one_underscore_too_few_is_an_error() {
    assert_eq!(variable("api.stale_after"), "COTIZA__API__STALE_AFTER");
    assert_eq!(
        error("", &[("COTIZA_API_STALE_AFTER", "1m")]),
        "the environment variable COTIZA_API_STALE_AFTER is not used; did you mean \
         COTIZA__API__STALE_AFTER, with two underscores?"
    );
}

#[test]
fn the_redis_and_the_source_of_a_simulation_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut up = Config::default().up;
    up.data_dir = folder.path().join("data");
    let simulated = simulated_data_dir(&up);
    std::fs::create_dir(&simulated).unwrap();
    std::fs::write(own_password_file(&simulated), "secret").unwrap();
    // The flags override variables of the environment in which the tests run.
    let flags = vec![
        ("up.data_dir", up.data_dir.display().to_string()),
        ("up.redis_port", "7001".to_owned()),
        ("redis.url", "redis://127.0.0.1:7001/0".to_owned()),
        ("redis.password_file", String::new()),
    ];
    let config = Config::load(None, &flags).unwrap();
    assert_eq!(config.redis.password_file, own_password_file(&simulated));
    let enabled: Vec<_> = config.sources.enabled().into_iter().map(|(name, _)| name).collect();
    assert_eq!(enabled, [SIMULATED]);
}

#[test]
fn a_price_is_stale_after_three_slots_or_the_configured_time() {
    let stale_after = |file: &str| load(file, &[], &Vec::new()).unwrap().stale_after();
    assert_eq!(stale_after("[schedule]\nevery = '20s'"), 60);
    assert_eq!(stale_after("[api]\nstale_after = '45s'"), 45);
}

#[test]
fn a_worker_without_several_heartbeats_is_dead() {
    let file = "[queue]\nheartbeat = '2s'\nmissed_heartbeats = 5";
    assert_eq!(load(file, &[], &Vec::new()).unwrap().queue.silence().as_secs(), 10);
}

#[test]
fn metrics_have_an_address_or_none() {
    let listen = |file: &str| load(file, &[], &Vec::new()).unwrap().metrics.listen;
    assert_eq!(listen("[metrics]\nlisten = '[::1]:9100'"), Some("[::1]:9100".parse().unwrap()));
    assert_eq!(listen("[metrics]\nlisten = ''"), None);
}
