//! A QEMU plugin (TCG plugin interface 1) that counts executed instructions of one function, call by call.
//!
//! `-plugin libcounter.so,start=ADDRESS,end=ADDRESS,out=FILE` watches the function at `start..end`. Each
//! time it returns, FILE gets one line `NAME INSTRUCTIONS CYCLES` for the function itself (`self`) and for
//! each call it made, in order (`call 0`, `call 1`, …), callees included. Counts are exact. With
//! `addresses=FILE` a second file gets `ADDRESS EXECUTIONS` of every instruction, to find what is hot.
//!
//! Cycles are a **model** of a Cortex-M4 without flash wait states, not a measurement: LDR 2 (1 right
//! after an LDR), STR 1, LDM, STM, LDRD, STRD, PUSH and POP 1 + registers, a taken branch 2 more, a
//! division 7, everything else 1. Source of the encodings: Arm DDI 0403, A5.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Version of the plugin interface.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static qemu_plugin_version: c_int = 1;

#[repr(C)]
struct Block {
    _opaque: [u8; 0],
}

#[repr(C)]
struct Instruction {
    _opaque: [u8; 0],
}

type OnTranslate = extern "C" fn(u64, *mut Block);
type OnExecute = extern "C" fn(c_uint, *mut c_void);

// SAFETY: these are QEMU's declarations (qemu-plugin.h, interface 1).
unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, callback: OnTranslate);
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        callback: OnExecute,
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;
    fn qemu_plugin_insn_data(instruction: *const Instruction) -> *const c_void;
    fn qemu_plugin_insn_size(instruction: *const Instruction) -> usize;
    fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
}

/// What the model needs of an instruction; travels through QEMU as one pointer-sized number.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Decoded {
    address: u32,
    size: u8,
    cycles: u8,
    is_load: bool,
}

impl Decoded {
    fn to_number(self) -> u64 {
        u64::from(self.address)
            | u64::from(self.size) << 32
            | u64::from(self.cycles) << 40
            | u64::from(self.is_load) << 48
    }

    fn from_number(number: u64) -> Self {
        Self {
            address: number as u32,
            size: (number >> 32) as u8,
            cycles: (number >> 40) as u8,
            is_load: number >> 48 & 1 == 1,
        }
    }
}

/// Counts of one region.
#[derive(Clone, Copy, Default)]
struct Count {
    instructions: u64,
    cycles: u64,
}

struct State {
    start: u32,
    end: u32,
    out: String,
    addresses: String,
    executions: BTreeMap<u32, u64>,
    /// Where the watched function returns to, while it runs.
    return_to: Option<u32>,
    /// Index into `counts`: 0 is the function itself, then its calls.
    region: usize,
    counts: Vec<Count>,
    previous: Option<(Decoded, usize)>,
}

static STATE: Mutex<State> = Mutex::new(State {
    start: 0,
    end: 0,
    out: String::new(),
    addresses: String::new(),
    executions: BTreeMap::new(),
    return_to: None,
    region: 0,
    counts: Vec::new(),
    previous: None,
});

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn execute(&mut self, now: Decoded) {
        if self.return_to == Some(now.address) {
            self.finish();
        }
        let is_inside = (self.start..self.end).contains(&now.address);
        if self.return_to.is_none() {
            let Some((caller, _)) = self.previous.filter(|_| now.address == self.start) else {
                self.previous = Some((now, 0));
                return;
            };
            self.return_to = Some(caller.address + u32::from(caller.size));
            self.counts = vec![Count::default()];
            self.region = 0;
        } else if is_inside {
            self.region = 0;
        } else if self.region == 0 {
            self.counts.push(Count::default());
            self.region = self.counts.len() - 1;
        }
        if let Some((before, region)) = self.previous
            && before.address + u32::from(before.size) != now.address
        {
            // The refill belongs to the branch.
            self.counts[region].cycles += 2;
        }
        if !self.addresses.is_empty() {
            *self.executions.entry(now.address).or_default() += 1;
        }
        let follows_load = self.previous.is_some_and(|(before, _)| before.is_load);
        let count = &mut self.counts[self.region];
        count.instructions += 1;
        count.cycles += if now.is_load && follows_load { 1 } else { u64::from(now.cycles) };
        self.previous = Some((now, self.region));
    }

    /// Writes the counts.
    fn finish(&mut self) {
        let mut text = String::new();
        for (region, count) in self.counts.iter().enumerate() {
            let name = if region == 0 { "self".to_owned() } else { format!("call {}", region - 1) };
            let _ = writeln!(text, "{name} {} {}", count.instructions, count.cycles);
        }
        write_whole(&self.out, &text);
        if !self.addresses.is_empty() {
            let lines = self.executions.iter().map(|(address, count)| format!("{address:#x} {count}\n"));
            write_whole(&self.addresses, &lines.collect::<String>());
            self.executions.clear();
        }
        self.return_to = None;
        self.previous = None;
    }
}

