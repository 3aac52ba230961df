//! What others need for the same networks on a Cortex-M4; measured by this project on 2026-11-23.
//!
//! QEMU 7.2 `mps2-an386`, instructions of one inference counted exactly, random weights, fixed shapes.
//! RAM is the library's arena or the sum of its buffers, input included; cycles are the same model as the
//! counter's.

/// A library's figures for one network.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Peer {
    /// Library and build.
    pub name: &'static str,
    /// Instructions of one inference.
    pub instructions: u64,
    /// Model cycles, where they were taken.
    pub model_cycles: Option<u64>,
    /// Bytes of code and constants.
    pub flash_bytes: Option<u64>,
    /// Bytes of memory.
    pub ram_bytes: Option<u64>,
}

const fn peer(name: &'static str, instructions: u64, cycles: u64, flash: u64, ram: u64) -> Peer {
    const fn known(value: u64) -> Option<u64> {
        if value > 0 { Some(value) } else { None }
    }
    Peer { name, instructions, model_cycles: known(cycles), flash_bytes: known(flash), ram_bytes: known(ram) }
}

const A: &[Peer] = &[
    peer("CMSIS-NN v7, best of 8 compiler settings", 3_632_825, 4_590_000, 358_252, 54_904),
    peer("CMSIS-NN v7, gcc -O3", 4_107_838, 0, 361_992, 54_904),
    peer("TFLM + CMSIS-NN", 4_114_848, 0, 419_116, 58_732),
    peer("microflow 0.1.3", 32_850_566, 0, 358_532, 109_780),
];

const C: &[Peer] = &[
    peer("CMSIS-NN v7, best of 8 compiler settings", 5_220_018, 6_640_000, 46_788, 19_176),
    peer("CMSIS-NN v7, gcc -O3", 6_343_361, 0, 41_200, 19_176),
    peer("TFLM + CMSIS-NN", 6_345_089, 0, 99_548, 23_404),
    peer("TinyMaix -O3", 7_585_937, 0, 48_796, 19_800),
    peer("microflow 0.1.3", 22_489_456, 0, 48_424, 34_388),
];

const D: &[Peer] = &[
    peer("CMSIS-NN v7, best of 8 compiler settings", 1_892_828, 2_310_000, 29_516, 10_448),
    peer("CMSIS-NN v7, gcc -O3", 2_042_280, 0, 33_556, 10_448),
    peer("TFLM + CMSIS-NN", 2_044_921, 0, 106_552, 16_572),
    peer("TinyMaix -O3", 2_891_579, 0, 33_452, 12_000),
    peer("microflow 0.1.3", 14_229_484, 0, 36_792, 17_668),
];

/// Returns the figures for a benchmark network, the best library first; none for other networks.
pub fn of(network: &str) -> &'static [Peer] {
    match network {
        "A" => A,
        "C" => C,
        "D" => D,
        _ => &[],
    }
}
