//! What teachers say of images and of their mirror images, shifted or not: computed once, kept as files, read by the
//! student's loss.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::inference::{has_lanes, lane_logits};
use super::{Architecture, TrainedNet};
use crate::dataset::Samples;
use crate::dataset::augment::{Shift, mirror};
use crate::dataset::identity::{content_sha256, sha256_hex};
use crate::evaluate::{accuracy, arg_max_f32};
use crate::import::{self, Imported, InputRange, Options};
use crate::onnx::write::float_model;
use crate::onnx::{int8, proto};
use crate::quantize::network::QuantizedNetwork;
use crate::runtime::Engine;
use crate::runtime::tract::Tract;
use crate::task::Task;
use shared::input::InputShape;

/// A trained network that teaches.
#[derive(Debug, Clone)]
pub struct Teacher {
    /// Which network; `None` for somebody's float ONNX file.
    pub architecture: Option<Architecture>,
    /// Its int8 file, or the float ONNX file.
    pub file: PathBuf,
}

/// Why a teacher cannot be asked.
#[derive(Debug, Error)]
pub enum TeacherError {
    /// The file is missing, damaged or another network's.
    #[error("teacher: {0}")]
    File(String),
    /// It has another number of classes than the data.
    #[error("teacher: {0}")]
    Classes(String),
    /// Its answers cannot be kept.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What a student learns from besides the labels.
#[derive(Debug, Clone)]
pub enum Teaching {
    /// Predictions for every training image, computed once.
    Kept(SoftLabels),
    /// Networks that see each augmented image (Beyer et al., 2022).
    Live(Vec<TrainedNet>),
}

/// Logits of every image of a part, in its order, at every shift up to a reach.
#[derive(Debug, Clone, PartialEq)]
pub struct SoftLabels {
    /// Largest shift that was asked about, in pixels on each axis.
    reach: usize,
    /// Number of classes.
    classes: usize,
    /// By shift, in the order of [`Shift::all`]: two sets a teacher, of the images and of their mirror images,
    /// `[images][classes]` each.
    answers: Vec<Vec<Vec<f32>>>,
}

impl SoftLabels {
    /// Asks every teacher about the images and their mirror images, or reads what it said before.
    ///
    /// * `reach`: largest shift of the images, in pixels on each axis.
    /// * `folder`: where answers are kept, by the hashes of file and images.
    ///
    /// # Errors
    /// [`TeacherError`] with the path, also of a teacher that has other classes than `classes`.
    pub fn of(
        teachers: &[Teacher],
        samples: &Samples,
        classes: usize,
        reach: usize,
        folder: &Path,
    ) -> Result<Self, TeacherError> {
        let mut answers = Vec::new();
        for shift in Shift::all(reach) {
            let mut moved = samples.clone();
            moved
                .pixels
                .chunks_exact_mut(samples.shape.len())
                .for_each(|image| shift.apply(samples.shape, image));
            let mut sets = Vec::with_capacity(2 * teachers.len());
            for teacher in teachers {
                sets.extend(answers_of(teacher, &moved, classes, folder)?);
            }
            answers.push(sets);
        }
        Ok(Self { reach, classes, answers })
    }

    /// Fraction of the images at `indices`, not shifted, whose likeliest class is the label.
    pub fn accuracy(&self, indices: &[usize], labels: &[u8]) -> f64 {
        let probabilities = self.probabilities(indices, &[], 1.0);
        let classes: Vec<usize> = probabilities.chunks_exact(self.classes).map(arg_max_f32).collect();
        let labels: Vec<u8> = indices.iter().map(|&index| labels[index]).collect();
        accuracy(&classes, &labels)
    }

