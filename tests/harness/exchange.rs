//! A fake exchange: a real HTTP server whose responses the test sets.

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
    domain::{Price, PriceFilter},
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

/// A fake exchange, which stops when it is dropped.
pub struct FakeExchange {
    pub url: Url,
    state: Arc<State>,
    server: JoinHandle<()>,
}

struct State {
    request_count: AtomicUsize,
    response: Mutex<(Duration, u16, Body)>,
    /// The prices served in the mode [`Body::CountUp`], each with its unix second.
    served: Mutex<Vec<(String, i64)>>,
}

#[derive(Clone)]
enum Body {
    Text(String),
    /// A ticker with a new price in each response.
    CountUp,
}

impl FakeExchange {
    /// Starts an exchange whose ask is 84436700.0 until the test sets another response.
    pub async fn start() -> Self {
        let response = (Duration::ZERO, 200, Body::Text(Self::ticker("84436700.0")));
        let (response, served) = (Mutex::new(response), Mutex::default());
        let state = Arc::new(State { request_count: AtomicUsize::new(0), response, served });
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a port");
        let address = acceptor.local_addr()[0].as_socket_addr().expect("TCP").to_owned();
        let shared = Arc::clone(&state);
        let endpoint = make(move |_| {
            let state = Arc::clone(&shared);
            async move {
                let number = state.request_count.fetch_add(1, Ordering::SeqCst);
                let (latency, status, body) = state.response.lock().expect("no panic").clone();
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

    /// Returns a body in the format of the real exchange.
    pub fn ticker(price: &str) -> String {
        format!(
            r#"{{"object":{{"btcars":{{"selling_price":"{price}","purchase_price":"0.5"}}}},"errors":[]}}"#
        )
    }

    /// Returns the configuration of this exchange as the only source.
    pub fn config(&self) -> config::Sources {
        let mut sources = Config::default().sources;
        sources.named.get_mut("buenbit").expect("a source").url = self.url.clone();
        sources
    }

    /// Returns this exchange as the only source, with the timeout and the length of slots.
    pub fn sources(&self, timeout: Duration, slot: Duration) -> Sources {
        let mut config = self.config();
        config.named.get_mut("buenbit").expect("a source").timeout = timeout;
        Sources::new(&config, slot, &Clock::machine()).expect("no TLS")
    }

    /// Returns a filter that accepts any price.
    pub fn permissive_filter() -> PriceFilter {
        let price = Price::from_pesos;
        PriceFilter::new(price(1), price(u64::MAX), 1e9)
    }

    /// Sets the response to all following requests.
    pub fn set_response(&self, latency: Duration, status: u16, body: impl Into<String>) {
        let body = Body::Text(body.into());
        *self.state.response.lock().expect("no panic") = (latency, status, body);
    }

    /// Returns a new price in each of the following responses.
    pub fn count_up(&self) {
        *self.state.response.lock().expect("no panic") = (Duration::ZERO, 200, Body::CountUp);
    }

    /// Returns the prices served since [`Self::count_up`], each with its unix second.
    pub fn served(&self) -> Vec<(String, i64)> {
        self.state.served.lock().expect("no panic").clone()
    }

    /// Returns the number of requests received.
    pub fn request_count(&self) -> usize {
        self.state.request_count.load(Ordering::SeqCst)
    }
}

impl Drop for FakeExchange {
    fn drop(&mut self) {
        self.server.abort();
    }
}
