//! The Redis server of `cotiza up`: it listens on loopback, has a password and an append-only file, and ends
//! with `cotiza up`. Depends on `config` and `connection`.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{Read as _, Write as _},
    os::unix::{
        fs::{DirBuilderExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use tokio::{process::Command, time::sleep};

use crate::{
    config::{self, Up},
    connection::{Connection, Server},
};

/// Commands that are denied: they destroy data, change the role of the server or give access to others, and
/// Cotiza does not need them.
const DENIED: [&str; 16] = [
    "flushall",
    "flushdb",
    "swapdb",
    "debug",
    "module",
    "replicaof",
    "slaveof",
    "failover",
    "migrate",
    "restore",
    "restore-asking",
    "cluster",
    "sync",
    "psync",
    "acl",
    "config",
];

/// Locks the data folder, and writes the password and the configuration to it. If a Redis of an earlier
/// `cotiza up` still runs on this folder, stops it. Waits until the port is free. Returns the lock.
pub(super) async fn claim(up: &Up) -> anyhow::Result<File> {
    let folder = up.data_dir.display();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&up.data_dir)
        .with_context(|| format!("cannot create the data folder {folder}"))?;
    // Only a data folder of an older version: the permissions of other folders are left unchanged.
    if up.data_dir.join("appendonlydir").exists() {
        fs::set_permissions(&up.data_dir, Permissions::from_mode(0o700))
            .with_context(|| format!("cannot make the data folder {folder} private"))?;
    }
    let lock = File::create(config::lock_file(&up.data_dir))
        .with_context(|| format!("cannot write to the data folder {folder}"))?;
    ensure!(try_lock(&lock).await, "another `cotiza up` is using the data folder {folder}");
    let password = password(up)?;
    write_private(&configuration_file(up), &configuration(up, &password)?)?;
    // Without the password, since another program may listen on the port. Only version 0.1 left a running
    // Redis behind, which has no password.
    let server = Server::from_url(&format!("redis://127.0.0.1:{}/0", up.redis_port))?;
    for _ in 0..100 {
        if port_is_free(up.redis_port) {
            return Ok(lock);
        }
        // A Redis that is ending does not respond any more.
        if let Ok(connection) = server.connect().await {
            let stopped = stop_leftover(connection, &up.data_dir).await;
            stopped.with_context(|| port_in_use(up.redis_port))?;
        }
        sleep(Duration::from_millis(50)).await;
    }
    bail!(port_in_use(up.redis_port))
}

/// Locks the file; returns whether it succeeded. Retries, since a command that checks the lock holds it for a
/// moment.
async fn try_lock(lock: &File) -> bool {
    for _ in 0..5 {
        if lock.try_lock().is_ok() {
            return true;
        }
        sleep(Duration::from_millis(20)).await;
    }
    false
}

/// Returns the command that runs redis-server: this program, which replaces itself, see [`become_redis`].
pub(super) fn command(up: &Up) -> anyhow::Result<Command> {
    ensure!(
        std::process::Command::new("redis-server").arg("--version").output().is_ok(),
        "redis-server is not installed: install it with `make up`, or use another Redis with \
         --redis-url"
    );
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let mut command = Command::new(program);
    command.arg("redis").arg(configuration_file(up)).arg(std::process::id().to_string());
    // Its log lines have no time zone, see `lines`.
    command.env("TZ", "UTC");
    Ok(command)
}

/// Returns advice for the case that redis-server does not start.
pub(super) fn advice(up: &Up) -> String {
    let manifest = up.data_dir.join("appendonlydir/appendonly.aof.manifest");
    format!(
        "if its append-only file is damaged, copy the folder {}, then run: redis-check-aof --fix {}",
        up.data_dir.display(),
        manifest.display()
    )
}

/// Replaces this process with redis-server. On Linux, the kernel sends it SIGTERM when the parent process
/// ends, even if that is killed.
///
/// # Errors
/// Returns an error if redis-server is not installed or the parent process has ended.
pub fn become_redis(configuration: &Path, parent: u32) -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use nix::{sys::prctl::set_pdeathsig, sys::signal::Signal, unistd::getppid};
        let set = set_pdeathsig(Signal::SIGTERM);
        set.context("cannot set the signal for the end of the parent process")?;
        ensure!(getppid().as_raw().cast_unsigned() == parent, "the parent process has ended");
    }
    let error = std::process::Command::new("redis-server").arg(configuration).exec();
    Err(error).context("cannot run redis-server")
}

fn configuration_file(up: &Up) -> PathBuf {
    up.data_dir.join("redis.conf")
}

/// Returns the text of the configuration file. Arguments would be visible to all users of the machine.
fn configuration(up: &Up, password: &str) -> anyhow::Result<String> {
    let folder = up.data_dir.canonicalize()?.display().to_string();
    let folder = folder.replace('\\', "\\\\").replace('"', "\\\"");
    let denied = DENIED.join(" -");
    Ok(format!(
        "# Written by `cotiza up` at each start.\n\
         bind 127.0.0.1\n\
         port {}\n\
         dir \"{folder}\"\n\
         appendonly yes\n\
         appendfsync everysec\n\
         save \"\"\n\
         maxmemory-policy noeviction\n\
         loglevel warning\n\
         user default on >{password} ~* &* +@all -{denied} +config|get\n",
        up.redis_port
    ))
}

/// Returns the password in the data folder. Creates one if there is none.
fn password(up: &Up) -> anyhow::Result<String> {
    let file = config::own_password_file(&up.data_dir);
    if let Ok(password) = fs::read_to_string(&file)
        && !password.trim().is_empty()
    {
        return Ok(password.trim().to_owned());
    }
    let mut random = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let (high, low) = random.split_at(16);
    let number =
        |half: &[u8]| half.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    let password = format!("{:032x}{:032x}", number(high), number(low));
    write_private(&file, &password)?;
    Ok(password)
}

/// Writes a file that only this user may read.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    // Atomically: a power cut must not leave half a file. Temporary files have the mode 0600.
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)
    };
    write().with_context(|| format!("cannot write {}", path.display())).map(drop)
}

fn port_is_free(port: u16) -> bool {
    std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn port_in_use(port: u16) -> String {
    format!("port {port} is in use by another program; choose another port with up.redis_port")
}

/// Stops the Redis server if its data are in the data folder.
async fn stop_leftover(mut connection: Connection, data_dir: &Path) -> anyhow::Result<()> {
    let (_, folder): (String, String) =
        redis::cmd("CONFIG").arg("GET").arg("dir").query_async(&mut connection).await?;
    ensure!(Path::new(&folder) == data_dir.canonicalize()?, "it is a Redis with data in {folder}");
    tracing::warn!("stopping a Redis server of an earlier `cotiza up` that is still running");
    // Redis closes the connection instead of responding.
    let _closed: redis::RedisResult<()> = redis::cmd("SHUTDOWN").query_async(&mut connection).await;
    Ok(())
}
