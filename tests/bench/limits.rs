//! What the API is measured against: a bare poem handler that makes one Redis round trip, and the
//! way of the old stack, which reads every sample to give an average. For `make bench-store`.
//!
//! Called with the URL of a Redis and the address to listen on.

use std::env;

use cotiza::connection::{self, SharedConnection};
use poem::{
    EndpointExt, Route, Server, error::InternalServerError, get, handler, listener::TcpListener,
    web::Data,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [url, listen] = [1, 2].map(|n| env::args().nth(n).unwrap_or_default());
    let connection = connection::shared(&redis::Client::open(url)?)?;
    let routes = Route::new().at("/ping", get(ping)).at("/naive", get(naive)).data(connection);
    Ok(Server::new(TcpListener::bind(listen)).run(routes).await?)
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
