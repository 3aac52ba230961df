//! `host quantize`: float ONNX → int8 ONNX.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::{DataArgs, Failure, print_line, remark, shown};
use crate::dataset::Samples;
use crate::evaluate::accuracy_of;
use crate::evaluate::verify::{MAX_LSB, largest_layer_step};
use crate::import::record::Record;
use crate::model_dir::{ModelDir, NoModel, encode};
use crate::onnx::{float, int8, proto};
use crate::plan::{NetworkPlan, Profile};
use crate::quantize::network::FirmwareNetwork;
use crate::quantize::observe::{self, Range};
use crate::quantize::quantize_on;
use crate::runtime::integer::Integer;

/// Training images on which the int8 file is compared with tract, layer by layer, before it is written.
const CHECKED_IMAGES: usize = 32;

/// Training images whose activations decide the ranges.
pub(super) const CALIBRATION_IMAGES: usize = 1_000;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  host train --net small --out models/mine && host quantize --model models/mine"
)]
pub(super) struct QuantizeArgs {
    /// Model folder with model.onnx
    #[arg(long, value_name = "FOLDER")]
    model: PathBuf,
    /// Training images to calibrate on
    #[arg(long, value_name = "COUNT", default_value_t = CALIBRATION_IMAGES)]
    images: usize,
    #[command(flatten)]
    data: DataArgs,
}

impl QuantizeArgs {
    pub(super) fn run(self) -> Result<()> {
        let dir = ModelDir::new(&self.model);
        if !dir.float_onnx().exists() {
            return Err(NoModel::at(dir.float_onnx()).into());
        }
        let (model, file) = (proto::read(&dir.float_onnx())?, dir.float_onnx().display().to_string());
        let task = float::task(&model, &float::layers(&model, &file)?, &file)?;
        let dataset = self.data.load_for(&dir, &task)?;
        let (network, sha256) = write(&dir, &dataset.train, self.images)?;
        if let Ok(mut manifest) = dir.manifest() {
            manifest.int8_sha256 = sha256;
            manifest.calibration_images = self.images.min(dataset.train.len());
            if manifest.dataset.sha256 == dataset.sha256 {
                let mut engine = Integer::new(network.clone(), false);
                manifest.accuracy.int8 = accuracy_of(&mut engine, &dataset.test)?;
            }
            // As `train` counts them.
            let smallest = NetworkPlan::new(&network, Profile::Size)?;
            manifest.weight_bytes = smallest.constant_bytes();
            manifest.activation_bytes = smallest.arena_bytes();
            dir.write_manifest(&manifest)?;
        } else if let Some(mut record) = Record::of(&dir)? {
            record.int8_sha256 = sha256;
            record.calibration_images = self.images.min(dataset.train.len());
            record.data_sha256 = dataset.sha256.clone();
            record.write(&dir)?;
        }
        print_line(shown(&dir.int8_onnx()))?;
        remark(format_args!("next: cargo run -p host -- codegen --model {}", shown(dir.path())));
        Ok(())
    }
}

/// Calibrates, quantizes and writes `model.int8.onnx`; returns the network and the file's sha256.
///
/// # Errors
/// Where the float file is missing or cannot be quantized.
pub(super) fn write(dir: &ModelDir, train: &Samples, images: usize) -> Result<(FirmwareNetwork, String)> {
    let path = dir.float_onnx();
    let file = path.display().to_string();
    let model = proto::read(&path)?;
    let layers = float::layers(&model, &file)?;
    let grids = dir.grids()?;
    let ranges = if grids.is_empty() {
        observe::observe(&model, &layers, &train.take(images.max(1)))?
    } else {
        // Trained steps need no calibration.
        vec![Range { low: 0.0, high: 1.0 }; layers.len()]
    };
    let task = float::task(&model, &layers, &file)?;
    let quantized = quantize_on(&task, &layers, &ranges, &grids).with_context(|| file.clone())?;
    let network = quantized.to_firmware().with_context(|| file.clone())?;
    let written = int8::write(&quantized);
    let steps = largest_layer_step(&written, &network, &train.take(CHECKED_IMAGES))?;
    if steps > MAX_LSB {
        return Err(Failure::Gate(format!(
            "{file}: quantized, a layer is {steps} steps from what tract computes, {MAX_LSB} is admitted; nothing was written. Please report this with the file"
        ))
        .into());
    }
    let (bytes, sha256) = encode(&written);
    if std::fs::read(dir.int8_onnx()).is_ok_and(|old| old != bytes) {
        // What a device said of another network says nothing of this one.
        let _ = std::fs::remove_file(dir.device_record());
    }
    crate::files::write_whole(&dir.int8_onnx(), &bytes)?;
    Ok((network, sha256))
}
