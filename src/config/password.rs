//! Finds the password file of the Redis of a `cotiza up`. The password is in a file because other users may
//! be able to read command lines and environments. Depends on the sections of the configuration.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use url::Url;

use super::{Config, Up};

/// Returns the password file of the Redis that `cotiza up` runs with this data folder.
pub fn own_password_file(data_dir: &Path) -> PathBuf {
    data_dir.join("redis-password")
}

/// Returns the file in the data folder that a running `cotiza up` keeps locked.
pub fn lock_file(data_dir: &Path) -> PathBuf {
    data_dir.join("lock")
}

/// Returns the data folder of `cotiza up --simulate`: `<up.data_dir>-simulated`. It keeps simulated prices
/// separate from real ones.
pub fn simulated_data_dir(up: &Up) -> PathBuf {
    let mut folder = up.data_dir.components().as_path().as_os_str().to_owned();
    folder.push("-simulated");
    folder.into()
}

/// What the data folder of a `cotiza up` contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Real prices.
    Real,
    /// Prices of a simulated exchange.
    Simulated,
}

/// Configures the Redis of the `cotiza up` whose data folder exists, unless another Redis is configured. If
/// its URL is configured without a password, adds its password. Returns what that Redis contains.
pub(super) fn find_own(config: &mut Config) -> Option<Kind> {
    if !config.redis.password_file.as_os_str().is_empty() {
        return None;
    }
    let (kind, file) = found_password_file(&config.up)?;
    let port = config.up.redis_port;
    let is_own = |url: &str| {
        Url::parse(url).is_ok_and(|url| {
            let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
            is_here && url.password().is_none() && url.port() == Some(port)
        })
    };
    if !config.is_redis_configured {
        config.redis.url = format!("redis://127.0.0.1:{port}/0");
    } else if !is_own(&config.redis.url) {
        return None;
    }
    config.redis.password_file = file;
    Some(kind)
}

/// Returns the password file of the existing data folder. If both folders exist, returns that of the real
/// prices, unless `cotiza up --simulate` is running, which locks its folder. Both use the same port, so they
/// cannot run at the same time.
fn found_password_file(up: &Up) -> Option<(Kind, PathBuf)> {
    let simulated = simulated_data_dir(up);
    let of = |folder: &Path| {
        let file = own_password_file(folder);
        let has_password = fs::read_to_string(&file).is_ok_and(|text| !text.trim().is_empty());
        has_password.then_some(file)
    };
    let (real, simulation) = (of(&up.data_dir), of(&simulated));
    if simulation.is_some() && (real.is_none() || is_locked(&lock_file(&simulated))) {
        return simulation.map(|file| (Kind::Simulated, file));
    }
    real.map(|file| (Kind::Real, file))
}

/// Returns whether another process has locked the file.
fn is_locked(file: &Path) -> bool {
    let tried = File::open(file).map(|file| file.try_lock_shared());
    matches!(tried, Ok(Err(TryLockError::WouldBlock)))
}
