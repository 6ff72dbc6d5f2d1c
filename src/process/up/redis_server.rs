//! The Redis that `cotiza up` runs for itself: on loopback, with a password and an append-only file,
//! for as long as `cotiza up` lives.

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

/// Commands that nobody needs and that destroy data, change its role, or let others in.
const REFUSED: [&str; 16] = [
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

/// Claims the data folder and the port, and writes the password and the configuration. A Redis that
/// a killed `cotiza up` left behind on this very folder is stopped, so that it can be started as a
/// child.
pub(super) async fn claim(up: &Up) -> anyhow::Result<File> {
    let folder = up.data_dir.display();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&up.data_dir)
        .with_context(|| format!("cannot make the data folder {folder}"))?;
    // One of an older version, not just any folder that was configured.
    if up.data_dir.join("appendonlydir").exists() {
        fs::set_permissions(&up.data_dir, Permissions::from_mode(0o700))
            .with_context(|| format!("cannot close the data folder {folder} to other users"))?;
    }
    let lock = File::create(config::lock_file(&up.data_dir))
        .with_context(|| format!("cannot write to the data folder {folder}"))?;
    ensure!(acquire(&lock).await, "another `cotiza up` is using the data folder {folder}");
    let password = password(up)?;
    write_private(&configuration_file(up), &configuration(up, &password)?)?;
    // Without the password: it may be another program that listens. Only version 0.1 left a Redis
    // behind, which has none.
    let server = Server::at(&format!("redis://127.0.0.1:{}/0", up.redis_port))?;
    for _ in 0..100 {
        if port_is_free(up.redis_port) {
            return Ok(lock);
        }
        // One that is about to end does not answer any more.
        if let Ok(connection) = server.connect().await {
            stop_leftover(connection, &up.data_dir).await.with_context(|| taken(up.redis_port))?;
        }
        sleep(Duration::from_millis(50)).await;
    }
    bail!(taken(up.redis_port))
}

/// Locks the file; gives whether it did. A command that looks whether it is locked locks it for a moment.
async fn acquire(lock: &File) -> bool {
    for _ in 0..5 {
        if lock.try_lock().is_ok() {
            return true;
        }
        sleep(Duration::from_millis(20)).await;
    }
    false
}

/// The command that runs it: this program, which becomes redis-server, see [`become_redis`].
pub(super) fn command(up: &Up) -> anyhow::Result<Command> {
    ensure!(
        std::process::Command::new("redis-server").arg("--version").output().is_ok(),
        "redis-server is not installed: `make up` installs it; or give a Redis with --redis-url"
    );
    let program = std::env::current_exe().context("cannot find the program that is running")?;
    let mut command = Command::new(program);
    command.arg("redis").arg(configuration_file(up)).arg(std::process::id().to_string());
    // Its log lines have no time zone.
    command.env("TZ", "UTC");
    Ok(command)
}

/// What helps when it does not start.
pub(super) fn advice(up: &Up) -> String {
    let manifest = up.data_dir.join("appendonlydir/appendonly.aof.manifest");
    format!(
        "if its append-only file is damaged, copy the folder {}, then run: redis-check-aof --fix {}",
        up.data_dir.display(),
        manifest.display()
    )
}

/// Turns this process into redis-server, which the kernel ends when the parent process ends, however
/// that happens.
///
/// # Errors
/// If redis-server is not installed.
pub fn become_redis(configuration: &Path, parent: u32) -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use nix::{sys::prctl::set_pdeathsig, sys::signal::Signal, unistd::getppid};
        set_pdeathsig(Signal::SIGTERM).context("cannot ask to be ended with the parent")?;
        ensure!(getppid().as_raw().cast_unsigned() == parent, "the parent process is gone");
    }
    let error = std::process::Command::new("redis-server").arg(configuration).exec();
    Err(error).context("cannot run redis-server")
}

fn configuration_file(up: &Up) -> PathBuf {
    up.data_dir.join("redis.conf")
}

/// The configuration, as a file: arguments could be seen by all users of the machine.
fn configuration(up: &Up, password: &str) -> anyhow::Result<String> {
    let folder = up.data_dir.canonicalize()?.display().to_string();
    let folder = folder.replace('\\', "\\\\").replace('"', "\\\"");
    let refused = REFUSED.join(" -");
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
         user default on >{password} ~* &* +@all -{refused} +config|get\n",
        up.redis_port
    ))
}

/// The password of the data folder; a new one if there is none.
fn password(up: &Up) -> anyhow::Result<String> {
    let file = config::own_password_file(&up.data_dir);
    if let Ok(password) = fs::read_to_string(&file)
        && !password.trim().is_empty()
    {
        return Ok(password.trim().to_owned());
    }
    let mut random = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let (one, other) = random.split_at(16);
    let number =
        |half: &[u8]| half.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    let password = format!("{:032x}{:032x}", number(one), number(other));
    write_private(&file, &password)?;
    Ok(password)
}

/// Writes a file that nobody else may read.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    // In one step: a power cut must not leave half a file. Temporary files have the mode 0600.
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

fn taken(port: u16) -> String {
    format!("port {port} is in use by another program; choose another one with up.redis_port")
}

async fn stop_leftover(mut connection: Connection, data_dir: &Path) -> anyhow::Result<()> {
    let (_, folder): (String, String) =
        redis::cmd("CONFIG").arg("GET").arg("dir").query_async(&mut connection).await?;
    ensure!(Path::new(&folder) == data_dir.canonicalize()?, "a Redis with data in {folder}");
    tracing::warn!("stopping the Redis that an earlier `cotiza up` left behind");
    // It closes the connection instead of answering.
    let _closed: redis::RedisResult<()> = redis::cmd("SHUTDOWN").query_async(&mut connection).await;
    Ok(())
}
