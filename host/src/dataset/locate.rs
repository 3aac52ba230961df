//! Finds a data set: the path given, the environment, the project's folder, the network, the pencil.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::identity::{Identity, identify};
use shared::fashion_mnist::{Label, SHAPE};
use shared::input::InputShape;
use shared::preprocess::Preprocessing;

use super::{Dataset, DatasetError, Kind, Samples, drawn, fetch, folders, idx, pictures, table};
use crate::task::Task;

/// Environment variable naming a folder that holds the official files.
pub const FOLDER_VARIABLE: &str = "FASHION_MNIST_DIR";
/// Environment variable naming the folder of garment photographs.
pub const PHOTOS_VARIABLE: &str = "GARMENT_PHOTOS_DIR";
/// Environment variable that moves the folder of downloads away from the project.
pub const DOWNLOADS_VARIABLE: &str = "FASHION_MNIST_DOWNLOADS";
/// Set to anything, this environment variable keeps the program off the network.
pub const OFFLINE_VARIABLE: &str = "FASHION_MNIST_OFFLINE";

/// Which data set the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Fashion-MNIST where it can be had, else drawn garments (with a banner).
    Auto,
    /// The official Fashion-MNIST or an error.
    FashionMnist,
    /// Garments drawn from a seed.
    Drawn,
    /// The garment photographs of GARMENT_PHOTOS_DIR or data/garment-photos.
    Photos,
    /// The files in --data as they are, whatever they show: pictures, IDX or CSV.
    Custom,
}

/// How a folder of pictures is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pictures {
    /// Shape of the images; [`DEFAULT_SHAPE`] where none is asked for.
    pub shape: Option<InputShape>,
    /// Whether the training images are also wanted larger: [`Dataset::large`].
    pub for_training: bool,
}

/// Shape that pictures get unless something else is asked for.
pub const DEFAULT_SHAPE: InputShape = InputShape { height: 64, width: 64, channels: 3 };

