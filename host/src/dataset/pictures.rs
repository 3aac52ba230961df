//! Folders of pictures: one folder a class, its name the class's; or such folders for each part.
//!
//! ```text
//! mine/sleeves/*.jpg          mine/train/sleeves/*.jpg
//! mine/dresses/*.png          mine/validation/…   mine/test/…
//! ```
//!
//! Every picture becomes an image by the preprocessing that runs on the chip, so that a network is trained on
//! what it will be shown, and is kept on disk ([`super::cache`]). Memory holds the images at the network's size, for
//! training also a quarter larger, and one decoded picture a processor: 3.2 GB for 100,000 pictures at 64×64 in colour.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use shared::input::InputShape;
use shared::preprocess::Preprocessing;

use super::augment::PhotoAugmentation;
use super::cache::Cache;
use super::folders::{Picture, find, malformed};
use super::identity::sha256_hex;
use super::photo::Photo;
use super::{Dataset, DatasetError, Kind, Samples};
use crate::counter::Counter;
use crate::task::Task;

/// Unreadable pictures that are named; the others are counted.
const NAMED: usize = 5;

/// Training pictures of a class below which a warning is due.
const FEW: usize = 50;

/// Reads a folder of pictures as images of `shape`; `say` is told what was left out.
///
/// * `for_training`: also read the training images larger, as [`Dataset::large`].
///
/// # Errors
/// [`DatasetError`] with the folder where there are fewer than two classes, a class has no picture or only one,
/// a part lacks a class or has another one, or a name is none that a class can have.
pub fn read(
    folder: &Path,
    shape: InputShape,
    for_training: bool,
    say: &mut impl FnMut(&str),
) -> Result<Dataset, DatasetError> {
    let (classes, parts) = find(folder)?;
    let task = Task { input: shape, classes, preprocessing: Preprocessing::Square };
    task.check().map_err(|source| DatasetError::Task { path: folder.into(), source })?;
    if let Some(remark) = &parts.remark {
        say(remark);
    }
    let mut unreadable = Vec::new();
    let large_shape = for_training.then(|| PhotoAugmentation::source_shape(shape));
    let cache = Cache::of_project();
    let mut decode = |pictures: &[Picture], large| decode(pictures, &task, large, &cache, &mut unreadable);
    let Decoded { samples: mut train, mut large, files: train_files } = decode(&parts.train, large_shape);
    let Decoded { samples: validation, large: large_validation, files: validation_files } =
        decode(&parts.validation, large_shape);
    let Decoded { samples: test, files: test_files, .. } = decode(&parts.test, None);
    if let Some(folder) = cache.refused() {
        say(&format!("{}: cannot be written; pictures are decoded again next time", folder.display()));
    }
    let parts_read = [(&train, &train_files), (&validation, &validation_files), (&test, &test_files)];
    for line in doubles(&parts_read) {
        say(&line);
    }
    say_left_out(&unreadable, say);
    for (part, samples) in [("training", &train), ("test", &test)] {
        let counts = samples.class_counts(task.classes.len());
        if let Some(class) = counts.iter().position(|&count| count == 0) {
            let problem = format!("no picture of it in the {part} part can be read");
            return Err(malformed(folder, &format!("class {}", task.name(class)), problem));
        }
    }
    if for_training {
        warn_of_few(&task, &train, say);
    }
    let first = train.len();
    train.pixels.extend_from_slice(&validation.pixels);
    train.labels.extend_from_slice(&validation.labels);
    if let (Some(large), Some(validation)) = (&mut large, large_validation) {
        large.pixels.extend_from_slice(&validation.pixels);
        large.labels.extend_from_slice(&validation.labels);
    }
    let mut dataset = Dataset::new(Kind::Custom, folder.display().to_string(), task, train, test);
    dataset.large = large;
    dataset.test_files = test_files;
    dataset.validation = Some(first..dataset.train.len()).filter(|range| !range.is_empty());
    Ok(dataset)
}

/// Names the pictures that cannot be read, up to [`NAMED`] of them.
fn say_left_out(unreadable: &[String], say: &mut impl FnMut(&str)) {
    for problem in unreadable.iter().take(NAMED) {
        say(&format!("left out: {problem}"));
    }
    if unreadable.len() > NAMED {
        say(&format!("left out: {} more pictures that cannot be read", unreadable.len() - NAMED));
    }
}

/// Warns of classes with fewer than [`FEW`] pictures.
fn warn_of_few(task: &Task, train: &Samples, say: &mut impl FnMut(&str)) {
    let counts = train.class_counts(task.classes.len());
    let few: Vec<String> = (0..counts.len())
        .filter(|&class| counts[class] < FEW)
        .map(|class| format!("{} ({})", task.name(class), counts[class]))
        .collect();
    if !few.is_empty() {
        say(&format!(
            "few pictures to train on, fewer than {FEW} of a class: {}; expect a classifier that does not generalize",
            few.join(", ")
        ));
    }
}

