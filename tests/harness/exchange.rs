//! An exchange as a real HTTP server that does what a test tells it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cotiza::{
    clock::Clock,
    config::{self, Config},
    domain::{Doubt, Price},
    exchange::Sources,
};
use poem::{
    Response, Server,
    endpoint::make,
    http::StatusCode,
    listener::{Acceptor, Listener, TcpListener},
};
use tokio::{task::JoinHandle, time::sleep};
use url::Url;

/// An exchange; it stops with the test.
pub struct FakeExchange {
    pub url: Url,
    state: Arc<State>,
    server: JoinHandle<()>,
}

struct State {
    asked: AtomicUsize,
    answer: Mutex<(Duration, u16, Body)>,
    /// The prices that were served counting up, each with the unix second.
    served: Mutex<Vec<(String, i64)>>,
}

#[derive(Clone)]
enum Body {
    Text(String),
    /// A ticker with a price of its own each time.
    CountUp,
}

impl FakeExchange {
    /// An exchange that sells bitcoin for 84436700.0 until told otherwise.
    pub async fn start() -> Self {
        let answer = (Duration::ZERO, 200, Body::Text(Self::ticker("84436700.0")));
        let (answer, served) = (Mutex::new(answer), Mutex::default());
        let state = Arc::new(State { asked: AtomicUsize::new(0), answer, served });
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a port");
        let address = acceptor.local_addr()[0].as_socket_addr().expect("TCP").to_owned();
        let shared = Arc::clone(&state);
        let endpoint = make(move |_| {
            let state = Arc::clone(&shared);
            async move {
                let number = state.asked.fetch_add(1, Ordering::SeqCst);
                let (latency, status, body) = state.answer.lock().expect("no panic").clone();
                sleep(latency).await;
                let status = StatusCode::from_u16(status).expect("a status");
                let body = match body {
                    Body::Text(text) => text,
                    Body::CountUp => {
                        let price = format!("{}.0", 84_000_001 + number);
                        let served = (price.clone(), Clock::machine().unix_seconds());
                        state.served.lock().expect("no panic").push(served);
                        Self::ticker(&price)
                    }
                };
                Response::builder().status(status).body(body)
            }
        });
        let server = tokio::spawn(async move {
            Server::new_with_acceptor(acceptor).run(endpoint).await.expect("served");
        });
        let url = Url::parse(&format!("http://{address}/api/market/tickers")).expect("a URL");
        Self { url, state, server }
    }

    /// An answer in the shape of the real one.
    pub fn ticker(price: &str) -> String {
        format!(
            r#"{{"object":{{"btcars":{{"selling_price":"{price}","purchase_price":"0.5"}}}},"errors":[]}}"#
        )
    }

    /// The sources of a configuration that asks nobody else.
    pub fn config(&self) -> config::Sources {
        let mut sources = Config::default().sources;
        sources.named.get_mut("buenbit").expect("a source").url = self.url.clone();
        sources
    }

    /// This exchange alone, asked for so long, once a slot of that length.
    pub fn sources(&self, timeout: Duration, slot: Duration) -> Sources {
        let mut config = self.config();
        config.named.get_mut("buenbit").expect("a source").timeout = timeout;
        Sources::new(&config, slot, &Clock::machine()).expect("no TLS")
    }

    /// Believes any price.
    pub fn no_doubt() -> Doubt {
        let price = Price::from_pesos;
        Doubt::new(price(1), price(u64::MAX), 1e9)
    }

    /// What it answers from now on.
    pub fn answers(&self, latency: Duration, status: u16, body: impl Into<String>) {
        let body = Body::Text(body.into());
        *self.state.answer.lock().expect("no panic") = (latency, status, body);
    }

    /// From now on each answer has a price of its own.
    pub fn counts_up(&self) {
        *self.state.answer.lock().expect("no panic") = (Duration::ZERO, 200, Body::CountUp);
    }

    /// What was served counting up: the price and the unix second.
    pub fn served(&self) -> Vec<(String, i64)> {
        self.state.served.lock().expect("no panic").clone()
    }

    /// How often it has been asked.
    pub fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }
}

impl Drop for FakeExchange {
    fn drop(&mut self) {
        self.server.abort();
    }
}
