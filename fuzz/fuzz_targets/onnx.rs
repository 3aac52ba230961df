//! Any ONNX file: refused with a reason, or read; what is read is written again, planned and run, and gives the
//! reference's logits.
#![no_main]

use host::import::{InputRange, Options, import};
use host::onnx::{int8, proto};
use host::plan::{NetworkPlan, Profile};
use host::quantize::network::QuantizedNetwork;
use libfuzzer_sys::fuzz_target;

/// Multiply-accumulates of a network that is run: more would only take time.
const MOST_MACS: usize = 2_000_000;

/// Plans a network and compares the packed kernels with the reference ones.
fn runs(network: &QuantizedNetwork) {
    let Ok(firmware) = network.to_firmware() else { return };
    let (layers, last) = firmware.layers();
    let macs: usize =
        layers.iter().map(|layer| layer.macs()).sum::<usize>() + last.in_features * last.out_features;
    if macs > MOST_MACS {
        return;
    }
    let Ok(plan) = NetworkPlan::new(&firmware, Profile::Speed) else { return };
    let length = network.task.input.len();
    let image: Vec<i8> = (0..length).map(|at| (at * 37 % 256) as u8 as i8).collect();
    assert_eq!(plan.logits(&image), firmware.logits(&image), "the plan is the network");
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = proto::decode(bytes, "fuzz.onnx") else { return };
    if !int8::is_quantized(&model) {
        let options = Options { range: InputRange::Unit, input: None, output: None };
        if let Ok(read) = import(&model, "fuzz.onnx", &options) {
            assert!((2..=100).contains(&read.classes()) && read.input.is_valid());
        }
        return;
    }
    match int8::read(&model, "fuzz.onnx") {
        Ok(network) => {
            let again = int8::read(&int8::write(&network), "again.onnx");
            assert_eq!(again.ok().as_ref(), Some(&network), "written and read again");
            runs(&network);
        }
        Err(_) => {
            if let Ok(foreign) = int8::read_foreign(&model, "fuzz.onnx", &InputRange::Unit) {
                runs(&foreign.network);
            }
        }
    }
});