/// Says which pictures of the test part, or of the validation part, are among those of an earlier part too.
///
/// A part that serves as another one is left out: the same file is no double.
fn doubles(parts: &[(&Samples, &Vec<PathBuf>)]) -> Vec<String> {
    let mut first: HashMap<[u8; 32], &Path> = HashMap::new();
    let mut found = Vec::new();
    for (samples, files) in parts {
        let digests: Vec<[u8; 32]> = samples.images().map(|image| Sha256::digest(image).into()).collect();
        let earlier = digests.iter().zip(*files).filter_map(|(digest, file)| {
            first.get(digest).filter(|other| **other != file.as_path()).map(|other| (*other, file.as_path()))
        });
        found.extend(earlier);
        for (digest, file) in digests.into_iter().zip(*files) {
            first.entry(digest).or_insert(file);
        }
    }
    let mut lines: Vec<String> = found
        .iter()
        .take(NAMED)
        .map(|(other, file)| {
            format!("{} shows the same as {}, of another part", file.display(), other.display())
        })
        .collect();
    if !found.is_empty() {
        lines.push(format!("pictures in two parts: {}; what was learned is judged", found.len()));
    }
    lines
}

/// The pictures of a part that could be read.
struct Decoded {
    samples: Samples,
    large: Option<Samples>,
    files: Vec<PathBuf>,
}

