//! Any network file, recipe, manifest or checkpoint: what is accepted means the same when it is written again.
#![no_main]

use host::model_dir::Manifest;
use host::task::Task;
use host::train::architecture::{Architecture, NetworkFile};
use host::train::checkpoint::Checkpoint;
use host::train::recipe::Recipe;
use libfuzzer_sys::fuzz_target;
use serde_json::{from_slice, to_vec};

fuzz_target!(|bytes: &[u8]| {
    let [kind, bytes @ ..] = bytes else { return };
    match kind % 4 {
        0 => {
            let Ok(file) = from_slice::<NetworkFile>(bytes) else { return };
            assert_eq!(from_slice::<NetworkFile>(&to_vec(&file).unwrap()).unwrap(), file);
            // Checked layers have shapes, and none is empty.
            let Ok(network) = Architecture::new("fuzz".into(), file.layers, Task::fashion_mnist()) else {
                return;
            };
            assert!(network.shaped().all(|(_, shape)| shape.iter().all(|&side| side > 0)));
        }
        1 => {
            let Ok(recipe) = from_slice::<Recipe>(bytes) else { return };
            assert_eq!(from_slice::<Recipe>(&to_vec(&recipe).unwrap()).unwrap(), recipe);
        }
        2 => {
            let Ok(manifest) = from_slice::<Manifest>(bytes) else { return };
            let again: Manifest = from_slice(&to_vec(&manifest).unwrap()).unwrap();
            assert_eq!(to_vec(&again).unwrap(), to_vec(&manifest).unwrap());
        }
        _ => {
            let path =
                std::path::Path::new("/dev/shm").join(format!("fuzz-{}.checkpoint", std::process::id()));
            std::fs::write(&path, bytes).unwrap();
            let Ok(checkpoint) = Checkpoint::load(&path) else { return };
            checkpoint.save(&path).unwrap();
            assert!(Checkpoint::load(&path).is_ok());
        }
    }
});
