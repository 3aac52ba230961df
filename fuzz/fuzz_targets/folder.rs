//! Any tree of folders: refused with a reason, or parted so that every picture has the class whose folder it lies in.
#![no_main]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use host::dataset::folders;
use libfuzzer_sys::fuzz_target;

/// Names that mean something, so that they need not be guessed letter by letter.
const NAMES: [&str; 8] = ["train", "validation", "test", "shoes", "Shoes", "hats", ".hidden", "a b"];

/// Takes a name from the input: one of [`NAMES`], or any bytes that a file system takes.
fn name<'a>(bytes: &mut &'a [u8]) -> &'a OsStr {
    let [length, rest @ ..] = *bytes else { return OsStr::new("end") };
    *bytes = rest;
    if let Some(name) = NAMES.get(usize::from(*length)) {
        return OsStr::new(name);
    }
    let (name, rest) = rest.split_at(rest.len().min(usize::from(*length % 16)));
    *bytes = rest;
    OsStr::from_bytes(name)
}

/// Makes the tree that the input lists; whether a system takes a name is its affair.
fn grow(root: &Path, mut bytes: &[u8]) {
    while let [kind, rest @ ..] = bytes {
        bytes = rest;
        let mut folder: PathBuf = root.into();
        for _ in 0..kind % 4 {
            let part = name(&mut bytes);
            // Nothing is made outside the tree.
            if !part.as_bytes().contains(&b'/') && part != ".." {
                folder.push(part);
            }
        }
        let _ = std::fs::create_dir_all(&folder);
        for number in 0..kind / 4 % 8 {
            let _ = std::fs::write(folder.join(format!("{number}.png")), [*kind]);
        }
        if kind / 32 == 7 {
            let _ = std::os::unix::fs::symlink(root, folder.join("link"));
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let root = Path::new("/dev/shm").join(format!("fuzz-folder-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(&root).unwrap();
    grow(&root, bytes);
    let _ = folders::is_picture_folder(&root);
    let Ok(files) = folders::validation_files(&root) else { return };
    let mut seen = BTreeSet::new();
    for picture in &files {
        assert!(picture.path.starts_with(&root) && picture.path.is_file());
        let folder = picture.path.strip_prefix(&root).unwrap();
        assert!(folder.iter().any(|part| part.to_string_lossy() == picture.class.as_str()), "its own class");
        assert!(seen.insert(&picture.path), "a picture is there twice");
    }
});
