//! What an inference reaches in a linked image: code, calls, floating point, panics, stack.
//!
//! Thumb-2 is read just far enough: instruction lengths, branch targets, floating-point encodings and
//! pushes. Source: Arm DDI 0403 (ARMv7-M Architecture Reference Manual), A5 and A6.7.

use std::collections::{BTreeMap, BTreeSet};

use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::DeviceError;

/// What the generated `infer` and all that it calls come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Addresses of `infer`: its first, and the one behind it.
    pub infer: (u64, u64),
    /// Functions reached, `infer` included, and the bytes of their instructions.
    pub functions: Vec<(String, usize)>,
    /// Bytes of their instructions, without literals.
    pub code_bytes: usize,
    /// Deepest stack along any path, in bytes.
    pub stack_bytes: u64,
    /// Floating-point instructions, indirect calls, panics and recursion, each with the path to it.
    pub faults: Vec<String>,
}

/// Follows the generated `infer` of an image.
///
/// # Errors
/// [`DeviceError::Build`] where the file is no image with such a function.
pub fn reach(elf: &[u8]) -> Result<Reach, DeviceError> {
    let bad = |output: String| DeviceError::Build { model: "the image".into(), output };
    let all = functions(elf).map_err(bad)?;
    let entry = all.values().find(|function| function.name.contains("5model5infer"));
    let entry = entry.ok_or_else(|| bad("it holds no generated `infer`".into()))?;
    let mut walk = Walk { all: &all, reached: BTreeSet::new(), path: Vec::new(), faults: Vec::new() };
    let stack_bytes = walk.follow(entry.start);
    let reached = walk.reached.iter().map(|start| &all[start]);
    Ok(Reach {
        infer: (entry.start, entry.end),
        functions: reached
            .clone()
            .map(|function| (function.name.clone(), 2 * function.halfwords.len()))
            .collect(),
        code_bytes: reached.map(|function| 2 * function.halfwords.len()).sum(),
        stack_bytes,
        faults: walk.faults,
    })
}

struct Walk<'a> {
    all: &'a BTreeMap<u64, Function>,
    reached: BTreeSet<u64>,
    path: Vec<String>,
    faults: Vec<String>,
}

impl Walk<'_> {
    /// Checks a function and all it calls; returns the deepest stack in bytes.
    fn follow(&mut self, start: u64) -> u64 {
        let Some(function) = self.all.get(&start) else {
            self.faults.push(format!("{:?} calls {start:#x}, which is no function", self.path));
            return 0;
        };
        self.path.push(function.name.clone());
        if self.path.len() > 16 {
            self.faults.push(format!("recursion: {:?}", self.path));
            self.path.pop();
            return 0;
        }
        let effects = effects(function, self.all);
        if function.name.contains("panic") {
            // What a panic does further on is not an inference's.
            self.faults.push(format!("an inference can panic: {:?}", self.path));
            self.path.pop();
            return 0;
        }
        if !effects.floats.is_empty() {
            self.faults.push(format!("floating point at {:x?} in {:?}", effects.floats, self.path));
        }
        if !effects.indirect_calls.is_empty() {
            self.faults.push(format!("indirect call at {:x?} in {:?}", effects.indirect_calls, self.path));
        }
        self.reached.insert(start);
        let deepest = effects.calls.iter().map(|&callee| self.follow(callee)).max().unwrap_or(0);
        self.path.pop();
        effects.stack_bytes + deepest
    }
}

/// A function of the image.
pub struct Function {
    /// Symbol.
    pub name: String,
    /// First address.
    pub start: u64,
    /// Address behind the last byte, literals included.
    pub end: u64,
    /// Code only: literal pools are left out by the `$d` mapping symbols.
    halfwords: Vec<(u64, u16)>,
}

/// All functions by address, with the code bytes between `$t` and `$d` marks.
fn functions(elf: &[u8]) -> Result<BTreeMap<u64, Function>, String> {
    let file = object::File::parse(elf).map_err(|error| error.to_string())?;
    let text = file.section_by_name(".text").ok_or("it has no .text")?;
    let bytes = text.data().map_err(|error| error.to_string())?;
    let mut marks: Vec<(u64, bool)> = Vec::new();
    for symbol in file.symbols() {
        match symbol.name().unwrap_or_default() {
            name if name.starts_with("$t") => marks.push((symbol.address(), true)),
            name if name.starts_with("$d") => marks.push((symbol.address(), false)),
            _ => {}
        }
    }
    marks.sort_unstable();
    let is_code = |address: u64| {
        let after = marks.partition_point(|&(mark, _)| mark <= address);
        after > 0 && marks[after - 1].1
    };
    let mut functions = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
        // The lowest bit says Thumb.
        let start = symbol.address() & !1;
        let addresses = (start..start + symbol.size()).step_by(2).filter(|&address| is_code(address));
        let halfwords = addresses.filter_map(|address| {
            let at = usize::try_from(address - text.address()).ok()?;
            Some((address, u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])))
        });
        let name = symbol.name().unwrap_or_default().to_owned();
        let end = start + symbol.size();
        functions.insert(start, Function { name, start, end, halfwords: halfwords.collect() });
    }
    Ok(functions)
}