    /// Returns the mean probabilities of all answers at `temperature`, `[indices][classes]`.
    ///
    /// * `shifts`: how far each image is shifted; none where left out.
    pub fn probabilities(&self, indices: &[usize], shifts: &[Shift], temperature: f32) -> Vec<f32> {
        let mut output = Vec::with_capacity(indices.len() * self.classes);
        for (at, &index) in indices.iter().enumerate() {
            let shift = shifts.get(at).copied().unwrap_or_default();
            let sets = &self.answers[shift.index(self.reach)];
            let mut mean = vec![0.0; self.classes];
            for set in sets {
                let logits = &set[index * self.classes..][..self.classes];
                let highest = logits.iter().fold(f32::NEG_INFINITY, |most, &logit| most.max(logit));
                let powers: Vec<f32> =
                    logits.iter().map(|logit| ((logit - highest) / temperature).exp()).collect();
                let sum: f32 = powers.iter().sum();
                let share = 1.0 / (sum * sets.len() as f32);
                mean.iter_mut().zip(powers).for_each(|(mean, power)| *mean += power * share);
            }
            output.extend(mean);
        }
        output
    }
}

impl Teacher {
    /// Loads the network from its int8 file.
    ///
    /// # Errors
    /// [`TeacherError`] with the path, also where it has other inputs or classes than `task`.
    pub fn load(&self, task: &Task) -> Result<TrainedNet, TeacherError> {
        let name = self.file.display().to_string();
        let file = |problem: String| TeacherError::File(problem);
        let Some(architecture) = &self.architecture else {
            return Err(file(format!(
                "{name}: pictures are changed in every epoch, and only networks trained here are asked about each; name a model under models/"
            )));
        };
        let model = proto::read(&self.file).map_err(|error| file(error.to_string()))?;
        let network = int8::read(&model, &name).map_err(|error| file(error.to_string()))?;
        if let Some(difference) = task.difference(&network.task) {
            return Err(file(format!("{name}: it has {difference}")));
        }
        TrainedNet::from_quantized(architecture, &network).map_err(|error| file(format!("{name}: {error}")))
    }
}

/// The two sets of answers of one teacher, `[images][classes]` each.
fn answers_of(
    teacher: &Teacher,
    samples: &Samples,
    classes: usize,
    folder: &Path,
) -> Result<[Vec<f32>; 2], TeacherError> {
    let named = |problem: String| TeacherError::File(format!("{}: {problem}", teacher.file.display()));
    let bytes = std::fs::read(&teacher.file).map_err(|error| named(error.to_string()))?;
    let images = content_sha256(&[samples]);
    let [file, images] = [sha256_hex(&bytes), images].map(|sha| sha[..16].to_owned());
    let architecture = teacher.architecture.as_ref();
    let network = architecture.map_or("onnx", |architecture| &architecture.network);
    let kept = folder.join(format!("{network}-{file}-{images}.f32"));
    let asked = match architecture {
        Some(architecture) => Asked::trained(architecture, &bytes, teacher),
        None => Asked::imported(teacher),
    };
    let asked = asked.map_err(named)?;
    let (input, theirs) = asked.task();
    if input != samples.shape {
        return Err(named(format!("it reads {input}, the images are {}", samples.shape)));
    }
    if theirs != classes {
        let problem = format!("{}: it has {theirs} classes, the data has {classes}", teacher.file.display());
        return Err(TeacherError::Classes(problem));
    }
    let count = samples.len();
    if let Ok(bytes) = std::fs::read(&kept)
        && bytes.len() == 2 * 4 * classes * count
    {
        let mut plain: Vec<f32> = bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
        let mirrored = plain.split_off(classes * count);
        return Ok([plain, mirrored]);
    }
    let mut mirrored = samples.clone();
    mirrored.pixels.chunks_exact_mut(samples.shape.len()).for_each(|image| mirror(samples.shape, image));
    let sets = asked.logits([samples, &mirrored]).map_err(named)?.map(|rows| rows.concat());
    let bytes: Vec<u8> = sets.iter().flatten().flat_map(|logit| logit.to_le_bytes()).collect();
    crate::files::write_whole(&kept, &bytes)?;
    Ok(sets)
}

/// A teacher's file, read.
enum Asked<'a> {
    /// Of a network trained here.
    Trained(&'a Architecture, Box<QuantizedNetwork>),
    /// Somebody's.
    Imported(Box<Imported>),
}

impl<'a> Asked<'a> {
    fn trained(architecture: &'a Architecture, bytes: &[u8], teacher: &Teacher) -> Result<Self, String> {
        let name = teacher.file.display().to_string();
        let model = proto::decode(bytes, &name).map_err(|error| error.to_string())?;
        let network = int8::read(&model, &name).map_err(|error| error.to_string())?;
        Ok(Self::Trained(architecture, Box::new(network)))
    }

    /// Reads the file as `host import` does, its input being pixel / 255.
    fn imported(teacher: &Teacher) -> Result<Self, String> {
        let options = Options { range: InputRange::Unit, input: None, output: None };
        let model = import::read(&teacher.file).map_err(|error| error.to_string())?;
        let imported = import::import(&model, "the file", &options).map_err(|error| error.to_string())?;
        Ok(Self::Imported(Box::new(imported)))
    }

    /// Shape of its input, number of its classes.
    fn task(&self) -> (InputShape, usize) {
        match self {
            Self::Trained(_, network) => (network.task.input, network.task.classes.len()),
            Self::Imported(imported) => (imported.input, imported.classes()),
        }
    }

