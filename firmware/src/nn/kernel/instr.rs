//! Single DSP instructions: the instruction itself on Armv7E-M, its formula elsewhere.
//!
//! A lane is half a word, an i16, or a quarter, an i8; lane 0 is the lowest. Loops over SMLAD are not
//! made from these but in [`routines`](super::routines), as one `asm!` an instruction costs spills there.
//! Source: Arm DDI 0403, A7.7.
#![cfg_attr(dsp, allow(unsafe_code))]

/// Defines a wrapper for an instruction without side effects.
macro_rules! instruction {
    ($(#[$doc:meta])* $name:ident($($operand:ident),+) = $text:literal, $formula:expr) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name($($operand: u32),+) -> u32 {
            #[cfg(dsp)]
            {
                let result: u32;
                // SAFETY: the instruction reads and writes registers only; GE flags are not kept across.
                unsafe {
                    core::arch::asm!(
                        $text, out(reg) result, $($operand = in(reg) $operand),+,
                        options(pure, nomem, nostack)
                    );
                }
                result
            }
            #[cfg(not(dsp))]
            $formula
        }
    };
}

/// Packs two i16 lanes.
#[inline(always)]
pub const fn lanes(low: i16, high: i16) -> u32 {
    low as u16 as u32 | (high as u16 as u32) << 16
}

/// Reads four activations from `at` on, the first in the lowest byte; 0 where there are fewer.
#[inline(always)]
pub fn word(activations: &[i8], at: usize) -> u32 {
    match activations.get(at..).and_then(<[i8]>::first_chunk) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a as u8, b as u8, c as u8, d as u8]),
        None => 0,
    }
}

/// Writes four activations from `at` on; nothing where there are fewer.
#[inline(always)]
pub fn store(activations: &mut [i8], at: usize, word: u32) {
    if let Some(four) = activations.get_mut(at..).and_then(<[i8]>::first_chunk_mut) {
        *four = word.to_le_bytes().map(|byte| byte as i8);
    }
}

/// Returns both i16 lanes, the low one first.
#[inline(always)]
pub const fn halves(word: u32) -> (i16, i16) {
    (word as i16, (word >> 16) as i16)
}

#[cfg(not(dsp))]
fn by_lane(a: u32, b: u32, operation: impl Fn(i16, i16) -> i16) -> u32 {
    let ((a_low, a_high), (b_low, b_high)) = (halves(a), halves(b));
    lanes(operation(a_low, b_low), operation(a_high, b_high))
}

instruction! {
    /// Bytes 0 and 2 as two i16 lanes (SXTB16).
    sxtb16(word) = "sxtb16 {0}, {word}", lanes(i16::from(word as i8), i16::from((word >> 16) as i8))
}
instruction! {
    /// Bytes 1 and 3 as two i16 lanes (SXTB16 with ROR 8).
    sxtb16_ror8(word) = "sxtb16 {0}, {word}, ror #8", sxtb16(word.rotate_right(8))
}
instruction! {
    /// Sums of i16 lanes, wrapping (SADD16).
    sadd16(a, b) = "sadd16 {0}, {a}, {b}", by_lane(a, b, i16::wrapping_add)
}
instruction! {
    /// Differences a − b of i16 lanes, wrapping (SSUB16).
    ssub16(a, b) = "ssub16 {0}, {a}, {b}", by_lane(a, b, i16::wrapping_sub)
}
instruction! {
    /// Adds bytes 0 and 2 of `word`, as i16, to the lanes of `sums` (SXTAB16).
    sxtab16(sums, word) = "sxtab16 {0}, {sums}, {word}", sadd16(sums, sxtb16(word))
}
instruction! {
    /// Adds bytes 1 and 3 of `word`, as i16, to the lanes of `sums` (SXTAB16 with ROR 8).
    sxtab16_ror8(sums, word) = "sxtab16 {0}, {sums}, {word}, ror #8", sadd16(sums, sxtb16_ror8(word))
}
instruction! {
    /// The low lanes of `a` and `b`, `a` low (PKHBT).
    pack_low(a, b) = "pkhbt {0}, {a}, {b}, lsl #16", (a & 0xffff) | b << 16
}
instruction! {
    /// The high lanes of `a` and `b`, `a` low (PKHTB).
    pack_high(a, b) = "pkhtb {0}, {b}, {a}, asr #16", a >> 16 | (b & 0xffff_0000)
}
instruction! {
    /// The low lane of `a` and the high lane of `b` (PKHBT without shift).
    pack_mixed(a, b) = "pkhbt {0}, {a}, {b}", (a & 0xffff) | (b & 0xffff_0000)
}
instruction! {
    /// Larger of each pair of i8 lanes (SSUB8, SEL).
    max_i8x4(a, b) = "ssub8 {0}, {a}, {b}\nsel {0}, {a}, {b}", {
        let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
        u32::from_le_bytes(core::array::from_fn(|lane| (a[lane] as i8).max(b[lane] as i8) as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_lanes_keep_their_signs() {
        let word = u32::from_le_bytes([1, 0xff, 0x80, 0x7f]);
        assert_eq!(halves(sxtb16(word)), (1, -128));
        assert_eq!(halves(sxtb16_ror8(word)), (-1, 127));
        assert_eq!(halves(sxtab16(lanes(10, 20), word)), (11, -108));
        assert_eq!(halves(sxtab16_ror8(lanes(10, 20), word)), (9, 147));
    }

    #[test]
    fn lanes_do_not_carry_into_each_other() {
        let (a, b) = (lanes(-1, 5), lanes(1, -7));
        assert_eq!(halves(sadd16(a, b)), (0, -2));
        assert_eq!(halves(ssub16(a, b)), (-2, 12));
        assert_eq!(halves(pack_low(a, b)), (-1, 1));
        assert_eq!(halves(pack_high(a, b)), (5, -7));
        assert_eq!(halves(pack_mixed(a, b)), (-1, -7));
    }

    #[test]
    fn maxima_are_signed() {
        let a = u32::from_le_bytes([0x80, 0x7f, 0, 0xff]);
        let b = u32::from_le_bytes([0x7f, 0x80, 0xff, 0xfe]);
        assert_eq!(max_i8x4(a, b).to_le_bytes(), [0x7f, 0x7f, 0, 0xff]);
    }
}
