//! Any file of pictures: IDX, CSV, NumPy, photographs. What is read is whole; IDX and CSV are written again alike.
#![no_main]

use std::path::{Path, PathBuf};

use host::dataset::photo::Photo;
use host::dataset::{Samples, idx, npy, table};
use libfuzzer_sys::fuzz_target;
use shared::input::InputShape;

/// A folder in memory, one a process.
fn folder() -> PathBuf {
    let folder = Path::new("/dev/shm").join(format!("fuzz-{}", std::process::id()));
    let _ = std::fs::create_dir_all(&folder);
    folder
}

fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn is_whole(samples: &Samples) {
    assert!(!samples.is_empty() && samples.pixels.len() == samples.len() * samples.shape.len());
}

fuzz_target!(|bytes: &[u8]| {
    let [kind, bytes @ ..] = bytes else { return };
    match kind % 4 {
        0 => {
            let [length, bytes @ ..] = bytes else { return };
            let (labels, images) = bytes.split_at(bytes.len().min(usize::from(*length)));
            let (images, labels) = (write("images", images), write("labels", labels));
            let Ok(samples) = idx::read(&images, &labels) else { return };
            is_whole(&samples);
            let (again, numbers) = (folder().join("again"), folder().join("numbers"));
            idx::write(&samples, &again, &numbers).unwrap();
            assert_eq!(idx::read(&again, &numbers).unwrap(), samples);
        }
        1 => {
            let Ok(samples) = table::read(&write("table.csv", bytes)) else { return };
            is_whole(&samples);
            let again = folder().join("again.csv");
            table::write(&samples, &again).unwrap();
            assert_eq!(table::read(&again).unwrap(), samples);
        }
        2 => {
            let shape = InputShape::new(3, 2, 3).unwrap();
            if let Ok(samples) = npy::read(&write("pixels.npy", bytes), shape) {
                is_whole(&samples);
                assert_eq!(samples.shape, shape);
            }
        }
        _ => {
            if let Ok(photo) = Photo::from_bytes("photo".as_ref(), bytes) {
                assert_eq!(photo.rgb.len(), photo.width * photo.height * 3);
            }
        }
    }
});
