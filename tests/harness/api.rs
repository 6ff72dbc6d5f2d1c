//! The API, served by this process over real HTTP.

use std::{sync::Arc, time::Duration};

use cotiza::{
    api,
    config::Config,
    history::{History, Limits},
    http_client,
    http_server::HttpServer,
    jobs::QUEUES,
    metrics::Metrics,
    queue::Inspector,
};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Database, SOON, eventually};

/// A running API, which stops when it is dropped.
pub struct Api {
    pub origin: String,
    client: reqwest::Client,
    server: JoinHandle<()>,
    following: JoinHandle<()>,
}

/// Returns the body of the response at the URL; `None` if no response arrives.
pub async fn get_text(url: &str) -> Option<String> {
    let client = http_client::local(Duration::from_secs(10)).expect("no TLS");
    client.get(url).send().await.ok()?.text().await.ok()
}

/// A response of the API.
#[derive(Debug)]
pub struct ApiResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Api {
    pub async fn start(database: &Database) -> Self {
        Self::with_config(database, &Config::default()).await
    }

    /// Starts an API and waits until it has loaded the stored samples.
    pub async fn with_config(database: &Database, config: &Config) -> Self {
        let api = Self::unready(database, config).await;
        eventually(SOON, "the API is ready", || async {
            api.get("/health/ready").await.status == StatusCode::OK
        })
        .await;
        api
    }

    /// Starts an API without waiting until it has loaded the stored samples.
    pub async fn unready(database: &Database, config: &Config) -> Self {
        let listen = "127.0.0.1:0".parse().expect("an address");
        let server = HttpServer::listen(listen, (&config.api).into()).expect("a port");
        let address = server.address().expect("its address");
        let memory = usize::try_from(config.api.memory.as_u64()).expect("64 bits");
        let limits = Limits { memory, stale_for: config.api.stale_for };
        let history = Arc::new(History::new(database.store_of(config.schedule.every), limits));
        let inspector = Inspector::new(&database.server, QUEUES.to_vec(), &config.queue);
        let metrics = Metrics::default();
        let routes = api::routes(Arc::clone(&history), &inspector, metrics, config);
        let origins = config.api.cors_origins.clone();
        let following = tokio::spawn(async move { history.follow().await });
        let server = tokio::spawn(async move {
            server.serve(routes, &origins, Duration::ZERO, &CancellationToken::new()).await;
        });
        let client = http_client::local(Duration::from_secs(10)).expect("no TLS");
        Self { origin: format!("http://{address}"), client, server, following }
    }

    /// Gets a path, or a whole link.
    pub async fn get(&self, path: &str) -> ApiResponse {
        self.request(Method::GET, path, &[]).await
    }

    /// Opens a stream of events and checks that the response is a success.
    pub async fn stream(&self, path: &str, headers: &[(&str, &str)]) -> Events {
        let request = self.client.get(format!("{}{path}", self.origin)).timeout(SOON * 6);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.expect("answered");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { response, text: String::new(), comments: 0 }
    }

    /// Opens a stream of events; `None` if it is refused.
    pub async fn stream_or_refusal(&self, path: &str) -> Option<Events> {
        let response = self.client.get(format!("{}{path}", self.origin)).send().await.ok()?;
        let is_stream = response.status() == StatusCode::OK;
        is_stream.then(|| Events { response, text: String::new(), comments: 0 })
    }

    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> ApiResponse {
        let link =
            if path.starts_with('/') { format!("{}{path}", self.origin) } else { path.into() };
        let request = self.client.request(method, link);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.expect("answered");
        let (status, headers) = (response.status(), response.headers().clone());
        ApiResponse { status, headers, text: response.text().await.expect("text") }
    }
}

/// The Server-Sent Events of a response.
pub struct Events {
    response: reqwest::Response,
    text: String,
    comments: usize,
}

/// An event with its name, id and data.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: String,
    pub id: i64,
    pub data: Value,
}

impl Events {
    /// Returns the next event and counts the comments before it; `None` if the stream ends.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name| block.lines().find_map(|line| line.strip_prefix(name));
                let event = field("event: ").map(|name| Event {
                    name: name.to_owned(),
                    id: field("id: ").expect("an id").parse().expect("a second"),
                    data: serde_json::from_str(field("data: ").expect("data")).expect("JSON"),
                });
                self.comments += usize::from(block.starts_with(':'));
                let end = self.text.len() - rest.len();
                self.text.drain(..end);
                if event.is_some() {
                    return event;
                }
                continue;
            }
            let chunk = self.response.chunk().await.ok()??;
            self.text += std::str::from_utf8(&chunk).expect("UTF-8");
        }
    }

    /// Returns the number of comments received.
    pub fn comments(&self) -> usize {
        self.comments
    }

    /// Returns the given number of next events.
    pub async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..count {
            let next = tokio::time::timeout(SOON, self.next()).await.expect("an event in time");
            events.push(next.expect("the stream has not ended"));
        }
        events
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.abort();
        self.following.abort();
    }
}

impl ApiResponse {
    /// Checks that the status is 200 and returns the body.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    /// Checks the status and the format of the problem details and returns them.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].is_string());
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        assert_eq!(problem["error"], problem["detail"]);
        problem
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}