/// What the instructions of a function do that matters here.
#[derive(Default)]
struct Effects {
    calls: BTreeSet<u64>,
    floats: Vec<u64>,
    indirect_calls: Vec<u64>,
    stack_bytes: u64,
}

fn effects(function: &Function, all: &BTreeMap<u64, Function>) -> Effects {
    let mut effects = Effects::default();
    let mut words = function.halfwords.iter().copied().peekable();
    while let Some((address, first)) = words.next() {
        if first >> 11 < 0b11101 {
            match first {
                // PUSH {registers, lr}; SUB sp, #imm; BLX register.
                _ if first & 0xfe00 == 0xb400 => {
                    effects.stack_bytes += 4 * u64::from((first & 0x1ff).count_ones())
                }
                _ if first & 0xff80 == 0xb080 => effects.stack_bytes += 4 * u64::from(first & 0x7f),
                _ if first & 0xff87 == 0x4780 => effects.indirect_calls.push(address),
                _ => {}
            }
            continue;
        }
        let Some((_, second)) = words.next() else { break };
        // BL, and B.W as a tail call out of the function.
        if first & 0xf800 == 0xf000 && matches!(second & 0xd000, 0xd000 | 0x9000) {
            let target = branch_target(address, first, second);
            let outside =
                !(function.start..=function.halfwords.last().map_or(0, |last| last.0)).contains(&target);
            if second & 0x4000 != 0 || (outside && all.contains_key(&target)) {
                effects.calls.insert(target);
            }
        }
        // Coprocessors 10 and 11 are the floating-point unit.
        if first & 0xec00 == 0xec00 && second & 0x0e00 == 0x0a00 {
            effects.floats.push(address);
        }
        // STMDB sp!; SUB.W sp, sp, #imm (modified constants of eight bits shifted are beyond any frame here).
        if first == 0xe92d {
            effects.stack_bytes += 4 * u64::from(second.count_ones());
        }
        if matches!(first & 0xfbff, 0xf1ad | 0xf2ad) && second & 0x0f00 == 0x0d00 {
            effects.stack_bytes += immediate(first, second);
        }
    }
    effects
}

/// Target of BL and B.W, encodings T1 and T4: 25 bits, I1 = ¬(J1 ⊕ S), I2 = ¬(J2 ⊕ S).
fn branch_target(address: u64, first: u16, second: u16) -> u64 {
    let bit = |half: u16, at: u16| u32::from(half >> at & 1);
    let sign = bit(first, 10);
    let (i1, i2) = (1 ^ bit(second, 13) ^ sign, 1 ^ bit(second, 11) ^ sign);
    let high = sign << 24 | i1 << 23 | i2 << 22;
    let offset = high | u32::from(first & 0x3ff) << 12 | u32::from(second & 0x7ff) << 1;
    let offset = i64::from((offset << 7) as i32 >> 7);
    address.wrapping_add(4).wrapping_add_signed(offset)
}

/// Immediate of SUB.W (T3, modified constant) and SUBW (T4, plain 12 bits).
fn immediate(first: u16, second: u16) -> u64 {
    let low = u64::from(second & 0xff) | u64::from(second >> 12 & 7) << 8 | u64::from(first >> 10 & 1) << 11;
    let is_plain = first & 0x0200 != 0;
    if is_plain || low < 0x100 {
        return low;
    }
    // 1bcdefgh rotated right by the upper five bits.
    let rotation = (low >> 7) as u32;
    u64::from((0x80 | (low as u32 & 0x7f)).rotate_right(rotation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_targets_follow_the_manual() {
        // arm-none-eabi-as: `bl .+0x1234` at 0x100 is f001 f918, `bl .-0x200` is f7ff fefe.
        assert_eq!(branch_target(0x100, 0xf001, 0xf918), 0x100 + 0x1234);
        assert_eq!(branch_target(0x1000, 0xf7ff, 0xfefe), 0x1000 - 0x200);
        // `sub.w sp, sp, #0x100` is f5ad 7d80, `sub.w sp, sp, #20` is f1ad 0d14.
        assert_eq!(immediate(0xf5ad, 0x7d80), 0x100);
        assert_eq!(immediate(0xf1ad, 0x0d14), 20);
    }
}