/// Writes beside the file and renames, so that a reader never sees half of it.
fn write_whole(path: &str, text: &str) {
    let beside = format!("{path}.part");
    if std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path)).is_err() {
        eprintln!("counter: {path} cannot be written");
    }
}

/// Cycles and whether it is a single load, by encoding.
fn decode(address: u32, bytes: &[u8]) -> Decoded {
    let half = |at: usize| bytes.get(at..at + 2).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]));
    let first = half(0);
    let (cycles, is_load) = if bytes.len() == 2 { narrow(first) } else { wide(first, half(2)) };
    Decoded { address, size: bytes.len() as u8, cycles, is_load }
}

const STORE: (u8, bool) = (1, false);
const LOAD: (u8, bool) = (2, true);

fn load_or_store(is_load: bool) -> (u8, bool) {
    if is_load { LOAD } else { STORE }
}

fn several(registers: u16) -> (u8, bool) {
    (1 + registers.count_ones() as u8, false)
}

fn narrow(code: u16) -> (u8, bool) {
    match code {
        // LDR literal; load and store with register or immediate offset.
        _ if code & 0xf800 == 0x4800 => LOAD,
        _ if code & 0xf000 == 0x5000 => load_or_store(code >> 9 & 7 >= 3),
        _ if (0x6000..0xa000).contains(&code) => load_or_store(code & 0x0800 != 0),
        // PUSH, POP; STM, LDM.
        _ if code & 0xf600 == 0xb400 => several(code & 0x1ff),
        _ if code & 0xf000 == 0xc000 => several(code & 0xff),
        _ => (1, false),
    }
}

fn wide(first: u16, second: u16) -> (u8, bool) {
    let is_load = first & 0x10 != 0;
    match first {
        // Several registers; table branches; two registers or exclusive.
        _ if first & 0xfe40 == 0xe800 => several(second),
        _ if first & 0xfff0 == 0xe8d0 && second & 0xffe0 == 0xf000 => (1, false),
        _ if first & 0xfe40 == 0xe840 && first & 0x0120 != 0 => (3, false),
        _ if first & 0xfe40 == 0xe840 => load_or_store(is_load),
        _ if first & 0xfe00 == 0xf800 => load_or_store(is_load),
        // SDIV, UDIV.
        _ if first & 0xffd0 == 0xfb90 && second & 0x00f0 == 0x00f0 => (7, false),
        // VLDR, VSTR; VMOV of two registers; VLDM, VSTM.
        _ if first & 0xee00 == 0xec00 && second & 0x0e00 == 0x0a00 => match first {
            _ if first & 0x0120 == 0x0100 => load_or_store(is_load),
            _ if first & 0x0fe0 == 0x0c40 => (1, false),
            _ => (1 + (second & 0xff) as u8, false),
        },
        _ => (1, false),
    }
}

extern "C" fn on_execute(_cpu: c_uint, data: *mut c_void) {
    state().execute(Decoded::from_number(data as usize as u64));
}

extern "C" fn on_translate(_id: u64, block: *mut Block) {
    // SAFETY: QEMU hands a block that lives through this call; its instructions likewise, and each has as
    // many bytes as it says.
    unsafe {
        for index in 0..qemu_plugin_tb_n_insns(block) {
            let instruction = qemu_plugin_tb_get_insn(block, index);
            let bytes = std::slice::from_raw_parts(
                qemu_plugin_insn_data(instruction).cast::<u8>(),
                qemu_plugin_insn_size(instruction),
            );
            let decoded = decode(qemu_plugin_insn_vaddr(instruction) as u32, bytes);
            let data = decoded.to_number() as usize as *mut c_void;
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_execute, 0, data);
        }
    }
}

/// Called by QEMU; reads the arguments and asks for translations.
///
/// # Safety
/// `arguments` holds `count` C strings, as QEMU promises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    let mut state = state();
    for index in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: by the function's contract.
        let argument = unsafe { CStr::from_ptr(*arguments.add(index)) }.to_string_lossy();
        let number = |text: &str| text.parse::<u32>().ok();
        match argument.split_once('=') {
            Some(("start", text)) => state.start = number(text).unwrap_or(0),
            Some(("end", text)) => state.end = number(text).unwrap_or(0),
            Some(("out", path)) => state.out = path.to_owned(),
            Some(("addresses", path)) => state.addresses = path.to_owned(),
            _ => eprintln!("counter: {argument} is no argument of this plugin"),
        }
    }
    if state.start >= state.end || state.out.is_empty() {
        eprintln!("counter: needs start=ADDRESS,end=ADDRESS,out=FILE, addresses in decimal");
        return 1;
    }
    // SAFETY: `id` is QEMU's own, the callback lives as long as the program.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate) };
    0
}
