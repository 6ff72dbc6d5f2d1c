//! Baselines of the API for `make bench-store`: poem handlers that do nothing or only one round trip to
//! Redis, and the method of the old stack, which reads every sample to compute an average.
//!
//! Its arguments are the URL of Redis and the address to listen on.

use std::{env, sync::LazyLock};

use cotiza::connection::{self, SharedConnection};
use poem::{
    EndpointExt, Response, Route, Server,
    error::{InternalServerError, NotFoundError},
    get, handler,
    listener::TcpListener,
    web::{Data, Path},
};

/// `/bytes` returns the start of this text, which is longer than the largest page of samples.
static TEXT: LazyLock<String> = LazyLock::new(|| r#"{"price":84436700.0},"#.repeat(10_000));

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [url, listen] = [1, 2].map(|n| env::args().nth(n).unwrap_or_default());
    let connection = connection::Server::from_url(&url)?.shared();
    let routes = Route::new()
        .at("/bytes/:count", get(bytes))
        .at("/ping", get(ping).data(connection.clone()))
        .at("/naive", get(naive).data(connection));
    Ok(Server::new(TcpListener::bind(listen)).run(routes).await?)
}

/// Returns the given number of bytes.
#[handler]
async fn bytes(count: Path<usize>) -> poem::Result<Response> {
    let text = TEXT.get(..*count).ok_or(NotFoundError)?;
    Ok(Response::builder().content_type("application/json; charset=utf-8").body(text))
}

#[handler]
async fn ping(connection: Data<&SharedConnection>) -> poem::Result<String> {
    let mut connection = connection.clone();
    redis::cmd("PING").query_async(&mut connection).await.map_err(InternalServerError)
}

#[handler]
async fn naive(connection: Data<&SharedConnection>) -> poem::Result<String> {
    let mut connection = connection.clone();
    let mut read = redis::cmd("ZRANGEBYSCORE");
    read.arg("prices").arg("-inf").arg("+inf");
    let members: Vec<String> =
        read.query_async(&mut connection).await.map_err(InternalServerError)?;
    let price =
        |member: &String| member.split(':').next().and_then(|price| price.parse::<f64>().ok());
    let sum: f64 = members.iter().filter_map(price).sum();
    Ok(format!("{sum} {}", members.len()))
}
