//! The linked firmware image: what an inference can reach holds no float instruction, no panic, no
//! indirect call, and its stack is bounded.

mod support;

use host::bench;
use host::device::board::Board;
use host::device::build::build;
use host::device::image::reach;
use host::model_dir::ModelDir;
use host::plan::Profile;
use support::{Need, have};

#[test]
fn an_inference_reaches_no_float_no_panic_and_a_bounded_stack() {
    if !have("an_inference_reaches_no_float_no_panic_and_a_bounded_stack", &[Need::Emulator]) {
        return;
    }
    let cases = [
        ("small", Profile::Speed, 12_000),
        ("small", Profile::Size, 6_000),
        ("article", Profile::Speed, 12_000),
        ("nano", Profile::Size, 6_000),
        ("small", Profile::Scalar, 24_000),
    ];
    let board = Board::named(bench::BOARD).unwrap();
    for (name, profile, most_code) in cases {
        let dir = ModelDir::new(&host::project_root().join("models").join(name));
        let elf = std::fs::read(build(&board, &dir, profile.into()).unwrap()).unwrap();
        let reach = reach(&elf).unwrap();
        assert_eq!(reach.faults, [""; 0], "{name} {profile:?}");
        assert!(reach.functions.len() < 30, "{name}: {:?}", reach.functions);
        assert!(reach.stack_bytes > 0 && reach.stack_bytes < 1_024, "{name}: {reach:?}");
        assert!(reach.code_bytes <= most_code, "{name} {profile:?}: {reach:?}");
        println!(
            "{name} {profile:?}: {} bytes of code, {} bytes of stack",
            reach.code_bytes, reach.stack_bytes
        );
    }
}