fn folder_from(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Returns the folder that downloads land in: [`DOWNLOADS_VARIABLE`], else `data/fashion-mnist` of this project.
pub fn download_folder() -> PathBuf {
    folder_from(DOWNLOADS_VARIABLE).unwrap_or_else(|| crate::project_root().join("data/fashion-mnist"))
}

/// Loads the data set asked for; `say` is told what was tried.
///
/// Looked for in `path`, `$FASHION_MNIST_DIR`, `data/fashion-mnist/` and `data/`; else downloaded. A folder of
/// pictures is read as `pictures_as` says.
///
/// # Errors
/// [`DatasetError::Missing`] where nothing was found (never for `auto` without a path, which draws),
/// [`DatasetError::WrongDataset`] for MNIST or unknown files, or whatever the readers found wrong.
pub fn load(
    choice: Choice,
    path: Option<&Path>,
    pictures_as: Pictures,
    mut say: impl FnMut(&str),
) -> Result<Dataset, DatasetError> {
    if choice == Choice::Drawn {
        if let Some(path) = path {
            let problem =
                format!("--data {}: drawn garments come from a seed, not from files", path.display());
            return Err(DatasetError::Missing(problem));
        }
        return Ok(drawn::dataset(drawn::DEFAULT_SEED, drawn::TRAIN_PER_CLASS, drawn::TEST_PER_CLASS));
    }
    if choice == Choice::Photos {
        return load_photos(path, pictures_as, &mut say);
    }
    if let Some(path) = path {
        // Whoever names a folder of pictures means it; only files can be taken for Fashion-MNIST by mistake.
        if choice != Choice::FashionMnist && folders::is_picture_folder(path) {
            return pictures::read(
                path,
                pictures_as.shape.unwrap_or(DEFAULT_SHAPE),
                pictures_as.for_training,
                &mut say,
            );
        }
        let found = read_folder(path)?.ok_or_else(|| DatasetError::Missing(nothing_in(path)))?;
        return named(choice, path, found);
    }
    if choice == Choice::Custom {
        return Err(DatasetError::Missing("--dataset custom needs --data FOLDER".into()));
    }
    if let Some(dataset) = find_on_disk(choice)? {
        return Ok(dataset);
    }
    match download(&mut say) {
        Ok(dataset) => Ok(dataset),
        Err(error @ DatasetError::Checksum { .. }) => Err(error),
        Err(error) if choice == Choice::Auto => {
            say(&format!("{error}"));
            say("no Fashion-MNIST here and none to be had: drawing garments instead");
            Ok(drawn::dataset(drawn::DEFAULT_SEED, drawn::TRAIN_PER_CLASS, drawn::TEST_PER_CLASS))
        }
        Err(error) => Err(DatasetError::Missing(format!("{error}\n{}", where_to_put_them()))),
    }
}

/// Returns the folder of garment photographs: [`PHOTOS_VARIABLE`], or the first place that has one.
///
/// # Errors
/// [`DatasetError::Missing`] with the places.
pub fn photos_folder() -> Result<PathBuf, DatasetError> {
    if let Some(folder) = folder_from(PHOTOS_VARIABLE) {
        return match folders::is_picture_folder(&folder) {
            true => Ok(folder),
            false => Err(DatasetError::Missing(format!(
                "{PHOTOS_VARIABLE}={}: holds no folders of pictures",
                folder.display()
            ))),
        };
    }
    let place = own_photos_folder();
    match folders::is_picture_folder(&place) {
        true => Ok(place),
        false => Err(DatasetError::Missing(format!(
            "no garment photographs: `host data fetch --dataset garment-photos` downloads clothing-dataset-small (CC0) into data/garment-photos; or name a folder with one folder a class in {PHOTOS_VARIABLE}"
        ))),
    }
}

/// Returns the project's own folder of garment photographs, where they are downloaded to.
pub fn own_photos_folder() -> PathBuf {
    crate::project_root().join("data/garment-photos")
}

fn load_photos(
    path: Option<&Path>,
    pictures_as: Pictures,
    say: &mut impl FnMut(&str),
) -> Result<Dataset, DatasetError> {
    let folder = path.map_or_else(photos_folder, |path| Ok(path.into()))?;
    let shape = pictures_as.shape.unwrap_or(DEFAULT_SHAPE);
    let dataset = pictures::read(&folder, shape, pictures_as.for_training, say)?;
    Ok(Dataset { kind: Kind::Photos, ..dataset })
}

/// Loads the official Fashion-MNIST from disk only, or says why not in one line.
pub fn load_official_offline() -> Result<Dataset, DatasetError> {
    find_on_disk(Choice::FashionMnist)?.ok_or_else(|| DatasetError::Missing(where_to_put_them()))
}

/// Loads from the first candidate folder that holds a data set.
fn find_on_disk(choice: Choice) -> Result<Option<Dataset>, DatasetError> {
    // A folder that was named and holds nothing is a mistake to tell, not a reason to look elsewhere.
    if let Some(folder) = folder_from(FOLDER_VARIABLE) {
        return match read_folder(&folder)? {
            Some(found) => named(choice, &folder, found).map(Some),
            None => Err(DatasetError::Missing(format!("{FOLDER_VARIABLE}={}", nothing_in(&folder)))),
        };
    }
    for folder in candidate_folders() {
        if let Some(found) = read_folder(&folder)? {
            return named(choice, &folder, found).map(Some);
        }
    }
    Ok(None)
}

/// The folders that may hold the files, in the order they are looked at.
pub fn candidate_folders() -> Vec<PathBuf> {
    let data = crate::project_root().join("data");
    let beside_downloads = folder_from(DOWNLOADS_VARIABLE).is_none().then_some(data);
    let folders = [folder_from(FOLDER_VARIABLE), Some(download_folder()), beside_downloads];
    folders.into_iter().flatten().collect()
}

/// Refuses where the user forbade the network.
///
/// # Errors
/// [`DatasetError::Missing`] with the variable's name.
pub fn check_online() -> Result<(), DatasetError> {
    match std::env::var_os(OFFLINE_VARIABLE) {
        Some(_) => Err(DatasetError::Missing(format!("{OFFLINE_VARIABLE} is set: nothing is downloaded"))),
        None => Ok(()),
    }
}

fn download(say: &mut impl FnMut(&str)) -> Result<Dataset, DatasetError> {
    check_online()?;
    let folder = download_folder();
    fetch::fetch(&folder, &fetch::SOURCES, &mut *say)?;
    let found = read_folder(&folder)?.ok_or_else(|| DatasetError::Missing(nothing_in(&folder)))?;
    named(Choice::FashionMnist, &folder, found)
}

/// Folders below the one named that torchvision keeps its files in.
const TORCHVISION_FOLDERS: [&str; 3] = ["", "FashionMNIST/raw", "raw"];

/// Reads the data set of `folder`, or of torchvision's folders below it; `None` where there is none.
fn read_folder(folder: &Path) -> Result<Option<(Samples, Samples)>, DatasetError> {
    for below in TORCHVISION_FOLDERS {
        if let Some(found) = read_flat_folder(&folder.join(below))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Reads the four IDX files or the two CSV files that lie in `folder`; `None` where it holds neither.
fn read_flat_folder(folder: &Path) -> Result<Option<(Samples, Samples)>, DatasetError> {
    let exists = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    // Some archives write `train-images.idx3-ubyte` for `train-images-idx3-ubyte`.
    let idx_file = |stem: &str| {
        let dotted = stem.replace("-idx", ".idx");
        let names = [format!("{stem}.gz"), stem.into(), format!("{dotted}.gz"), dotted];
        names.iter().find_map(|name| exists(name))
    };
    let files = [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ]
    .map(|stem| (stem, idx_file(stem)));
    if let [(_, Some(train_x)), (_, Some(train_y)), (_, Some(test_x)), (_, Some(test_y))] = &files {
        return Ok(Some((idx::read(train_x, train_y)?, idx::read(test_x, test_y)?)));
    }
    let tables = ["fashion-mnist_train.csv", "fashion-mnist_test.csv"].map(|name| (name, exists(name)));
    if let [(_, Some(train)), (_, Some(test))] = &tables {
        return Ok(Some((table::read(train)?, table::read(test)?)));
    }
    let all = files.iter().chain(&tables);
    let present = all.clone().any(|(_, path)| path.is_some());
    if present {
        let missing: Vec<&str> = all.filter(|(_, path)| path.is_none()).map(|(name, _)| *name).collect();
        return Err(DatasetError::Missing(format!(
            "{}: incomplete: of the IDX or CSV files these are missing: {}",
            folder.display(),
            missing.join(", ")
        )));
    }
    Ok(None)
}

fn named(choice: Choice, path: &Path, (train, test): (Samples, Samples)) -> Result<Dataset, DatasetError> {
    let source = path.display().to_string();
    if choice == Choice::Custom {
        let task = custom_task(path, &train, &test)?;
        return Ok(Dataset::new(Kind::Custom, source, task, train, test));
    }
    let wrong = |problem: &str, remedy| {
        Err(DatasetError::WrongDataset { path: path.into(), problem: problem.into(), remedy })
    };
    match identify(&train, &test) {
        Identity::FashionMnist => {
            Ok(Dataset::new(Kind::FashionMnist, source, Task::fashion_mnist(), train, test))
        }
        Identity::Mnist => wrong(
            "these are MNIST's handwritten digits under the same file names",
            "put Fashion-MNIST's files there, or point --data or FASHION_MNIST_DIR at them",
        ),
        Identity::Unknown => wrong(
            "the images are not those of Fashion-MNIST",
            "run `host data fetch` for the official files, or say --dataset custom if this is on purpose",
        ),
    }
}

/// File beside IDX or CSV files with the names of the classes, one a line.
pub const LABELS_FILE: &str = "labels.txt";

/// What files say of themselves that are not Fashion-MNIST: their shape, and names from [`LABELS_FILE`].
///
/// Without that file, ten classes are called as Fashion-MNIST's, whose form most such files have; others get
/// numbers.
fn custom_task(path: &Path, train: &Samples, test: &Samples) -> Result<Task, DatasetError> {
    let labels = path.join(LABELS_FILE);
    let malformed = |field: &str, problem: String, remedy| {
        Err(DatasetError::Malformed { path: labels.clone(), field: field.into(), problem, remedy })
    };
    if train.shape != test.shape {
        let problem = format!("training images are {}, test images {}", train.shape, test.shape);
        let remedy = "both parts have one shape";
        return Err(DatasetError::WrongDataset { path: path.into(), problem, remedy });
    }
    let most = train.labels.iter().chain(&test.labels).copied().max().map_or(0, usize::from);
    let classes: Vec<String> = match std::fs::read_to_string(&labels) {
        Ok(text) => text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect(),
        Err(_) if most < Label::NAMES.len() => Label::NAMES.map(str::to_owned).to_vec(),
        Err(_) => (0..=most).map(|class| format!("class {class}")).collect(),
    };
    if classes.len() <= most {
        let problem = format!("{} names, but there is a class {most}", classes.len());
        return malformed("lines", problem, "write one name a line, the first for class 0");
    }
    let is_like_fashion_mnist = train.shape == SHAPE;
    let preprocessing = if is_like_fashion_mnist { Preprocessing::Garment } else { Preprocessing::Square };
    let task = Task { input: train.shape, classes, preprocessing };
    task.check().map_err(|source| DatasetError::Task { path: path.into(), source })?;
    Ok(task)
}

fn nothing_in(folder: &Path) -> String {
    format!(
        "{}: holds neither folders of pictures nor the four IDX files nor the two Kaggle CSV files.\n{}",
        folder.display(),
        where_to_put_them()
    )
}

/// Names the files, their sums and the places they are looked for in.
pub fn where_to_put_them() -> String {
    let mut text = format!(
        "Fashion-MNIST is looked for in --data PATH, ${FOLDER_VARIABLE}, {} — four files (sha256):\n",
        download_folder().display()
    );
    for file in fetch::OFFICIAL_FILES {
        text += &format!("  {}  {}\n", file.sha256, file.name);
    }
    text + "or Kaggle's fashion-mnist_train.csv and fashion-mnist_test.csv; `host data fetch` downloads them."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(train: &Samples, test: &Samples) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        idx::write(train, &at("train-images-idx3-ubyte.gz"), &at("train-labels-idx1-ubyte.gz")).unwrap();
        idx::write(test, &at("t10k-images-idx3-ubyte.gz"), &at("t10k-labels-idx1-ubyte.gz")).unwrap();
        folder
    }

    #[test]
    fn unknown_images_need_the_word_custom() {
        let folder = folder_with(&drawn::samples(1, 2), &drawn::samples(2, 1));
        let error = load(Choice::FashionMnist, Some(folder.path()), Pictures::default(), |_| ()).unwrap_err();
        assert!(error.to_string().contains("--dataset custom"), "{error}");
        assert_eq!(error.exit_code(), 3);
        let custom = load(Choice::Custom, Some(folder.path()), Pictures::default(), |_| ()).unwrap();
        assert_eq!((custom.train.len(), custom.test.len()), (20, 10));
    }

    #[test]
    fn mnist_under_the_same_names_is_refused() {
        let mut train = drawn::samples(1, 2);
        train.labels[..10].copy_from_slice(&[5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
        let folder = folder_with(&train, &drawn::samples(2, 1));
        let error = load(Choice::Auto, Some(folder.path()), Pictures::default(), |_| ()).unwrap_err();
        assert!(error.to_string().contains("MNIST's handwritten digits"), "{error}");
        assert_eq!(error.exit_code(), 3);
    }

    #[test]
    fn an_incomplete_folder_names_what_is_missing() {
        let folder = folder_with(&drawn::samples(1, 1), &drawn::samples(2, 1));
        std::fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte.gz")).unwrap();
        let error = load(Choice::Custom, Some(folder.path()), Pictures::default(), |_| ()).unwrap_err();
        assert!(error.to_string().contains("t10k-labels-idx1-ubyte"), "{error}");
    }
}
