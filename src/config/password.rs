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

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A folder with the data folders of `cotiza up`.
    struct Data {
        folder: TempDir,
        config: Config,
    }

    impl Data {
        fn new() -> Self {
            let (folder, mut config) = (tempfile::tempdir().unwrap(), Config::default());
            config.up.data_dir = folder.path().join("data");
            config.up.redis_port = 7001;
            Self { folder, config }
        }

        fn path(&self, kind: Kind) -> PathBuf {
            self.folder.path().join(match kind {
                Kind::Real => "data",
                Kind::Simulated => "data-simulated",
            })
        }

        /// Adds a data folder with a password.
        fn with(self, kind: Kind) -> Self {
            self.with_password(kind, "secret\n")
        }

        fn with_password(self, kind: Kind, text: &str) -> Self {
            let folder = self.path(kind);
            fs::create_dir(&folder).unwrap();
            fs::write(own_password_file(&folder), text).unwrap();
            fs::write(lock_file(&folder), "").unwrap();
            self
        }

        /// Configures another Redis than that of `cotiza up`.
        fn choosing(mut self, url: &str) -> Self {
            self.config.redis.url = url.to_owned();
            self.config.is_redis_configured = true;
            self
        }

        fn found(&self) -> (Option<Kind>, Config) {
            let mut config = self.config.clone();
            let kind = find_own(&mut config);
            (kind, config)
        }
    }

    #[test]
    fn the_files_and_folders_of_up_have_fixed_names() {
        let mut up = Config::default().up;
        up.data_dir = "some/data/".into();
        assert_eq!(simulated_data_dir(&up), Path::new("some/data-simulated"));
        assert_eq!(own_password_file(&up.data_dir), Path::new("some/data/redis-password"));
        assert_eq!(lock_file(&up.data_dir), Path::new("some/data/lock"));
    }

    #[test]
    fn without_a_data_folder_nothing_is_configured() {
        let data = Data::new();
        assert_eq!(data.found(), (None, data.config));
    }

    #[test]
    fn the_redis_of_the_data_folder_is_configured() {
        for kind in [Kind::Real, Kind::Simulated] {
            let data = Data::new().with(kind);
            let (found, config) = data.found();
            assert_eq!(found, Some(kind));
            assert_eq!(config.redis.url, "redis://127.0.0.1:7001/0");
            assert_eq!(config.redis.password_file, own_password_file(&data.path(kind)));
        }
    }

    #[test]
    fn an_empty_password_file_is_ignored() {
        assert_eq!(Data::new().with_password(Kind::Real, "\n").found().0, None);
    }

    #[test]
    fn real_prices_are_preferred_unless_a_simulation_is_running() {
        let data = Data::new().with(Kind::Real).with(Kind::Simulated);
        assert_eq!(data.found().0, Some(Kind::Real));
        let lock = File::open(lock_file(&data.path(Kind::Simulated))).unwrap();
        lock.lock().unwrap();
        assert_eq!(data.found().0, Some(Kind::Simulated));
    }

    #[test]
    fn a_configured_password_file_is_kept() {
        let mut data = Data::new().with(Kind::Real);
        data.config.redis.password_file = "other".into();
        assert_eq!(data.found(), (None, data.config));
    }

    #[test]
    fn the_password_is_added_to_a_configured_url_of_the_same_redis() {
        for url in ["redis://127.0.0.1:7001/3", "redis://localhost:7001"] {
            let data = Data::new().with(Kind::Real).choosing(url);
            let (found, config) = data.found();
            assert_eq!((found, config.redis.url.as_str()), (Some(Kind::Real), url));
            assert_eq!(config.redis.password_file, own_password_file(&data.path(Kind::Real)));
        }
    }

    #[test]
    fn another_configured_redis_is_kept() {
        for url in [
            "redis://127.0.0.1:7002",
            "redis://127.0.0.1",
            "redis://other:7001",
            "redis://:password@127.0.0.1:7001",
            "unix:///socket",
        ] {
            let data = Data::new().with(Kind::Real).choosing(url);
            assert_eq!(data.found(), (None, data.config.clone()), "{url}");
        }
    }
}
