//! What the ONNX readers accept is computed exactly; everything else is refused with the node's name.

use host::dataset::drawn;
use host::onnx::float::{self, Activation, FloatOp};
use host::onnx::proto::{self, ModelProto, NodeProto};
use host::onnx::{OnnxError, int8};
use host::quantize::{observe::observe, quantize};
use host::runtime::Engine;
use host::runtime::tract::Tract;
use host::task::Task;
use host::train::{Architecture, TrainedNet};

fn exported() -> ModelProto {
    let small = Architecture::named("small", Task::fashion_mnist()).unwrap();
    proto::decode(&TrainedNet::untrained(&small, 7).to_onnx(), "exported").unwrap()
}

fn committed_int8() -> ModelProto {
    proto::read(&host::project_root().join("models/nano/model.int8.onnx")).unwrap()
}

fn nodes(model: &mut ModelProto) -> &mut Vec<NodeProto> {
    &mut model.graph.as_mut().unwrap().node
}

fn index_of(model: &mut ModelProto, op: &str) -> usize {
    nodes(model).iter().position(|node| node.op_type == op).unwrap()
}

/// Asserts that reading ends with a message that holds `part`.
fn assert_refused<T: std::fmt::Debug>(result: Result<T, OnnxError>, part: &str) {
    let message = result.unwrap_err().to_string();
    assert!(message.contains(part), "{message}");
}

#[test]
fn an_activation_behind_a_max_pool_is_the_convolution_s() {
    let mut model = exported();
    // Conv → Relu → MaxPool becomes Conv → MaxPool → Relu.
    let relu = index_of(&mut model, "Relu");
    let list = nodes(&mut model);
    assert_eq!(list[relu + 1].op_type, "MaxPool");
    let (from, between, to) =
        (list[relu].input.clone(), list[relu].output.clone(), list[relu + 1].output.clone());
    list.swap(relu, relu + 1);
    (list[relu].input, list[relu].output) = (from, between.clone());
    (list[relu + 1].input, list[relu + 1].output) = (between, to);
    let layers = float::layers(&model, "swapped").unwrap();
    assert_eq!(layers[0].activation, Activation::Relu);
    assert!(matches!(layers[1].op, FloatOp::MaxPool { .. }) && layers[1].activation == Activation::Linear);

    let samples = drawn::samples(5, 4);
    let network =
        quantize(&Task::fashion_mnist(), &layers, &observe(&model, &layers, &samples).unwrap()).unwrap();
    let firmware = network.to_firmware().unwrap();
    let mut ours = host::runtime::integer::Integer::new(firmware, false);
    let mut theirs = Tract::int8(&int8::write(&network)).unwrap();
    for (ours, theirs) in ours.logits(&samples).unwrap().iter().zip(theirs.logits(&samples).unwrap()) {
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() <= 0.02 * b.abs().max(0.1), "{a} against {b}");
        }
    }
}

#[test]
fn a_float_file_with_two_outputs_is_refused() {
    let mut model = exported();
    let graph = model.graph.as_mut().unwrap();
    graph.output.push(proto::value_info("t1", proto::FLOAT, None));
    assert_refused(float::layers(&model, "x.onnx"), "the outputs are");
}

#[test]
fn another_input_shape_is_refused_and_another_input_name_is_read() {
    let mut model = exported();
    let graph = model.graph.as_mut().unwrap();
    graph.input = vec![proto::value_info("image", proto::FLOAT, Some(&[1, 32, 32]))];
    assert!(float::layers(&model, "x.onnx").is_err(), "the dense layer reads 28×28 images");
    for sizes in [&[2, 28, 28][..], &[1, 300, 28], &[28, 28]] {
        let mut model = exported();
        model.graph.as_mut().unwrap().input = vec![proto::value_info("image", proto::FLOAT, Some(sizes))];
        assert_refused(float::layers(&model, "x.onnx"), "[batch, channels, height, width] with 1 or 3");
    }
    let mut model = exported();
    model.metadata_props[1].value = "[\"one\", \"two\"]".into();
    let layers = float::layers(&model, "x.onnx").unwrap();
    assert_refused(float::task(&model, &layers, "x.onnx"), "the graph of 28×28 gray and 10");
    let mut model = exported();
    model.graph.as_mut().unwrap().input[0].name = "pixels".into();
    nodes(&mut model)[0].input[0] = "pixels".into();
    assert!(float::layers(&model, "x.onnx").is_ok());
}

#[test]
fn what_the_float_reader_does_not_compute_it_refuses() {
    let mut model = exported();
    nodes(&mut model)[1].domain = "local".into();
    assert_refused(float::layers(&model, "x.onnx"), "its domain local");
    let mut model = exported();
    let pool = index_of(&mut model, "MaxPool");
    let mut pads = proto::ints("pads", &[0, 0, 0, 0]);
    pads.ints[0] = -1;
    nodes(&mut model)[pool].attribute.push(pads);
    assert_refused(float::layers(&model, "x.onnx"), "are not four sizes");
    let mut model = exported();
    let strides = nodes(&mut model)[0].attribute.iter_mut().find(|a| a.name == "strides").unwrap();
    strides.ints = vec![1 << 40, 1 << 40];
    assert_refused(float::layers(&model, "x.onnx"), "are not two sizes");
}

#[test]
fn a_node_without_output_is_a_damaged_file() {
    use prost::Message;
    let mut model = exported();
    nodes(&mut model)[0].output.clear();
    assert_refused(proto::decode(&model.encode_to_vec(), "x.onnx"), "lacks inputs or outputs");
}

#[test]
fn what_the_int8_reader_does_not_compute_it_refuses() {
    assert!(int8::read(&committed_int8(), "nano").is_ok());
    let change = |name: &str, work: &dyn Fn(&mut proto::TensorProto)| {
        let mut model = committed_int8();
        let tensors = &mut model.graph.as_mut().unwrap().initializer;
        work(tensors.iter_mut().find(|tensor| tensor.name == name).unwrap());
        int8::read(&model, "x.onnx")
    };
    assert_refused(change("layer0_weight_zero_point", &|tensor| tensor.raw_data[0] = 3), "layer0_weight");
    assert_refused(change("layer0_bias_zero_point", &|tensor| tensor.raw_data[0] = 3), "layer0_bias");
    assert_refused(change("layer0_bias_scale", &|tensor| tensor.raw_data[3] ^= 1), "layer0_bias");

    let edit = |op: &str, work: &dyn Fn(&mut NodeProto)| {
        let mut model = committed_int8();
        let at = index_of(&mut model, op);
        work(&mut nodes(&mut model)[at]);
        int8::read(&model, "x.onnx")
    };
    assert_refused(edit("Relu", &|node| node.op_type = "Clip".into()), "(Clip): its input is not quantized");
    assert_refused(
        edit("Conv", &|node| node.attribute.push(proto::ints("dilations", &[2, 2]))),
        "do not fit",
    );
    assert_refused(edit("MaxPool", &|node| node.input[0] = "image".into()), "its input is not quantized");
    assert_refused(edit("Flatten", &|node| node.attribute[0].i = 0), "(Flatten): it is not as");

    let mut model = committed_int8();
    model.graph.as_mut().unwrap().output[0].name = "input_x".into();
    assert_refused(int8::read(&model, "x.onnx"), "input_x is no dense layer's sums");
}