/// Decodes pictures on all processors, in order, or takes them from the cache; what cannot be read goes to `unreadable`.
fn decode(
    pictures: &[Picture],
    task: &Task,
    large: Option<InputShape>,
    cache: &Cache,
    unreadable: &mut Vec<String>,
) -> Decoded {
    let shapes: Vec<InputShape> = [Some(task.input), large].into_iter().flatten().collect();
    let counter = Counter::new("pictures", pictures.len());
    let images: Vec<Result<Vec<Vec<u8>>, String>> = pictures
        .par_iter()
        .map(|(path, _)| {
            counter.count();
            let bytes = Photo::bytes(path).map_err(|error| error.to_string())?;
            let sha256 = sha256_hex(&bytes);
            let kept = shapes.iter().map(|&shape| cache.get(&Cache::key(&sha256, shape), shape));
            if let Some(kept) = kept.collect::<Option<Vec<_>>>() {
                return Ok(kept);
            }
            let photo = Photo::from_bytes(path, &bytes).map_err(|error| error.to_string())?;
            let made = shapes.iter().map(|&input| {
                let seen = photo.to_input(&Task { input, ..task.clone() });
                let (pixels, _) = seen.ok_or_else(|| format!("{}: no size", path.display()))?;
                cache.put(&Cache::key(&sha256, input), &pixels);
                Ok(pixels)
            });
            made.collect()
        })
        .collect();
    let mut decoded =
        Decoded { samples: Samples::empty(task.input), large: large.map(Samples::empty), files: Vec::new() };
    for (images, (path, label)) in images.into_iter().zip(pictures) {
        match images.as_deref() {
            Ok([image, larger @ ..]) => {
                decoded.samples.push(image, *label);
                decoded.files.push(path.clone());
                if let (Some(samples), [larger]) = (&mut decoded.large, larger) {
                    samples.push(larger, *label);
                }
            }
            Ok([]) => {}
            Err(problem) => unreadable.push(problem.clone()),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::folders::is_picture_folder;

    const SHAPE: InputShape = InputShape { height: 6, width: 4, channels: 3 };

    /// Pictures of one colour a class.
    fn folder_with(classes: &[(&str, usize)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (class, (name, count)) in classes.iter().enumerate() {
            let path = folder.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            for number in 0..*count {
                let rgb = [40 * class as u8, number as u8, 200].repeat(8 * 9);
                Photo { width: 8, height: 9, rgb }.write(&path.join(format!("{number}.png"))).unwrap();
            }
        }
        folder
    }

    fn read_silently(folder: &Path) -> (Result<Dataset, DatasetError>, Vec<String>) {
        let mut said = Vec::new();
        let read = read(folder, SHAPE, true, &mut |line: &str| said.push(line.to_owned()));
        (read, said)
    }

    #[test]
    fn each_class_is_split_alike_and_no_picture_is_in_two_parts() {
        let folder = folder_with(&[("Ärmel – lang", 20), ("dress", 10)]);
        std::fs::write(folder.path().join("dress/._0.png"), b"macOS").unwrap();
        let dataset = read_silently(folder.path()).0.unwrap();
        assert_eq!(dataset.task.classes, ["dress", "Ärmel – lang"]);
        assert_eq!((dataset.train.class_counts(2), dataset.test.class_counts(2)), (vec![8, 17], vec![2, 3]));
        assert_eq!(dataset.validation, Some(20..25));
        let large = dataset.large.as_ref().unwrap();
        assert_eq!(
            (large.labels == dataset.train.labels, large.shape.height, large.shape.width),
            (true, 8, 5)
        );
        let images = dataset.train.images().chain(dataset.test.images());
        let mut all: Vec<&[u8]> = images.collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 30);
        assert_eq!(dataset.train.image(0)[..3], [40, dataset.train.image(0)[1], 200]);
    }

    #[test]
    fn parts_that_have_folders_are_kept() {
        let folder = folder_with(&[("train/a", 3), ("train/b", 2), ("val/a", 1), ("val/b", 1)]);
        let (dataset, said) = read_silently(folder.path());
        let dataset = dataset.unwrap();
        assert_eq!((dataset.train.len(), dataset.test.len(), dataset.validation), (7, 2, Some(5..7)));
        assert!(said[0].contains("no test folder"), "{said:?}");
    }

    #[test]
    fn pictures_in_two_parts_are_told() {
        let folder = folder_with(&[("train/a", 3), ("train/b", 3), ("test/a", 1), ("test/b", 1)]);
        let (dataset, said) = read_silently(folder.path());
        // The helper's pictures differ by class over all folders: none is double yet.
        assert_eq!(
            (dataset.unwrap().test_files.len(), said.iter().any(|line| line.contains("in two parts"))),
            (2, false)
        );
        std::fs::copy(folder.path().join("train/b/1.png"), folder.path().join("test/b/again.png")).unwrap();
        let (_, said) = read_silently(folder.path());
        assert!(
            said.iter().any(|line| line.contains("test/b/again.png") && line.contains("train/b/1.png")),
            "{said:?}"
        );
        assert!(said.iter().any(|line| line.starts_with("pictures in two parts: 1;")), "{said:?}");
    }

    #[test]
    fn what_cannot_be_read_is_named_and_left_out() {
        let folder = folder_with(&[("a", 20), ("b", 20)]);
        std::fs::write(folder.path().join("a/0.png"), b"no picture").unwrap();
        let (dataset, said) = read_silently(folder.path());
        let dataset = dataset.unwrap();
        assert_eq!(dataset.train.len() + dataset.test.len(), 39);
        assert!(said.iter().any(|line| line.contains("0.png")), "{said:?}");
        assert!(said.iter().any(|line| line.contains("few pictures") && line.contains("b (14)")), "{said:?}");
    }

    #[test]
    fn odd_files_are_named_or_left_alone() {
        let folder = folder_with(&[("mit Ärmel, lang", 8), ("b", 8)]);
        let at = |name: &str| folder.path().join("mit Ärmel, lang").join(name);
        std::fs::write(at("leer.jpg"), b"").unwrap();
        std::fs::write(at("kein Bild.jpg"), [0xff, 0xd8, 0xff, 0xe0, 0, 16, b'J', b'F']).unwrap();
        std::fs::create_dir(at("folder.png")).unwrap();
        Photo { width: 1, height: 1, rgb: vec![1, 2, 3] }.write(&at("one pixel.png")).unwrap();
        // Only the header tells the size: 12,000×9,000 is refused before anything is decoded.
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 12_000, 9_000);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_chunk(png::chunk::IDAT, &[0x78, 1]).unwrap();
        std::fs::write(at("huge.png"), bytes).unwrap();
        let (dataset, said) = read_silently(folder.path());
        let dataset = dataset.unwrap();
        assert_eq!(dataset.train.len() + dataset.test.len(), 17);
        for part in ["mit Ärmel, lang/leer.jpg", "kein Bild.jpg", "huge.png: 12000×9000 pixels"] {
            assert!(
                said.iter().any(|line| line.starts_with("left out: ") && line.contains(part)),
                "{part}: {said:?}"
            );
        }
        assert!(!said.iter().any(|line| line.contains("folder.png")), "{said:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_back_is_no_class_and_no_endless_walk() {
        let folder = folder_with(&[("a", 4), ("b", 4)]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        let message = read_silently(folder.path()).0.unwrap_err().to_string();
        assert!(message.contains("class loop: there is no picture in it"), "{message}");
    }

    #[test]
    fn folders_that_are_no_data_set_are_refused_by_name() {
        for (classes, expected) in [
            (&[("only", 5)][..], "1 folders with pictures"),
            (&[("a", 5), ("b", 0)], "class b"),
            (&[("a", 5), ("b", 2)], "class b: 2 pictures"),
            (&[("train/a", 3), ("train/b", 3), ("test/a", 1), ("test/c", 1)], "class c is not in"),
            #[cfg(target_os = "linux")]
            (&[("Dress", 5), ("dress", 5), ("hat", 5)], "Dress and dress differ in case only"),
        ] {
            let folder = folder_with(classes);
            let message = read_silently(folder.path()).0.unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        assert!(!is_picture_folder(tempfile::tempdir().unwrap().path()));
        assert!(is_picture_folder(folder_with(&[("a", 1)]).path()));
    }
}
