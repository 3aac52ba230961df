//! What burn-import makes of the committed float ONNX files answers as the trained networks do.
//!
//! `build.rs` generates a reader and its weights for each file; nothing generated is committed. The crate
//! holds tests alone, so that `cargo run -p host` never compiles burn-import.

#[cfg(test)]
mod tests {
    use burn::tensor::{Bytes, Device, Tensor, TensorData};
    use host::dataset::drawn;
    use host::model_dir::ModelDir;
    use host::train::TrainedNet;

    /// Largest difference of a logit that is admitted.
    const TOLERANCE: f32 = 1e-4;

    macro_rules! reader {
        ($module:ident, $test:ident) => {
            #[allow(dead_code, unused_qualifications, clippy::all)]
            mod $module {
                include!(concat!(env!("OUT_DIR"), "/readers/", stringify!($module), ".rs"));
            }

            #[test]
            fn $test() {
                let weights =
                    include_bytes!(concat!(env!("OUT_DIR"), "/readers/", stringify!($module), ".bpk"));
                let device = Device::flex();
                let model = $module::Model::from_bytes(Bytes::from_bytes_vec(weights.to_vec()), &device);
                assert_reads(stringify!($module), &device, |images| model.forward(images));
            }
        };
    }

    reader!(nano, burn_import_reads_nano_as_burn_trained_it);
    reader!(small, burn_import_reads_small_as_burn_trained_it);
    reader!(flagship, burn_import_reads_flagship_as_burn_trained_it);

    fn assert_reads(name: &str, device: &Device, forward: impl Fn(Tensor<4>) -> Tensor<2>) {
        let dir = ModelDir::new(&host::project_root().join("models").join(name));
        let net = TrainedNet::load(&dir.manifest().unwrap().architecture().unwrap(), &dir.weights()).unwrap();
        let samples = drawn::samples(5, 2);
        let scaled: Vec<f32> = samples.pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
        let images = TensorData::new(scaled, [samples.len(), 1, 28, 28]);
        let theirs = forward(Tensor::from_data(images, device)).into_data().try_to_vec::<f32>().unwrap();
        let ours = net.logits(&samples);
        let ours = ours.concat();
        assert_eq!(ours.len(), theirs.len());
        for (index, (a, b)) in ours.iter().zip(&theirs).enumerate() {
            assert!((a - b).abs() <= TOLERANCE, "{name}, logit {index}: {a} against {b}");
        }
    }
}
