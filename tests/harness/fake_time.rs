//! Wrong clocks of processes, set by libfaketime, and of a Redis.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Returns the environment of a process whose clock is wrong by the offset, such as "+1h". Prints a line
/// and returns `None` if libfaketime is not installed; `make needs` installs it on some systems.
pub fn wrong_clock(offset: &str) -> Option<Vec<(&'static str, String)>> {
    let Some(library) = library() else {
        println!("skipped: libfaketime is not installed");
        return None;
    };
    Some(vec![
        ("FAKETIME", offset.to_owned()),
        ("LD_PRELOAD", library.display().to_string()),
        // The monotonic clock is never set.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ])
}

/// Returns the environment of a Redis whose clock [`set_clock`] can set; `folder` is its data folder.
pub fn settable_clock(folder: &Path) -> Vec<(&'static str, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/harness/settable_clock.c");
    let library = folder.join("settable_clock.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .status();
    assert!(compiled.expect("a C compiler").success(), "not compiled");
    set_clock(folder, 0);
    vec![
        ("LD_PRELOAD", library.display().to_string()),
        ("CLOCK_FILE", folder.join("clock").display().to_string()),
    ]
}

/// Sets the offset of the clock of a Redis from the clock of this machine, in seconds.
pub fn set_clock(folder: &Path, seconds: i64) {
    // The file is mapped into the memory of the Redis, so it is overwritten and not replaced.
    let mut file = std::fs::OpenOptions::new();
    let file = file.write(true).create(true).truncate(false).open(folder.join("clock"));
    let file = file.expect("opened");
    std::os::unix::fs::FileExt::write_all_at(&file, &seconds.to_ne_bytes(), 0).expect("written");
}

fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|folder| folder.path());
    let folders = folders.chain([PathBuf::from("/usr/lib"), PathBuf::from("/usr/lib64")]);
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|file| file.exists())
}
