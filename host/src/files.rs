//! Writing files whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` through a `.part` file beside it and a rename.
///
/// Missing folders are made. On an error the old file, if any, is untouched and no part stays behind.
///
/// # Errors
/// Whatever the file system answers, with the path in the message.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    make_parent(path)?;
    let part = part_path(path);
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let finished = written.and_then(|()| fs::rename(&part, path));
    finished.map_err(|error| {
        let _ = fs::remove_file(&part);
        named(path, &error)
    })
}

/// Like [`write_whole`], but leaves a file with the same contents alone, so that builds stay fresh.
///
/// # Errors
/// As [`write_whole`].
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    write_whole(path, bytes)
}

/// Locks a file, which is made where it is missing, until the returned one is dropped or the process ends, however it
/// ends. `None` where another process holds it. A file system without locks holds none.
///
/// # Errors
/// As [`write_whole`].
pub fn lock(path: &Path) -> io::Result<Option<File>> {
    make_parent(path)?;
    let file = File::options().create(true).append(true).open(path).map_err(|error| named(path, &error))?;
    Ok((!matches!(file.try_lock(), Err(TryLockError::WouldBlock))).then_some(file))
}

/// The error with the path in its message.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Makes the folders above a path.
fn make_parent(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => fs::create_dir_all(parent).map_err(|error| named(path, &error)),
        None => Ok(()),
    }
}

/// Returns `path` with `.part` appended to its name.
pub fn part_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_part() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("inside"), b"x").unwrap();
        let error = write_whole(&taken, b"new").unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert!(taken.join("inside").exists());
        assert!(!part_path(&taken).exists());
    }

    #[test]
    fn a_lock_is_held_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/lock");
        let held = lock(&path).unwrap();
        assert!(held.is_some() && lock(&path).unwrap().is_none());
        drop(held);
        assert!(lock(&path).unwrap().is_some());
    }

    #[test]
    fn a_write_makes_folders_and_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c.txt");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
