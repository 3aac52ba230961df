//! scratch
use host::{dataset, onnx, quantize, runtime::{self,Engine}, evaluate};
use prost::Message;
fn main() {
    let d = dataset::load(dataset::Choice::Auto, None, |s| eprintln!("{s}")).unwrap();
    let f = std::env::args().nth(1).unwrap();
    let mut m = onnx::proto::read(f.as_ref()).unwrap();
    onnx::proto::canonicalize(&mut m);
    let layers = onnx::float::layers(&m, &f).unwrap();
    let t=std::time::Instant::now();
    let ranges = quantize::observe::observe(&m, &layers, &d.train.take(1000)).unwrap();
    eprintln!("{ranges:?} {:?}", t.elapsed());
    let q = quantize::quantize(&layers, &ranges).unwrap();
    let m8 = onnx::int8::write(&q);
    std::fs::write("/tmp/setup/int8.onnx", m8.encode_to_vec()).unwrap();
    assert_eq!(onnx::int8::read(&m8, "x").unwrap().layers[..q.layers.len()-1], q.layers[..q.layers.len()-1]);
    let names: Vec<String> = (0..q.layers.len()-1).map(onnx::int8::quantized_name).collect();
    let probe = onnx::proto::with_outputs(&m8, &names, onnx::proto::INT8);
    let fw = q.to_firmware().unwrap();
    eprintln!("arena {} macs {} const {}", fw.with_network(|n| n.arena_bytes()), fw.with_network(|n| n.macs()), fw.with_network(|n| n.constant_bytes()));
    let test = d.test.take(1000);
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(runtime::tract::Tract::float(&m).unwrap()), Box::new(runtime::integer::Integer::new(fw, true)), Box::new(runtime::tract::Tract::int8(&probe).unwrap()), Box::new(runtime::ort::Ort::float(&m).unwrap()), Box::new(runtime::ort::Ort::int8(&probe).unwrap())];
    let mut base: Vec<runtime::Answer> = vec![];
    for e in &mut engines {
        let t=std::time::Instant::now();
        let a: Vec<_> = (0..test.len()).map(|i| e.answer(test.image(i)).unwrap()).collect();
        let p: Vec<usize> = a.iter().map(|a| evaluate::arg_max_f32(&a.logits)).collect();
        eprint!("{} {:.4} {:?}", e.name(), evaluate::accuracy(&p, &test.labels), t.elapsed());
        if e.name() == "integer" { base = a.clone(); }
        if !base.is_empty() && !a[0].activations.is_empty() {
            for l in 0..names.len() { let mx = a.iter().zip(&base).map(|(a,b)| a.activations[l].iter().zip(&b.activations[l]).map(|(a,b)| (*a as i32 - *b as i32).abs()).max().unwrap()).max().unwrap();
              let cnt: usize = a.iter().zip(&base).map(|(a,b)| a.activations[l].iter().zip(&b.activations[l]).filter(|(a,b)| a!=b).count()).sum(); eprint!(" L{l}:{mx}({cnt})"); }
            let pb: Vec<usize> = base.iter().map(|a| evaluate::arg_max_f32(&a.logits)).collect();
            eprint!(" agree {}", evaluate::agreement(&p,&pb));
        }
        eprintln!();
    }
}
