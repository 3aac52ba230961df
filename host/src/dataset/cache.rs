//! Decoded and shrunk pictures on disk, by the hash of the file they came from.
//!
//! A 12-megapixel photograph takes a processor a tenth of a second to decode, and a training wants a few kilobytes
//! of it. One entry is one picture at one shape: its bytes, then the first eight bytes of their sha256. An entry
//! that is damaged counts as absent. `cargo clean` removes them all.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};
use shared::input::InputShape;

/// Bytes of the hash behind the pixels.
const CHECK: usize = 8;

/// A folder of entries.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Whether an entry could not be written, as in a folder that is read-only.
    is_refused: AtomicBool,
}

impl Cache {
    /// The project's cache, below cargo's target folder.
    pub fn of_project() -> Self {
        Self::at(&crate::project_root().join("target/pictures"))
    }

    /// A cache in a folder, which is made with the first entry.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.into(), is_refused: AtomicBool::new(false) }
    }

    /// Where entries lie, if any could not be written.
    pub fn refused(&self) -> Option<&Path> {
        self.is_refused.load(Ordering::Relaxed).then_some(&self.folder)
    }

    /// What an entry is called: the file's sha256 in hexadecimal and the shape of what was made of it.
    pub fn key(file_sha256: &str, shape: InputShape) -> String {
        let InputShape { height, width, channels } = shape;
        format!("{file_sha256}-{height}x{width}x{channels}")
    }

    /// The pixels kept under `key`, `[height][width][channels]`.
    pub fn get(&self, key: &str, shape: InputShape) -> Option<Vec<u8>> {
        let mut bytes = std::fs::read(self.path(key)).ok()?;
        let check = bytes.split_off(bytes.len().checked_sub(CHECK)?);
        (bytes.len() == shape.len() && check[..] == Sha256::digest(&bytes)[..CHECK]).then_some(bytes)
    }

    /// Keeps pixels under `key`. Where that fails the next run decodes again, and [`Self::refused`] tells.
    pub fn put(&self, key: &str, pixels: &[u8]) {
        let path = self.path(key);
        let mut bytes = pixels.to_vec();
        bytes.extend_from_slice(&Sha256::digest(pixels)[..CHECK]);
        // Not synced to disk: what a crash leaves half-written fails its check.
        let part = path.with_extension(format!("{}.part", std::process::id()));
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&part, bytes))
            .and_then(|()| std::fs::rename(&part, &path));
        if written.is_err() {
            let _ = std::fs::remove_file(&part);
            self.is_refused.store(true, Ordering::Relaxed);
        }
    }

    /// 256 folders keep each one short.
    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(&key[..2]).join(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::identity::sha256_hex;

    const SHAPE: InputShape = InputShape { height: 2, width: 3, channels: 3 };

    #[test]
    fn what_is_kept_is_found_again_and_damage_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(&folder.path().join("new"));
        let (key, pixels) = (Cache::key(&sha256_hex(b"a file"), SHAPE), [7; 18]);
        assert_eq!(cache.get(&key, SHAPE), None);
        cache.put(&key, &pixels);
        assert_eq!(cache.get(&key, SHAPE), Some(pixels.to_vec()));
        assert_ne!(key, Cache::key(&sha256_hex(b"a file"), InputShape { height: 3, width: 2, ..SHAPE }));
        let path = cache.path(&key);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[3] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(cache.get(&key, SHAPE), None);
        std::fs::write(&path, b"").unwrap();
        assert_eq!((cache.get(&key, SHAPE), cache.refused()), (None, None));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let cache = Cache::at(&file);
        cache.put(&Cache::key(&sha256_hex(b"x"), SHAPE), &[0; 18]);
        assert_eq!(cache.refused(), Some(file.as_path()));
    }
}