    fn logits(self, sets: [&Samples; 2]) -> Result<[Vec<Vec<f32>>; 2], String> {
        match self {
            Self::Trained(architecture, network) => {
                let net = TrainedNet::from_quantized(architecture, &network)?;
                Ok(sets.map(|samples| match has_lanes(architecture, &net.device) {
                    true => lane_logits(&net.net, samples, &net.device),
                    false => net.logits(samples),
                }))
            }
            Self::Imported(imported) => {
                let task = Task::numbered(imported.input, imported.classes());
                let written = float_model(&imported.layers, &task, "host train");
                let told = |error: anyhow::Error| format!("{error:#}");
                let mut tract = Tract::float(&written).map_err(told)?;
                let [plain, mirrored] = sets.map(|samples| tract.logits(samples).map_err(told));
                Ok([plain?, mirrored?])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::drawn;

    #[test]
    fn answers_are_computed_once_and_are_the_network_s() {
        let folder = tempfile::tempdir().unwrap();
        let samples = drawn::samples(3, 4);
        let file = crate::project_root().join("models/nano/model.int8.onnx");
        let model = proto::read(&file).unwrap();
        let network = int8::read(&model, "nano").unwrap();
        let architecture = Architecture::named("nano", network.task.clone()).unwrap();
        let net = TrainedNet::from_quantized(&architecture, &network).unwrap();
        let copy = folder.path().join("teacher.onnx");
        std::fs::copy(&file, &copy).unwrap();
        let teachers = [Teacher { architecture: Some(architecture), file: copy.clone() }];
        let first = SoftLabels::of(&teachers, &samples, 10, 0, folder.path()).unwrap();
        let near =
            |a: &[f32], b: &[f32]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
        assert!(near(&first.answers[0][0], &net.logits(&samples).concat()));
        let mut mirrored = samples.clone();
        mirrored.pixels.chunks_exact_mut(784).for_each(|image| mirror(samples.shape, image));
        assert!(near(&first.answers[0][1], &net.logits(&mirrored).concat()));
        assert_eq!(SoftLabels::of(&teachers, &samples, 10, 0, folder.path()).unwrap(), first);
        let shifted = SoftLabels::of(&teachers, &samples, 10, 1, folder.path()).unwrap();
        assert_eq!((shifted.answers.len(), &shifted.answers[4]), (9, &first.answers[0]));
        let shift = Shift { down: 1, right: -1 };
        mirrored.pixels.clone_from(&samples.pixels);
        mirrored.pixels.chunks_exact_mut(784).for_each(|image| shift.apply(samples.shape, image));
        assert!(near(&shifted.answers[6][0], &net.logits(&mirrored).concat()));
        let of = |labels: &SoftLabels, shifts: &[Shift]| labels.probabilities(&[5], shifts, 1.0);
        assert_eq!(of(&shifted, &[]), of(&first, &[shift]));
        assert_ne!(of(&shifted, &[shift]), of(&first, &[shift]));
        let refused = SoftLabels::of(&teachers, &samples, 9, 0, folder.path()).unwrap_err();
        assert!(matches!(refused, TeacherError::Classes(_)), "a usage error");
        let message = refused.to_string();
        assert!(message.contains("it has 10 classes, the data has 9"), "{message}");
        std::fs::write(&copy, b"no network").unwrap();
        let message = SoftLabels::of(&teachers, &samples, 10, 0, folder.path()).unwrap_err().to_string();
        assert!(message.contains("teacher.onnx"), "{message}");
    }

    #[test]
    fn a_float_onnx_file_teaches_as_tract_answers() {
        let folder = tempfile::tempdir().unwrap();
        let samples = drawn::samples(3, 4);
        let file = crate::project_root().join("models/nano/model.onnx");
        let theirs = Tract::float(&proto::read(&file).unwrap()).unwrap().logits(&samples).unwrap();
        let teacher = Teacher { architecture: None, file };
        let labels = SoftLabels::of(std::slice::from_ref(&teacher), &samples, 10, 0, folder.path()).unwrap();
        let [plain, mirrored] = &labels.answers[0][..] else { panic!("two sets a teacher") };
        for (ours, theirs) in plain.iter().zip(theirs.concat()) {
            assert!((ours - theirs).abs() < 1e-3, "{ours} {theirs}");
        }
        assert_ne!(plain, mirrored);
        let live = teacher.load(&Task::fashion_mnist()).unwrap_err().to_string();
        assert!(live.contains("name a model under models/"), "{live}");
    }

    #[test]
    fn probabilities_are_the_mean_of_softmaxes() {
        let mut sure = vec![0.0; 10];
        sure[3] = 60.0;
        let labels = SoftLabels { reach: 0, classes: 10, answers: vec![vec![sure, vec![1.0; 10]]] };
        let probabilities = labels.probabilities(&[0], &[], 2.0);
        assert!((probabilities[3] - 0.55).abs() < 1e-6 && (probabilities[0] - 0.05).abs() < 1e-6);
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!((labels.accuracy(&[0], &[3]), labels.accuracy(&[0], &[4])), (1.0, 0.0));
    }
}
