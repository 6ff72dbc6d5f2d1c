//! The Redis that `cotiza up` runs for itself: on loopback, with an append-only file.

use std::{
    fs::{File, create_dir_all},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use redis::{Client, aio::MultiplexedConnection};
use tokio::{process::Command, time::sleep};

use crate::{config::Up, connection};

/// Claims the data folder and the port. A Redis that a killed `cotiza up` left behind on this
/// very folder is stopped, so that it can be started as a child.
pub(super) async fn claim(up: &Up) -> anyhow::Result<File> {
    let folder = up.data_dir.display();
    create_dir_all(&up.data_dir)
        .with_context(|| format!("cannot make the data folder {folder}"))?;
    let lock = File::create(up.data_dir.join("lock"))
        .with_context(|| format!("cannot write to the data folder {folder}"))?;
    ensure!(lock.try_lock().is_ok(), "another `cotiza up` is using the data folder {folder}");
    let client = Client::open(format!("redis://127.0.0.1:{}/0", up.redis_port))?;
    if let Ok(connection) = connection::single(&client).await {
        stop_leftover(connection, &up.data_dir).await.with_context(|| taken(up.redis_port))?;
    }
    for _ in 0..100 {
        if port_is_free(up.redis_port) {
            return Ok(lock);
        }
        sleep(Duration::from_millis(50)).await;
    }
    bail!(taken(up.redis_port))
}

/// The command that runs it.
pub(super) fn command(up: &Up) -> anyhow::Result<Command> {
    ensure!(
        std::process::Command::new("redis-server").arg("--version").output().is_ok(),
        "redis-server is not installed: `make up` installs it; or give a Redis with --redis-url"
    );
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "everysec"]);
    command.args(["--save", "", "--maxmemory-policy", "noeviction", "--loglevel", "warning"]);
    command.arg("--port").arg(up.redis_port.to_string()).arg("--dir").arg(&up.data_dir);
    Ok(command)
}

fn port_is_free(port: u16) -> bool {
    std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn taken(port: u16) -> String {
    format!("port {port} is in use by another program; choose another one with up.redis_port")
}

async fn stop_leftover(
    mut connection: MultiplexedConnection,
    data_dir: &Path,
) -> anyhow::Result<()> {
    let (_, folder): (String, String) =
        redis::cmd("CONFIG").arg("GET").arg("dir").query_async(&mut connection).await?;
    ensure!(Path::new(&folder) == data_dir.canonicalize()?, "a Redis with data in {folder}");
    tracing::warn!("stopping the Redis that an earlier `cotiza up` left behind");
    // It closes the connection instead of answering.
    let _closed: redis::RedisResult<()> = redis::cmd("SHUTDOWN").query_async(&mut connection).await;
    Ok(())
}
