//! Where pictures lie: one folder a class, or such folders for each part.
//!
//! Finds classes and files and says which part each belongs to; nothing is decoded here ([`super::pictures`]).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::DatasetError;
use super::photo;

/// Names that the folder of a part goes by.
const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 3] = ["validation", "val", "valid"];
const TEST: [&str; 2] = ["test", "testing"];
/// Share of each class that is kept for the test, and for validation, where the folder has no parts.
const HELD_BACK: f64 = 0.15;
/// Seed of that choice: one for all, so that a test picture is never trained on.
const SEED: u64 = 1;
const REMEDY: &str = "make one folder a class with its pictures in it, at least two classes";

/// A picture with the number of its class.
pub(super) type Picture = (PathBuf, u8);

/// Pictures by part.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub train: Vec<Picture>,
    pub validation: Vec<Picture>,
    pub test: Vec<Picture>,
    /// What a user should know about the parts.
    pub remark: Option<String>,
}

/// Whether `folder` holds folders of pictures.
pub fn is_picture_folder(folder: &Path) -> bool {
    let has_pictures = |folder: &Path| photo::in_folder(folder).is_ok_and(|pictures| !pictures.is_empty());
    let Ok(folders) = folders_in(folder) else { return false };
    folders.iter().any(|(_, path)| {
        has_pictures(path)
            || folders_in(path).is_ok_and(|inner| inner.iter().any(|(_, path)| has_pictures(path)))
    })
}

/// A picture's file with the name of its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The file.
    pub path: PathBuf,
    /// Name of its folder.
    pub class: String,
}

/// The files of a folder's validation part; what is chosen by them has not learned from them.
///
/// # Errors
/// As [`super::pictures::read`].
pub fn validation_files(folder: &Path) -> Result<Vec<Named>, DatasetError> {
    let (classes, parts) = find(folder)?;
    let named = |(path, class): (PathBuf, u8)| Named { path, class: classes[usize::from(class)].clone() };
    Ok(parts.validation.into_iter().map(named).collect())
}

pub(super) fn malformed(folder: &Path, field: &str, problem: String) -> DatasetError {
    DatasetError::Malformed { path: folder.into(), field: field.into(), problem, remedy: REMEDY }
}

/// Folders inside a folder by name; hidden ones are left out.
fn folders_in(folder: &Path) -> Result<Vec<(String, PathBuf)>, DatasetError> {
    let refuse = |source| DatasetError::Io { path: folder.into(), source };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !name.starts_with('.') {
            folders.push((name, entry.path()));
        }
    }
    folders.sort();
    Ok(folders)
}

/// Finds the names of the classes and the pictures of each part.
///
/// # Errors
/// As [`super::pictures::read`].
pub(super) fn find(folder: &Path) -> Result<(Vec<String>, Parts), DatasetError> {
    let folders = folders_in(folder)?;
    let part = |names: &[&str]| {
        let is_named = |name: &str| names.iter().any(|known| name.eq_ignore_ascii_case(known));
        folders.iter().find(|(name, _)| is_named(name)).map(|(_, path)| path.clone())
    };
    let Some(train) = part(&TRAIN) else {
        let (classes, pictures) = classes_of(folder)?;
        let parts = split(folder, &classes, pictures)?;
        return Ok((classes, parts));
    };
    let (classes, pictures) = classes_of(&train)?;
    let mut parts = Parts { train: pictures, ..Parts::default() };
    let others = [(part(&VALIDATION), &mut parts.validation), (part(&TEST), &mut parts.test)];
    for (path, pictures) in others {
        let Some(path) = path else { continue };
        let (found, of_part) = classes_of(&path)?;
        if found != classes {
            let other = found.iter().find(|name| !classes.contains(name));
            let problem = match other {
                Some(name) => format!("class {name} is not in {}", train.display()),
                None => format!("lacks classes that are in {}", train.display()),
            };
            return Err(malformed(&path, "classes", problem));
        }
        *pictures = of_part;
    }
    if parts.test.is_empty() && !parts.validation.is_empty() {
        parts.test = parts.validation.clone();
        parts.remark = Some(format!(
            "{}: no test folder; the validation pictures serve for the report too",
            folder.display()
        ));
    } else if parts.test.is_empty() {
        parts = split(folder, &classes, parts.train)?;
    }
    Ok((classes, parts))
}

/// One class a folder, and the pictures in them; every class has at least one.
fn classes_of(folder: &Path) -> Result<(Vec<String>, Vec<Picture>), DatasetError> {
    let (mut classes, mut pictures) = (Vec::new(), Vec::new());
    for (name, path) in folders_in(folder)? {
        let files =
            photo::in_folder(&path).map_err(|error| malformed(&path, "pictures", error.to_string()))?;
        if files.is_empty() {
            return Err(malformed(&path, &format!("class {name}"), "there is no picture in it".into()));
        }
        // Task::check refuses more than 100 classes; here the number only has to fit.
        let class = classes.len().min(255) as u8;
        pictures.extend(files.into_iter().map(|file| (file, class)));
        classes.push(name);
    }
    if classes.len() < 2 {
        let problem = format!("{} folders with pictures", classes.len());
        return Err(malformed(folder, "classes", problem));
    }
    let mut lowered: HashMap<String, &String> = HashMap::new();
    for name in &classes {
        if let Some(other) = lowered.insert(name.to_lowercase(), name) {
            let problem =
                format!("{other} and {name} differ in case only, which other systems take for one folder");
            return Err(malformed(folder, "classes", problem));
        }
    }
    Ok((classes, pictures))
}

/// Holds back a share of each class for test and validation.
fn split(folder: &Path, classes: &[String], pictures: Vec<Picture>) -> Result<Parts, DatasetError> {
    let mut parts = Parts::default();
    for (class, name) in classes.iter().enumerate() {
        let mut own: Vec<Picture> =
            pictures.iter().filter(|(_, label)| usize::from(*label) == class).cloned().collect();
        if own.len() < 3 {
            let problem = format!("{} pictures; training, validation and test take one each", own.len());
            return Err(malformed(folder, &format!("class {name}"), problem));
        }
        own.shuffle(&mut ChaCha8Rng::seed_from_u64(SEED));
        let count = ((own.len() as f64 * HELD_BACK).round() as usize).max(1);
        parts.test.extend(own.split_off(own.len() - count));
        parts.validation.extend(own.split_off(own.len() - count));
        parts.train.extend(own);
    }
    Ok(parts)
}
