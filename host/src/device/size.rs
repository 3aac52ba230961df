//! What a linked image takes of a board's memory.

use object::Endianness;
use object::elf::{PT_LOAD, SHF_ALLOC, SHF_WRITE};
use object::read::elf::{ElfFile32, ProgramHeader, SectionHeader};
use serde::{Deserialize, Serialize};

use super::DeviceError;

/// What an image takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Bytes stored in flash: code, constants, and what variables begin with.
    pub flash_bytes: u64,
    /// Bytes of variables in RAM, without the stack.
    pub ram_bytes: u64,
}

/// Measures an image.
///
/// # Errors
/// [`DeviceError::Build`] where the file is no 32-bit ELF.
pub fn of(elf: &[u8]) -> Result<Size, DeviceError> {
    let bad =
        |error: object::Error| DeviceError::Build { model: "the image".into(), output: error.to_string() };
    let file = ElfFile32::<Endianness>::parse(elf).map_err(bad)?;
    let endian = file.endian();
    let loaded = file.elf_program_headers().iter().filter(|header| header.p_type(endian) == PT_LOAD);
    let flash_bytes = loaded.map(|header| u64::from(header.p_filesz(endian))).sum();
    let kept = SHF_ALLOC | SHF_WRITE;
    let variables = file.elf_section_table().iter().filter(|section| {
        // The stack of esp-hal is a section that takes whatever is left.
        let name = file.elf_section_table().section_name(endian, section).unwrap_or_default();
        section.sh_flags(endian) & kept == kept && name != b".stack"
    });
    let ram_bytes = variables.map(|section| u64::from(section.sh_size(endian))).sum();
    Ok(Size { flash_bytes, ram_bytes })
}

/// Returns the address of a symbol.
///
/// # Errors
/// [`DeviceError::Build`] where the image has none of that name.
pub fn symbol(elf: &[u8], name: &str) -> Result<u64, DeviceError> {
    use object::{Object, ObjectSymbol};
    let bad = |output: String| DeviceError::Build { model: "the image".into(), output };
    let file = object::File::parse(elf).map_err(|error| bad(error.to_string()))?;
    let found = file.symbols().find(|symbol| symbol.name() == Ok(name)).map(|symbol| symbol.address());
    found.ok_or_else(|| bad(format!("it has no symbol {name}")))
}
